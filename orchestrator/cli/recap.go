package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// welcome says with whom one talks, and how.
func (t *talk) welcome() {
	c := t.scr.paint
	t.scr.draw(
		c.do(bold, t.app.Name)+c.do(dim, " · ")+t.agent+c.do(dim, t.asked.after(" · ")),
		c.do(dim, fit("store "+t.storeName(), t.scr.columns()-1)),
	)
	if t.asked.offline {
		t.scr.print(para{text: offlineNotice, paint: dim})
	}
	t.scr.print(para{text: "Write a message. /help tells more; Ctrl-C leaves, and nothing is lost.", paint: dim})
}

// help lists what may be written.
func (t *talk) help() {
	for _, l := range [][2]string{
		{"/asks", "take up the questions that were set aside"},
		{"/later", "set a question aside and write on"},
		{"<", "in a form: back to the field before; Enter skips what is optional"},
		{"/retry", "try again now, where something has failed"},
		{"/quit", "leave, as Ctrl-C and Ctrl-D do; the run is kept"},
		{"Alt-Enter", "a new line in a message; pasted text keeps its own"},
		{"↑ ↓", "what you have written before"},
	} {
		t.scr.print(para{mark: fmt.Sprintf("  %-10s ", l[0]), tint: cyan, text: l[1]})
	}
	t.say("While something is asked you may also just write on, unless the answer is free text or a form: then /later first.")
}

// recapTurns is how many of the user's messages a recap goes back.
const recapTurns = 2

// comeBack shows where a run stands, and goes on with it.
func (t *talk) comeBack(ctx context.Context) error {
	var told [][]para // by the user's messages
	t.id = t.fam.root
	err := t.fam.readOn(ctx, t.store, func(ev orchestrator.Event, paras []para) {
		if _, wrote := ev.Record.Event.(*run.Messaged); wrote {
			told = append(told, nil)
		}
		if len(told) > 0 {
			told[len(told)-1] = append(told[len(told)-1], paras...)
		}
	})
	if err != nil {
		return err
	}
	now := t.fam.rootNow()
	if skipped := len(told) - recapTurns; skipped > 0 {
		t.scr.print(para{gap: true, text: fmt.Sprintf("… %s before; all of it: %s", plural(skipped, "message"), t.line("runs", "show", t.run)), paint: dim})
		told = told[skipped:]
	}
	for _, turn := range told {
		t.scr.print(turn...)
	}
	if now.status.Ended() {
		t.sayEnded()
		return nil
	}
	t.takeUp()
	t.attach(ctx, t.id)
	return nil
}

// sayEnded says how the run has ended, and what follows from that.
func (t *talk) sayEnded() {
	now := t.fam.rootNow()
	t.say(strings.TrimSuffix(fmt.Sprintf("This run is %s: %s", now.status, now.reason), ": ") + ". What you write starts a new one.")
}

// farewell says how to come back.
func (t *talk) farewell() {
	if t.id == "" {
		return
	}
	c := painterFor(t.out, t.noColor)
	fmt.Fprintln(t.out)
	fmt.Fprintln(t.out, c.do(dim, "The run is kept. Come back with:")+"  "+t.line("chat", "--run", string(t.id)))
}
