package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner/graph"
)

const parcelGraph = `
graph: parcel
description: Packs a parcel when it has been paid.
events:
  paid: {type: object, properties: {sum: {type: integer}}}
nodes:
  - {id: work}
  - {id: pay, in: work, wait: {signal: paid}}
  - {id: pack, in: work, tool: pack}
  - {id: packed, in: work, final: done}
  - {id: done, final: done}
  - {id: off, final: failed}
edges:
  - {from: pay, to: pack}
  - {from: pay, to: off, on: always, if: "size(user.id) > 20"}
  - {from: pack, to: packed}
  - {from: work, to: done}
  - {from: work, to: off, on: cancel, note: The customer has changed her mind.}
`

// TestGraphOfARun follows a run through its graph with the command line: while it
// waits, when it is moved to another graph, and when it has ended.
func TestGraphOfARun(t *testing.T) {
	p := newPlace(t)
	expect := func(want string, args ...string) {
		t.Helper()
		if got, code := p.run("ann", args...); code != 0 || got != want {
			t.Errorf("%q ended with code %d and printed\n%s\nwant\n%s", args, code, got, want)
		}
	}
	holds := func(want string, args ...string) {
		t.Helper()
		if got, code := p.run("ann", args...); code != 0 || !strings.Contains(got, want) {
			t.Errorf("%q ended with code %d and printed\n%s\nwant in it\n%s", args, code, got, want)
		}
	}
	refuses := func(want string, args ...string) {
		t.Helper()
		if got, code := p.run("ann", args...); code != 1 || !strings.Contains(got, want) {
			t.Errorf("%q ended with code %d and printed\n%s\nwant code 1 and in it\n%s", args, code, got, want)
		}
	}
	id := string(startParcel(t, p.store))

	waiting := `parcel
Packs a parcel when it has been paid.
begins at work
● work  begins at pay
      → done
      cancel → off
    ● pay  wait for paid
          → pack
          always [size(user.id) > 20] → off
      pack  tool
          → packed
      packed  final
  done  final
  off  final, failed
`
	now := `
  ? the event cancel, in work: The customer has changed her mind.
    tell of it with: shop signal cancel --run ` + id + `
  ? the event paid, in pay
    tell of it with: shop signal paid --run ` + id + ` --data JSON
  ? that size(user.id) > 20 becomes true, in pay
`
	expect(waiting+now, "graph", "show", id[:8])
	holds("  class pay active\n", "graph", "show", id, "--format", "mermaid")
	holds(`"id":"pay","type":"default"`, "graph", "show", id, "--json")
	holds(now, "runs", "show", id)
	const deaf = "Nothing in the run's graph reacts to message now; it reacts to: cancel, paid."
	if got, code := p.run("ann", "chat", "--run", id, "Where is it?"); code != 3 || !strings.Contains(got, deaf) {
		t.Errorf("chat ended with code %d and printed\n%s\nwant code 3 and in it\n%s", code, got, deaf)
	}
	ann := p.sits("ann", "chat", "--run", id)
	ann.sees("›")
	ann.types("And now?")
	ann.sees("And now?", "Nothing in the run's graph reacts to message now", "it reacts to: cancel, paid.")
	var whole struct{ Enabled []graph.Enabled }
	if out, _ := p.run("ann", "runs", "show", id, "--json"); json.Unmarshal([]byte(out), &whole) != nil || len(whole.Enabled) != 3 || whole.Enabled[1].Name != "paid" {
		t.Errorf("runs show --json has %+v enabled", whole.Enabled)
	}

	renamed := filepath.Join(filepath.Dir(p.store), "new.yaml")
	text := strings.NewReplacer("id: pay,", "id: payment,", "from: pay,", "from: payment,", "id: work", "id: all", "in: work", "in: all", "from: work", "from: all").Replace(parcelGraph)
	if err := os.WriteFile(renamed, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(`the node "pay" is in use`, "graph", "migrate", id, renamed, "--map", "work=all")
	refuses(`which the old definition does not have`, "graph", "migrate", id, renamed, "--map", "pay=payment,wrok=all")
	holds("moved to the graph of "+renamed, "graph", "migrate", id, renamed, "--map", "work=all,pay=payment", "--note", "other names")
	holds("    ● payment  wait for paid\n", "graph", "show", id)
	holds("it goes on by another definition by ann: other names", "runs", "show", id)
	refuses("goes by this graph already", "graph", "migrate", id, renamed)

	holds("Nothing in the run's graph reacts to piad now; it reacts to: cancel, paid.", "signal", "piad", "--run", id)
	if got, code := p.run("ann", "signal", "paid", "--run", id, "--data", `{"sum": "three"}`); code != 2 || !strings.Contains(got, "the data of paid do not fit what the run's graph says of it: sum") {
		t.Errorf("data of another form than the graph says: code %d, %s", code, got)
	}
	holds("told of paid", "signal", "paid", "--run", id, "--data", `{"sum": 3}`)
	endParcel(t, p.store, agent.RunID(id))
	expect(`parcel
Packs a parcel when it has been paid.
begins at all
✓ all  begins at payment
    ✓ → done
      cancel → off
    ✓ payment  wait for paid
        ✓ → pack
          always [size(user.id) > 20] → off
    ✓ pack  tool
        ✓ → packed
    ✓ packed  final
✓ done  final
  off  final, failed
`, "graph", "show", id)
	refuses("has ended", "graph", "migrate", id, renamed)
}

// parcels opens a store as a program does whose agent goes by the graph.
func parcels(t *testing.T, file string) *orchestrator.Orchestrator {
	t.Helper()
	store, err := sqlite.Open(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	o, err := orchestrator.New(store, []*agent.Agent{parcel()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// parcel is the agent that goes by the graph.
func parcel() *agent.Agent {
	d, err := graph.Parse([]byte(parcelGraph))
	if err != nil {
		panic(err)
	}
	g, err := graph.New(d, nil)
	if err != nil {
		panic(err)
	}
	return &agent.Agent{Name: "parcel", Planner: g, Tools: []*agent.Tool{tool("pack", agent.Idempotent, nil)}}
}

// startParcel starts a run, until it waits.
func startParcel(t *testing.T, file string) agent.RunID {
	t.Helper()
	res, err := parcels(t, file).Run(t.Context(), orchestrator.Request{Agent: "parcel", Message: agent.Text("{}")})
	if err != nil || res.Status != agent.StatusWaiting {
		t.Fatalf("the run is %+v, %v", res, err)
	}
	return res.Run
}

// endParcel works until a run has ended.
func endParcel(t *testing.T, file string, id agent.RunID) {
	t.Helper()
	o := parcels(t, file)
	ctx, stop := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() { worked <- o.Work(ctx) }()
	for _, err := range o.Watch(ctx, id, &orchestrator.WatchOptions{Until: orchestrator.RunEnd}) {
		if err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := <-worked; err != nil {
		t.Error(err)
	}
}

// TestGraphWithoutEnd has a file that never ends be refused as one that is too large.
func TestGraphWithoutEnd(t *testing.T) {
	p := newPlace(t)
	if out, code := p.run("ann", "graph", "check", "/dev/zero"); code != 1 || !strings.Contains(out, "at most 1048576 are taken") {
		t.Errorf("it ended with code %d and printed\n%s", code, out)
	}
}
