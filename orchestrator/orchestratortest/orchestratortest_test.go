package orchestratortest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
)

// conversation makes a request of messages.
func conversation(messages ...agent.Message) *agent.ModelRequest {
	req := &agent.ModelRequest{}
	for i := range messages {
		req.Messages = append(req.Messages, &messages[i])
	}
	return req
}

func calls(ids ...string) agent.Message {
	m := agent.Message{Role: agent.RoleAssistant}
	for _, id := range ids {
		m.Parts = append(m.Parts, agent.Part{Call: &agent.Call{ID: id, Name: "f", Args: json.RawMessage(`{}`)}})
	}
	return m
}

func results(ids ...string) agent.Message {
	m := agent.Message{Role: agent.RoleTool}
	for _, id := range ids {
		m.Parts = append(m.Parts, agent.Part{Result: &agent.Result{CallID: id, Outcome: agent.Returned}})
	}
	return m
}

func TestCheckRequest(t *testing.T) {
	hi, said := agent.Text("hi"), *agent.Said("hello")
	odd := calls("a")
	odd.Parts[0].Call.Args = json.RawMessage(`[1]`)
	for _, c := range []struct {
		name string
		req  *agent.ModelRequest
		want string // "" if all is well
	}{
		{"words", conversation(hi, said, hi), ""},
		{"calls with their results", conversation(hi, calls("a", "b"), results("b", "a"), said, hi, calls("c"), results("c")), ""},
		{"a call without result", conversation(hi, calls("a", "b"), results("a")), "no result in a tool message"},
		{"a result twice", conversation(hi, calls("a"), results("a", "a")), "second result"},
		{"an orphan", conversation(hi, calls("a"), results("a", "b")), "there is no call"},
		{"results without calls", conversation(hi, said, results("a")), "there is no call"},
		{"results too late", conversation(hi, calls("a"), hi, results("a")), "no result in a tool message"},
		{"no results at the end", conversation(hi, calls("a")), "no result in a tool message"},
		{"an id twice", conversation(hi, calls("a"), results("a"), calls("a"), results("a")), "was that of a call before"},
		{"arguments that are no object", conversation(hi, odd, results("a")), "not a JSON object"},
		{"an empty message", conversation(hi, agent.Message{Role: agent.RoleAssistant}), "is empty"},
		{"an unknown role", conversation(agent.Message{Role: "system", Parts: []agent.Part{{Text: "x"}}}), "the role is unknown"},
	} {
		err := orchestratortest.CheckRequest(c.req)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// judge is a test that notes what fails it.
type judge struct {
	testing.TB
	failures []string
}

func (j *judge) Errorf(format string, args ...any) {
	j.failures = append(j.failures, fmt.Sprintf(format, args...))
}

func TestModelChecksWhatItIsSent(t *testing.T) {
	req := conversation(agent.Text("pay order 7 back"), calls("a"), results("a"))
	req.Tools = []agent.ToolSpec{{Name: "f"}}
	for _, c := range []struct {
		name string
		step orchestratortest.Step
		want string
	}{
		{"all as expected", orchestratortest.Step{User: "order 7", Results: []string{"returned"}, Offered: []string{"f"}}, ""},
		{"other words", orchestratortest.Step{User: "order 8"}, `"order 8" was expected`},
		{"other results", orchestratortest.Step{Results: []string{"failed"}}, `["failed"] were expected`},
		{"fewer results", orchestratortest.Step{Results: []string{}}, `[] were expected`},
		{"other tools", orchestratortest.Step{Offered: []string{"f", "g"}}, `["f" "g"] were expected`},
		{"a check of its own", orchestratortest.Step{Check: func(*agent.ModelRequest) error { return fmt.Errorf("not so") }}, "not so"},
	} {
		j := &judge{TB: t}
		c.step.Reply = scripted.Say("done")
		m := orchestratortest.Model(j, orchestratortest.Step{}, c.step)
		_, err := m.Generate(t.Context(), req, nil)
		if (c.want == "") != (err == nil) || len(j.failures) > 1 || c.want != "" && !strings.Contains(strings.Join(j.failures, ""), c.want) {
			t.Errorf("%s: got the error %v and the failures %q, want %q", c.name, err, j.failures, c.want)
		}
	}
}

func desk(m agent.Model, pay func(ctx context.Context) error) *agent.Agent {
	return &agent.Agent{Name: "desk", Planner: planner.Loop(m, "Help.", nil), Tools: []*agent.Tool{{
		Name: "pay", Timeout: time.Minute,
		Call: func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(`"paid"`), pay(ctx)
		},
	}}}
}

// A call that is killed between its Began and its result is asked about, and
// made at most once.
func TestCrashEverywhere(t *testing.T) {
	plays, asked := 0, 0
	orchestratortest.CrashEverywhere(t, func(t *testing.T, w *orchestratortest.World) {
		plays++
		paid := 0
		w.Work(desk(orchestratortest.Model(t, orchestratortest.Steps(scripted.Call("pay", nil), scripted.Say("Done."))...), func(context.Context) error {
			paid++
			return nil
		}))
		id, err := w.Client.Start(t.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("pay")})
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.Client.Await(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Asks) == 1 && w.Crashed() {
			asked++
			choice := map[int]string{0: agent.Rerun, 1: agent.Happened}[paid]
			if err := w.Client.Answer(t.Context(), res.Asks[0].ID, agent.Answer{Choice: choice}); err != nil {
				t.Fatal(err)
			}
			if res, err = w.Client.Await(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if res.Status != agent.StatusIdle || res.Text != "Done." || paid != 1 {
			t.Errorf("want an idle run and one payment, got %+v and %d", res, paid)
		}
		l := orchestratortest.ReadLog(t, w.Store, id)
		if n := len(orchestratortest.Find[*run.Returned](l)); n > 1 || l.Kinds()[0] != "started" {
			t.Errorf("want one result at most, got\n%s", l)
		}
	})
	// begin, move, Began, the result, the last move – the first two in one commit
	// with what follows, or not.
	if plays < 9 || asked < 2 {
		t.Errorf("%d plays, of which %d asked: want one at each side of each commit, and two that ask", plays, asked)
	}
}

// forge commits events as a run's log, without judging them.
func forge(t *testing.T, events ...run.Event) (memory.Store, agent.RunID) {
	store := memorytest.NewStore(nil)
	s := run.New("r1")
	c := &memory.Commit{Run: "r1"}
	for i, e := range events {
		data, err := run.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		r := memory.Record{Seq: int64(i + 1), ID: agent.RecordID(fmt.Sprint("e", i+1)), Time: store.Now(), Data: data}
		s.Apply(&run.Record{Seq: r.Seq, ID: r.ID, Time: r.Time, Event: e})
		c.Records = append(c.Records, r)
	}
	c.Index = memory.Index{Agent: "desk", Status: s.Status()}
	if err := store.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return store, "r1"
}

func TestCheckLogFindsASecondBeginning(t *testing.T) {
	began := func(n int) *run.Began { return &run.Began{Action: "e3.0", Attempt: n, Claim: "c"} }
	failed := &run.CallFailed{Action: "e3.0", Attempt: 1, NotDone: true, Again: true}
	opening := []run.Event{
		&run.Started{Agent: "desk", Bare: true}, &run.TurnBegan{},
		&run.Moved{Basis: 2, BasisID: "e2", Actions: []run.Action{{Action: agent.Action{Kind: agent.ActCall, Name: "pay"}, Attempts: 3}}},
	}
	for _, c := range []struct {
		name string
		tail []run.Event
		want string
	}{
		{"once", []run.Event{began(1)}, ""},
		{"again, as it had not taken place", []run.Event{began(1), failed, began(2)}, ""},
		{"the same attempt twice", []run.Event{began(1), began(1)}, "was begun before"},
		{"again without a reason", []run.Event{began(1), began(2)}, "did not take place"},
	} {
		store, id := forge(t, append(opening[:3:3], c.tail...)...)
		_, err := orchestratortest.CheckLog(t.Context(), store, id)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestCheckLogComparesTheLists(t *testing.T) {
	store, id := forge(t, &run.Started{Agent: "desk", Bare: true}, &run.TurnBegan{},
		&run.Moved{Basis: 2, BasisID: "e2", Actions: []run.Action{{Action: agent.Action{Kind: agent.ActAsk, Ask: &agent.Ask{Kind: agent.AskQuestion, Prompt: "well?"}}}}})
	_, err := orchestratortest.CheckLog(t.Context(), store, id)
	if err == nil || !strings.Contains(err.Error(), "0 asks are listed, and 1 are open") {
		t.Errorf("an ask that is not in the inbox: got %v", err)
	}
}

func ExampleModel() {
	// In a test t is its *testing.T; the model fails it if it is not sent what it expects.
	var t testing.TB
	model := orchestratortest.Model(t,
		orchestratortest.Step{User: "order 7", Offered: []string{"lookup"}, Reply: scripted.Call("lookup", `{"id":7}`)},
		orchestratortest.Step{Results: []string{"lookup returned: a red bicycle"}, Reply: scripted.Say("A red bicycle.")},
	)
	req := &agent.ModelRequest{Tools: []agent.ToolSpec{{Name: "lookup"}}}
	ask := agent.Text("What is in order 7?")
	req.Messages = append(req.Messages, &ask)
	reply, err := model.Generate(context.Background(), req, nil)
	fmt.Println(reply.Message.Calls()[0].Name, err)
	// Output: lookup <nil>
}

func TestWorkDrivesUntilTheTestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memorytest.NewStore(nil)
		model := orchestratortest.Model(t, orchestratortest.Step{User: "hello", Offered: []string{"pay", planner.AskPerson}, Reply: scripted.Say("Hi.")})
		o := orchestratortest.Work(t, store, nil, desk(model, nil))
		id, err := o.Start(t.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("hello")})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		l := orchestratortest.ReadLog(t, store, id)
		if got := strings.Join(l.Kinds(), " "); got != "started messaged turnbegan moved" {
			t.Errorf("got %s", got)
		}
	})
}
