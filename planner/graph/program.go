package graph

import (
	"github.com/fermata-run/fermata/planner/graph/chart"
)

// program is a definition that is ready to run.
type program struct {
	def      *Definition // expanded
	lang     Language
	env      *Env
	chart    *chart.Chart
	nodes    map[string]*node
	edges    map[string]*edge
	data     []datum
	script   Expr // nil: none
	output   value
	graphs   map[string]*program // of Definition.Graphs
	outer    *program            // of the definition whose Graphs has this one; nil at the top
	waits    map[string]bool     // names of the signals that nodes wait for
	forwards bool                // some invocation wants each external event
	strict   bool                // what fails in an expression, and nothing handles, parks the run
}

type datum struct {
	*Datum
	value value
	loc   Expr // nil: set as a variable
}

// node is a node with its expressions.
type node struct {
	*Node
	n      *chart.Node
	kind   activity
	prog   *program
	afters []*edge
	when   *guard

	input, output, fail value
	outputs             []setting // of an object
	within, timer, key  value
	keep                value
	backoff, maxWait    value
	undo                *undo
	ask                 *ask
	each                *each
	plan                *plan
	invokes             []*invoke
	done                *payload
	chooser             *node // of a planner node: where its model chooses
	planner             *node // of a chooser: the planner node
}

// activity is what a node does.
type activity string

const (
	actNone       activity = ""
	actTool       activity = "tool"
	actAgent      activity = "agent"
	actAsk        activity = "ask"
	actTimer      activity = "timer"
	actWait       activity = "wait"
	actGraph      activity = "graph"
	actCompensate activity = "compensate"
	actChoose     activity = "choose" // the model of a planner node
)

// activityOf says which activity a node is.
func activityOf(n *Node) activity {
	switch {
	case n.Tool != "":
		return actTool
	case n.Agent != "":
		return actAgent
	case n.Ask != nil:
		return actAsk
	case n.Timer != nil:
		return actTimer
	case n.Wait != nil:
		return actWait
	case n.Graph != "":
		return actGraph
	case n.Compensate != "":
		return actCompensate
	}
	return actNone
}

type edge struct {
	*Edge
	e     *chart.Edge
	guard *guard
	after value
	event string // of After
	steps *content
}

type guard struct {
	expr Expr
	path string
}

type setting struct {
	name  string
	value value
	loc   Expr
}

type undo struct {
	*Undo
	input            value
	backoff, maxWait value
}

type ask struct {
	*Ask
	prompt, due, remind value
	forWhom, not        []value
	escalate            []escalation
	def                 value
}

type escalation struct {
	forWhom []value
	within  value
}

type each struct {
	*Each
	in    value
	as    string
	need  int // items that have to end well; -1 all, 0 until says
	until *guard
}

type plan struct {
	*Plan
	instructions, goal value
}

type invoke struct {
	*Invoke
	graph, kind value
	payload     *payload
	finalize    *content
	idLoc       Expr
}

type payload struct {
	names  []string
	locs   []Expr
	params []setting
	body   value
	given  bool // there is a content
}

// ofChild is the guard of the edge by which a planner node is told of a failure that
// nothing else handles: what its own choosing fails with is not one.
type ofChild struct{}

// ofChoice is the guard of the edges by which a planner node does what its model has
// chosen: no signal is that, whatever it is called.
type ofChoice struct{}
