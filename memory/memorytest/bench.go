package memorytest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// The inbox of BenchmarkInbox: 100,000 open asks of 1 KB, of which one in a thousand
// is for one person and the rest for the groups of others.
const (
	inboxRuns = 10_000
	inboxEach = 10
	inboxRare = 1000
)

// BenchmarkInbox fills an empty store with 100,000 open asks and measures how long
// one page takes of what a person may answer, has claimed, or is the first to see.
func BenchmarkInbox(b *testing.B, s memory.Store) {
	fillInbox(b, s)
	ada := agent.User{ID: "ada", Groups: []string{"legal"}}
	for _, of := range []struct {
		name  string
		query memory.AskQuery
		want  int
	}{
		{"for one in a thousand", memory.AskQuery{For: ada}, 100},
		{"for nobody", memory.AskQuery{For: agent.User{ID: "eve"}}, 0},
		{"the first ten for one in a thousand", memory.AskQuery{For: ada, Limit: 10}, 10},
		{"all", memory.AskQuery{}, 100},
		{"of one run", memory.AskQuery{Run: "r77"}, inboxEach},
		{"older than most", memory.AskQuery{For: agent.User{ID: "eve"}, OpenedBefore: inboxStart.Add(1000 * time.Second)}, 0},
	} {
		b.Run(of.name, func(b *testing.B) {
			for b.Loop() {
				page, err := s.Asks(b.Context(), of.query)
				if err != nil || len(page.Asks) != of.want {
					b.Fatalf("%d asks (%v), want %d", len(page.Asks), err, of.want)
				}
			}
		})
	}
}

var inboxStart = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

func fillInbox(b *testing.B, s memory.Store) {
	data := bytes.Repeat([]byte("d"), 1024)
	for r := range inboxRuns {
		run := agent.RunID(fmt.Sprintf("r%d", r))
		c := &memory.Commit{Run: run, Index: memory.Index{Agent: "x", Status: agent.StatusWaiting},
			Records: []memory.Record{{Seq: 1, ID: "a", Time: inboxStart}}}
		for i := range inboxEach {
			n := i*inboxRuns + r
			a := memory.AskEntry{ID: agent.AskID(fmt.Sprintf("%s.a.%d", run, i)), Kind: agent.AskApproval,
				Opened: inboxStart.Add(time.Duration(n) * time.Second), Data: data,
				For: []string{fmt.Sprintf("group:team %d", n%50)}, Not: []string{fmt.Sprintf("user%d", n%777)}}
			if n%inboxRare == 0 {
				a.For = append(a.For, "group:legal")
			}
			c.Opened = append(c.Opened, a)
		}
		if err := s.Commit(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}
