package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/graph"
)

// graphRun is a run that goes by a graph.
type graphRun struct {
	state *run.State
	def   *graph.Definition
	at    []string        // the nodes that are active
	now   []graph.Enabled // what may happen now
	whyNo error           // why these are not known
}

// graphRunOf returns the graph by which a run goes, and what may happen in it now.
func (p *program) graphRunOf(ctx context.Context, store memory.Store, s *run.State) (*graphRun, error) {
	d, err := definitionOf(ctx, store, s)
	if err != nil {
		return nil, err
	}
	r := &graphRun{state: s, def: d}
	if s.Status().Ended() {
		return r, nil
	}
	g, err := graph.New(d, p.graphOptions(d, true))
	if err == nil {
		r.at = g.At(s.Keys)
		r.now, err = g.Enabled(s.Keys, graph.Facts{User: s.User, Meta: s.Meta, Now: store.Now()})
	}
	r.whyNo = err
	return r, nil
}

// errNoGraph is the error of a run that goes by no graph.
var errNoGraph = errors.New("the run goes by no graph")

// definitionOf returns the graph by which a run goes.
func definitionOf(ctx context.Context, store memory.Store, s *run.State) (*graph.Definition, error) {
	if s.Definition == "" {
		return nil, errNoGraph
	}
	data, err := store.Blob(ctx, s.Run, s.Definition)
	if err != nil {
		return nil, fmt.Errorf("the graph by which run %s goes cannot be read: %w", s.Run, err)
	}
	return decodeGraph(data)
}

// decodeGraph reads a graph as it is kept with a run. There are other planners that go
// by a definition. Its numbers are read with all their digits.
func decodeGraph(data []byte) (*graph.Definition, error) {
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	var d graph.Definition
	if err := in.Decode(&d); err != nil || d.Graph == "" {
		return nil, errNoGraph
	}
	return &d, nil
}

// trail is the way of a run through its graph, as the graph has told it. Ids of a
// graph in it are written GRAPH:ID.
type trail struct {
	took, been, at []string
}

// stepped is what a graph emits with each step.
type stepped struct {
	Took []string `json:"took"`
	At   []string `json:"at"`
}

// take follows the moves that count: one that came too late has changed nothing.
func (t *trail) take(ev orchestrator.Event) {
	switch e := ev.Record.Event.(type) {
	case *run.Moved:
		if ev.State.Plan.LastMove != ev.Record.Seq {
			return
		}
		for _, a := range e.Actions {
			if a.Kind == agent.ActHandoff && a.Refuse == "" && ev.State.Agent == a.Name {
				*t = trail{} // the next agent goes its own way
			}
			if st := stepOf(a.Action); st != nil {
				t.took = append(t.took, st.Took...)
				if st.At != nil {
					t.at = st.At
				}
				t.been = append(t.been, t.at...)
			}
		}
	case *run.Redefined:
		t.been = append(t.been, t.at...)
	}
}

// stepOf returns what a graph says of its step; nil if an action is something else.
func stepOf(a agent.Action) *stepped {
	if a.Kind != agent.ActEmit || a.Name != graph.Trail {
		return nil
	}
	var st stepped
	if json.Unmarshal(a.Args, &st) != nil {
		return nil
	}
	return &st
}

// marks are those of the graph itself, or of one in it. Of a run that has ended, no
// node is active.
func (r *graphRun) marks(t *trail, part string) *graph.Marks {
	at := t.at
	if r.at != nil {
		at = r.at
	}
	m := &graph.Marks{Active: idsOf(at, part), Visited: idsOf(t.been, part), Taken: idsOf(t.took, part)}
	for _, e := range r.now {
		if e.Kind == "repair" {
			m.Stuck = append(m.Stuck, idsOf([]string{e.Node}, part)...)
		}
	}
	if r.state.Status().Ended() {
		m.Visited, m.Active = append(m.Visited, m.Active...), nil
	}
	return m
}

// idsOf returns the ids that belong to a graph, without its name.
func idsOf(ids []string, part string) []string {
	var out []string
	for _, id := range ids {
		name, rest, inner := strings.Cut(id, ":")
		switch {
		case part == "" && !slices.Contains(out, id):
			out = append(out, id)
		case inner && name == part && !slices.Contains(out, rest):
			out = append(out, rest)
		}
	}
	return out
}

// mayHappen puts into words what may happen now, beside what people are asked.
func (p *program) mayHappen(r *graphRun) []para {
	if r == nil {
		return nil
	}
	var out []para
	var choices []string
	for _, e := range r.now {
		switch {
		case e.Kind == "condition":
			text := "that " + cleanLine(e.Name) + " becomes true, in " + cleanLine(e.Node)
			if e.Note != "" {
				text += ": " + cleanLine(e.Note)
			}
			out = append(out, para{mark: "  ? ", tint: cyan, text: text})
		case e.Kind == "choice":
			choices = append(choices, cleanLine(e.Name))
		case e.Kind == "event":
			text := "the event " + cleanLine(e.Name) + ", in " + cleanLine(e.Node)
			if e.Note != "" {
				text += ": " + cleanLine(e.Note)
			}
			how := p.line("signal", e.Name, "--run", string(r.state.Run))
			switch {
			case e.Name == "message":
				how = p.line("chat", "--run", string(r.state.Run))
			case schema.Validate(e.Schema, json.RawMessage("null")) != nil:
				how += " --data JSON"
			}
			out = append(out, para{mark: "  ? ", tint: cyan, text: text}, para{mark: "    ", text: "tell of it with: " + how, paint: dim})
		}
	}
	if len(choices) > 0 {
		out = append(out, para{mark: "  ? ", tint: cyan, text: "a model may choose " + strings.Join(choices, ", ")})
	}
	if len(out) > 0 {
		out[0].gap = true
	}
	return out
}
