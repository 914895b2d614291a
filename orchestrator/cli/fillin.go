package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

// fillIn fills in a form on the terminal, field by field, and answers with it.
func (a *answering) fillIn(ctx context.Context, store memory.Store, o *orchestrator.Orchestrator, ask *agent.Ask, answer agent.Answer) error {
	f, err := newForm(ask)
	if err != nil {
		return err
	}
	scr, err := newScreen(a.in, a.out, painterFor(a.out, a.noColor))
	if err != nil {
		return err
	}
	scr.print(showAsk(ask, store.Now())...)
	scr.print(para{mark: "    ", text: "/later leaves it open, and so does Ctrl-C.", paint: dim})
	err = a.fillOn(ctx, scr, f, func(value []byte) error {
		answer.Value = value
		return o.Answer(ctx, ask.ID, answer)
	})
	if e := scr.close(); err == nil {
		err = e
	}
	if errors.Is(err, errFormLeft) {
		a.remark("Nothing was sent; it stays open.")
		return nil
	}
	if err != nil {
		if len(answer.Value) > 0 { // so that it need not be filled in again
			a.remark("What was filled in, for --value: %s", answer.Value)
		}
		return hinted(err)
	}
	return a.accepted(ctx, store, o, ask, answer)
}

// errFormLeft says that a form was not sent.
var errFormLeft = errors.New("the form was left")

// fillOn has a person fill in a form on the screen, until it is sent and taken. A
// form that is refused for what stands in it goes on.
func (a *answering) fillOn(ctx context.Context, scr *screen, f *form, send func(value []byte) error) error {
	keys := make(chan key)
	go readKeys(a.in, keys) // ends with the process, as in a conversation
	scr.print(f.show()...)
	for {
		scr.prompt, scr.tint = f.prompt(), yellow
		scr.draw()
		var k key
		select {
		case k = <-keys:
		case <-ctx.Done():
			return ctx.Err()
		}
		switch {
		case k.kind == keyInterrupt:
			return &coded{code: exitInterrupted}
		case k.kind == keyLeave && len(scr.line.text) == 0:
			return errFormLeft
		case k.kind != keyEnter:
			scr.line.press(k)
			continue
		}
		line := scr.line.take(true)
		if strings.TrimSpace(line) == "/later" {
			return errFormLeft
		}
		if done, err := f.step(line, scr, send); done || err != nil {
			return err
		}
	}
}

// step takes a line of the person, and shows what comes of it. Done says that the
// form was sent and taken.
func (f *form) step(line string, scr *screen, send func(value []byte) error) (done bool, err error) {
	at := f.at
	sends, err := f.enter(line)
	switch {
	case err != nil:
		scr.print(bad(err.Error()))
		scr.line.set(line)
		return false, nil
	case !sends:
		if at < len(f.fields) && f.at != at-1 {
			scr.print(para{mark: "    ", text: cleanLine(f.fields[at].name) + " › " + f.given(at), paint: dim})
		}
		scr.print(f.show()...)
		return false, nil
	}
	err = send(f.answer())
	var r *agent.Refusal
	if !errors.As(err, &r) || r.Kind != agent.RefusedInvalid {
		return err == nil, err
	}
	scr.print(bad(r.Detail))
	f.refused(r.Detail)
	scr.print(f.show()...)
	return false, nil
}
