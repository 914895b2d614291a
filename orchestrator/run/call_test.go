package run_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/fermata-run/fermata/orchestrator/run"
)

// Events about a call that come from a worker which does not know better change
// nothing: the log has to say more before an outcome is unknown, or a call begun.
func TestEventsThatDoNotFitChangeNothing(t *testing.T) {
	const begun = "start bare\n\nbegin\n\nmove\n    call pay {}\n\nbegan c1 for=1m"
	const held = "start bare\n\nbegin\n\nmove\n    call pay {} approve"
	for name, test := range map[string]struct {
		story string
		event run.Event
	}{
		"its deadline passed, and nobody took over": {begun + "\n\ntick 2m", &run.Lapsed{Call: "r3.0", Attempt: 1}},
		"taken over, and its deadline is to come":   {begun + "\n\nworker w2", &run.Lapsed{Call: "r3.0", Attempt: 1}},
		"begun already":                 {begun, &run.Began{Action: "r3.0", Attempt: 1, Claim: "w3", Deadline: epoch}},
		"not approved":                  {held, &run.Began{Action: "r3.0", Attempt: 1, Claim: "w3", Deadline: epoch}},
		"not approved, and a result":    {held, &run.Returned{Action: "r3.0", Attempt: 1}},
		"not approved, and an error":    {held, &run.CallFailed{Action: "r3.0", Attempt: 1, NotDone: true}},
		"a result of a later attempt":   {begun, &run.Returned{Action: "r3.0", Attempt: 2}},
		"an error of a later attempt":   {begun, &run.CallFailed{Action: "r3.0", Attempt: 2, NotDone: true}},
		"looked up, and not in doubt":   {begun, &run.Unresolved{Action: "r3.0", Attempt: 1, Try: 1}},
		"a turn that nobody needs":      {begun, &run.TurnBegan{Slot: 3}},
		"a planner that was not asked":  {begun, &run.PlanFailed{Slot: 3, Attempt: 1, Error: "no"}},
		"a limit, and nothing to plan":  {begun, &run.Limited{Limit: "turn_steps"}},
		"idle, which it is not":         {begun, &run.Lapsed{}},
		"the end of a wait, of a call":  {begun, &run.Lapsed{Wait: "r3.0"}},
		"a start in the middle":         {begun, &run.Started{Agent: "another"}},
		"an answer to no ask":           {begun, &run.Answered{Ask: "run.r3.0"}},
		"a move that has seen too much": {begun, &run.Moved{Basis: 99, Finish: true}},
	} {
		s := newScript(t)
		s.play(test.story)
		before := essenceOf(t, s.state)
		s.add(test.event)
		if after := essenceOf(t, s.state); after != before {
			t.Errorf("%s: %s changes the state:\n%s\n%s", name, describe(test.event), before, after)
		}
	}
}

// What Store returns is what reading the stored form gives.
func TestStoreGivesWhatIsRead(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.FixedZone("X", 3600))
	for name, e := range map[string]run.Event{
		"a beginning":              &run.Began{Action: "a.0", Attempt: 2, Claim: "c", Deadline: now},
		"a beginning by the clock": &run.Began{Action: "a.0", Attempt: 1, Deadline: time.Now().UTC()},
		"a result":                 &run.Returned{Action: "a.0", Attempt: 1, Content: json.RawMessage(`{"a":"b c\" d\\","e":[1,2]}`)},
		"a result with space":      &run.Returned{Action: "a.0", Attempt: 1, Content: json.RawMessage("{ \"a\" :\t\"b c\" }\n"), Blob: "h", Lookup: true},
		"a result that ends so":    &run.Returned{Action: "a.0", Attempt: 1, Content: json.RawMessage(`"\\" `)},
		"no content":               &run.Returned{Action: "a.0", Attempt: 1},
		"a failure":                &run.CallFailed{Action: "a.0", Attempt: 1, Error: "bad \xff text", Wait: time.Second},
	} {
		data, stored, err := run.Store(e)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		read, err := run.Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(stored, read) {
			t.Errorf("%s: got %#v, and reading it gives %#v", name, stored, read)
		}
	}
	content := json.RawMessage(`"mine"`)
	_, stored, err := run.Store(&run.Returned{Action: "a.0", Attempt: 1, Content: content})
	if content[1] = 'x'; err != nil || string(stored.(*run.Returned).Content) != `"mine"` {
		t.Errorf("got %v, %v: it shares the memory of whoever gave it", stored, err)
	}
}
