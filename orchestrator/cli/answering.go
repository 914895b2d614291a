package cli

import (
	"context"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
)

// press does what a key is for. It reports whether the person leaves.
func (t *talk) press(ctx context.Context, k key) (leaves bool) {
	if t.leaving != nil {
		return false
	}
	switch k.kind {
	case keyNone:
		return false
	case keyClear:
		t.scr.drawn = nil
		t.scr.out.WriteString("\x1b[H\x1b[2J")
	case keyEnter:
		leaves = t.submit(ctx, t.scr.line.take(t.want == ""))
	default:
		if len(t.scr.line.text) == 0 {
			t.meant = t.askedNow()
		}
		t.scr.line.press(k)
	}
	t.refresh()
	return leaves
}

// askedNow returns the ask that the prompt stands for; "" if none.
func (t *talk) askedNow() agent.AskID {
	if t.asking == nil {
		return ""
	}
	return t.asking.ID
}

// submit takes a line that the person has written. It answers only the ask that
// the prompt stood for when its first key was pressed: what was meant for one
// ask never answers another.
func (t *talk) submit(ctx context.Context, line string) (leaves bool) {
	trimmed := strings.TrimSpace(line)
	answers := t.asking != nil && t.meant == t.asking.ID
	switch {
	case trimmed != "" && t.meant != "" && t.meant != t.askedNow():
		t.say("The question that you were answering is closed; what you typed was not sent. The up key brings it back.")
	case t.want != "":
		t.complete(ctx, trimmed)
	case strings.HasPrefix(trimmed, "/") && !strings.Contains(trimmed, "\n"):
		return t.obey(ctx, trimmed)
	case trimmed == "":
	case answers && chosenBy(t.asking, trimmed) != "":
		t.choose(ctx, chosenBy(t.asking, trimmed))
	case answers && t.asking.Kind == agent.AskQuestion && len(t.asking.Choices) == 0:
		t.answer(ctx, agent.Answer{Value: valueOf(trimmed, t.asking.Schema)}, line)
	default:
		t.send(ctx, strings.TrimRight(line, "\n"))
	}
	return false
}

// choose answers with a choice, or asks for what else it needs.
func (t *talk) choose(ctx context.Context, choice string) {
	want := needs(t.asking, choice)
	if want == "" {
		t.answer(ctx, agent.Answer{Choice: choice}, choice)
		return
	}
	t.want, t.choice, t.meant = want, choice, t.asking.ID
	switch want {
	case "arguments":
		t.say("Change the arguments and press Enter; an empty line goes back.")
		t.scr.line.set(string(compact(t.asking.Args)))
	case "reason":
		t.say("Why not? The agent is told; an empty line gives no reason.")
	case "result":
		t.say("What is the result? JSON, or just words; an empty line goes back.")
	}
}

// complete answers with what was asked for beside the choice.
func (t *talk) complete(ctx context.Context, line string) {
	a := agent.Answer{Choice: t.choice}
	switch {
	case t.want == "reason":
		a.Note = line
	case line == "":
		t.want, t.choice = "", ""
		return
	case t.want == "arguments":
		value, err := objectOf(line)
		if err != nil {
			t.complain(err.Error())
			t.scr.line.set(line)
			return
		}
		a.Value = value
	default:
		a.Value = valueOf(line, t.asking.Output)
	}
	t.answer(ctx, a, line)
}

// answer answers the ask. What is refused may be mended.
func (t *talk) answer(ctx context.Context, a agent.Answer, line string) {
	a.By = t.who()
	if a.Choice == agent.Approve {
		a.Digest = t.asking.Digest // of what was shown
	}
	err := t.orch.Answer(ctx, t.asking.ID, a)
	if err == nil {
		t.asking, t.want, t.choice = nil, "", ""
		return
	}
	t.complain(plainly(err))
	if t.want != "" {
		t.scr.line.set(line)
	}
}

// send sends a message: it starts a run, or goes on with one.
func (t *talk) send(ctx context.Context, text string) {
	var err error
	if t.id == "" || t.now.status.Ended() {
		var id agent.RunID
		id, err = t.orch.Start(ctx, orchestrator.Request{Agent: t.agent, Message: agent.Text(text), User: t.who()})
		if err == nil {
			t.tell = newTeller(t.user)
			t.attach(ctx, id, 0)
		}
	} else {
		err = t.orch.Send(ctx, t.id, agent.Text(text), &orchestrator.Input{By: t.who()})
	}
	if err == nil {
		return
	}
	t.complain(plainly(err))
	t.scr.line.set(text)
}

// takeUp has the prompt stand for the oldest open ask that was not set aside.
func (t *talk) takeUp() {
	asks := withoutAsks(t.now.asks, t.aside)
	for _, a := range asks {
		if t.asking != nil && a.ID == t.asking.ID {
			return
		}
	}
	if t.want != "" {
		t.scr.line.set("")
		t.say("The question that you were answering is closed; what you typed was not sent.")
	}
	t.asking, t.want, t.choice = nil, "", ""
	if len(asks) == 0 {
		return
	}
	t.asking = asks[0]
	t.scr.print(append(showAsk(t.asking, t.store.Now()), showChoices(t.asking)...)...)
}

// obey does what a command says.
func (t *talk) obey(ctx context.Context, command string) (leaves bool) {
	switch strings.Fields(command)[0] {
	case "/quit", "/exit":
		return true
	case "/help":
		t.help()
	case "/later":
		if t.asking == nil {
			t.say("Nothing is asked right now.")
			return false
		}
		t.aside[t.asking.ID] = true
		t.say("Set aside; it stays open, here and for everybody else. /asks takes it up again.")
		t.takeUp()
	case "/asks":
		clear(t.aside)
		t.asking = nil
		if len(t.now.asks) == 0 {
			t.say("Nothing is asked right now.")
			return false
		}
		t.takeUp()
	case "/retry":
		t.retry(ctx)
	default:
		t.say("There is no command " + command + "; /help lists them.")
	}
	return false
}

func (t *talk) retry(ctx context.Context) {
	if t.id == "" {
		t.say("There is nothing to retry yet.")
		return
	}
	if err := t.orch.Retry(ctx, t.id, "", &orchestrator.Input{By: t.who()}); err != nil {
		t.complain(plainly(err))
	}
}

// say prints a remark of the program itself.
func (t *talk) say(text string) {
	t.scr.print(para{mark: "  ", text: text, paint: dim})
}

// complain prints what is wrong.
func (t *talk) complain(text string) {
	t.scr.print(bad(t.discreet(text)))
}
