package redis_test

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// open opens a store for a test.
func open(t testing.TB, url string, o *redis.Options) *redis.Store {
	t.Helper()
	s, err := redis.Open(t.Context(), url, o)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() }) // its server may be down by now
	return s
}

// admin returns a client that sees all that a server keeps.
func admin(t testing.TB, srv *redisserver.Server) *goredis.Client {
	c := goredis.NewClient(srv.ClientOptions())
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// is checks that err is the one that is wanted, and that it says something.
func is(t testing.TB, err, want error, says ...string) {
	t.Helper()
	if err == nil || want != nil && !errors.Is(err, want) {
		t.Fatalf("got the error %v, want %v", err, want)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error %q does not say %q", err, text)
		}
	}
}

// until waits until what is so.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
		<-tick.C
	}
}

// pass lets d pass by the store's clock.
func pass(t testing.TB, s memory.Store, d time.Duration) {
	t.Helper()
	end := s.Now().Add(d)
	until(t, "the store's clock shows "+end.String(), func() bool { return s.Now().After(end) })
}

// step makes a commit of n records on base, of a run of the agent "x" that wants
// no attention.
func step(s memory.Store, run agent.RunID, base memory.Position, n int) *memory.Commit {
	c := &memory.Commit{Run: run, Base: base, Index: memory.Index{Agent: "x", Status: agent.StatusIdle}}
	for i := range n {
		c.Records = append(c.Records, memory.Record{
			Seq: base.Seq + int64(i) + 1, ID: agent.RecordID(strings.ToLower(rand.Text())), Time: s.Now(), Data: []byte("record"),
		})
	}
	return c
}

// full is a step with one of everything, of a run that wants attention now.
func full(s memory.Store, run agent.RunID, base memory.Position) *memory.Commit {
	c := step(s, run, base, 2)
	c.Index.Status, c.Index.Wake, c.Index.Title = agent.StatusPlanning, s.Now().Add(-time.Second), "title"
	c.Index.Parent = "parent"
	c.Snapshot = []byte("snapshot")
	ask := agent.AskID(string(run) + "." + string(c.Records[0].ID) + ".0")
	c.Opened = []memory.AskEntry{{ID: ask, Kind: agent.AskQuestion, Opened: s.Now(), Data: []byte("ask"),
		For: []string{"ada", "group:on call"}, Not: []string{"bob"}, Claimed: "ada"}}
	return c
}

// begin commits the first records of a run that wants attention now.
func begin(t testing.TB, s memory.Store, run agent.RunID) memory.Position {
	t.Helper()
	c := full(s, run, memory.Position{})
	must(t, s.Commit(t.Context(), c))
	return c.Last()
}

// request asks for runs of the agent "x" for a minute.
func request(change ...func(*memory.ClaimRequest)) *memory.ClaimRequest {
	r := &memory.ClaimRequest{Worker: "w", Agents: []string{"x"}, Max: 100, Lease: time.Minute}
	for _, f := range change {
		f(r)
	}
	return r
}

func only(run agent.RunID) func(*memory.ClaimRequest) {
	return func(r *memory.ClaimRequest) { r.Run = run }
}

func lease(d time.Duration) func(*memory.ClaimRequest) {
	return func(r *memory.ClaimRequest) { r.Lease = d }
}

func wait(r *memory.ClaimRequest) { r.Wait = patience }

// take claims one certain run.
func take(t testing.TB, s memory.Store, run agent.RunID, change ...func(*memory.ClaimRequest)) memory.Claim {
	t.Helper()
	claims, err := s.Claim(t.Context(), request(append(change, only(run))...))
	must(t, err)
	if len(claims) != 1 || claims[0].Run != run {
		t.Fatalf("claim of run %s: got %+v, want this run alone", run, claims)
	}
	return claims[0]
}

func held(c memory.Claim) memory.Held { return memory.Held{Run: c.Run, Token: c.Token, Last: c.Last} }

// runsOf returns the runs of claims, in order.
func runsOf(claims []memory.Claim) (runs []agent.RunID) {
	for _, c := range claims {
		runs = append(runs, c.Run)
	}
	slices.Sort(runs)
	return runs
}

// ends checks where a run's log ends.
func ends(t testing.TB, s memory.Store, run agent.RunID, want memory.Position) {
	t.Helper()
	log, err := s.Read(t.Context(), run, memory.ReadOptions{})
	must(t, err)
	if log.Last != want || int64(len(log.Records)) != want.Seq {
		t.Fatalf("run %s has %d records and ends at %+v, want %+v", run, len(log.Records), log.Last, want)
	}
}

// dump returns all that a server keeps, each value as DUMP writes it.
func dump(t testing.TB, c *goredis.Client) map[string]string {
	t.Helper()
	all := map[string]string{}
	keys, err := c.Keys(t.Context(), "*").Result()
	must(t, err)
	for _, key := range keys {
		all[key], err = c.Dump(t.Context(), key).Result()
		must(t, err)
	}
	return all
}

// unchanged checks that a server keeps what it kept.
func unchanged(t testing.TB, c *goredis.Client, before map[string]string) {
	t.Helper()
	after := dump(t, c)
	for key := range maps.Keys(after) {
		if before[key] != after[key] {
			t.Errorf("the key %s was changed", key)
		}
		delete(before, key)
	}
	for key := range before {
		t.Errorf("the key %s is gone", key)
	}
}

// problems returns what Check finds, which is fatal if the store cannot be asked.
func problems(t testing.TB, s memory.Store, repair bool) (found []memory.Problem) {
	t.Helper()
	for p, err := range s.Check(t.Context(), repair) {
		must(t, err)
		found = append(found, p)
	}
	return found
}

// result is what a call gave that went on beside the test.
type result[T any] struct {
	value T
	err   error
}

// beside calls f beside the test.
func beside[T any](t testing.TB, f func(context.Context) (T, error)) <-chan result[T] {
	c := make(chan result[T], 1)
	go func() {
		v, err := f(t.Context())
		c <- result[T]{v, err}
	}()
	return c
}

// soon waits for what comes on a channel.
func soon[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v in vain for %s", patience, what)
		panic("unreachable")
	}
}

func hostPort(t testing.TB, srv *redisserver.Server) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(srv.Addr())
	must(t, err)
	return host, port
}
