package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A talk is a conversation on a terminal. One loop owns the screen; it hears
// keys, events of the run, and signals:
//
//	loop
//	├── press    a key: edit the line, send it, or leave
//	│   └── submit    a message, a command, or an answer (answering.go)
//	├── hear     an event of the run: tell it, and take up what is asked
//	└── leave    running calls may finish; then the run is given back
type talk struct {
	*chat
	scr    *screen
	tell   *teller
	speech speech

	id    agent.RunID // "" until the first message is sent
	now   standing
	drive *driving

	asking *agent.Ask  // the ask that the prompt is for
	want   string      // what else the answer has to hold, see needs
	choice string      // with want: the choice
	meant  agent.AskID // the ask that the prompt stood for when the line was begun
	aside  map[agent.AskID]bool

	events  chan heard
	leaving chan struct{} // closed when the run was given back; nil while nobody leaves
}

// heard is an event on its way to the loop.
type heard struct {
	from *driving
	ev   orchestrator.Event
	err  error
	done chan struct{} // closed when the loop is done with ev.State
}

// talk has a conversation until the person leaves.
func (c *chat) talk(ctx context.Context) (err error) {
	if os.Getenv("TERM") == "dumb" {
		return usage("a conversation needs a terminal that can move its cursor, and TERM is dumb; give a message")
	}
	t := &talk{chat: c, tell: newTeller(c.user), aside: map[agent.AskID]bool{}, events: make(chan heard)}
	t.scr, err = newScreen(c.in, c.out, painterFor(c.out, c.noColor))
	if err != nil {
		return fmt.Errorf("the terminal cannot be used: %w; give a message", err)
	}
	err = t.converse(ctx)
	if e := t.scr.close(); err == nil && e != nil {
		err = e
	}
	t.farewell()
	return err
}

func (t *talk) converse(ctx context.Context) error {
	t.welcome()
	if t.run != "" {
		if err := t.comeBack(ctx); err != nil {
			return err
		}
	}
	t.refresh()
	defer func() {
		if t.drive != nil {
			t.drive.cancel()
		}
	}()
	return t.loop(ctx)
}

// loop goes on until the run was given back, or the person does not want to
// wait for that.
func (t *talk) loop(ctx context.Context) error {
	keys := make(chan key)
	go readKeys(t.in, keys) // ends with the process: a read from a terminal cannot be called off
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	interrupted := &coded{code: exitInterrupted}
	for {
		select {
		case k := <-keys:
			if k.kind == keyInterrupt || k.kind == keyLeave && (t.leaving != nil || len(t.scr.line.text) == 0) {
				if t.leaving != nil {
					return interrupted
				}
				t.leave()
				continue
			}
			if t.press(ctx, k) {
				t.leave()
			}
		case <-signals:
			if t.leaving != nil {
				return interrupted
			}
			t.leave()
		case h := <-t.events:
			err := t.hear(h)
			close(h.done)
			if err != nil {
				return err
			}
		case <-t.leaving:
			return nil
		}
	}
}

// driving is what this process does for one run: it drives and watches it.
type driving struct {
	id     agent.RunID
	cancel context.CancelFunc // of both
	stop   context.CancelFunc // of driving alone
	driven sync.WaitGroup
}

// attach drives and watches a run from now on. Of what is in its log up to
// after, nothing is heard.
func (t *talk) attach(ctx context.Context, id agent.RunID, after int64) {
	if t.drive != nil {
		t.drive.cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	driveCtx, stop := context.WithCancel(ctx)
	d := &driving{id: id, cancel: cancel, stop: stop}
	t.id, t.drive = id, d
	d.driven.Go(func() { _ = t.orch.Drive(driveCtx, id) }) // it fails only without agents
	go func() {
		for ev, err := range t.orch.Watch(ctx, id, &orchestrator.WatchOptions{After: after}) {
			h := heard{from: d, ev: ev, err: err, done: make(chan struct{})}
			select {
			case t.events <- h:
			case <-ctx.Done():
				return
			}
			select {
			case <-h.done:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// leave gives the run back: running calls may finish.
func (t *talk) leave() {
	t.leaving = make(chan struct{})
	d, gone := t.drive, t.leaving
	if d == nil {
		close(gone)
		return
	}
	d.stop()
	go func() {
		d.driven.Wait()
		close(gone)
	}()
	if n := len(t.now.calls); n > 0 {
		t.scr.print(para{gap: true, text: fmt.Sprintf("Leaving. %s may finish, for 10 seconds at most; Ctrl-C again leaves at once, and nothing is lost either way.", plural(n, "running call")), paint: dim})
	}
	t.refresh()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// hear takes an event of the run.
func (t *talk) hear(h heard) error {
	if h.from != t.drive {
		return nil // of a run that was left
	}
	if h.err != nil {
		if errors.Is(h.err, context.Canceled) {
			return nil
		}
		return h.err
	}
	t.now = standingOf(h.ev.State)
	if h.ev.Delta != nil {
		finished, live, dropped := t.speech.hear(*h.ev.Delta, t.scr.columns())
		if dropped {
			finished = append(finished, t.scr.paint.do(dim, "… (this attempt was dropped; it begins again)"))
		}
		t.scr.live = live
		t.status()
		t.scr.draw(finished...)
		return nil
	}
	var paras []para
	for _, p := range t.tell.tell(h.ev) {
		if spoken(p) {
			rest, again := t.speech.said(p.text)
			if again {
				paras = append(paras, para{text: "… (what was said in the end:)", paint: dim})
			}
			p.text = rest
			if rest == "" {
				continue
			}
		}
		paras = append(paras, p)
	}
	if _, moved := h.ev.Record.Event.(*run.Moved); moved {
		t.speech = speech{}
		t.scr.live = ""
	}
	t.scr.print(paras...)
	t.takeUp()
	t.refresh()
	return nil
}

// status says what goes on, in the line above the prompt.
func (t *talk) status() {
	t.scr.status = t.now.line(t.store.Now(), t.speech.doing(), len(t.aside))
	if t.leaving != nil {
		t.scr.status = "leaving …"
	}
}

// refresh puts status and prompt right, and draws.
func (t *talk) refresh() {
	t.status()
	t.scr.prompt, t.scr.tint = "› ", cyan
	switch {
	case t.leaving != nil:
		t.scr.prompt = ""
	case t.want != "":
		t.scr.prompt, t.scr.tint = t.want+" › ", yellow
	case t.asking != nil:
		t.scr.prompt, t.scr.tint = askPrompt(t.asking), yellow
	}
	t.scr.draw()
}
