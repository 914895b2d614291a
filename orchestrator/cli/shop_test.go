package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/cli"
)

// shopVar has this test's program be the command line of a shop.
const shopVar = "FERMATA_TEST_SHOP"

func TestMain(m *testing.M) {
	if os.Getenv(shopVar) != "" {
		os.Exit(cli.Main(&cli.App{
			Name: "shop", Short: "A shop", Version: "test", NoModel: true,
			Agents: func(cli.Setup) ([]*agent.Agent, error) { return shop(), nil },
		}))
	}
	os.Exit(m.Run())
}

// addressForm is a form with a field of each kind.
const addressForm = `{"type":"object","properties":{
	"street":{"type":"string","description":"Street and number","minLength":3},
	"floor":{"type":"integer","minimum":0},
	"size":{"enum":["small","large"],"description":"Of the parcel"},
	"express":{"type":"boolean","default":false},
	"tags":{"type":"array","items":{"type":"string"}}},
	"required":["street","size"],"additionalProperties":false,
	"if":{"properties":{"size":{"const":"large"}}},"then":{"properties":{"express":{"const":false}}}}`

// shop makes a desk that does what the user's last message says, with a delegate
// and somebody to hand off to, two like it with other manners, and an agent that goes by
// a graph.
func shop() []*agent.Agent {
	billing := &agent.Agent{
		Name: "billing", Description: "Explains invoices.", Planner: steps(bill),
		Tools: []*agent.Tool{tool("find_invoice", agent.ReadOnly, nil), tool("credit", agent.Idempotent, supervised)},
	}
	returns := &agent.Agent{Name: "returns", Description: "Takes things back.", Planner: steps(func(string, *agent.View) *agent.Move { return says("Send it to us.") })}
	make := func(name string, manner agent.OnMessage) *agent.Agent {
		return &agent.Agent{
			Name: name, Planner: steps(serve), OnMessage: manner, Tools: []*agent.Tool{slow()},
			Delegates: []*agent.Agent{billing}, Handoffs: []*agent.Agent{returns},
		}
	}
	return []*agent.Agent{make("desk", agent.Queue), make("hasty", agent.Interrupt), make("stern", agent.Reject), parcel()}
}

// serve is what the desk does.
func serve(said string, v *agent.View) *agent.Move {
	ask := func(a agent.Ask) *agent.Move {
		if v.Steps > 0 {
			return says("Noted: " + last(v))
		}
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActAsk, Ask: &a}}}
	}
	switch {
	case strings.Contains(said, "invoice"):
		if v.Steps > 0 {
			return says("Billing says: " + last(v))
		}
		m := &agent.Move{Message: agent.Said("One moment.")}
		for i, part := range strings.Split(said, " and ") {
			m.Message.Parts = append(m.Message.Parts, agent.Part{Call: &agent.Call{ID: fmt.Sprintf("b%d_%d", v.Turn, i), Name: "delegate_to_billing", Args: args("task", part)}})
			m.Actions = append(m.Actions, agent.Action{Kind: agent.ActDelegate, Name: "billing", CallID: fmt.Sprintf("b%d_%d", v.Turn, i)})
		}
		return m
	case strings.Contains(said, "address"):
		return ask(agent.Ask{Kind: agent.AskForm, Prompt: "Where shall it go?", Schema: json.RawMessage(addressForm)})
	case strings.Contains(said, "wine"):
		return ask(agent.Ask{Kind: agent.AskQuestion, Prompt: "Which wine?", For: []string{"bob"}, Within: 1500 * time.Millisecond, Remind: 700 * time.Millisecond,
			Escalate: []agent.Escalation{{For: []string{"group:supervisors"}, Within: time.Hour}}})
	case strings.Contains(said, "transfer"):
		return ask(agent.Ask{Kind: agent.AskRepair, Prompt: "The transfer failed: 503 from the bank.", Choices: []string{agent.RetryIt, agent.Skip, "refund"},
			Schema: json.RawMessage(`{"type":"object","properties":{"sum":{"type":"integer"}},"additionalProperties":false}`), For: []string{"group:ops"}})
	case strings.Contains(said, "odd"):
		return ask(agent.Ask{Kind: agent.AskChoice, Prompt: "Which\x1b[2J?", Choices: []string{"a\x1b[31mb", "c\u009b2Jd", "\u202egnp\ne"}})
	case strings.Contains(said, "return"):
		return &agent.Move{Message: agent.Said("I hand you over."), Actions: []agent.Action{{Kind: agent.ActHandoff, Name: "returns"}}}
	case strings.Contains(said, "slow") && v.Steps == 0:
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActCall, Name: "slow", Args: json.RawMessage(`{}`)}}}
	case strings.Contains(said, "slow"):
		return says("It was slow: " + last(v))
	}
	return says("You said: " + said)
}

// bill is what billing does.
func bill(said string, v *agent.View) *agent.Move {
	switch v.Steps {
	case 0:
		return &agent.Move{Message: agent.Said("I look."), Actions: []agent.Action{{Kind: agent.ActCall, Name: "find_invoice", Args: args("about", said)}}}
	case 1:
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActCall, Name: "credit", Args: args("amount", "49")}}}
	}
	return says("It is settled (" + last(v) + ").")
}

func supervised(context.Context, agent.CallInfo, json.RawMessage) (*agent.Ask, error) {
	return &agent.Ask{Prompt: "it is much", For: []string{"group:supervisors"}, Not: []string{agent.TheUser}, Within: 2 * time.Hour, Escalate: []agent.Escalation{{For: []string{"boss"}}}}, nil
}

// tool makes one that gives back its arguments.
func tool(name string, effect agent.Effect, approve agent.Approval) *agent.Tool {
	return &agent.Tool{Name: name, Effect: effect, Approve: approve, Call: func(_ context.Context, a json.RawMessage) (json.RawMessage, error) { return a, nil }}
}

// slowUntil is the file in the home of the shop that slow waits for.
const slowUntil = "ready"

// slow is a tool that takes until a test says that it is ready.
func slow() *agent.Tool {
	return &agent.Tool{Name: "slow", Effect: agent.ReadOnly, Call: func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			if _, err := os.Stat(filepath.Join(os.Getenv("HOME"), slowUntil)); err == nil {
				return json.RawMessage(`"ready"`), nil
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}}
}

// steps makes a planner of a function that is told what the user said last.
func steps(f func(said string, v *agent.View) *agent.Move) agent.Planner {
	return agent.PlannerFunc(func(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
		for i := len(v.Messages) - 1; i >= 0; i-- {
			if v.Messages[i].Role == agent.RoleUser {
				return f(v.Messages[i].Text(), v), nil
			}
		}
		return f("", v), nil
	})
}

// last is what the last closed actions gave.
func last(v *agent.View) string {
	var out []string
	for _, n := range v.News {
		if n.Closed != nil {
			out = append(out, agent.PlainText(n.Closed.Content))
		}
	}
	return strings.Join(out, "; ")
}

func says(text string) *agent.Move { return &agent.Move{Message: agent.Said(text)} }

func args(name, value string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{%q:%q}`, name, value))
}
