package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// drawTree draws a run and its delegates, a line each, with what each waits for
// below it.
func drawTree(t *orchestrator.Tree, now time.Time) []para {
	out := []para{{gap: true, text: treeHead(t), paint: bold}}
	return append(out, drawBelow(t, "", now)...)
}

// drawBelow draws what stands below a run, behind the lines of those above it.
func drawBelow(t *orchestrator.Tree, rail string, now time.Time) (out []para) {
	waits := waitsFor(t, now)
	for i, w := range waits {
		mark := rail + "   "
		if len(t.Children) > 0 {
			mark = rail + "│  "
		}
		p := para{mark: mark, tint: dim, text: w, paint: dim, hang: mark}
		if i < askCount(t) {
			p.paint = yellow
		}
		out = append(out, p)
	}
	for i, c := range t.Children {
		branch, below := "├─ ", "│  "
		if i == len(t.Children)-1 {
			branch, below = "└─ ", "   "
		}
		out = append(out, para{mark: rail + branch, tint: dim, hang: rail + below, text: treeHead(c), paint: treePaint(c)})
		out = append(out, drawBelow(c, rail+below, now)...)
	}
	return out
}

func treePaint(t *orchestrator.Tree) paint {
	if t.State == nil {
		return dim
	}
	return statusPaint(t.State.Status())
}

// treeHead says which run it is, how it stands and what it has used.
func treeHead(t *orchestrator.Tree) string {
	name := cleanLine(t.Agent)
	if t.State == nil {
		return fmt.Sprintf("%s  erased, or yet to begin  %s", name, t.Run)
	}
	s := t.State
	if s.Agent != t.Agent && s.Agent != "" {
		name += ", handed to " + cleanLine(s.Agent)
	}
	words := []string{name, string(s.Status())}
	if why := s.Reason(); why != "" {
		words[1] += ": " + cleanLine(why)
	}
	if u := s.Spent.Usage; u.Total() > 0 {
		words = append(words, fmt.Sprintf("%d tokens", u.Total()))
	}
	words = append(words, plural(s.Spent.Steps, "step"), string(s.Run))
	if s.Parent != nil {
		words = append(words, fit(cleanLine(s.Title), 60))
	}
	return strings.Join(words, "  ")
}

func askCount(t *orchestrator.Tree) int {
	if t.State == nil {
		return 0
	}
	return len(t.State.Asks())
}

// waitsFor says what a run waits for: asks first, then calls, signals and times. Its
// delegates are drawn.
func waitsFor(t *orchestrator.Tree, now time.Time) (out []string) {
	if t.State == nil {
		return nil
	}
	for _, a := range t.State.Asks() {
		text := fmt.Sprintf("? %s  %s  – %s", a.ID, askTitle(a), mustWait(a))
		if due := dueIn(a.Due, now); due != "" {
			text += ", within " + due
		}
		out = append(out, text)
	}
	for _, o := range t.State.Open {
		if w := waitOf(o, now); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// mustWait says whom an open ask waits for.
func mustWait(a *agent.Ask) string {
	if a.Claimed.ID != "" {
		return "claimed by " + cleanLine(nameOf(a.Claimed))
	}
	return "waits for " + askedFor(a)
}

// waitOf says what an open action waits for; "" for one that is drawn elsewhere.
func waitOf(o *run.Open, now time.Time) string {
	name := cleanLine(o.Action.Name)
	switch o.Phase {
	case run.Awaiting:
		return waits(o.Action.Action, o.Due)
	case run.Ready, run.Begun:
		if o.NotBefore.After(now) {
			return name + ": next try in " + ago(o.NotBefore.Sub(now))
		}
		return name + " goes on"
	case run.Lost:
		return name + ": nobody knows yet whether it took place"
	}
	return ""
}

// askTitle is an ask in a few words.
func askTitle(a *agent.Ask) string {
	if a.Kind == agent.AskApproval {
		return strings.TrimSpace("may " + cleanLine(a.Tool) + " be called?  " + brief(a.Args))
	}
	return cleanLine(a.Prompt)
}

// treeJSON is a run of a tree as --json prints it.
type treeJSON struct {
	Run    agent.RunID    `json:"run"`
	Action agent.ActionID `json:"action,omitempty"` // of the run above, for which it was started
	Agent  string         `json:"agent"`
	Status agent.Status   `json:"status,omitempty"` // "" for one that was erased or has yet to begin
	Reason string         `json:"reason,omitempty"`
	Waits  []string       `json:"waits,omitempty"` // what it waits for beside people and delegates, in words
	Asks   []*agent.Ask   `json:"asks,omitempty"`
	Spent  run.Spent      `json:"spent,omitzero"`
	Below  []treeJSON     `json:"delegates,omitempty"`
}

func treesJSON(trees []*orchestrator.Tree, now time.Time) (out []treeJSON) {
	for _, t := range trees {
		j := treeJSON{Run: t.Run, Action: t.Action, Agent: t.Agent, Below: treesJSON(t.Children, now)}
		if s := t.State; s != nil {
			j.Agent, j.Status, j.Reason, j.Asks, j.Spent = s.Agent, s.Status(), s.Reason(), s.Asks(), s.Spent
			j.Waits = waitsFor(t, now)[len(j.Asks):]
		}
		out = append(out, j)
	}
	return out
}

// asksOf returns what people are asked by the runs of a tree.
func asksOf(t *orchestrator.Tree) (asks []*agent.Ask) {
	if t.State != nil {
		asks = append(asks, t.State.Asks()...)
	}
	for _, c := range t.Children {
		asks = append(asks, asksOf(c)...)
	}
	return asks
}
