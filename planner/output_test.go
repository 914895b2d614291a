package planner_test

import (
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
)

type verdict struct {
	Good  bool `json:"good"`
	Score int  `json:"score" jsonschema:"minimum=0,maximum=10"`
}

func TestOutputIsReadFromTheText(t *testing.T) {
	const fine = `{"good": true, "score": 7}`
	for _, text := range []string{
		fine, " " + fine + "\n", "```\n" + fine + "\n```", "```json\n" + fine + "\n```", "```json " + fine + "```",
		"Here it is:\n```JSON\n" + fine + "\n```\nAnything else?",
	} {
		reply := says(text)
		reply.Message.Parts = append([]agent.Part{{Reasoning: "hm"}}, reply.Message.Parts...)
		m := &fake{replies: []any{reply}}
		move, err := planner.Loop(m, "", &planner.LoopOptions{Output: planner.OutputOf[verdict]()}).Plan(t.Context(), view(), nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if string(move.Output) != `{"good":true,"score":7}` || move.Message.Text() != fine || move.Message.Parts[0].Reasoning != "hm" {
			t.Errorf("%q: got %s and said %q", text, move.Output, move.Message.Text())
		}
		if req := m.asked[0]; req.Output.Name != "answer" || !strings.Contains(string(req.Output.Schema), `"score"`) {
			t.Errorf("asked for %+v", req.Output)
		}
		if reply.Message.Text() != text {
			t.Error("the model's own reply was changed")
		}
	}
}

func TestOutputIsRepaired(t *testing.T) {
	m := &fake{replies: []any{says("Rather good."), says(`{"good": true, "score": 11}`), says(`{"good":true,"score":10}`)}}
	var heard []agent.Delta
	v := view(text("How is it?"))
	move, err := planner.Loop(m, "", &planner.LoopOptions{Output: planner.OutputOf[verdict](), OutputName: "verdict"}).Plan(t.Context(), v, deltas(&heard))
	if err != nil {
		t.Fatal(err)
	}
	if string(move.Output) != `{"good":true,"score":10}` || move.Message.Text() != `{"good":true,"score":10}` || move.Usage != (agent.Usage{Input: 30, Output: 6}) {
		t.Errorf("got %+v", move)
	}
	if m.asked[0].Output.Name != "verdict" {
		t.Errorf("asked for %s", m.asked[0].Output.Name)
	}
	// Each complaint stands in the request, and only there.
	last := m.asked[2].Messages
	if len(m.asked[0].Messages) != 1 || len(m.asked[1].Messages) != 3 || len(last) != 5 || len(v.Messages) != 1 {
		t.Fatalf("asked with %d, %d, %d messages", len(m.asked[0].Messages), len(m.asked[1].Messages), len(last))
	}
	if last[1].Role != agent.RoleAssistant || last[1].Text() != "Rather good." || last[2].Role != agent.RoleUser ||
		!strings.Contains(last[2].Text(), "not valid JSON") || !strings.Contains(last[4].Text(), "score: must be ≤ 10, got 11") {
		t.Errorf("asked again with %q and %q", last[2].Text(), last[4].Text())
	}
	var resets int
	for i, d := range heard {
		if d.Reset {
			resets++
			if i == len(heard)-1 {
				t.Error("the final answer was taken back")
			}
		}
	}
	if resets != 2 {
		t.Errorf("heard %+v", heard)
	}
}

func TestOutputRepairsAreBounded(t *testing.T) {
	for repairs, asked := range map[int]int{0: 3, 1: 2, -1: 1} {
		m := &fake{replies: []any{says("a"), says("b"), says("c"), says("d")}}
		var heard []agent.Delta
		_, err := planner.Loop(m, "", &planner.LoopOptions{Output: planner.OutputOf[verdict](), Repairs: repairs}).Plan(t.Context(), view(), deltas(&heard))
		if err == nil || len(m.asked) != asked || !strings.Contains(err.Error(), "the answer of the model fake-1 does not have the form that is required") {
			t.Errorf("%d repairs: asked %d times, %v", repairs, len(m.asked), err)
		}
		if _, ok := agent.IsTransient(err); ok {
			t.Error("the error is transient")
		}
		if !heard[len(heard)-1].Reset {
			t.Error("the dropped words were not taken back")
		}
	}
}

// A model that was asked for its answer again may still call a tool first, and
// words beside calls need no form.
func TestOutputLeavesCallsAlone(t *testing.T) {
	m := &fake{replies: []any{says("Well."), says("Let me see.", call("a", "lookup", "{}"))}}
	move, err := planner.Loop(m, "", &planner.LoopOptions{Output: planner.OutputOf[verdict]()}).Plan(t.Context(), view(), nil)
	if err != nil || len(move.Actions) != 1 || move.Output != nil || move.Message.Text() != "Let me see." || move.Usage.Total() != 24 {
		t.Errorf("got %+v, %v", move, err)
	}
}
