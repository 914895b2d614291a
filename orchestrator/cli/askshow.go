package cli

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

func (p *program) asksShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ASK",
		Short: "Show what is asked, with all that is needed to decide",
		Long: `Show what is asked: the question or the call with its arguments, the fields of a
form, who may answer and who may not, who has claimed or delegated it, who is asked
next and when, and on whose behalf.`,
		Example:           p.example("asks show 7k2m", "the only open ask of a run", "asks show 7k2m.9x --json", ""),
		Args:              exactly(1, "the id of an ask"),
		ValidArgsFunction: p.completeAsks,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withAsk(cmd.Context(), args[0], func(store memory.Store, _ *orchestrator.Orchestrator, a *agent.Ask) error {
				switch {
				case a.Kind == "":
					return p.notOpen(a.ID)
				case p.json:
					return p.printJSON(a)
				}
				paras := append(showAsk(a, store.Now()), showFields(a)...)
				paras = append(paras, showChoices(a)...)
				paras = append(paras, p.circumstances(a, store.Now())...)
				c := painterFor(p.out, p.noColor)
				columns, _ := sizeOf(p.out)
				for _, para := range paras {
					for _, l := range para.lines(columns, c) {
						fmt.Fprintln(p.out, l)
					}
				}
				return nil
			})
		},
	}
}

// circumstances tell whom an ask is for, and what has become of it so far.
func (p *program) circumstances(a *agent.Ask, now time.Time) []para {
	var out []para
	row := func(name, text string) {
		if text != "" {
			out = append(out, para{gap: len(out) == 0, mark: fmt.Sprintf("%-11s", name), tint: dim, text: text})
		}
	}
	row("ask", string(a.ID))
	row("opened", ago(now.Sub(a.Opened))+" ago")
	where := pathOf(a.Path)
	if where == "" {
		where = cleanLine(a.Agent)
	}
	row("asked by", where)
	row("on behalf", who(a.User))
	row("for", askedFor(a))
	row("claimed", claimedBy(a))
	row("delegated", delegatedBy(a))
	if a.Stage > 0 {
		row("escalated", plural(a.Stage, "time")+", as nobody had answered")
	}
	row("due", dueText(a, now))
	at := a.Due
	for _, step := range a.Escalate {
		row("then", thenText(step, at, now))
		if step.Within == 0 {
			at = time.Time{}
		} else if !at.IsZero() {
			at = at.Add(step.Within)
		}
	}
	row("at the end", atTheEnd(a))
	row("reminded", remindedText(a, now))
	row("answer", p.answerLine(a))
	return out
}

// who shows a user with their groups.
func who(u agent.User) string {
	text := cleanLine(nameOf(u))
	if u.Name != "" && u.ID != "" {
		text += " (" + cleanLine(u.ID) + ")"
	}
	if len(u.Groups) > 0 {
		groups := slices.Clone(u.Groups)
		for i := range groups {
			groups[i] = cleanLine(groups[i])
		}
		text += " of " + joined(groups, "and")
	}
	return text
}

func claimedBy(a *agent.Ask) string {
	if a.Claimed.ID == "" {
		return ""
	}
	return "by " + who(a.Claimed) + "; nobody else may answer until it is released"
}

func delegatedBy(a *agent.Ask) string {
	if a.Delegated.IsZero() {
		return ""
	}
	return "by " + who(a.Delegated)
}

func dueText(a *agent.Ask, now time.Time) string {
	if a.Due.IsZero() {
		return ""
	}
	return "in " + dueIn(a.Due, now)
}

// thenText tells one step of an ask's chain, whose turn comes at at.
func thenText(step agent.Escalation, at, now time.Time) string {
	text := people(step.For) + " will be asked"
	if !at.IsZero() {
		text += " in " + dueIn(at, now)
	}
	if step.Within > 0 {
		text += ", for " + ago(step.Within)
	}
	return text
}

// atTheEnd tells what happens when nobody has answered at all.
func atTheEnd(a *agent.Ask) string {
	last := !a.Due.IsZero() && len(a.Escalate) == 0
	if n := len(a.Escalate); n > 0 && !a.Due.IsZero() {
		last = a.Escalate[n-1].Within > 0
	}
	switch {
	case !last:
		return ""
	case a.Default == nil:
		return "the agent is told that nobody answered in time"
	case len(a.Default.Value) > 0:
		return "this answer is taken: " + brief(a.Default.Value)
	}
	return "this answer is taken: " + cleanLine(a.Default.Choice)
}

func remindedText(a *agent.Ask, now time.Time) string {
	text := ""
	if a.Reminded > 0 {
		text = plural(a.Reminded, "time")
	}
	if !a.RemindAt.IsZero() {
		if text != "" {
			text += "; "
		}
		text += "next in " + dueIn(a.RemindAt, now)
	}
	return text
}
