package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
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
	p := &played{T: t, model: Model(0), refund: refund}
	p.who = Agents(p.model, store)[0]
	for _, line := range lines {
		said := agent.Text(line)
		p.conv = append(p.conv, &said)
		p.turn()
	}
	return p.String()
}

// played is a conversation with one of the agents, as an orchestrator would have it.
type played struct {
	*testing.T
	strings.Builder
	model  agent.Model
	refund agent.Outcome
	who    *agent.Agent
	conv   []*agent.Message
}

func (p *played) turn() (last string) {
	for step := 0; ; step++ {
		if step > 6 {
			p.Fatalf("it does not come to an end:\n%s", p.String())
		}
		req := &agent.ModelRequest{Messages: p.conv}
		for _, tool := range p.who.Tools {
			req.Tools = append(req.Tools, agent.ToolSpec{Name: tool.Name})
		}
		reply, err := p.model.Generate(p.Context(), req, nil)
		if err != nil {
			p.Fatal(err)
		}
		p.conv = append(p.conv, &reply.Message)
		if last = reply.Message.Text(); last != "" {
			p.WriteString(last + "\n")
		}
		results := &agent.Message{Role: agent.RoleTool}
		for i, c := range reply.Message.Calls() {
			c.ID = fmt.Sprintf("%s.%d.%d", p.who.Name, len(p.conv), i)
			fmt.Fprintf(p, "[%s %s]\n", c.Name, c.Args)
			results.Parts = append(results.Parts, agent.Part{Result: p.result(c)})
		}
		if len(results.Parts) == 0 {
			return last
		}
		p.conv = append(p.conv, results)
	}
}

func (p *played) result(c *agent.Call) *agent.Result {
	r := &agent.Result{CallID: c.ID, Name: c.Name, Outcome: agent.Returned}
	var tool *agent.Tool
	for _, x := range p.who.Tools {
		if x.Name == c.Name {
			tool = x
		}
	}
	switch {
	case c.Name == toBilling:
		var in struct{ Task string }
		if err := json.Unmarshal(c.Args, &in); err != nil {
			p.Fatal(err)
		}
		task := agent.Text(in.Task)
		child := &played{T: p.T, model: p.model, who: p.who.Delegates[0], conv: []*agent.Message{&task}}
		r.Content = agent.JSONText(child.turn())
		p.WriteString(child.String())
	case c.Name == toReturns || c.Name == toDesk:
		p.who = p.who.Handoffs[0]
		r.Content = agent.JSONText("the conversation goes on with " + p.who.Name)
	case strings.Contains(string(c.Args), `"fields"`):
		r.Outcome, r.Content = agent.Answered, json.RawMessage(`{"reason":"I changed my mind","opened":false,"pickup":"2026-03-14"}`)
	case tool == nil:
		r.Outcome, r.Content = agent.Answered, agent.JSONText("pay it back, it is 1044")
	case c.Name == "refund" && p.refund != agent.Returned:
		r.Outcome, r.Content = p.refund, agent.JSONText("because")
	default:
		out, err := tool.Call(agent.WithCall(p.Context(), agent.CallInfo{Key: c.ID}), c.Args)
		r.Content = out
		if err != nil {
			r.Outcome, r.Content = agent.Failed, agent.JSONText(err.Error())
		}
	}
	return r
}

func TestConversations(t *testing.T) {
	t.Setenv(PauseVar, "0s")
	words := regexp.MustCompile(`A person settled the (ask_person|delegate|hand_off)|Here is what`)
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
		{agent.Returned, []string{"Why was I charged VAT on 1042 and 1043?"}, []string{
			`[delegate_to_billing {"task":"Explain the invoice of order 1042`, `[look_up_invoice {"order":1042}]`, `[delegate_to_billing {"task":"Explain the invoice of order 1043`, `[look_up_invoice {"order":1043}]`,
			"39.76 EUR of VAT at 19%, and was paid by card on 2 March. Invoice FI-1043 is over 31.80 EUR (two bags of coffee beans 27.90, delivery 3.90), with 2.08 EUR of VAT at 7%"}},
		{agent.Returned, []string{"refund 1044", "invoice for 1044", "the bill for 1099"}, []string{"59.90 EUR of it were paid back.", "There is no order 1099"}},
		{agent.Returned, []string{"I want to return 1045", "thanks", "1042", "and where is 1043?", "I want to return 1046"}, []string{
			"[hand_off_to_returns", `[look_up_order {"order":1045}]`, `[ask_person {"question":"You send back a hand grinder`,
			`[return_label {"order":1045,"reason":"I changed my mind","opened":false,"pickup":"2026-03-14"}]`, "Your label for order 1045 is FL-1045-", "You are welcome.",
			`[return_label {"order":1042`, "[hand_off_to_desk", "[track_parcel", "FP-7731", "[hand_off_to_returns", "Order 1046 cannot be sent back before it was delivered; it is sent."}},
		{agent.Returned, []string{"I want to send it back"}, []string{"[hand_off_to_returns", "Which order", `[look_up_order {"order":1044}]`, "cannot be sent back before"}},
		{agent.Returned, []string{"I want to return 1045", "hello"}, []string{"Your label", "[hand_off_to_desk", "pretend web shop"}},
	} {
		got := play(t, c.refund, c.lines...)
		if w := words.FindString(got); w != "" {
			t.Errorf("%q: it speaks of %q:\n%s", c.lines, w, got)
		}
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
	if m := answer(&agent.ModelRequest{Messages: conv}); m.Text() != "Done: 249.00 EUR for order 1042 are on their way back to you." {
		t.Errorf("it says %q", m.Text())
	}
	thanks := agent.Text("thanks")
	conv = append(conv[:2], note(`The call refund (c1), which was open, has ended. A person had changed its arguments to {"order":1042,"amount":100}. Outcome: returned. {"order":1042,"amount":100,"reference":"x","paid":"2026-03-01T00:00:00Z"}`), &thanks)
	if m := answer(&agent.ModelRequest{Messages: conv}); m.Text() != "Done: 100.00 EUR for order 1042 are on their way back to you. You are welcome." {
		t.Errorf("of one that was edited it says %q", m.Text())
	}
	conv = append(conv[:2], note("The call refund (c1), which was open, has ended. Outcome: denied. too late"), &thanks)
	if m := answer(&agent.ModelRequest{Messages: conv}); m.Text() != "I am sorry: the refund was not approved (too late). You are welcome." {
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
