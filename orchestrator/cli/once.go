package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	o := &once{chat: c}
	if err := o.send(ctx, text); err != nil {
		return err
	}
	if !c.json {
		c.remark("%sstore %s · run %s", c.asked.before(" · "), c.storeName(), o.id)
		if c.asked.offline {
			c.remark(offlineNotice)
		}
	}
	if o.deaf != "" {
		c.remark("%s", o.deaf)
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
	id   agent.RunID
	fam  *family
	deaf string // why the message leads to nothing

	state   *run.State
	failing time.Time // since when the planner cannot be asked
	stream  stream
}

// send starts a run or sends it the message.
func (o *once) send(ctx context.Context, text string) (err error) {
	if o.run == "" {
		o.id, err = o.orch.Start(ctx, orchestrator.Request{Agent: o.agent, Message: agent.Text(text), User: o.who(), Key: o.key})
		o.fam = newFamily(o.id, o.who().ID)
		return err
	}
	o.id = agent.RunID(o.run)
	o.fam = newFamily(o.id, o.who().ID)
	if err := o.fam.readOn(ctx, o.store, nil); err != nil {
		return err
	}
	if text == "" {
		return nil
	}
	return o.tell(ctx, o.fam, text, func(deaf string) { o.deaf = deaf })
}

// errPatience ends a watch whose planner cannot be asked.
var errPatience = errors.New("the planner cannot be asked")

// maxShortWait is how long a wait for a time may be for which one message's answer is
// awaited: a retry's, most often.
const maxShortWait = 10 * time.Second

// watch shows what happens until the turn is over.
func (o *once) watch(ctx context.Context) error {
	opts := &orchestrator.WatchOptions{Until: orchestrator.TurnEnd, Tree: true}
	for {
		if err := o.follow(ctx, opts, false); err != nil || !o.waitsShortly() {
			return err
		}
		opts.After = o.state.Seq
		if err := o.follow(ctx, &orchestrator.WatchOptions{After: opts.After, Tree: true}, true); err != nil {
			return err
		}
		opts.After = o.state.Seq
	}
}

// waitsShortly reports whether the run goes on by itself, in a moment.
func (o *once) waitsShortly() bool {
	wake := o.state.Wake()
	return o.state.Status() == agent.StatusWaiting && len(o.fam.asks()) == 0 && !wake.IsZero() && wake.Sub(o.store.Now()) <= maxShortWait
}

// follow shows what happens until opts ends it, or with one until the run's log has
// grown.
func (o *once) follow(ctx context.Context, opts *orchestrator.WatchOptions, one bool) error {
	for ev, err := range o.orch.Watch(ctx, o.id, opts) {
		if err != nil {
			return err
		}
		if ev.Run == o.id {
			o.state = ev.State
		}
		if !o.fam.news(ev) {
			continue
		}
		impatient := o.judgePatience(ev)
		if impatient == nil || o.json {
			if err := o.show(ctx, ev); err != nil {
				return err
			}
		}
		if impatient != nil {
			return impatient
		}
		if one && ev.Run == o.id && ev.Record != nil {
			return nil
		}
	}
	return nil
}

func (o *once) show(ctx context.Context, ev orchestrator.Event) error {
	if o.json {
		o.fam.take(ev)
		return o.printJSON(ev)
	}
	before, err := o.fam.before(ctx, o.store, ev)
	if err != nil {
		return err
	}
	paras := append(before, o.fam.take(ev)...)
	switch {
	case ev.Delta != nil && ev.Run == o.id:
		return o.say(*ev.Delta)
	case ev.Delta != nil:
		return nil // what a delegate says to itself
	}
	c := painterFor(o.err, o.noColor)
	columns, _ := sizeOf(o.err)
	for _, p := range paras {
		if spoken(p) {
			continue // the answer goes to stdout
		}
		if ev.Run == o.id && o.toldElsewhere(ev.Record.Event) {
			continue
		}
		p.cut = 0
		for _, l := range p.lines(columns, c) {
			fmt.Fprintln(o.err, o.discreet(l))
		}
	}
	if moved, ok := ev.Record.Event.(*run.Moved); ok && ev.Run == o.id {
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
	res.Asks = o.fam.asks()
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
		if len(res.Asks) == 0 && res.Reason != "" { // a delegate cannot go on, and nobody is asked
			return &coded{exitStuck, fmt.Errorf("the run cannot go on: %s; when that is mended: %s", res.Reason, o.retryLines())}
		}
		o.showWaiting(res)
		return &coded{code: exitWaits}
	case agent.StatusStuck:
		if slices.ContainsFunc(o.state.Asks(), func(a *agent.Ask) bool { return a.Kind == agent.AskRepair }) {
			o.showWaiting(res)
			return &coded{exitStuck, errors.New("the run is stuck until that is answered")}
		}
		return &coded{exitStuck, fmt.Errorf("the run is stuck: %s; when that is mended, write to it, or: %s, and then: %s", res.Reason, o.line("runs", "retry", string(o.id)), o.line("chat", "--run", string(o.id)))}
	}
	return &coded{exitStuck, errors.New(strings.TrimSuffix(fmt.Sprintf("the run is %s: %s", res.Status, res.Reason), ": "))}
}

// retryLines are the commands that have the delegates try again which are stuck.
func (o *once) retryLines() string {
	var lines []string
	for _, m := range o.fam.tree() {
		if m.label != "" && m.now.status == agent.StatusStuck {
			lines = append(lines, o.line("runs", "retry", string(m.run)))
		}
	}
	return strings.Join(append(lines, o.line("chat", "--run", string(o.id))), ", and then: ")
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
		paras := append(showAsk(a, o.store.Now()), showFields(a)...)
		if why := mayNow(a, o.who()); why != "" {
			paras = append(paras, para{mark: "    ", text: why, paint: dim})
		}
		paras = append(paras, para{mark: "    ", text: "answer with: " + o.answerLine(a)})
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
	case a.Kind == agent.AskForm:
		how = formWays(a)
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
	if a.Kind == agent.AskRepair {
		line += ", perhaps with --value JSON"
	}
	return cleanLine(line)
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
