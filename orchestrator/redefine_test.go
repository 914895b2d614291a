package orchestrator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

type keys = map[string]json.RawMessage

// newcomer waits for a signal, and notes at which node it stands.
func newcomer() *chart {
	return &chart{definition: "one", plan: func(v *agent.View) *agent.Move {
		if len(v.Open) == 0 {
			return &agent.Move{
				Again: agent.AtEachClosing, Keys: keys{"at": raw(`"a"`), "old": raw(`1`)},
				Actions: []agent.Action{{Kind: agent.ActWait, Name: "paid"}},
			}
		}
		return &agent.Move{Again: agent.AtEachClosing, Message: agent.Said(string(v.Definition) + " at " + string(v.Keys["at"]))}
	}}
}

// Who redefines a run sees how it stands, changes its saved keys, and has its
// planner asked at once. What is open stays so.
func TestRedefine(t *testing.T) {
	inLab(t, func(l *lab) {
		p := newcomer()
		l.program(charted(p))
		id := l.start("hello")
		l.rests(id, agent.StatusWaiting)
		in := &orchestrator.Input{By: agent.User{ID: "kim"}, Key: "k1", Note: "a step was forgotten"}
		asked := 0
		redefine := func(definition string) error {
			return l.client.Redefine(l.Context(), id, []byte(definition), func(v *agent.View) (keys, error) {
				asked++
				if string(v.Definition) != "one" || string(v.Keys["at"]) != `"a"` || len(v.Open) != 1 || v.Messages[0].Text() != "hello" {
					l.Errorf("it is shown %+v", v)
				}
				return keys{"at": raw(`"b"`), "old": raw("null")}, nil
			}, in)
		}
		l.must(redefine("two"))
		if res := l.rests(id, agent.StatusWaiting); res.Text != `two at "b"` {
			l.Errorf("it says %q\n%s", res.Text, l.log(id))
		}
		l.must(redefine("two")) // the same
		l.refused(redefine("three"), agent.RefusedConflict)
		if asked != 1 {
			l.Errorf("what changes was asked %d times, want once", asked)
		}
		p.shows(l, "one", "two")
		s := l.state(id)
		if s.Definition != hashOf("two") || len(s.Keys) != 1 || len(s.Open) != 1 {
			l.Errorf("the run goes by %q with the keys %s", s.Definition, s.Keys)
		}
		if data, err := l.store.Blob(l.Context(), id, hashOf("two")); err != nil || string(data) != "two" {
			l.Errorf("kept is %q, %v", data, err)
		}
		l.kinds(id, "started", "messaged", "turnbegan", "moved", "redefined", "moved")
	})
}

func TestRedefineIsRefused(t *testing.T) {
	inLab(t, func(l *lab) {
		l.program(charted(newcomer()), &agent.Agent{Name: "plain", Planner: plan(func(*agent.View) *agent.Move { return says("Done.") })})
		start := func(name string) agent.RunID {
			id, err := l.client.Start(l.Context(), orchestrator.Request{Agent: name, Message: agent.Text("hello")})
			l.must(err)
			l.rest(id)
			return id
		}
		never := func(*agent.View) (keys, error) { l.Error("it was asked what changes"); return nil, nil }
		redefine := func(id agent.RunID, change func(*agent.View) (keys, error)) error {
			return l.client.Redefine(l.Context(), id, []byte("two"), change, nil)
		}
		plain, ended, id := start("plain"), start("desk"), start("desk")
		l.must(l.client.Cancel(l.Context(), ended, "", nil))
		l.refused(redefine(plain, never), agent.RefusedConflict)
		l.refused(redefine(ended, never), agent.RefusedConflict)
		l.refused(redefine("nosuchrun", never), agent.RefusedUnknown)
		l.refused(l.client.Redefine(l.Context(), id, nil, never, nil), agent.RefusedInvalid)
		l.refused(redefine(id, func(*agent.View) (keys, error) { return keys{"at": raw("{")}, nil }), agent.RefusedInvalid)

		err := redefine(id, func(*agent.View) (keys, error) { return nil, errors.New("node a is gone") })
		l.refused(err, agent.RefusedConflict)
		if !strings.Contains(err.Error(), "node a is gone") {
			l.Errorf("the refusal is %v", err)
		}
		own := agent.Refuse(agent.RefusedInvalid, "that is no definition")
		if err := redefine(id, func(*agent.View) (keys, error) { return nil, own }); !errors.Is(err, own) {
			l.Errorf("the refusal is %v, and it said %v", err, own)
		}
		if _, err := l.store.Blob(l.Context(), id, hashOf("two")); !errors.Is(err, memory.ErrNotFound) {
			l.Errorf("what was refused is kept: %v", err)
		}
		if s := l.state(id); s.Definition != hashOf("one") || count[*run.Redefined](l.log(id)) != 0 {
			l.Errorf("it was refused, and the run goes by %q", s.Definition)
		}
	})
}

// Who redefines a run that goes on meanwhile is asked again, of how it stands then.
func TestRedefineOfARunThatGoesOn(t *testing.T) {
	inLab(t, func(l *lab) {
		l.program(charted(newcomer()))
		id := l.start("hello")
		l.rests(id, agent.StatusWaiting)
		var seen []string
		l.must(l.client.Redefine(l.Context(), id, []byte("two"), func(v *agent.View) (keys, error) {
			seen = append(seen, fmt.Sprint(len(v.Messages)))
			if len(seen) == 1 {
				l.send(id, "Is it paid?")
				l.rests(id, agent.StatusWaiting)
			}
			return keys{"at": raw(`"c"`)}, nil
		}, nil))
		if res := l.rests(id, agent.StatusWaiting); res.Text != `two at "c"` {
			l.Errorf("it says %q", res.Text)
		}
		if strings.Join(seen, " ") != "1 3" {
			l.Errorf("it was shown %v messages", seen)
		}
	})
}

// A move that is being planned by the old definition comes to nothing; and a run
// whose planner has failed for good, or whose definition is lost, goes on by another.
func TestRedefineVoidsPlanning(t *testing.T) {
	inLab(t, func(l *lab) {
		thinks, goOn := make(chan string), make(chan bool)
		p := &chart{definition: "one", plan: func(v *agent.View) *agent.Move {
			thinks <- string(v.Definition)
			<-goOn
			return &agent.Move{Message: agent.Said("By " + string(v.Definition) + ".")}
		}}
		l.program(charted(p))
		id := l.start("hello")
		<-thinks
		l.after(0) // planning begins while the definition is being kept
		l.must(l.client.Redefine(l.Context(), id, []byte("two"), nil, nil))
		goOn <- true
		if now := <-thinks; now != "two" {
			l.Errorf("then it plans by %q", now)
		}
		goOn <- true
		if res := l.rests(id, agent.StatusIdle); res.Text != "By two." || l.state(id).Turn.Steps != 1 {
			l.Errorf("it says %q\n%s", res.Text, l.log(id))
		}
	})
}

func TestRedefineOfAStuckRun(t *testing.T) {
	inLab(t, func(l *lab) {
		_, stop := l.program(charted(newcomer()))
		id := l.start("hello")
		l.rests(id, agent.StatusWaiting)
		stop()
		fresh := newcomer()
		fresh.definition = "two"
		blobs, _ := l.program(charted(fresh))
		blobs.fail(memory.ErrNotFound)
		l.send(id, "Is it paid?")
		l.rests(id, agent.StatusStuck)
		blobs.fail(nil)
		o, err := orchestrator.New(&lossy{l.store.Another()}, nil, nil)
		l.must(err)
		l.must(o.Redefine(l.Context(), id, []byte("two"), func(v *agent.View) (keys, error) {
			if v.Definition != nil {
				l.Errorf("it is shown the definition %q, which is lost", v.Definition)
			}
			return nil, nil
		}, nil))
		l.after(time.Second)
		if res := l.rests(id, agent.StatusWaiting); res.Text != `two at "a"` {
			l.Errorf("it says %q\n%s", res.Text, l.log(id))
		}
	})
}

// lossy is a store that has lost all blobs.
type lossy struct{ memory.Store }

func (*lossy) Blob(ctx, agent.RunID, string) ([]byte, error) { return nil, memory.ErrNotFound }
