package desk

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
)

// play has the model talk with a customer who says lines, one after the other,
// with the real tools and with outcome for each refund; it returns what was said
// and called.
func play(t *testing.T, refund agent.Outcome, lines ...string) string {
	t.Helper()
	store := filepath.Join(t.TempDir(), "t.db")
	model := Model(0)
	tools := map[string]*agent.Tool{}
	for _, tool := range Agents(model, store)[0].Tools {
		tools[tool.Name] = tool
	}
	bank := NewBank(Ledger(store))
	bank.Pause = 0
	var b strings.Builder
	var conv []*agent.Message
	for _, line := range lines {
		said := agent.Text(line)
		conv = append(conv, &said)
		for step := 0; ; step++ {
			if step > 5 {
				t.Fatalf("it does not come to an end:\n%s", b.String())
			}
			reply, err := model.Generate(t.Context(), &agent.ModelRequest{Messages: conv}, nil)
			if err != nil {
				t.Fatal(err)
			}
			conv = append(conv, &reply.Message)
			if s := reply.Message.Text(); s != "" {
				b.WriteString(s + "\n")
			}
			results := &agent.Message{Role: agent.RoleTool}
			for i, c := range reply.Message.Calls() {
				c.ID = fmt.Sprintf("%d.%d", len(conv), i)
				fmt.Fprintf(&b, "[%s %s]\n", c.Name, c.Args)
				results.Parts = append(results.Parts, agent.Part{Result: result(t, tools, refund, c)})
			}
			if len(results.Parts) == 0 {
				break
			}
			conv = append(conv, results)
		}
	}
	return b.String()
}

func result(t *testing.T, tools map[string]*agent.Tool, refund agent.Outcome, c *agent.Call) *agent.Result {
	r := &agent.Result{CallID: c.ID, Name: c.Name, Outcome: agent.Returned}
	switch {
	case tools[c.Name] == nil:
		r.Outcome, r.Content = agent.Answered, agent.JSONText("pay it back, it is 1044")
	case c.Name == "refund" && refund != agent.Returned:
		r.Outcome, r.Content = refund, agent.JSONText("because")
	default:
		out, err := tools[c.Name].Call(agent.WithCall(t.Context(), agent.CallInfo{Key: c.ID}), c.Args)
		r.Content = out
		if err != nil {
			r.Outcome, r.Content = agent.Failed, agent.JSONText(err.Error())
		}
	}
	return r
}

func TestConversations(t *testing.T) {
	t.Setenv(PauseVar, "0s")
	for _, c := range []struct {
		refund agent.Outcome
		lines  []string
		want   []string // each in what was said and called, in this order
	}{
		{agent.Returned, []string{"Hello", "thanks!", "bye"}, []string{"pretend web shop", "You are welcome.", "Goodbye."}},
		{agent.Returned, []string{"Tell me a joke"}, []string{"built-in offline model, of few words"}},
		{agent.Returned, []string{"what about 1042 and 1046"}, []string{`[look_up_order {"order":1042}]`, `[track_parcel {"order":1042}]`, `[look_up_order {"order":1046}]`, "espresso", "café table"}},
		{agent.Returned, []string{"where is 1099?"}, []string{"There is no order 1099"}},
		{agent.Returned, []string{"Where is my parcel?"}, []string{"[ask_person", `[look_up_order {"order":1044}]`, "gooseneck kettle"}},
		{agent.Returned, []string{"refund 1044", "refund 1044"}, []string{`"amount":59.9`, "Done: 59.90 EUR for order 1044", "was paid back already"}},
		{agent.Returned, []string{"pay back 20,50 EUR of order 1046 please"}, []string{`"amount":20.5`, "Done: 20.50 EUR for order 1046"}},
		{agent.Returned, []string{"pay back 500 EUR of order 1046"}, []string{"The refund for order 1046 did not work: order 1046 has 480.00 EUR left"}},
		{agent.Denied, []string{"refund 1042"}, []string{"I am sorry: the refund for order 1042 was not approved (because)."}},
		{agent.Pending, []string{"refund 1042"}, []string{"The refund for order 1042 waits for a person."}},
		{agent.Unknown, []string{"refund 1042"}, []string{"Nobody knows yet whether the refund for order 1042 took place"}},
		{agent.Returned, []string{"1044 arrived broken"}, []string{"I am sorry to hear that.", "[ask_person", "[refund", "Done: 59.90 EUR"}},
	} {
		got := play(t, c.refund, c.lines...)
		rest := got
		for _, want := range c.want {
			_, after, ok := strings.Cut(rest, want)
			if !ok {
				t.Errorf("%q: no %q, in this order, in:\n%s", c.lines, want, got)
				break
			}
			rest = after
		}
	}
}

func TestNotes(t *testing.T) {
	hello := agent.Text("refund 1042")
	note := func(s string) *agent.Message {
		return &agent.Message{Role: agent.RoleNote, Parts: []agent.Part{{Text: s}}}
	}
	conv := []*agent.Message{&hello, agent.Said("It waits."), note(`The call refund (c1), which was open, has ended. Outcome: returned. {"order":1042,"amount":249,"reference":"x","paid":"2026-03-01T00:00:00Z"}`)}
	if m := answer(conv); m.Text() != "Done: 249.00 EUR for order 1042 are on their way back to you." {
		t.Errorf("it says %q", m.Text())
	}
	thanks := agent.Text("thanks")
	conv = append(conv[:2], note("The call refund (c1), which was open, has ended. Outcome: denied. too late"), &thanks)
	if m := answer(conv); m.Text() != "I am sorry: the refund was not approved (too late). You are welcome." {
		t.Errorf("it says %q", m.Text())
	}
}

// The bank knows what became of a refund whose caller has died.
func TestReconcile(t *testing.T) {
	t.Setenv(PauseVar, "1h")
	shop := NewShop(filepath.Join(t.TempDir(), "ledger"))
	ctx, cancel := context.WithCancel(agent.WithCall(t.Context(), agent.CallInfo{Key: "k1"}))
	r := Refund{Order: 1042, Amount: 249}
	if _, err := shop.Refunded(ctx, r); !agent.IsNotDone(err) {
		t.Errorf("before it was made: %v, want NotDone", err)
	}
	cancel() // it pays, and has no time to hear the answer
	if _, err := shop.Refund(ctx, r); err == nil || agent.IsNotDone(err) {
		t.Errorf("a payment whose answer was not heard: %v, want an error that is not NotDone", err)
	}
	if p, err := shop.Refunded(ctx, r); err != nil || p.Amount != 249 {
		t.Errorf("after it was made: %+v, %v", p, err)
	}
	other := agent.WithCall(t.Context(), agent.CallInfo{Key: "k2"})
	if _, err := shop.Refund(other, r); !agent.IsNotDone(err) {
		t.Errorf("another refund of the same order: %v, want NotDone", err)
	}
	t.Setenv(PauseVar, "0s")
	again := NewShop(shop.bank.path)
	if _, err := again.Refund(agent.WithCall(t.Context(), agent.CallInfo{Key: "k1"}), r); err != nil {
		t.Errorf("the same call made twice is not hidden by the shop: %v", err)
	}
	if entries, err := again.bank.Entries(1042); err != nil || len(entries) != 2 {
		t.Errorf("the ledger shows %d payments, %v; want both", len(entries), err)
	}
}
