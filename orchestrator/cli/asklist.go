package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

// askList is one invocation of asks list.
type askList struct {
	*program
	run, agent, kind string

	forUser, claimed string
	who              person // with mine; its groups also with forUser, and alone
	mine             bool
	older, due       time.Duration
	limit            int
	after            string
}

func (l *askList) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.forUser, "for", "", "only what this `user` may answer, with the groups of --group")
	f.StringSliceVar(&l.who.groups, "group", nil, "with --for or --mine: a `group` of that user, repeatable; alone: only what this group is asked")
	f.BoolVar(&l.mine, "mine", false, "as --for with who is logged in, and their groups ("+groupsVar+")")
	f.StringVar(&l.who.user, "user", "", "with --mine: the `id` of who that is; default is who is logged in")
	f.StringVar(&l.claimed, "claimed", "", "only what this `user` has claimed")
	f.StringVar(&l.run, "run", "", "only those of the run whose id begins with `ID`")
	f.StringVar(&l.agent, "agent", "", "only those of this `agent`")
	f.StringVar(&l.kind, "kind", "", "only those of this `kind`: "+strings.Join(askKinds, ", "))
	f.Var(spanOf(&l.older, 0), "older", "only what was asked longer `ago` than this, such as 2h")
	f.Var(spanOf(&l.due, 0), "due", "only what has to be answered `within` this time, such as 1h")
	f.IntVar(&l.limit, "limit", 50, "at most so many; 0 lists all")
	f.StringVar(&l.after, "after", "", "the page after this `mark`, which the page before has named")
	_ = cmd.RegisterFlagCompletionFunc("run", l.completeRuns)
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(askKinds, cobra.ShellCompDirectiveNoFileComp))
}

var askKinds = []string{
	string(agent.AskApproval), string(agent.AskQuestion), string(agent.AskChoice), string(agent.AskForm), string(agent.AskOutcome), string(agent.AskLimit),
	string(agent.AskRepair),
}

// query turns the flags into a query. Run is yet to be found.
func (l *askList) query(set func(flag string) bool, now time.Time) (memory.AskQuery, error) {
	q := memory.AskQuery{Agent: l.agent, Kind: agent.AskKind(l.kind), Claimed: l.claimed, After: l.after, Limit: l.limit}
	switch {
	case l.kind != "" && !slices.Contains(askKinds, l.kind):
		return q, usage("there is no kind %q; there are %s", l.kind, strings.Join(askKinds, ", "))
	case l.limit < 0:
		return q, usage("--limit is %d; it must be 0 or more", l.limit)
	case set("older") && l.older <= 0, set("due") && l.due <= 0:
		return q, usage("--older and --due take a span of time that is more than 0, such as 2h")
	case l.mine && l.forUser != "":
		return q, usage("--mine is --for with who is logged in; leave out either")
	case l.who.user != "" && !l.mine:
		return q, usage("--user says who --mine is; add --mine, or say --for %s", l.who.user)
	case set("for") && l.forUser == "", set("claimed") && l.claimed == "":
		return q, usage("--for and --claimed need the id of a user")
	case set("group") && len(l.who.groups) == 0:
		return q, usage("--group needs the name of a group")
	case set("run") && l.run == "", set("agent") && l.agent == "", set("kind") && l.kind == "":
		return q, usage("--run, --agent and --kind need a value; leave out what is not to be looked at")
	}
	if err := badGroup(l.who.groups); err != nil {
		return q, err
	}
	switch {
	case l.mine:
		if err := l.who.bad(); err != nil {
			return q, err
		}
		q.For = l.who.as()
	case l.forUser != "":
		q.For = agent.User{ID: l.forUser, Groups: l.who.groups}
	case len(l.who.groups) > 1:
		return q, usage("--group alone takes one group, and %d came; with --for USER they are the groups of that user", len(l.who.groups))
	case len(l.who.groups) == 1:
		q.Group = l.who.groups[0]
	}
	if l.older > 0 {
		q.OpenedBefore = now.Add(-l.older)
	}
	if l.due > 0 {
		q.DueBefore = now.Add(l.due)
	}
	return q, nil
}

func (l *askList) main(cmd *cobra.Command, _ []string) error {
	if _, err := l.query(cmd.Flags().Changed, time.Time{}); err != nil {
		return err
	}
	store, err := l.open(true)
	if err != nil {
		return err
	}
	defer store.Close()
	q, err := l.query(cmd.Flags().Changed, store.Now())
	if err != nil {
		return err
	}
	if l.run != "" {
		e, err := findRun(cmd.Context(), store, l.run)
		if err != nil {
			return err
		}
		q.Run = e.Run
	}
	asks, next, err := l.page(cmd.Context(), store, q)
	if err != nil {
		return err
	}
	if err := l.print(asks, store.Now()); err != nil {
		return err
	}
	switch {
	case next != "":
		l.remark("There are more: add --after %s for the next page, or --limit 0 for all.", next)
	case len(asks) == 0 && !l.json:
		l.remark("Nothing is asked in %s%s.", l.storeName(), l.asked(q))
	}
	return nil
}

// page returns the asks of one page, or of all with --limit 0, and the mark of the
// next page.
func (l *askList) page(ctx context.Context, store memory.Store, q memory.AskQuery) ([]*agent.Ask, string, error) {
	if l.limit == 0 {
		asks, err := allAsks(ctx, store, q)
		return asks, "", err
	}
	o, err := orchestrator.New(store, nil, nil)
	if err != nil {
		return nil, "", err
	}
	return o.Asks(ctx, q)
}

// asked says whose asks an empty list is of.
func (l *askList) asked(q memory.AskQuery) string {
	switch {
	case !q.For.IsZero() && len(q.For.Groups) == 0:
		return " that " + cleanLine(q.For.ID) + " may answer without a group; --group names theirs"
	case !q.For.IsZero():
		return " that " + cleanLine(q.For.ID) + " may answer"
	case q.Group != "":
		return " of the group " + cleanLine(q.Group)
	}
	return ""
}

func (l *askList) print(asks []*agent.Ask, now time.Time) error {
	rows := &table{head: []string{"ASK", "AGE", "DUE", "FOR", "CLAIMED", "KIND", "WHAT"}, paint: painterFor(l.out, l.noColor)}
	for _, a := range asks {
		if l.json {
			if err := l.printJSON(a); err != nil {
				return err
			}
			continue
		}
		rows.add(askRow(a, now))
	}
	columns, _ := sizeOf(l.out)
	rows.drop("DUE", "FOR", "CLAIMED")
	if columns > 0 && rows.fixed()+leastLast >= columns {
		var ids []agent.AskID
		for _, a := range asks {
			ids = append(ids, a.ID)
		}
		for i, short := range shortIDs(ids) {
			rows.rows[i][0].text = short
		}
	}
	return rows.print(l.out, columns)
}

// shortIDs cuts ids for a narrow terminal: their beginning will do wherever one is
// wanted. Those that would be the same then stay whole.
func shortIDs(ids []agent.AskID) []string {
	out, count := make([]string, len(ids)), map[string]int{}
	for i, id := range ids {
		run, rest, _ := strings.Cut(string(id), ".")
		out[i] = run[:min(len(run), 8)] + "." + rest[:min(len(rest), 4)]
		count[out[i]]++
	}
	for i, id := range ids {
		if count[out[i]] > 1 {
			out[i] = string(id)
		}
	}
	return out
}

func askRow(a *agent.Ask, now time.Time) []cell {
	what := cleanLine(a.Prompt)
	if a.Kind == agent.AskApproval {
		what = cleanLine(a.Tool) + "  " + brief(a.Args)
	}
	if path := pathOf(a.Path); path != "" {
		what = path + "  " + what
	}
	people := cleanLine(strings.Join(a.For, ","))
	if len(a.Not) > 0 {
		people = strings.TrimSpace(people + " not " + cleanLine(strings.Join(a.Not, ",")))
	}
	return []cell{
		{string(a.ID), cyan}, {ago(now.Sub(a.Opened)), dim}, {dueIn(a.Due, now), yellow},
		{text: fit(people, 28)}, {cleanLine(a.Claimed.ID), green}, {string(a.Kind), yellow}, {text: what},
	}
}
