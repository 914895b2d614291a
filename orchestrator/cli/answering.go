package cli

import (
	"context"
	"fmt"
	"slices"
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
	case isCommand(trimmed):
		return t.obey(ctx, trimmed)
	case t.want != "":
		t.complete(ctx, trimmed)
	case strings.HasPrefix(trimmed, "/") && !strings.Contains(trimmed, "\n") && !(answers && t.takesWords()):
		return t.obey(ctx, trimmed)
	case t.form != nil && (answers || trimmed == ""):
		t.fillIn(ctx, line)
	case trimmed == "":
	case answers && chosenBy(t.asking, trimmed) != "":
		t.choose(ctx, chosenBy(t.asking, trimmed))
	case answers && t.takesWords():
		t.answer(ctx, agent.Answer{Value: valueOf(trimmed, t.asking.Schema)}, line)
	default:
		t.send(ctx, strings.TrimRight(line, "\n"))
	}
	return false
}

// isCommand reports whether a line is a command that there is. Any other that begins
// with a slash, such as a path, may be an answer.
func isCommand(line string) bool {
	switch line {
	case "/quit", "/exit", "/help", "/later", "/asks", "/retry":
		return true
	}
	return false
}

// takesWords reports whether the ask in the prompt is answered in words of one's own.
func (t *talk) takesWords() bool {
	return t.form != nil || !own(t.asking) && len(t.asking.Choices) == 0
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
		t.scr.line.set(typable(t.asking.Args))
	case "reason":
		t.say("Why not? The agent is told; an empty line gives no reason, and /later does not deny it.")
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
		t.drop()
		return
	}
	t.complain(plainly(hinted(err)))
	if t.want != "" {
		t.scr.line.set(line)
	}
}

// drop has the prompt stand for no ask any more.
func (t *talk) drop() { t.asking, t.form, t.want, t.choice = nil, nil, "", "" }

// fillIn takes a line for the form that the prompt stands for.
func (t *talk) fillIn(ctx context.Context, line string) {
	done, err := t.form.step(line, t.scr, func(value []byte) error {
		return t.orch.Answer(ctx, t.asking.ID, agent.Answer{By: t.who(), Value: value})
	})
	if err != nil {
		t.complain(plainly(hinted(err)))
	}
	if done {
		t.drop()
	}
}

// send sends a message: it starts a run, or goes on with one.
func (t *talk) send(ctx context.Context, text string) {
	var err error
	if t.id == "" || t.fam.rootNow().status.Ended() {
		var id agent.RunID
		id, err = t.orch.Start(ctx, orchestrator.Request{Agent: t.agent, Message: agent.Text(text), User: t.who()})
		if err == nil {
			t.fam = newFamily(id, t.who().ID)
			t.attach(ctx, id)
		}
	} else {
		err = t.tell(ctx, t.fam, text, t.say)
	}
	if err == nil {
		return
	}
	t.complain(plainly(err))
	t.scr.line.set(text)
}

// tell sends a message to a run, and says so where that goes by a graph which reacts to
// none.
func (c *chat) tell(ctx context.Context, fam *family, text string, say func(string)) error {
	if fam.rootNow().defined {
		state, err := c.orch.State(ctx, fam.root)
		if err != nil {
			return err
		}
		if _, deaf := c.reaction(ctx, c.store, state, "message"); deaf != "" {
			say(deaf)
		}
	}
	return c.orch.Send(ctx, fam.root, agent.Text(text), &orchestrator.Input{By: c.who()})
}

// takeUp has the prompt stand for the oldest open ask that this person may answer,
// and has not set aside. Those of others are shown.
func (t *talk) takeUp() {
	var mine []*agent.Ask
	for _, a := range t.fam.asks() {
		if why := mayNow(a, t.who()); why != "" {
			t.showOthers(a, why)
		} else if !t.aside[a.ID] {
			mine = append(mine, a)
		}
	}
	for _, a := range mine {
		if t.asking != nil && a.ID == t.asking.ID {
			t.asking = a // as it stands now: who is asked may have changed
			return
		}
	}
	if t.asking != nil && (t.want != "" || t.form != nil && (t.form.at > 0 || len(t.scr.line.text) > 0)) {
		back := ""
		if strings.TrimSpace(t.scr.line.take(true)) != "" {
			back = " The up key brings it back."
		}
		what := "open"
		if slices.ContainsFunc(t.fam.asks(), func(a *agent.Ask) bool { return a.ID == t.asking.ID }) {
			what = "yours"
		}
		t.say("The question that you were answering is no longer " + what + "; what you typed was not sent." + back)
	}
	t.drop()
	if len(mine) == 0 {
		return
	}
	t.asking = mine[0]
	t.shown[t.asking.ID] = true
	t.scr.print(append(showAsk(t.asking, t.store.Now()), showChoices(t.asking)...)...)
	if t.asking.Kind == agent.AskForm {
		t.takeUpForm()
	}
}

// showOthers shows, once, what this person may not answer now. What changes is told
// by the events.
func (t *talk) showOthers(a *agent.Ask, why string) {
	if t.shown[a.ID] {
		return
	}
	t.shown[a.ID] = true
	for i, p := range showAsk(a, t.store.Now()) {
		if i == 0 {
			p.tint, p.paint = dim, dim
		}
		t.scr.print(p)
	}
	t.scr.print(para{mark: "    ", text: why, paint: dim})
}

// takeUpForm has the person fill in the form that is asked, or go on with it. One
// that cannot be read is answered as a question.
func (t *talk) takeUpForm() {
	f := t.forms[t.asking.ID]
	if f == nil {
		var err error
		if f, err = newForm(t.asking); err != nil {
			t.complain(err.Error())
			return
		}
		t.forms[t.asking.ID] = f
	}
	t.form = f
	t.say(fmt.Sprintf("A form of %s; /later sets it aside.", plural(len(f.fields), "field")))
	t.scr.print(f.show()...)
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
		t.drop()
		t.say("Set aside; it stays open, here and for everybody else. /asks takes it up again.")
		t.takeUp()
	case "/asks":
		clear(t.aside)
		t.drop()
		if len(t.fam.asks()) == 0 {
			t.say("Nothing is asked right now.")
			return false
		}
		clear(t.shown)
		t.takeUp()
	case "/retry":
		t.retry(ctx)
	default:
		t.say("There is no command " + command + "; /help lists them.")
	}
	return false
}

// retry has the run try again, and each delegate that is stuck.
func (t *talk) retry(ctx context.Context) {
	if t.id == "" {
		t.say("There is nothing to retry yet.")
		return
	}
	runs := []agent.RunID{t.id}
	if stuck := t.stuckOnes(); len(stuck) > 0 && t.fam.rootNow().status != agent.StatusStuck {
		runs = nil
		for _, m := range stuck {
			runs = append(runs, m.run)
		}
	}
	for _, id := range runs {
		if err := t.orch.Retry(ctx, id, "", &orchestrator.Input{By: t.who()}); err != nil {
			t.complain(plainly(hinted(err)))
		}
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
