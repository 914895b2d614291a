package orchestrator_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/scripted"
)

// A heard is what a watcher has seen.
type heard struct {
	seqs   []int64
	kinds  []string
	words  strings.Builder // since the last Reset; a move ends it with a dot
	resets int
	err    error
}

// listen watches until the watch ends.
func (l *lab) listen(id agent.RunID, o *orchestrator.WatchOptions) *heard {
	h := &heard{}
	for ev, err := range l.client.Watch(l.Context(), id, o) {
		if err != nil {
			h.err = err
			return h
		}
		h.hear(ev)
		if ev.Status != ev.State.Status() {
			l.Errorf("the status is %s, and by the state %s", ev.Status, ev.State.Status())
		}
	}
	return h
}

func (h *heard) hear(ev orchestrator.Event) {
	switch {
	case ev.Record != nil:
		h.seqs = append(h.seqs, ev.Record.Seq)
		h.kinds = append(h.kinds, run.KindOf(ev.Record.Event))
		if run.KindOf(ev.Record.Event) == "moved" {
			h.words.WriteString(".")
		}
	case ev.Delta.Reset:
		h.words.Reset()
		h.resets++
	default:
		h.words.WriteString(ev.Delta.Text)
	}
}

func TestWatchUntil(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		l.work(nil, service(l.says(act, done, scripted.Say("Again.")), h.tool("act", agent.Once)))
		id := l.start("act")
		turn, end := make(chan *heard, 1), make(chan *heard, 1)
		go func() { turn <- l.listen(id, &orchestrator.WatchOptions{Until: orchestrator.TurnEnd}) }()
		go func() { end <- l.listen(id, &orchestrator.WatchOptions{Until: orchestrator.RunEnd}) }()
		l.after(30 * time.Second)
		if len(turn) != 0 {
			l.Fatal("a watch until the turn's end has ended in the middle of a call")
		}
		h.returns <- result{content: "acted"}
		first := <-turn
		if want := []int64{1, 2, 3, 4, 5, 6, 7}; !slices.Equal(first.seqs, want) || first.err != nil {
			l.Errorf("saw the records %v, %v, want %v", first.seqs, first.err, want)
		}
		l.send(id, "and?")
		l.rests(id, agent.StatusIdle)
		second := l.listen(id, &orchestrator.WatchOptions{After: 7, Until: orchestrator.TurnEnd})
		if want := []string{"messaged", "turnbegan", "moved"}; !slices.Equal(second.kinds, want) {
			l.Errorf("after 7 saw %q, want %q", second.kinds, want)
		}
		l.must(l.client.Cancel(l.Context(), id, "", nil))
		whole := <-end
		if len(whole.seqs) != 11 || whole.kinds[10] != "cancelled" || whole.err != nil {
			l.Errorf("until the run's end saw %v %q, %v", whole.seqs, whole.kinds, whole.err)
		}
	})
}

// Breaking the loop, and the end of the context, release everything.
func TestWatchEnds(t *testing.T) {
	inLab(t, func(l *lab) {
		id := l.start("hello")
		for range l.client.Watch(l.Context(), id, nil) {
			break
		}
		ctx, cancel := context.WithTimeout(l.Context(), time.Hour)
		defer cancel()
		records := 0
		var last error
		for ev, err := range l.client.Watch(ctx, id, nil) {
			last = err
			if ev.Record != nil {
				records++
			}
		}
		if !errors.Is(last, context.DeadlineExceeded) || records != 2 {
			l.Errorf("got %d records and %v", records, last)
		}
	})
}

// speaking is a model that says one word a second.
func (l *lab) speaking(text string) agent.Model {
	m := scripted.New(scripted.Say(text))
	m.Delay = time.Second
	return m
}

func TestWords(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, service(l.speaking("one two three four five")))
		id := l.start("count")
		l.after(2500 * time.Millisecond)
		heard := make(chan *heard, 2)
		for range 2 { // both join in mid-sentence
			go func() { heard <- l.listen(id, &orchestrator.WatchOptions{Until: orchestrator.TurnEnd}) }()
		}
		for range 2 {
			h := <-heard
			if got := h.words.String(); got != "one two three four ." && got != "one two three four five." || h.resets != 0 {
				l.Errorf("heard %q and %d resets", got, h.resets)
			}
		}
	})
}

// A watcher is told when what it hears is dropped: at once when planning fails
// or is interrupted, and with the next attempt when a worker dies.
func TestWordsThatAreDropped(t *testing.T) {
	for name, c := range map[string]struct {
		drop func(l *lab, id agent.RunID, worker *memorytest.Store, again func())
		want string
	}{
		"the worker dies": {func(l *lab, _ agent.RunID, worker *memorytest.Store, again func()) {
			worker.Kill()
			again()
		}, "one two three ."},
		"the user interrupts": {func(l *lab, id agent.RunID, _ *memorytest.Store, _ func()) {
			l.send(id, "stop")
		}, "one two three ."},
		"the run is cancelled": {func(l *lab, id agent.RunID, _ *memorytest.Store, _ func()) {
			l.must(l.client.Cancel(l.Context(), id, "", nil))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				desk := service(l.speaking("one two three four"))
				desk.OnMessage = agent.Interrupt
				worker := l.work(nil, desk)
				id := l.start("count")
				got := make(chan *heard, 1)
				go func() { got <- l.listen(id, &orchestrator.WatchOptions{Until: orchestrator.TurnEnd}) }()
				l.after(3500 * time.Millisecond)
				c.drop(l, id, worker, func() { l.work(nil, desk) })
				h := <-got
				if words := h.words.String(); !strings.HasPrefix(words, c.want[:max(len(c.want)-1, 0)]) || h.resets != 1 || c.want == "" && words != "" {
					l.Errorf("heard %q with %d resets, want %q with one", words, h.resets, c.want)
				}
			})
		})
	}
}

// A planner that fails in mid-sentence takes its words back.
func TestWordsOfAFailure(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, &agent.Agent{Name: "desk", Planner: agent.PlannerFunc(func(_ context.Context, v *agent.View, emit func(agent.Delta)) (*agent.Move, error) {
			emit(agent.Delta{Text: "I think "})
			time.Sleep(time.Second)
			return nil, errors.New("no more")
		})})
		id := l.start("hello")
		h := l.listen(id, &orchestrator.WatchOptions{Until: orchestrator.TurnEnd})
		if h.words.String() != "" || h.resets != 1 {
			l.Errorf("heard %q and %d resets of a planner that failed", h.words.String(), h.resets)
		}
	})
}

// A move that comes too late does not end the sentence that is being said.
func TestWordsBesideAMoveThatIsVoid(t *testing.T) {
	inLab(t, func(l *lab) {
		say := func(emit func(agent.Delta), words ...string) {
			for _, w := range words {
				emit(agent.Delta{Text: w})
				time.Sleep(time.Second)
			}
		}
		l.work(nil, &agent.Agent{Name: "desk", OnMessage: agent.Interrupt, Planner: agent.PlannerFunc(func(_ context.Context, v *agent.View, emit func(agent.Delta)) (*agent.Move, error) {
			if len(v.Messages) == 1 {
				say(emit, "a ", "b ")
				return &agent.Move{Message: agent.Said("a b ")}, nil
			}
			say(emit, "1 ", "2 ", "3 ", "4 ")
			return &agent.Move{Message: agent.Said("1 2 3 4 ")}, nil
		})})
		id := l.start("hello")
		got := make(chan *heard, 1)
		go func() { got <- l.listen(id, &orchestrator.WatchOptions{Until: orchestrator.TurnEnd}) }()
		l.after(1500 * time.Millisecond)
		l.send(id, "numbers") // the first planner goes on for half a second
		h := <-got
		if words := strings.ReplaceAll(h.words.String(), ".", ""); words != "1 2 3 4 " || h.resets != 1 {
			l.Errorf("heard %q and %d resets\n%s", words, h.resets, l.log(id))
		}
	})
}

// rewound is a store that was put back in time: some records of each log are
// lost, and perhaps others were written in their place.
type rewound struct {
	memory.Store
	cut  int // how many records are lost; 0 none
	anew bool
}

func (s *rewound) Read(ctx context.Context, id agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	whole, err := s.Store.Read(ctx, id, memory.ReadOptions{})
	if err != nil || s.cut == 0 {
		return s.Store.Read(ctx, id, o)
	}
	kept := len(whole.Records) - s.cut
	if s.anew {
		for i := range whole.Records[kept:] {
			whole.Records[kept+i].ID += "x"
		}
		kept += s.cut
	}
	log := &memory.Log{Last: whole.Records[kept-1].Position()}
	for _, r := range whole.Records[:kept] {
		if r.Seq > o.After {
			log.Records = append(log.Records, r)
		}
	}
	return log, nil
}

func TestWatchOfALogThatWasRewound(t *testing.T) {
	for _, anew := range []bool{false, true} {
		inLab(t, func(l *lab) {
			store := &rewound{Store: l.store, anew: anew}
			o, err := orchestrator.New(store, nil, nil)
			l.must(err)
			id := l.start("hello")
			l.send(id, "hello?")
			ctx, cancel := context.WithTimeout(l.Context(), time.Hour)
			defer cancel()
			var last error
			seen := 0
			for ev, err := range o.Watch(ctx, id, nil) {
				if last = err; ev.Record != nil {
					if seen++; seen == 3 {
						store.cut = 2
						l.send(id, "well?")
					}
				}
			}
			if !errors.Is(last, orchestrator.ErrRewound) {
				l.Errorf("after %d records got %v, want ErrRewound", seen, last)
			}
		})
	}
}

func TestEventJSON(t *testing.T) {
	inLab(t, func(l *lab) {
		id := l.start("hello")
		for ev, err := range l.client.Watch(l.Context(), id, nil) {
			l.must(err)
			b, err := json.Marshal(ev)
			l.must(err)
			var flat map[string]any
			l.must(json.Unmarshal(b, &flat))
			if flat["run"] != string(id) || flat["kind"] != "started" || flat["seq"] != 1.0 || flat["status"] != "idle" {
				l.Errorf("got %s", b)
			}
			break
		}
		b, err := json.Marshal(orchestrator.Event{Run: id, Delta: &agent.Delta{Text: "hi"}})
		if err != nil || !strings.Contains(string(b), `"kind":"delta"`) || !strings.Contains(string(b), `"delta":{"text":"hi"}`) {
			l.Errorf("got %s, %v", b, err)
		}
	})
}
