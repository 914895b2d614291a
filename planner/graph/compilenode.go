package graph

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

func (c *compiler) guard(src, path string, more ...string) *guard {
	if src == "" {
		return nil
	}
	if strings.HasPrefix(strings.TrimSpace(src), "${") {
		c.problem(path, "expression", "a condition is an expression by itself, and %q is one within a text: leave out the ${ and the }", shorten(src))
		return nil
	}
	return &guard{expr: c.expr(src, path, Guards, more...), path: path}
}

func (c *compiler) edge(e *Edge, path string) {
	from := c.p.nodes[e.From]
	if from == nil {
		return // the check has said so
	}
	x := &edge{Edge: e, guard: c.guard(e.If, path+"if"), steps: c.steps(e, path)}
	x.e = &chart.Edge{Targets: c.targets(e), Internal: e.Internal, Tag: x}
	if x.guard != nil {
		x.e.Guard = x.guard
	}
	if x.steps != nil {
		x.e.Content = []any{x.steps}
	}
	switch {
	case e.After != nil:
		x.after, x.event = c.moment(e.After, path+"after"), "after."+strconv.Itoa(len(c.p.edges)) // an id may have dots
		x.e.Events = []string{x.event}
		from.afters = append(from.afters, x)
	default:
		x.e.Events = c.descriptors(from, e.On)
	}
	c.p.edges[e.ID] = x
	from.n.Edges = append(from.n.Edges, x.e)
}

func (c *compiler) node(n *node, path string) {
	n.kind = activityOf(n.Node)
	switch {
	case n.Parallel:
		n.n.Kind = chart.Parallel
	case n.Final != "":
		n.n.Kind = chart.Final
	case n.History == "deep":
		n.n.Kind = chart.Deep
	case n.History != "":
		n.n.Kind = chart.Shallow
	}
	var more []string
	if n.Each != nil {
		n.each = c.each(n.Each, path+"each.")
		more = []string{n.each.as, "index"}
	}
	n.input = c.value(n.Input, path+"input", more...)
	if name, ok := n.Output.(string); ok && n.Final == "" {
		n.outputs = []setting{{name: name, loc: c.location(name)}}
	} else if n.Final == "" && n.Output != nil {
		n.outputs = c.settings(n.Output, path+"output")
	} else {
		n.output = c.value(n.Output, path+"output")
	}
	n.fail = c.value(n.Fail, path+"fail")
	n.within = c.span(n.Within, path+"within", more...)
	n.timer = c.moment(n.Timer, path+"timer", more...)
	n.when = c.guard(n.When, path+"when")
	if n.Retry != nil {
		n.backoff, n.maxWait = c.span(n.Retry.Backoff, path+"retry.backoff", more...), c.span(n.Retry.Max, path+"retry.max", more...)
	}
	if w := n.Wait; w != nil {
		n.key, n.keep = c.value(w.Key, path+"wait.key", more...), c.span(w.Keep, path+"wait.keep", more...)
		c.p.waits[w.Signal] = true
	}
	if n.Ask != nil {
		n.ask = c.ask(n.Ask, path+"ask.", more)
	}
	if u := n.Undo; u != nil {
		n.undo = &undo{Undo: u, input: c.value(u.Input, path+"undo.input", more...)}
		if u.Retry != nil {
			n.undo.backoff, n.undo.maxWait = c.span(u.Retry.Backoff, path+"undo.retry.backoff"), c.span(u.Retry.Max, path+"undo.retry.max")
		}
	}
	if n.Plan != nil {
		n.plan = &plan{Plan: n.Plan, instructions: c.value(n.Plan.Instructions, path+"plan.instructions"), goal: c.value(n.Plan.Goal, path+"plan.goal")}
	}
	if n.Extra != nil {
		c.extra(n, path+"extra.")
	}
	n.n.Entry, n.n.Exit = c.blocks(n.Entry, path+"entry"), c.blocks(n.Exit, path+"exit")
	n.n.Invokes = n.kind != actNone || len(n.invokes) > 0
}

func (c *compiler) each(e *Each, path string) *each {
	x := &each{Each: e, in: c.list(e.In, path+"in", "each"), as: e.As}
	if x.as == "" {
		x.as = "item"
	}
	switch e.Until {
	case "", "all":
		x.need = -1
	case "any":
		x.need = 1
	default:
		if n, err := strconv.Atoi(e.Until); err == nil {
			x.need = n
		} else {
			x.until = c.guard(e.Until, path+"until", "results", "failed", "total")
		}
	}
	return x
}

func (c *compiler) ask(a *Ask, path string, more []string) *ask {
	x := &ask{Ask: a, prompt: c.value(a.Prompt, path+"prompt", more...), due: c.moment(a.Due, path+"due", more...), remind: c.span(a.Remind, path+"remind", more...)}
	x.forWhom, x.not = c.values(a.For, path+"for", more), c.values(a.Not, path+"not", more)
	for i, e := range a.Escalate {
		at := fmt.Sprintf("%sescalate[%d].", path, i)
		x.escalate = append(x.escalate, escalation{forWhom: c.values(e.For, at+"for", more), within: c.span(e.Within, at+"within", more...)})
	}
	if a.Default != nil {
		x.def = c.value(a.Default.Value, path+"default.value", more...)
	}
	return x
}
