package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner/graph"
)

// BenchmarkNodes runs a straight line of nodes and a map over as many items, each a
// call of a tool that does nothing, and reports what one node costs: time, bytes of
// the log, and bytes of the store. Both are linear if the figures of 1,000 are those
// of 100.
//
//	go test -run "^$" -bench Nodes -benchtime 3x ./planner/graph
func BenchmarkNodes(b *testing.B) {
	for _, shape := range []struct {
		name string
		of   func(n int) *graph.Definition
	}{{"line", line}, {"map", wide}} {
		for _, n := range []int{100, 1000} {
			for _, s := range []struct {
				name string
				open func(*testing.B) (memory.Store, func() int64)
			}{{"file", fileStore}, {"redis", redisStore}} {
				b.Run(fmt.Sprintf("%s-%d/%s", shape.name, n, s.name), func(b *testing.B) { benchNodes(b, shape.of(n), n, s.open) })
			}
		}
	}
}

// line is a straight line of n calls.
func line(n int) *graph.Definition {
	d := &graph.Definition{Graph: "line"}
	for i := range n {
		d.Steps = append(d.Steps, graph.Node{ID: "n" + strconv.Itoa(i), Tool: "act", Input: map[string]any{"n": i}})
	}
	return d
}

// wide is a map over n items.
func wide(n int) *graph.Definition {
	items := make([]any, n)
	for i := range items {
		items[i] = i
	}
	return &graph.Definition{Graph: "map", Steps: []graph.Node{{
		ID: "all", Tool: "act", Each: &graph.Each{In: items}, Input: map[string]any{"n": "${item}"},
	}}}
}

func benchNodes(b *testing.B, d *graph.Definition, n int, open func(*testing.B) (memory.Store, func() int64)) {
	g, err := graph.New(d, nil)
	if err != nil {
		b.Fatal(err)
	}
	act := &agent.Tool{Name: "act", Effect: agent.ReadOnly, Call: func(context.Context, json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`{"ok":true}`), nil
	}}
	a := &agent.Agent{Name: "bench", Planner: g, Tools: []*agent.Tool{act}}
	store, size := open(b)
	o, err := orchestrator.New(store, []*agent.Agent{a}, nil)
	if err != nil {
		b.Fatal(err)
	}
	before := size()
	var log int64
	b.ResetTimer()
	for range b.N {
		res, err := o.Run(b.Context(), orchestrator.Request{Agent: "bench"})
		if err != nil || res.Status != agent.StatusDone {
			b.Fatalf("%+v %v", res, err)
		}
		b.StopTimer()
		records, err := store.Read(b.Context(), res.Run, memory.ReadOptions{})
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range records.Records {
			log += int64(len(r.Data))
		}
		b.StartTimer()
	}
	b.StopTimer()
	per := float64(b.N * n)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/per, "µs/node")
	b.ReportMetric(float64(log)/per, "log-B/node")
	b.ReportMetric(float64(size()-before)/per, "store-B/node")
	b.ReportMetric(0, "ns/op")
}

func fileStore(b *testing.B) (memory.Store, func() int64) {
	dir := b.TempDir()
	store, err := sqlite.Open(filepath.Join(dir, "bench.db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	return store, func() int64 { // with the write-ahead log, which the next checkpoint empties
		info, err := os.Stat(filepath.Join(dir, "bench.db"))
		if err != nil {
			b.Fatal(err)
		}
		return info.Size()
	}
}

func redisStore(b *testing.B) (memory.Store, func() int64) {
	server := redisserver.Test(b, nil)
	store, err := redis.Open(b.Context(), server.URL(), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	b.Cleanup(func() { client.Close() })
	return store, func() int64 {
		info, err := client.Info(b.Context(), "memory").Result()
		if err != nil {
			b.Fatal(err)
		}
		for _, l := range strings.Split(info, "\r\n") {
			if v, ok := strings.CutPrefix(l, "used_memory_dataset:"); ok {
				n, err := strconv.ParseInt(v, 10, 64)
				if err != nil {
					b.Fatal(err)
				}
				return n
			}
		}
		b.Fatal("redis does not say what its data take")
		return 0
	}
}
