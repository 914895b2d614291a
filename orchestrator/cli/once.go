package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// once sends one message, drives the run to the end of its turn, and prints the
// answer.
func (c *chat) once(ctx context.Context, text string) error {
	o := &once{chat: c, tell: newTeller(c.user)}
	if err := o.send(ctx, text); err != nil {
		return err
	}
	if !c.json {
		c.remark("%s · store %s · run %s", c.asked.name, c.storeName(), o.id)
		if c.asked.offline {
			c.remark(offlineNotice)
		}
	}
	driving, stop := context.WithCancel(context.WithoutCancel(ctx))
	interrupted := context.AfterFunc(ctx, stop)
	defer interrupted()
	var drive sync.WaitGroup
	drive.Go(func() { _ = c.orch.Drive(driving, o.id) }) // it fails only without agents
	err := o.watch(ctx)
	stop()
	drive.Wait()
	if err != nil {
		return o.broken(ctx, err)
	}
	return o.ended()
}

// once is one message and what comes of it.
type once struct {
	*chat
	id    agent.RunID
	after int64 // what was in the log before
	tell  *teller

	state   *run.State
	failing time.Time // since when the planner cannot be asked
	stream  stream
}

// send starts a run or sends it the message.
func (o *once) send(ctx context.Context, text string) (err error) {
	if o.run == "" {
		o.id, err = o.orch.Start(ctx, orchestrator.Request{Agent: o.agent, Message: agent.Text(text), User: o.who(), Key: o.key})
		return err
	}
	o.id = agent.RunID(o.run)
	state, err := o.orch.State(ctx, o.id)
	if err != nil {
		return err
	}
	o.after = state.Seq
	if text == "" {
		return nil
	}
	return o.orch.Send(ctx, o.id, agent.Text(text), &orchestrator.Input{By: o.who()})
}

// errPatience ends a watch whose planner cannot be asked.
var errPatience = errors.New("the planner cannot be asked")

// watch shows what happens until the turn is over.
func (o *once) watch(ctx context.Context) error {
	for ev, err := range o.orch.Watch(ctx, o.id, &orchestrator.WatchOptions{Until: orchestrator.TurnEnd}) {
		if err != nil {
			return err
		}
		o.state = ev.State
		if ev.Record != nil && ev.Record.Seq <= o.after {
			o.tell.tell(ev)
			continue
		}
		impatient := o.judgePatience(ev)
		if impatient == nil || o.json {
			if err := o.show(ev); err != nil {
				return err
			}
		}
		if impatient != nil {
			return impatient
		}
	}
	return nil
}

func (o *once) show(ev orchestrator.Event) error {
	if o.json {
		return o.printJSON(ev)
	}
	if ev.Delta != nil {
		return o.say(*ev.Delta)
	}
	c := painterFor(o.err, o.noColor)
	columns, _ := sizeOf(o.err)
	for _, p := range o.tell.tell(ev) {
		if spoken(p) {
			continue // the answer goes to stdout
		}
		if o.toldElsewhere(ev.Record.Event) {
			continue
		}
		p.cut = 0
		for _, l := range p.lines(columns, c) {
			fmt.Fprintln(o.err, o.discreet(l))
		}
	}
	if moved, ok := ev.Record.Event.(*run.Moved); ok {
		return o.said(moved)
	}
	return nil
}

// toldElsewhere reports whether an event needs no telling: the user wrote it, or
// it is told at the end.
func (o *once) toldElsewhere(e run.Event) bool {
	switch e := e.(type) {
	case *run.Messaged, *run.Stuck:
		return true
	case *run.PlanFailed:
		return !e.Transient
	}
	return false
}

// judgePatience gives up when the planner cannot be asked for too long.
func (o *once) judgePatience(ev orchestrator.Event) error {
	if ev.Record == nil {
		return nil
	}
	switch e := ev.Record.Event.(type) {
	case *run.Moved:
		o.failing = time.Time{}
	case *run.PlanFailed:
		if o.failing.IsZero() {
			o.failing = ev.Record.Time
		}
		if next := ev.Record.Time.Add(e.Wait); e.Transient && next.Sub(o.failing) > o.patience {
			return fmt.Errorf("%w: %s", errPatience, e.Error)
		}
	}
	return nil
}

// broken says how to come back to a run that was left in the middle of a turn.
func (o *once) broken(ctx context.Context, err error) error {
	comeBack := o.line("chat", "--run", string(o.id))
	switch {
	case ctx.Err() != nil:
		return &coded{exitInterrupted, fmt.Errorf("interrupted; nothing is lost, go on with: %s", comeBack)}
	case errors.Is(err, errPatience):
		return fmt.Errorf("%w; the message is kept, go on with: %s", err, comeBack)
	}
	return fmt.Errorf("%w; go on with: %s", err, comeBack)
}

// ended prints how the run stands at the end of its turn.
func (o *once) ended() error {
	res := orchestrator.ResultOf(o.state)
	if !o.json {
		o.flush(res)
	}
	switch res.Status {
	case agent.StatusIdle, agent.StatusDone:
		if res.Reason != "" {
			o.remark("The turn was ended: %s.", res.Reason)
		}
		return nil
	case agent.StatusWaiting:
		o.showWaiting(res)
		return &coded{code: exitWaits}
	case agent.StatusStuck:
		return &coded{exitStuck, fmt.Errorf("the run is stuck: %s; when that is mended, write to it, or: %s, and then: %s", res.Reason, o.line("runs", "retry", string(o.id)), o.line("chat", "--run", string(o.id)))}
	}
	return &coded{exitStuck, errors.New(strings.TrimSuffix(fmt.Sprintf("the run is %s: %s", res.Status, res.Reason), ": "))}
}

// showWaiting tells on stderr what is waited for, and how to answer.
func (o *once) showWaiting(res *orchestrator.Result) {
	if len(res.Asks) == 0 {
		o.remark("The run waits for an event or a time; %s goes on with it.", o.line("work"))
		return
	}
	c := painterFor(o.err, o.noColor)
	columns, _ := sizeOf(o.err)
	for _, a := range res.Asks {
		paras := append(showAsk(a, o.store.Now()), para{mark: "    ", text: "answer with: " + o.answerLine(a)})
		for _, p := range paras {
			for _, l := range p.lines(columns, c) {
				fmt.Fprintln(o.err, o.discreet(l))
			}
		}
	}
	o.remark("The run waits for a person; then go on with: %s", o.line("chat", "--run", string(o.id)))
}

// answerLine is a command that answers the ask.
func (p *program) answerLine(a *agent.Ask) string {
	how := []string{"--text", "…"}
	switch {
	case a.Kind == agent.AskApproval:
		how = []string{"--approve"}
	case len(a.Choices) > 0:
		how = []string{"--choice", a.Choices[0]}
	case !wantsText(a.Schema):
		how = []string{"--value", "JSON"}
	}
	line := p.line(append([]string{"asks", "answer", string(a.ID)}, how...)...)
	switch {
	case a.Kind == agent.AskApproval:
		line += "  (or --edit JSON, --deny REASON, --instead JSON)"
	case len(a.Choices) > 1:
		line += fmt.Sprintf("  (or %s)", strings.Join(a.Choices[1:], ", "))
	}
	return line
}

// printJSON prints v on a line of stdout.
func (p *program) printJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("an output has no JSON form: %w", err)
	}
	_, err = fmt.Fprintln(p.out, p.discreet(string(b)))
	return err
}
