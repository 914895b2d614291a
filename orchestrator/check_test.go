package orchestrator_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// check returns what a check finds.
func (l *lab) check(repair bool) []memory.Problem {
	l.Helper()
	return checked(l.T, l.client, repair)
}

func checked(t *testing.T, o *orchestrator.Orchestrator, repair bool) (found []memory.Problem) {
	t.Helper()
	for p, err := range o.Check(t.Context(), repair) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, p)
	}
	return found
}

// beside is what stands beside a run's log.
type beside struct {
	memory.Index
	asks []memory.AskEntry
}

// disturbances are what may go wrong beside a log, with what the check says.
var disturbances = []struct {
	name    string
	disturb func(b *beside, c *memory.Commit)
	says    []string
}{
	{"agent", func(b *beside, c *memory.Commit) { c.Index.Agent = "till" }, []string{`says agent "till"; by its log it is "desk"`}},
	{"status", func(b *beside, c *memory.Commit) { c.Index.Status = agent.StatusDone }, []string{`says status "done"; by its log it is "waiting"`}},
	{"title", func(b *beside, c *memory.Commit) { c.Index.Title = "" }, []string{`says title ""; by its log it is "act"`}},
	{"reason", func(b *beside, c *memory.Commit) { c.Index.Reason = "?" }, []string{`says reason "?"; by its log it is ""`}},
	{"no wake-up", func(b *beside, c *memory.Commit) { c.Index.Wake = time.Time{} }, []string{`says wake-up time ""; by its log it is "`}},
	{"late wake-up", func(b *beside, c *memory.Commit) { c.Index.Wake = b.Wake.Add(time.Microsecond) }, []string{`says wake-up time "`}},
	{"an ask is missing", func(b *beside, c *memory.Commit) { c.Closed = []agent.AskID{b.asks[0].ID} }, []string{"is open and not in the list of asks"}},
	{"an ask too many", func(b *beside, c *memory.Commit) {
		a := b.asks[0]
		a.ID = agent.AskID(string(a.ID) + "0")
		c.Opened = append(c.Opened, a)
	}, []string{"0, which is not open"}},
	{"another due time", func(b *beside, c *memory.Commit) {
		a := b.asks[0]
		a.Due = a.Due.Add(time.Hour)
		c.Opened = append(c.Opened, a)
	}, []string{"otherwise than in its log"}},
	{"other words", func(b *beside, c *memory.Commit) {
		a := b.asks[0]
		a.Data = []byte(strings.Replace(string(a.Data), "How many", "How few", 1))
		c.Opened = append(c.Opened, a)
	}, []string{"otherwise than in its log"}},
	{"all of it", func(b *beside, c *memory.Commit) {
		c.Index = memory.Index{Agent: "", Status: agent.StatusStuck, Reason: "lost"}
		c.Closed = []agent.AskID{b.asks[0].ID}
	}, []string{"agent", "status", "title", "reason", "wake-up time", "not in the list of asks"}},
}

// disturb changes what stands beside a run's log, and returns how it was.
func disturb(t *testing.T, store memory.Store, id agent.RunID, how func(*beside, *memory.Commit)) beside {
	t.Helper()
	was := besideOf(t, store, id)
	log, err := store.Read(t.Context(), id, memory.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := &memory.Commit{Run: id, Base: log.Last, Index: was.Index}
	how(&was, c)
	if err := store.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return was
}

func besideOf(t *testing.T, store memory.Store, id agent.RunID) beside {
	t.Helper()
	page, err := store.Runs(t.Context(), memory.RunQuery{Prefix: string(id)})
	if err != nil || len(page.Runs) != 1 {
		t.Fatal(page, err)
	}
	asks, err := store.Asks(t.Context(), memory.AskQuery{Run: id})
	if err != nil {
		t.Fatal(err)
	}
	return beside{page.Runs[0].Index, asks.Asks}
}

func (b beside) equal(o beside) bool {
	x, err := json.Marshal([]any{b.Index, b.asks})
	y, err2 := json.Marshal([]any{o.Index, o.asks})
	return err == nil && err2 == nil && string(x) == string(y)
}

// found checks what a check has found of a run.
func found(t *testing.T, got []memory.Problem, id agent.RunID, repaired bool, says ...string) {
	t.Helper()
	for i, p := range got {
		if len(got) != len(says) || p.Run != id || p.Repaired != repaired || !strings.Contains(p.What, says[i]) {
			t.Fatalf("the check has found %+v, want %q of run %s, repaired: %v", got, says, id, repaired)
		}
	}
	if len(got) != len(says) {
		t.Fatalf("the check has found nothing, want %q", says)
	}
}

// eachStore runs a test over each kind of store that programs have.
func eachStore(t *testing.T, f func(t *testing.T, store memory.Store)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		store, err := sqlite.Open(filepath.Join(t.TempDir(), "t.db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		f(t, store)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		store, err := redis.Open(t.Context(), redisserver.Test(t, nil).URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		f(t, store)
	})
}

// question starts a run over a store and drives it until it asks a question, which
// is to be answered within a day.
func question(t *testing.T, store memory.Store) (*orchestrator.Orchestrator, agent.RunID) {
	t.Helper()
	o, err := orchestrator.New(store, []*agent.Agent{inquirer(agent.Ask{Kind: agent.AskQuestion, Prompt: "How many?", Within: 24 * time.Hour})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := o.Run(t.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("act")})
	if err != nil || len(res.Asks) != 1 {
		t.Fatal(res, err)
	}
	return o, res.Run
}

// TestCheck disturbs what stands beside a log: a check says so, and with repair
// it is as it was.
func TestCheck(t *testing.T) {
	eachStore(t, func(t *testing.T, store memory.Store) {
		o, id := question(t, store)
		found(t, checked(t, o, true), id, true)
		for _, d := range disturbances {
			was := disturb(t, store, id, d.disturb)
			found(t, checked(t, o, false), id, false, d.says...)
			if now := besideOf(t, store, id); now.equal(was) {
				t.Errorf("%s: a check without repair has repaired it", d.name)
			}
			found(t, checked(t, o, true), id, true, d.says...)
			if now := besideOf(t, store, id); !now.equal(was) {
				t.Errorf("%s: it was %+v, and after the repair it is %+v", d.name, was, now)
			}
			found(t, checked(t, o, false), id, false)
		}
		disturb(t, store, id, func(b *beside, c *memory.Commit) { // as another version might have written it
			a := b.asks[0]
			a.Data = append([]byte(`{"later":true, `), a.Data[1:]...)
			c.Opened = append(c.Opened, a)
		})
		found(t, checked(t, o, false), id, false)
	})
}

// TestCheckWhileRunsGoOn commits right between what a check reads: what differs
// for that reason alone is no problem, and what is one is repaired all the same.
func TestCheckWhileRunsGoOn(t *testing.T) {
	inLab(t, func(l *lab) {
		store := &interrupted{Store: l.store.Another()}
		_, id := question(l.T, l.store.Another())
		o, err := orchestrator.New(store, nil, nil)
		l.must(err)
		n := 0
		write := func() { n++; l.send(id, strings.Repeat("x", n)) }
		store.interrupt(1, 0, 0, write)
		found(l.T, checked(l.T, o, false), id, false)
		_, id = question(l.T, l.store.Another())
		disturb(l.T, l.store, id, func(_ *beside, c *memory.Commit) { c.Index.Title = "" })
		store.interrupt(0, 1, 0, write)
		found(l.T, checked(l.T, o, false), id, false)
		disturb(l.T, l.store, id, func(b *beside, c *memory.Commit) { c.Closed = []agent.AskID{b.asks[0].ID} })
		store.interrupt(1, 1, 2, write)
		found(l.T, checked(l.T, o, true), id, true, "not in the list of asks")
		if n != 6 {
			l.Errorf("%d inputs came, want 6", n)
		}
	})
}

// interrupted is a store in which something happens before a log is read, after
// the asks of a run were, and before a commit; each so many times.
type interrupted struct {
	memory.Store
	reads, asks, commits int
	do                   func()
}

func (s *interrupted) interrupt(reads, asks, commits int, do func()) {
	s.reads, s.asks, s.commits, s.do = reads, asks, commits, do
}

func (s *interrupted) Read(ctx context.Context, id agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	if s.reads > 0 {
		s.reads--
		s.do()
	}
	return s.Store.Read(ctx, id, o)
}

func (s *interrupted) Asks(ctx context.Context, q memory.AskQuery) (*memory.AskPage, error) {
	page, err := s.Store.Asks(ctx, q)
	if s.asks > 0 && q.Run != "" {
		s.asks--
		s.do()
	}
	return page, err
}

func (s *interrupted) Commit(ctx context.Context, c *memory.Commit) error {
	if s.commits > 0 {
		s.commits--
		s.do()
	}
	return s.Store.Commit(ctx, c)
}

// TestCheckOfSnapshots has snapshots that do not fit their logs.
func TestCheckOfSnapshots(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s map[string]any)
		says   []string
	}{
		"as it should be": {func(map[string]any) {}, nil},
		"another state":   {func(s map[string]any) { s["state"].(map[string]any)["user"] = map[string]string{"id": "x"} }, []string{"does not lead to what the whole log says (user)"}},
		"a part too many": {func(s map[string]any) { s["state"].(map[string]any)["meta"] = map[string]string{"x": "y"} }, []string{"whole log says (meta)"}},
		"another version": {func(s map[string]any) { s["v"], s["state"] = 2, 0 }, nil},
		"no state":        {func(s map[string]any) { s["state"] = nil }, []string{"cannot be read: "}},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.disorder = true
				id := l.start("hello")
				sender, err := orchestrator.New(&snapping{l.store.Another(), l, c.change}, nil, nil)
				l.must(err)
				l.must(sender.Send(l.Context(), id, agent.Text("and more"), nil))
				l.send(id, "and more after the snapshot")
				found(l.T, l.check(false), id, false, c.says...)
				found(l.T, l.check(true), id, false, c.says...)
			})
		})
	}
}

// snapping is a store in which each commit has a snapshot, changed.
type snapping struct {
	memory.Store
	l      *lab
	change func(map[string]any)
}

func (s *snapping) Commit(ctx context.Context, c *memory.Commit) error {
	state := s.l.state(c.Run)
	for _, r := range c.Records {
		e, err := run.Decode(r.Data)
		s.l.must(err)
		state.Apply(&run.Record{Seq: r.Seq, ID: r.ID, Time: r.Time, Event: e})
	}
	snap, err := state.Snapshot()
	s.l.must(err)
	var form map[string]any
	s.l.must(json.Unmarshal(snap, &form))
	s.change(form)
	doctored := *c
	doctored.Snapshot, err = json.Marshal(form)
	s.l.must(err)
	return s.Store.Commit(ctx, &doctored)
}

// TestCorruptRun has a worker meet a log that is damaged: the list says so, and
// when it is mended the run goes on.
func TestCorruptRun(t *testing.T) {
	inLab(t, func(l *lab) {
		id := l.start("hello")
		sick := &sick{Store: l.store.Another(), run: id}
		o, err := orchestrator.New(sick, []*agent.Agent{service(l.says(done))}, nil)
		l.must(err)
		was := l.entry(id)
		sick.set(memory.ErrCorrupt)
		l.until(o)
		l.after(10 * time.Minute)
		e := l.entry(id)
		if e.Index.Status != agent.StatusStuck || !strings.Contains(e.Index.Reason, memory.ErrCorrupt.Error()) ||
			e.Index.Agent != "desk" || e.Index.Title != "hello" || !e.Index.Wake.Equal(was.Index.Wake) || e.Records != was.Records {
			l.Errorf("the list does not say that the run cannot be read: %+v", e)
		}
		if n := sick.corrections(); n != 1 {
			l.Errorf("the entry was written %d times, want once", n)
		}
		client, err := orchestrator.New(sick, nil, nil)
		l.must(err)
		found(l.T, checked(l.T, client, true), id, false, memory.ErrCorrupt.Error())
		sick.set(nil)
		found(l.T, l.check(false), id, false, "status", "reason")
		l.after(2 * time.Minute)
		l.rests(id, agent.StatusIdle)
		if e := l.entry(id); e.Index.Status != agent.StatusIdle || e.Index.Reason != "" {
			l.Errorf("the run goes on, and the list says %+v", e.Index)
		}
	})
}

// sick is a store that cannot read one run.
type sick struct {
	memory.Store
	run agent.RunID

	mu        sync.Mutex
	err       error
	corrected int
}

func (s *sick) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sick) corrections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.corrected
}

func (s *sick) Read(ctx context.Context, id agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == s.run && s.err != nil {
		return nil, s.err
	}
	return s.Store.Read(ctx, id, o)
}

func (s *sick) Commit(ctx context.Context, c *memory.Commit) error {
	if len(c.Records) == 0 {
		s.mu.Lock()
		s.corrected++
		s.mu.Unlock()
	}
	return s.Store.Commit(ctx, c)
}

// TestCheckEnds has a check end where its caller breaks off, and with the error of
// a store that cannot be asked.
func TestCheckEnds(t *testing.T) {
	inLab(t, func(l *lab) {
		l.disorder = true
		for range 3 {
			disturb(l.T, l.store, l.start("hello"), func(_ *beside, c *memory.Commit) { c.Index.Agent = "" })
		}
		n := 0
		for range l.client.Check(l.Context(), false) {
			n++
			break
		}
		if n != 1 {
			l.Errorf("it has gone on for %d", n)
		}
		sick := &sick{Store: l.store, run: l.start("hello")}
		broken := errors.New("no answer")
		sick.set(broken)
		o, err := orchestrator.New(sick, nil, nil)
		l.must(err)
		var last error
		for _, err := range o.Check(l.Context(), false) {
			if last != nil {
				l.Error("it goes on after an error")
			}
			last = err
		}
		if !errors.Is(last, broken) {
			l.Errorf("it ends with %v", last)
		}
	})
}

// TestCheckOfALostEntry takes a run's entry from under a Redis store: a repair
// makes it anew, and the run goes on.
func TestCheckOfALostEntry(t *testing.T) {
	server := redisserver.Test(t, nil)
	store, err := redis.Open(t.Context(), server.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	o, id := question(t, store)
	was := besideOf(t, store, id)
	client := goredis.NewClient(server.ClientOptions())
	defer client.Close()
	keys, err := client.Keys(t.Context(), "*:run:"+string(id)).Result()
	if err != nil || client.Del(t.Context(), keys...).Val() != 1 {
		t.Fatal(keys, err)
	}
	if got := checked(t, o, false); len(got) == 0 || got[0].Run != id || got[0].Repaired {
		t.Errorf("the check has found %+v, want that the entry is lost", got)
	}
	for _, p := range checked(t, o, true) {
		if !p.Repaired {
			t.Errorf("not repaired: %s", p.What)
		}
	}
	if now := besideOf(t, store, id); !now.equal(was) {
		t.Errorf("it was %+v, and after the repair it is %+v", was, now)
	}
	if err := o.Answer(t.Context(), was.asks[0].ID, agent.Answer{Value: json.RawMessage("3")}); err != nil {
		t.Fatal(err)
	}
	if res, err := o.Await(t.Context(), id); err != nil || res.Status != agent.StatusDone {
		t.Errorf("the run does not go on: %+v, %v", res, err)
	}
	found(t, checked(t, o, false), id, false)
}

// TestCheckOfDamage damages a file: a log is told of once, and left alone, and an
// ask is written anew.
func TestCheckOfDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	store, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	o, id := question(t, store)
	was := besideOf(t, store, id)
	file, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	damage := func(query string) {
		t.Helper()
		if _, err := file.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	damage("UPDATE asks SET due = due + 1")
	found(t, checked(t, o, false), id, false, string(was.asks[0].ID))
	got := checked(t, o, true)
	if len(got) != 2 || got[0].Repaired || !got[1].Repaired || !strings.Contains(got[1].What, "open asks cannot be read") {
		t.Errorf("the check has found %+v", got)
	}
	if now := besideOf(t, store, id); !now.equal(was) {
		t.Errorf("it was %+v, and after the repair it is %+v", was, now)
	}
	damage("UPDATE records SET data = CAST(replace(CAST(data AS TEXT), 'How', 'Now') AS BLOB)")
	found(t, checked(t, o, true), id, false, "record 4 is not as it was written")
}
