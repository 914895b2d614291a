package orchestrator_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
)

// looper is an agent that makes n calls, one per step, of about 200 bytes of
// arguments and a kilobyte of result each.
func looper(n int) *agent.Agent {
	call := scripted.Call("act", fmt.Sprintf(`{"note":%q}`, strings.Repeat("n", 190)))
	model := scripted.Func(func(req *agent.ModelRequest) (*agent.ModelReply, error) {
		said := len(req.Messages) / 2 // the user's message, and then one of the model and one of results for each step
		if said >= n {
			return &agent.ModelReply{Message: *agent.Said("Done.")}, nil
		}
		m := agent.Message{Parts: []agent.Part{{Call: &agent.Call{ID: fmt.Sprintf("call_%06d", said), Name: "act", Args: call.Calls[0].Args}}}}
		return &agent.ModelReply{Message: m, Usage: agent.Usage{Input: 1000, Output: 100}}, nil
	})
	result := agent.JSONText(strings.Repeat("r", 1024-2))
	return &agent.Agent{
		Name: "desk", Planner: planner.Loop(model, "Act.", &planner.LoopOptions{NoAsk: true}), Limits: agent.Limits{TurnSteps: -1},
		Tools: []*agent.Tool{{Name: "act", Call: func(context.Context, raw) (raw, error) { return bytes.Clone(result), nil }}},
	}
}

// loopRun makes a run of n steps on the store.
func loopRun(t testing.TB, o *orchestrator.Orchestrator) agent.RunID {
	res, err := o.Run(context.Background(), orchestrator.Request{Agent: "desk", Message: agent.Text("Go.")})
	if err != nil || res.Status != agent.StatusIdle || res.Text != "Done." {
		t.Fatalf("got %+v, %v", res, err)
	}
	return res.Run
}

// sizes returns how many bytes per step a run of n steps adds to the log, and
// to the store's file when its WAL has been moved into it.
func sizes(t testing.TB, n int) (log, file float64) {
	path := filepath.Join(t.TempDir(), "runs.db")
	open := func() *sqlite.Store {
		s, err := sqlite.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	before := closedSize(t, s, path)
	s = open()
	o, err := orchestrator.New(s, []*agent.Agent{looper(n)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := loopRun(t, o)
	l, err := s.Read(t.Context(), id, memory.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bytes := 0
	for _, r := range l.Records {
		bytes += len(r.Data)
	}
	return float64(bytes) / float64(n), float64(closedSize(t, s, path)-before) / float64(n)
}

// closedSize closes the store, which moves the WAL into the file, and returns
// the size of what is left.
func closedSize(t testing.TB, s *sqlite.Store, path string) (size int64) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + "-wal"} {
		if info, err := os.Stat(p); err == nil {
			size += info.Size()
		}
	}
	return size
}

// BenchmarkStep tells what a step costs on the file store, in runs of 10, 100
// and 1,000 steps.
func BenchmarkStep(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("loop-%d", n), func(b *testing.B) {
			s, err := sqlite.Open(filepath.Join(b.TempDir(), "runs.db"), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			o, err := orchestrator.New(s, []*agent.Agent{looper(n)}, nil)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				loopRun(b, o)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/step")
			log, file := sizes(b, n)
			b.ReportMetric(log, "log-B/step")
			b.ReportMetric(file, "store-B/step")
		})
	}
}

// A step costs the same bytes however long its run is. The race detector would make a
// minute of a thousand steps, as each request is checked from its first message on.
func TestBytesPerStep(t *testing.T) {
	long := 1000
	if raceEnabled {
		long = 200
	}
	shortLog, shortFile := sizes(t, 10)
	longLog, longFile := sizes(t, long)
	t.Logf("bytes per step at 10 and %d steps: log %.0f and %.0f, store %.0f and %.0f", long, shortLog, longLog, shortFile, longFile)
	if longLog > 1.1*shortLog || longFile > 1.1*shortFile {
		t.Error("a step of a long run costs more than 1.1 times the bytes of a step of a short one")
	}
	if shortLog < 1200 {
		t.Errorf("a step of %.0f bytes cannot hold its arguments and its result", shortLog)
	}
}

// A long run has a snapshot beside its log, from which inputs go on.
func TestSnapshot(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, looper(300))
		id := l.start("Go.")
		l.rests(id, agent.StatusIdle)
		read := &lastRead{Store: l.store.Another()}
		o, err := orchestrator.New(read, nil, nil)
		l.must(err)
		l.must(o.Send(l.Context(), id, agent.Text("And?"), nil))
		records := len(l.log(id).Records) // and the snapshot says what the log says
		if read.records > records/2 || read.snapshot == 0 || read.snapshot > 4<<10 {
			l.Errorf("of %d records an input has read %d, and a snapshot of %d bytes", records, read.records, read.snapshot)
		}
	})
}

// lastRead tells of the last read.
type lastRead struct {
	memory.Store
	records, snapshot int
}

func (s *lastRead) Read(ctx context.Context, id agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	log, err := s.Store.Read(ctx, id, o)
	if err == nil {
		s.records, s.snapshot = len(log.Records), len(log.Snapshot)
	}
	return log, err
}
