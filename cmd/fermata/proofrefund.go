package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/desk"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// What the log and the ledger say of the refunds.

// approvals checks who has approved the refunds, and who has not.
func (p *proof) approvals(asks []*agent.Ask, s *story) error {
	var who []string
	in := map[agent.AskID]*run.Record{}
	for _, r := range s.records {
		if e, ok := r.Event.(*run.Answered); ok {
			in[e.Ask] = r
			who = append(who, e.Answer.By.ID)
		}
	}
	if len(in) != len(asks) {
		return fmt.Errorf("not proven: the log of run %s has answers to %d asks, and %d were asked", s.state.Run, len(in), len(asks))
	}
	low, high := asks[0], asks[1]
	for i, ask := range asks {
		r := in[ask.ID]
		if r == nil {
			return fmt.Errorf("not proven: the log of run %s has no answer to ask %s", s.state.Run, ask.ID)
		}
		e := r.Event.(*run.Answered)
		by := e.Answer.By.ID
		if len(e.Answer.By.Groups) > 0 {
			by += " of the group " + strings.Join(e.Answer.By.Groups, ", ")
		}
		mark := ""
		if i == 0 {
			mark = "4: "
		}
		p.check(e.Answer.Choice == agent.Approve && e.Digest == ask.Digest && ask.May(e.Answer.By), "%s#%d %s approved exactly these arguments: %s", mark, r.Seq, by, ask.Args)
	}
	refused := []agent.User{{ID: customer}, {ID: helper}}
	p.check(len(low.For) == 0 && slices.Equal(high.For, []string{"group:" + desk.Supervisors}) && !slices.ContainsFunc(refused, high.May),
		"the first was asked of anybody, the second of %s and not of %s", strings.Join(high.For, ", "), strings.Join(high.Not, ", "))
	p.check(slices.Equal(who, []string{helper, chief}), "the log has answers by %s alone: those that were refused are not in it", strings.Join(who, " and "))
	return nil
}

// A refund is what the log has of one call of the refund tool, and how often.
type refund struct {
	began, lapsed, returned *run.Record
	begun, ended            int
}

// refundsOf finds the refunds that were asked for, and the last approval and the
// first take-over.
func refundsOf(s *story, asks []*agent.Ask) (refunds []*refund, answered, took *run.Record) {
	by := map[agent.ActionID]*refund{}
	for _, a := range asks {
		by[a.Action] = &refund{}
		refunds = append(refunds, by[a.Action])
	}
	for _, r := range s.records {
		switch e := r.Event.(type) {
		case *run.Answered:
			answered = r
		case *run.Began:
			if f := by[e.Action]; f != nil {
				f.began, f.begun = r, f.begun+1
			}
		case *run.TookOver:
			if took == nil {
				took = r
			}
		case *run.Lapsed:
			if f := by[e.Call]; f != nil {
				f.lapsed = r
			}
		case *run.Returned:
			if f := by[e.Action]; f != nil {
				f.returned, f.ended = r, f.ended+1
			}
		}
	}
	return refunds, answered, took
}

// refunded checks the refunds, and shows the records that matter.
func (p *proof) refunded(asks []*agent.Ask, s *story, killed *worker) error {
	refunds, answered, took := refundsOf(s, asks)
	begun, ended := 0, 0
	for i, f := range refunds {
		if answered == nil || took == nil || f.began == nil || f.lapsed == nil || f.returned == nil {
			return fmt.Errorf("not proven: the log of run %s lacks a record of the refund %s: answered %t, began %t, took over %t, lapsed %t, returned %t",
				s.state.Run, asks[i].Action, answered != nil, f.began != nil, took != nil, f.lapsed != nil, f.returned != nil)
		}
		begun, ended = begun+f.begun, ended+f.ended
	}
	p.check(begun == len(asks) && ended == len(asks), "5: %d refunds were begun %d times in all, and have ended %d times", len(asks), begun, ended)
	p.check(killed.cmd.ProcessState.ExitCode() == -1, "worker 1, process %d, has ended by: %s", killed.pid(), killed.fate())
	for _, f := range refunds {
		b, ret := f.began.Event.(*run.Began), f.returned.Event.(*run.Returned)
		inOrder := answered.Seq < f.began.Seq && f.began.Seq < took.Seq && took.Seq < f.lapsed.Seq && f.lapsed.Seq < f.returned.Seq
		p.check(inOrder && took.Event.(*run.TookOver).Claim != b.Claim && !f.lapsed.Time.Before(b.Deadline) && ret.Lookup,
			"#%d it was begun, after all approvals; #%d another worker took over; #%d after %s it was unknown; #%d the bank was asked, and knows: %s",
			f.began.Seq, took.Seq, f.lapsed.Seq, f.lapsed.Time.Sub(f.began.Time).Round(time.Millisecond), f.returned.Seq, ret.Content)
	}
	return p.ledger(asks, killed)
}

// ledger checks the bank's side.
func (p *proof) ledger(asks []*agent.Ask, killed *worker) error {
	entries, err := p.bank.Entries(0)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return errors.New("not proven: the bank's ledger is empty")
	}
	keys, paid := map[string]int{}, []string{}
	others := 0
	for _, e := range entries {
		keys[e.Key]++
		paid = append(paid, fmt.Sprintf("%.2f EUR for order %d", e.Amount, e.Order))
		if e.Process != killed.pid() {
			others++
		}
	}
	right := len(keys) == len(asks) && twice(keys) == 0
	for _, a := range asks {
		right = right && keys[string(a.ID.Run())+"."+string(a.Action)] == 1
	}
	p.check(right, "the ledger %s has %d payments, one for each refund: %s", desk.Ledger(p.path), len(entries), strings.Join(paid, ", "))
	p.check(others == 0, "they were asked for by process %d, the one that was killed; by others: %d", killed.pid(), others)
	return nil
}
