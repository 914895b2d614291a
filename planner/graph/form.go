package graph

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// A Definition is a logic graph in its one intermediate form: flat lists of nodes
// and edges, plain data. [Parse] reads it from YAML or JSON, a [Builder] makes it in
// Go, planner/graph/scxml reads it from SCXML; and a literal does as well. [New]
// checks it and makes it ready to run. The JSON Schema of the form is [Schema].
//
// # Values and expressions
//
// Where a field's type is any, it is a value: JSON, in which a string may hold
// expressions as ${…}. A string that is one expression and nothing else is that
// expression's value, whatever its type; otherwise the values are put into the text.
// $${ stands for ${. The object {"$expr": "…"} is an expression, too, for
// programs that write definitions. If, When and Until are bare expressions.
//
// An expression sees, by name, the variables of Data, and
//
//	input    what the graph was started with
//	event    what is being reacted to: event.name, event.data, and event.by, the id of the user who gave a signal
//	result   of the activity that has ended: in its Output, and in the edges that react to its end
//	failure  of the activity that has failed: failure.code, failure.message
//	user     on whose behalf: user.id, user.name, user.groups
//	meta     of the run: a map of strings
//	now      the time, a timestamp
//	saga     done, undone: lists of node ids
//	item, index, results, failed, total: within Each
//
// and calls active("node"), which says whether a node is active, and the functions of
// [Options].Funcs.
type Definition struct {
	Graph       string `json:"graph"` // its name: letters, digits, _ and -
	Description string `json:"description,omitempty"`

	// Language is that of its expressions: "" and "cel" are CEL; "ecmascript" needs
	// planner/graph/scxml.
	Language string `json:"language,omitempty"`

	Input  json.RawMessage            `json:"input,omitempty"`  // JSON Schema of what it is started with; nil takes anything
	Output any                        `json:"output,omitempty"` // value: its result; nil is that of the final node, or else all variables
	Events map[string]json.RawMessage `json:"events,omitempty"` // JSON Schemas of the data of events from outside, by name
	Data   []Datum                    `json:"data,omitempty"`   // its variables

	Initial *Edge  `json:"initial,omitempty"` // where it begins; nil is the first node at the top
	Nodes   []Node `json:"nodes,omitempty"`
	Edges   []Edge `json:"edges,omitempty"`

	// Steps is the short form of a straight line: each step is a node, and an edge to
	// the next; the last goes to the final node "done". [New] expands it. A step
	// without an id is named by what it does. Nodes and Edges add to it: an edge that
	// takes up a step's end in any case stands for the one to the next, and so does
	// one on events or time for a step that is a state.
	Steps []Node `json:"steps,omitempty"`

	Graphs []*Definition `json:"graphs,omitempty"` // that nodes of it name as their Graph

	Script string `json:"script,omitempty"` // of the language: run whenever its variables are loaded (SCXML's top-level script)
	Late   bool   `json:"late,omitempty"`   // variables with In get their value when that node is first entered

	at string // of an expanded one: its path, for problems
}

// Datum is a variable.
type Datum struct {
	ID string `json:"id"` // a letter or _, then letters, digits and _

	// Type is what it may hold, beside null: any (also ""), bool, int, number, string,
	// list, map, timestamp or duration. Schema, a JSON Schema, says more, and wins.
	Type   string          `json:"type,omitempty"`
	Schema json.RawMessage `json:"schema,omitempty"`

	Value any    `json:"value,omitempty"` // at the beginning; nil is null
	In    string `json:"in,omitempty"`    // with Definition.Late: the node
}

// A Node is a state of the graph. What it does says the one of Tool, Agent, Ask,
// Timer, Wait, Graph and Compensate that is set: it is then an activity, which
// begins when the node is entered and is cancelled when the node is left before it
// has ended. With none of them it is a state: compound if other nodes are In it.
type Node struct {
	ID   string `json:"id"`             // letters, digits, _, - and dots; differs from all others
	In   string `json:"in,omitempty"`   // the node that it is part of; "" is the top
	Note string `json:"note,omitempty"` // what it is for, for people

	Parallel bool   `json:"parallel,omitempty"` // all nodes In it are active at once: its regions
	History  string `json:"history,omitempty"`  // shallow or deep: a stand-in for what was active last in the node around it. Initial is its default
	Final    string `json:"final,omitempty"`    // done or failed: the node around it, or the graph, has ended
	Initial  *Edge  `json:"initial,omitempty"`  // of a compound node: where it begins; nil is the first node In it

	Tool  string `json:"tool,omitempty"`  // call this tool of the agent with Input
	Agent string `json:"agent,omitempty"` // give this delegate of the agent the task Input
	Ask   *Ask   `json:"ask,omitempty"`   // ask a person
	Timer any    `json:"timer,omitempty"` // value: a duration such as "36h" or "2w", or a timestamp
	Wait  *Wait  `json:"wait,omitempty"`  // wait for a signal
	Graph string `json:"graph,omitempty"` // run this one of Definition.Graphs with Input, as a part of this run

	// Compensate undoes what has been done in this node, in reverse order: everything
	// whose Undo was armed in it and in the nodes below it. "*" is the whole graph.
	Compensate string `json:"compensate,omitempty"`

	// Plan makes a compound node of activities a planner node: a model chooses which
	// of the nodes In it is entered next, among those whose When holds.
	Plan *Plan  `json:"plan,omitempty"`
	When string `json:"when,omitempty"` // expression: in a planner node, whether it may be chosen

	Each *Each `json:"each,omitempty"` // the activity is done for each item of a list

	Input  any    `json:"input,omitempty"`  // value: of a tool, agent or sub-graph; an object for a tool
	Output any    `json:"output,omitempty"` // the name of a variable that takes the result, or an object of variables and values; of a final node a value: the result of what ends
	Retry  *Retry `json:"retry,omitempty"`
	Within any    `json:"within,omitempty"` // value: a duration after which the activity has failed with error.timeout
	Undo   *Undo  `json:"undo,omitempty"`   // what takes it back; armed when it has ended well

	Entry []Do   `json:"entry,omitempty"`
	Exit  []Do   `json:"exit,omitempty"`
	Fail  any    `json:"fail,omitempty"` // value: of a final node that is failed, why
	Extra *Extra `json:"extra,omitempty"`

	at string // as in Definition
}

// Extra is what only other languages' machines need.
type Extra struct {
	Invokes []Invoke `json:"invokes,omitempty"` // SCXML's invoke
	// Done is the data of the node's done event, in the place of Output: SCXML's donedata.
	Done *Payload `json:"done,omitempty"`
}

// An Edge is a transition.
type Edge struct {
	ID   string   `json:"id,omitempty"` // for pictures and people; "" is "from>to"
	From string   `json:"from,omitempty"`
	To   []string `json:"to,omitempty"` // one node, or one in each of several regions; none: nothing is left

	// On are the events that it reacts to, as descriptors: "error" is any error,
	// "error.card" also error.card.expired, "*" anything. Of a node that ends:
	//
	//	done         an activity has ended well, or a compound or parallel node is done
	//	done.CHOICE  a person has chosen this
	//	error.CODE   it has failed: the error's code, or failed, denied, expired (nobody answered in
	//	             time), timeout, cancelled, unmet (Each), budget (Plan), execution (an expression)
	//
	// Edges from the nodes around it react to these, too, if none of its own does; but
	// done of a node that does nothing itself is its own end, and not that of a part.
	// "always" is no event at all: it is taken as soon as If holds. None is done for
	// what can be done, and always for other nodes.
	On []string `json:"on,omitempty"`

	After any    `json:"after,omitempty"` // value: a duration since From was entered, or a timestamp; in the place of On
	If    string `json:"if,omitempty"`    // expression: only if it is true
	Set   any    `json:"set,omitempty"`   // an object of variables and values
	Do    []Do   `json:"do,omitempty"`    // after Set

	Internal bool   `json:"internal,omitempty"` // From is not left, where To is in it
	Note     string `json:"note,omitempty"`

	at string // as in Definition
}

// Ask is a question to a person, as [agent.Ask].
type Ask struct {
	Kind    string          `json:"kind,omitempty"`    // question, choice or form; "" is what Choices and Schema say
	Prompt  any             `json:"prompt,omitempty"`  // value: text; nil only in a planner node with Args: its model asks
	Choices []string        `json:"choices,omitempty"` // each is an event done.CHOICE
	Schema  json.RawMessage `json:"schema,omitempty"`  // of the answer's value
	For     []any           `json:"for,omitempty"`     // values: ids of users, group:NAME, @user
	Not     []any           `json:"not,omitempty"`     // values: who may not answer, for four eyes

	Due      any          `json:"due,omitempty"`      // value: a duration, or a timestamp
	Remind   any          `json:"remind,omitempty"`   // value: a duration
	Escalate []Escalation `json:"escalate,omitempty"` // who is asked when it is due
	Default  *Default     `json:"default,omitempty"`  // taken at the last due time; nil: it fails with error.expired
}

// Escalation is a step of an ask's chain.
type Escalation struct {
	For    []any `json:"for"`
	Within any   `json:"within,omitempty"` // value: a duration
}

// Default is the answer that is taken when nobody gives one.
type Default struct {
	Choice string `json:"choice,omitempty"`
	Value  any    `json:"value,omitempty"`
	Note   string `json:"note,omitempty"`
}

// Wait waits for one signal. Its data is the result.
type Wait struct {
	Signal string `json:"signal"`        // its name
	Key    any    `json:"key,omitempty"` // value: a correlation key, text; also takes what was sent to the key

	// Keep is how long a signal of this name that comes before the node is entered is
	// kept for it; nil is for as long as the run lives.
	Keep any `json:"keep,omitempty"` // value: a duration
}

// Plan has a model choose.
type Plan struct {
	Model        string `json:"model,omitempty"`        // one of Options.Models; "" is the only one
	Instructions any    `json:"instructions,omitempty"` // value: text
	Goal         any    `json:"goal,omitempty"`         // value: text or data; what is to be achieved; nil is the graph's input
	Steps        int    `json:"steps,omitempty"`        // how often it may choose; 0 is 10. One more fails the node with error.budget
	Tokens       int    `json:"tokens,omitempty"`       // that it may use; 0 has no limit
	Args         bool   `json:"args,omitempty"`         // the model gives the input of a tool or agent that has no Input, and asks what has no Prompt
}

// Each has an activity done for each item of a list. The result is the list of
// results in the items' order, null where an item has none.
type Each struct {
	In     any    `json:"in"`                // value: a list
	As     string `json:"as,omitempty"`      // what an item is called; "" is item
	AtOnce int    `json:"at_once,omitempty"` // how many go on at once; 0 is all

	// Until says when enough has been done; what goes on then is cancelled: "" and
	// "all", "any", a number of items that ended well, or an expression over results,
	// failed (how many) and total. If it cannot be reached any more, the node fails
	// with error.unmet.
	Until string `json:"until,omitempty"`
}

// Retry has a failed activity begun again.
type Retry struct {
	Attempts int      `json:"attempts"`          // in all
	Backoff  any      `json:"backoff,omitempty"` // value: a duration, the first wait, which then doubles; nil is 1s
	Max      any      `json:"max,omitempty"`     // value: the longest wait; nil is 1m
	On       []string `json:"on,omitempty"`      // descriptors of errors, such as error.network; none is any
}

// Undo takes back what an activity has done: another tool, called with Input, which
// is evaluated when the activity ends, and sees its result.
type Undo struct {
	Tool  string `json:"tool"`
	Input any    `json:"input,omitempty"`
	Retry *Retry `json:"retry,omitempty"`
}

// Do is one thing done by the way: exactly one of its first fields is set. One that
// has nothing but Then is a block: in Entry and Exit, an error in it ends it, and not
// what comes after it.
type Do struct {
	Set    any     `json:"set,omitempty"`    // an object of variables and values
	Raise  string  `json:"raise,omitempty"`  // an internal event, with Data
	Send   *Send   `json:"send,omitempty"`   // an event, perhaps later
	Cancel any     `json:"cancel,omitempty"` // value: the id of a Send that has not come yet
	Emit   string  `json:"emit,omitempty"`   // an event for those who watch the run, with Data
	Say    any     `json:"say,omitempty"`    // value: text to the user
	Log    any     `json:"log,omitempty"`    // value: for those who try the graph by fermata graph run, with Label; a run drops it
	If     string  `json:"if,omitempty"`     // expression, with Then and Else
	Each   any     `json:"each,omitempty"`   // value: a list; Then is done with As and Index set
	Script string  `json:"script,omitempty"` // of a language that has statements
	Assign *Assign `json:"assign,omitempty"` // SCXML's assign

	Data  any    `json:"data,omitempty"`
	Label string `json:"label,omitempty"`
	Then  []Do   `json:"then,omitempty"`
	Else  []Do   `json:"else,omitempty"`
	As    string `json:"as,omitempty"`
	Index string `json:"index,omitempty"`
}

// Assign gives a location of the language a value.
type Assign struct {
	Location string `json:"location"`
	Value    any    `json:"value"`
}

// Send sends an event to this graph or to a related one.
type Send struct {
	Event any `json:"event"`           // value: its name
	Data  any `json:"data,omitempty"`  // value
	Delay any `json:"delay,omitempty"` // value: a duration; nil is none
	ID    any `json:"id,omitempty"`    // value: by which it can be cancelled

	// To is a value: nil is this graph's external queue; "#_internal" its internal one,
	// "#_parent" the graph that runs this one, "#_ID" the sub-graph of the invocation ID.
	To any `json:"to,omitempty"`

	IDLocation string   `json:"id_location,omitempty"` // where a generated id is put
	Type       any      `json:"type,omitempty"`        // value: SCXML's event processor
	Payload    *Payload `json:"payload,omitempty"`     // in the place of Data
}

// Payload is an event's data as SCXML gives it: variables by name and parameters, or
// a content.
type Payload struct {
	Names   []string `json:"names,omitempty"`
	Params  []Param  `json:"params,omitempty"`
	Content any      `json:"content,omitempty"`
}

// Param is a named value.
type Param struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// Invoke is SCXML's: a sub-graph that goes on as long as the node is active.
type Invoke struct {
	ID         string   `json:"id,omitempty"` // "" makes one of the node's
	IDLocation string   `json:"id_location,omitempty"`
	Graph      any      `json:"graph"` // value: the name of one of Definition.Graphs
	Type       any      `json:"type,omitempty"`
	Payload    *Payload `json:"payload,omitempty"` // values for its variables
	Forward    bool     `json:"forward,omitempty"` // it gets each external event, too
	Finalize   []Do     `json:"finalize,omitempty"`
}

// encode returns the definition's one JSON form, by which it is stored and hashed.
func (d *Definition) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("graph %s has no JSON form: %w", d.Graph, err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
