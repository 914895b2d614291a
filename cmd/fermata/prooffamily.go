package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// What the logs say of tasks and hand-offs.

// delegation checks that the tasks of one move were runs of their own, and that
// what each of them said is what its parent was told.
func (p *proof) delegation(s *story, stories map[agent.RunID]*story) error {
	tasks := map[agent.ActionID]bool{}
	told := map[agent.RunID]int{} // how often
	same, heard := 0, 0
	var where []string
	last := agent.PlainText(s.state.Result())
	for _, r := range s.records {
		switch e := r.Event.(type) {
		case *run.Moved:
			for i, a := range e.Actions {
				if a.Kind == agent.ActDelegate {
					tasks[actionID(r, i)] = true
				}
			}
		case *run.Reported:
			child := stories[e.Run]
			if child == nil || e.Status != agent.StatusDone {
				continue
			}
			told[e.Run]++
			where = append(where, fmt.Sprintf("#%d", r.Seq))
			parent := child.state.Parent
			if tasks[e.Action] && parent != nil && parent.Run == s.state.Run && parent.Action == e.Action && bytes.Equal(child.state.Result(), e.Content) {
				same++
			}
			if strings.Contains(last, agent.PlainText(e.Content)) {
				heard++
			}
		}
	}
	if len(told) == 0 {
		return fmt.Errorf("not proven: the log of run %s tells of no task that was done", s.state.Run)
	}
	p.check(len(tasks) == 2 && len(told) == 2 && twice(told) == 0, "2: one move gave %d tasks, and %d runs have done them; the desk was told of %d of these twice", len(tasks), len(told), twice(told))
	p.check(same == len(tasks) && heard == len(tasks), "%s %d of %d results are to the letter what these runs said last, and %d are in what the customer was told", strings.Join(where, ", "), same, len(tasks), heard)
	return nil
}

// actionID is the id of the index-th action of a recorded move.
func actionID(moved *run.Record, index int) agent.ActionID {
	return agent.ActionID(fmt.Sprintf("%s.%d", moved.ID, index))
}

// handOff checks that a run went on with another agent, and that this one's tool
// was called with what the customer has filled in.
func (p *proof) handOff(s *story) error {
	var handed, moved, answered, returned *run.Record
	var args json.RawMessage
	var label agent.ActionID
	for _, r := range s.records {
		switch e := r.Event.(type) {
		case *run.Moved:
			for i, a := range e.Actions {
				switch {
				case a.Kind == agent.ActHandoff && handed == nil:
					handed = r
				case a.Kind == agent.ActCall && a.Name == "return_label":
					moved, args = r, e.Message.Calls()[i].Args
					label = actionID(r, i)
				}
			}
		case *run.Answered:
			answered = r
		case *run.Returned:
			if e.Action == label && label != "" {
				returned = r
			}
		}
	}
	if handed == nil || moved == nil || answered == nil || returned == nil {
		return fmt.Errorf("not proven: the log of run %s lacks a hand-off, a form, its answer, or a label", s.state.Run)
	}
	began := s.records[0].Event.(*run.Started).Agent
	p.check(began == "desk" && s.state.Agent == "returns" && handed.Seq < moved.Seq, "3: #%d run %s, begun with %s, goes on with %s", handed.Seq, s.state.Run, began, s.state.Agent)
	a := answered.Event.(*run.Answered).Answer
	p.check(a.By.ID == customer && sameFields(a.Value, args) && answered.Seq < moved.Seq && moved.Seq < returned.Seq,
		"#%d %s filled in the form; #%d the label was made of just that: %s", answered.Seq, a.By.ID, moved.Seq, args)
	return nil
}

// sameFields reports whether args are the fields of a form and the order.
func sameFields(form, args json.RawMessage) bool {
	var filled, used map[string]any
	if json.Unmarshal(form, &filled) != nil || json.Unmarshal(args, &used) != nil {
		return false
	}
	delete(used, "order")
	return len(filled) > 0 && reflect.DeepEqual(filled, used)
}
