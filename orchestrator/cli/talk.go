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
//	├── hear     an event of the run or a delegate: tell it, and take up what is asked
//	└── leave    running calls may finish; then the run is given back
type talk struct {
	*chat
	scr    *screen
	fam    *family
	speech speech
	queue  queue

	id    agent.RunID // "" until the first message is sent
	drive *driving

	asking *agent.Ask            // the ask that the prompt is for
	form   *form                 // of it, if it is one
	forms  map[agent.AskID]*form // also of those that were set aside
	shown  map[agent.AskID]bool  // asks that are for others, and were shown
	want   string                // what else the answer has to hold, see needs
	choice string                // with want: the choice
	meant  agent.AskID           // the ask that the prompt stood for when the line was begun
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
	t := &talk{chat: c, aside: map[agent.AskID]bool{}, shown: map[agent.AskID]bool{}, forms: map[agent.AskID]*form{}, events: make(chan heard)}
	t.fam = newFamily(agent.RunID(c.run), c.who().ID)
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
			err := t.hear(ctx, h)
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

// attach drives a run and watches it with its delegates. What the family has taken
// already is not news.
func (t *talk) attach(ctx context.Context, id agent.RunID) {
	if t.drive != nil {
		t.drive.cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	driveCtx, stop := context.WithCancel(ctx)
	d := &driving{id: id, cancel: cancel, stop: stop}
	t.id, t.drive = id, d
	d.driven.Go(func() { _ = t.orch.Drive(driveCtx, id) }) // it fails only without agents
	go func() {
		for ev, err := range t.orch.Watch(ctx, id, &orchestrator.WatchOptions{Tree: true}) {
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
	if n := len(t.fam.calls()); n > 0 {
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
func (t *talk) hear(ctx context.Context, h heard) error {
	if h.from != t.drive {
		return nil // of a run that was left
	}
	if h.err != nil {
		if errors.Is(h.err, context.Canceled) {
			return nil
		}
		return h.err
	}
	switch {
	case h.ev.Delta != nil && h.ev.Run == t.id:
		t.listen(*h.ev.Delta)
		return nil
	case h.ev.Delta != nil, !t.fam.news(h.ev):
		return nil
	}
	before, err := t.fam.before(ctx, t.store, h.ev)
	if err != nil {
		return err
	}
	t.scr.print(before...)
	busy := t.fam.rootNow().status
	paras := t.fam.take(h.ev)
	if h.ev.Run == t.id {
		t.scr.print(t.queue.takenUp(h.ev)...)
		paras = t.queue.held(h.ev, busy, t.unheard(h.ev, paras))
	}
	t.scr.print(paras...)
	if !busy.Ended() && t.fam.rootNow().status.Ended() {
		t.sayEnded()
	}
	t.takeUp()
	t.refresh()
	return nil
}

// listen takes a piece of what the agent says.
func (t *talk) listen(d agent.Delta) {
	finished, live, dropped := t.speech.hear(d, t.scr.columns())
	if dropped {
		finished = append(finished, t.scr.paint.do(dim, "… (this attempt was dropped; it begins again)"))
	}
	t.scr.live = live
	t.status()
	t.scr.draw(finished...)
}

// unheard leaves out of what is told the words that were shown as they were said.
func (t *talk) unheard(ev orchestrator.Event, paras []para) (out []para) {
	for _, p := range paras {
		if spoken(p) {
			rest, again := t.speech.said(p.text)
			if again {
				out = append(out, para{text: "… (what was said in the end:)", paint: dim})
			}
			p.text = rest
			if rest == "" {
				continue
			}
		}
		out = append(out, p)
	}
	if _, moved := ev.Record.Event.(*run.Moved); moved {
		t.speech = speech{}
		t.scr.live = ""
	}
	return out
}

// status says what goes on, in the line above the prompt.
func (t *talk) status() {
	t.scr.status, t.scr.waiting = t.statusLine(), t.queue.rows()
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
	case t.form != nil:
		t.scr.prompt, t.scr.tint = t.form.prompt(), yellow
	case t.asking != nil:
		t.scr.prompt, t.scr.tint = askPrompt(t.asking), yellow
	}
	t.scr.draw()
}
