package graph_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
)

// broken has one definition per rule and way to break it. Where path is "", it is
// enough that the rule is named.
var broken = []struct {
	rule, path, message string
	text                string
}{
	{"graph", "graph", "has no name", `steps: [{tool: a}]`},
	{"graph", "graph", "not made of letters", "graph: a b\nsteps: [{tool: a}]"},
	{"graph", "language", "planner/graph/scxml", "graph: g\nlanguage: cobol\nsteps: [{tool: a}]"},
	{"size", "nodes", "there are no nodes", `graph: g`},
	{"id", "nodes[0].id", "has no id", g("nodes: [{tool: a}]")},
	{"id", "nodes[0].id", "not made of letters", g("nodes: [{id: a b, final: true}]")},
	{"id", "nodes[1].id", "that of nodes[0], too", g("nodes: [{id: a, final: true}, {id: a, final: true}]")},
	{"id", "steps[1]", "is named \"pay\" as steps[0] is", g("steps: [{tool: pay}, {tool: pay}]")},
	{"id", "edges[1].id", "that of edges[0], too", g("steps: [{tool: a}, {tool: b}]\nedges: [{id: x, from: a, on: error, to: done}, {id: x, from: b, on: error, to: done}]")},
	{"steps", "steps[1].in", "write it under nodes", g("steps: [{id: a}, {tool: b, in: a}]")},
	{"ask", "steps[0].ask.schema", "its fields", g("steps: [{id: a, ask: {prompt: x, kind: form, schema: {type: string}}}]")},
	{"fail", "nodes[0].fail.cod", "did you mean code?", g("nodes: [{id: a, final: failed, fail: {cod: x}}]")},
	{"fail", "nodes[0].fail.code", "such as card.expired", g("nodes: [{id: a, final: failed, fail: {code: a b, message: x}}]")},
	{"fail", "nodes[0].fail.code", "got 3", g("nodes: [{id: a, final: failed, fail: {code: 3}}]")},
	{"fail", "nodes[0].fail", "got a list", g("nodes: [{id: a, final: failed, fail: [x]}]")},
	{"fail", "nodes[0].output", "has no result", g("nodes: [{id: a, final: failed, output: x}]")},
	{"raised", "edges[1].on[0]", "say after", g("nodes: [{id: a}]\nedges: [{from: a, on: x, to: done}, {from: a, on: after.2d, to: done}]")},
	{"each", "steps[0].each.in", "of the type int", g("data: [{id: n, type: int}]\nsteps: [{tool: a, each: {in: '${n}'}}]")},
	{"do", "nodes[0].entry[0].each", "of the type int", g("data: [{id: n, type: int}]\nnodes: [{id: a, entry: [{each: '${n}', then: [{say: x}]}]}]\nedges: [{from: a, on: x, to: done}]")},
	{"duration", "steps[0].timer", "a duration or a timestamp, and this is of the type bool", g("data: [{id: b, type: bool}]\nsteps: [{timer: '${b}'}]")},
	{"duration", "steps[0].within", "a duration, and this is of the type timestamp", g("steps: [{tool: a, within: '${now}'}]")},
	{"steps", "steps[0]", "give it another id", g("steps: [{id: done, tool: a}]")},
	{"steps", "steps[0]", "give it another id", g("steps: [{tool: done}, {tool: b}]")},
	{"steps", "steps[0]", "put a final node in it", g("steps: [{id: a}]\nnodes: [{id: b, in: a, tool: b}]")},
	{"in", "nodes[1].in", "did you mean order?", g("nodes: [{id: order, final: true}, {id: b, in: ordr, final: true}]")},
	{"in", "nodes[1].in", "is in itself", g("nodes: [{id: z, final: true}, {id: a, in: b}, {id: b, in: a}]")},
	{"in", "nodes[1].in", "is in itself", g("nodes: [{id: z, final: true}, {id: a, in: a}]")},
	{"kind", "nodes[0]", "has tool and agent", g("nodes: [{id: a, tool: a, agent: b}]\nedges: [{from: a, to: done}]")},
	{"kind", "nodes[0]", "has tool and parallel", g("nodes: [{id: a, tool: a, parallel: true}]\nedges: [{from: a, to: done}]")},
	{"kind", "nodes[0].final", "expected done or failed", g("nodes: [{id: a, final: yes}]")},
	{"kind", "nodes[1].history", "expected shallow or deep", g("nodes: [{id: a}, {id: h, in: a, history: wide, initial: b}, {id: b, in: a, final: true}]")},
	{"kind", "nodes[0].compensate", "there is no node \"x\"", g("nodes: [{id: a, compensate: x}]\nedges: [{from: a, to: done}]")},
	{"children", "nodes[0]", "has tool, so no nodes are in it", g("nodes: [{id: a, tool: a}, {id: b, in: a, final: true}]\nedges: [{from: a, to: done}]")},
	{"children", "nodes[0]", "has final", g("nodes: [{id: a, final: true}, {id: b, in: a, final: true}]")},
	{"children", "nodes[0].parallel", "has no regions", g("nodes: [{id: a, parallel: true}]\nedges: [{from: a, to: done}]")},
	{"children", "nodes[0].plan", "nothing to choose from", g("nodes: [{id: a, plan: {}}]\nedges: [{from: a, to: done}]")},
	{"regions", "nodes[1].final", "right in the parallel node", g("nodes: [{id: a, parallel: true}, {id: b, in: a, final: true}]\nedges: [{from: a, to: done}]")},
	{"history", "nodes[1].initial", "needs initial", g("nodes: [{id: a}, {id: h, in: a, history: deep}, {id: b, in: a, final: true}]\nedges: [{from: a, to: done}, {from: a, on: again, to: h}]")},
	{"history", "nodes[1].in", "is at the top", g("nodes: [{id: a, final: true}, {id: h, history: deep, initial: a}]")},
	{"planner", "nodes[0].when", "not right in a planner node", g("nodes: [{id: a, tool: a, when: 'true'}]\nedges: [{from: a, to: done}]")},
	{"planner", "nodes[1]", "never ends", g("nodes: [{id: p, plan: {}}, {id: a, in: p}]\nedges: [{from: p, to: done}]")},
	{"initial", "initial.to[0]", "there is no node \"x\"", g("initial: x\nsteps: [{tool: a}]")},
	{"initial", "initial.to", "goes nowhere", g("initial: {}\nsteps: [{tool: a}]")},
	{"initial", "initial", "no from, on, after", g("initial: {to: a, if: 'true'}\nsteps: [{tool: a}]")},
	{"initial", "nodes[0].initial", "leave initial out", g("nodes: [{id: a, parallel: true, initial: b}, {id: b, in: a, tool: x}]\nedges: [{from: a, to: done}]")},
	{"initial", "nodes[0].initial", "leave initial out", g("nodes: [{id: a, tool: a, initial: a}]\nedges: [{from: a, to: done}]")},
	{"initial", "nodes[0].initial.to[0]", "is not in a", g("nodes: [{id: a, initial: c}, {id: b, in: a, final: true}, {id: c, final: true}]\nedges: [{from: a, to: done}]")},
	{"edge", "edges[0].from", "comes from nowhere", g("steps: [{tool: a}]\nedges: [{to: a}]")},
	{"edge", "edges[0].from", "did you mean reserve?", g("steps: [{tool: reserve}]\nedges: [{from: resreve, on: error, to: done}]")},
	{"edge", "edges[0].to[0]", "there is no node \"nowhere\"", g("steps: [{tool: a}]\nedges: [{from: a, on: error, to: nowhere}]")},
	{"edge", "edges[0].from", "is final", g("nodes: [{id: a, final: true}]\nedges: [{from: a, to: a}]")},
	{"target", "edges[0].to", "only one of them can be active", g("nodes: [{id: a, tool: a}, {id: b, final: true}, {id: c, final: true}]\nedges: [{from: a, to: [b, c]}]")},
	{"target", "edges[1].to", "where the model chooses", g("nodes: [{id: p, plan: {}}, {id: a, in: p, tool: a}, {id: b, tool: b}]\nedges: [{from: p, to: b}, {from: b, to: a}]")},
	{"graphs", "nodes[0].graph", "did you mean inner?", g("nodes: [{id: a, graph: iner}]\nedges: [{from: a, to: done}]\ngraphs: [{graph: inner, steps: [{tool: a}]}]")},
	{"graphs", "graphs[1].graph", "names differ", g("nodes: [{id: a, graph: i}]\nedges: [{from: a, to: done}]\ngraphs: [{graph: i, steps: [{tool: a}]}, {graph: i, steps: [{tool: a}]}]")},
	{"graphs", "graphs[1].steps[0].graph", "i > j > i", g("steps: [{graph: i}]\ngraphs: [{graph: i, steps: [{graph: j}]}, {graph: j, steps: [{graph: i}]}]")},
	{"graphs", "graphs[0].steps[0].graph", "i > i", g("steps: [{graph: i}]\ngraphs: [{graph: i, steps: [{graph: i}]}]")},

	{"needs", "nodes[0].each", "goes with tool", g("nodes: [{id: a, each: {in: []}, final: true}]")},
	{"needs", "nodes[0].retry", "goes with tool", g("nodes: [{id: a, retry: {attempts: 2}, final: true}]")},
	{"needs", "nodes[0].within", "goes with tool", g("nodes: [{id: a, within: 2s, final: true}]")},
	{"needs", "nodes[0].undo", "goes with tool", g("nodes: [{id: a, undo: {tool: b}, final: true}]")},
	{"needs", "nodes[0].input", "goes with tool", g("nodes: [{id: a, input: {}, final: true}]")},
	{"needs", "nodes[1].final", "a graph fails at its top", g("nodes: [{id: a}, {id: f, in: a, final: failed}, {id: d, final: done}]\nedges: [{from: a, to: d}]")},
	{"needs", "nodes[0].fail", "say final: failed", g("nodes: [{id: a, fail: x, final: true}]")},
	{"needs", "steps[0].output", "use set on an edge", g("data: [{id: x}]\nsteps: [{id: a, output: x}]")},
	{"needs", "steps[0].input", "the input of a tool is an object, and this is text", g("steps: [{tool: a, input: 'x ${input}'}]")},
	{"on", "edges[0].after", "on and after", g("steps: [{tool: a}]\nedges: [{from: a, on: x, after: 3s, to: done}]")},
	{"on", "edges[0].on", "stands alone", g("steps: [{id: a}]\nedges: [{from: a, on: [always, x], if: 'true', to: done}]")},
	{"on", "edges[0].on", "before what it does has begun", g("steps: [{tool: a}]\nedges: [{from: a, on: always, to: done}]")},
	{"on", "edges[0].on[0]", "expected the name of an event", g("steps: [{tool: a}]\nedges: [{from: a, on: 'a b', to: done}]")},
	{"on", `events["a b"]`, "words with dots", g("events: {a b: }\nsteps: [{tool: a}]")},
	{"on", "edges[0].internal", "leaves nothing", g("steps: [{tool: a}]\nedges: [{from: a, on: x, internal: true}]")},
	{"ask", "steps[0].ask.not[0]", "only @user stands for somebody", g(`steps: [{ask: {prompt: x, not: ["@usr"]}}]`)},
	{"ask", "steps[0].ask.escalate[0].for[0]", "only @user stands for somebody", g(`steps: [{ask: {prompt: x, due: 2d, escalate: [{for: ["@boss"]}]}}]`)},
	{"do", "steps[0].entry[0].raise", "use send", g(`steps: [{tool: a, entry: [{raise: "${input.x}"}]}]`)},
	{"do", "steps[0].entry[0].emit", "into data", g(`steps: [{tool: a, entry: [{emit: "paid.${input.x}"}]}]`)},
	{"on", "edges[0].on[0]", "fixed names", g(`steps: [{tool: a}]
edges: [{from: a, on: "${input.x}", to: done}]`)},
	{"wait", "steps[0].wait.signal", "into key", g(`steps: [{id: a, wait: {signal: "paid-${input.x}"}}]`)},
	{"do", "steps[0].entry[0].each", "expected a list", g("steps: [{tool: a, entry: [{each: input.lines, then: [{log: '${item}'}]}]}]")},
	{"do", "steps[0].entry[0].then", "for each item", g("steps: [{tool: a, entry: [{each: '${input.lines}'}]}]")},
	{"expression", "edges[0].if", "leave out the ${ and the }", g("steps: [{id: a, timer: 1s}]\nedges: [{from: a, to: done, if: '${1 < 2}'}, {from: a, to: done}]")},
	{"ask", "steps[0].ask.prompt", "question is missing", g("steps: [{ask: {}}]")},
	{"ask", "steps[0].ask.kind", "expected question", g("steps: [{ask: {prompt: x, kind: poll}}]")},
	{"ask", "steps[0].ask.choices", "two choices or more", g("steps: [{ask: {prompt: x, choices: [a]}}]")},
	{"ask", "steps[0].ask.choices[1]", "made of letters", g("steps: [{ask: {prompt: x, choices: [a, b c]}}]")},
	{"ask", "steps[0].ask.choices[1]", "twice", g("steps: [{ask: {prompt: x, choices: [a, a]}}]")},
	{"ask", "steps[0].ask.default", "say until when", g("steps: [{ask: {prompt: x, choices: [a, b], default: {choice: a}}}]")},
	{"ask", "steps[0].ask.default.choice", "did you mean approve?", g("steps: [{ask: {prompt: x, due: 2d, choices: [approve, deny], default: {choice: aprove}}}]")},
	{"ask", "steps[0].ask.escalate", "say until when", g("steps: [{ask: {prompt: x, escalate: [{for: [ann]}]}}]")},
	{"ask", "steps[0].ask.escalate[0].for", "who is asked", g("steps: [{ask: {prompt: x, due: 2d, escalate: [{for: []}]}}]")},
	{"ask", "steps[0].ask.escalate[0].within", "how long it may take", g("steps: [{ask: {prompt: x, due: 2d, escalate: [{for: [ann]}, {for: [bob]}]}}]")},
	{"ask", "steps[0].ask.for[0]", "id of a user", g("steps: [{ask: {prompt: x, for: [3]}}]")},
	{"wait", "steps[0].wait.signal", "missing", g("steps: [{id: a, wait: {}}]")},
	{"each", "steps[0].each.in", "list is missing", g("steps: [{tool: a, each: {}}]")},
	{"each", "steps[0].each.in", "expected a list", g("steps: [{tool: a, each: {in: input.lines}}]")},
	{"each", "steps[0].each.at_once", "got -1", g("steps: [{tool: a, each: {in: [1], at_once: -1}}]")},
	{"each", "steps[0].each.until", "from 1 on", g("steps: [{tool: a, each: {in: [1], until: '0'}}]")},
	{"retry", "steps[0].retry.attempts", "from 1 on", g("steps: [{tool: a, retry: {}}]")},
	{"retry", "steps[0].retry.on[0]", "did you mean error.network?", g("steps: [{tool: a, retry: {attempts: 2, on: network}}]")},
	{"undo", "steps[0].undo.tool", "missing", g("steps: [{tool: a, undo: {}}]")},
	{"plan", "nodes[0].plan.steps", "got -1", g("nodes: [{id: p, plan: {steps: -1}}, {id: a, in: p, tool: a}]\nedges: [{from: p, to: done}]")},
	{"plan", "nodes[0].plan.model", "did you mean small?", g("nodes: [{id: p, plan: {model: smal}}, {id: a, in: p, tool: a}]\nedges: [{from: p, to: done}]")},
	{"do", "steps[0].entry[0]", "got say and log", g("steps: [{tool: a, entry: [{say: x, log: y}]}]")},
	{"do", "steps[0].entry[0]", "got none", g("steps: [{tool: a, entry: [{data: y}]}]")},
	{"do", "steps[0].entry[0].data", "goes with raise or emit", g("steps: [{tool: a, entry: [{say: x, data: y}]}]")},
	{"do", "steps[0].entry[0].then", "say what, with then", g("steps: [{tool: a, entry: [{if: 'true'}]}]")},
	{"do", "steps[0].entry[0].then[0].send.event", "missing", g("steps: [{tool: a, entry: [{if: 'true', then: [{send: {delay: 3s}}]}]}]")},
	{"data", "data[0].id", "a letter or _", g("data: [{id: 3x}]\nsteps: [{tool: a}]")},
	{"data", "data[0].id", "means something else", g("data: [{id: event}]\nsteps: [{tool: a}]")},
	{"data", "data[1].id", "names differ", g("data: [{id: x}, {id: x}]\nsteps: [{tool: a}]")},
	{"data", "data[0].type", "did you mean string?", g("data: [{id: x, type: strng}]\nsteps: [{tool: a}]")},
	{"data", "data[0].in", "only with late", g("data: [{id: x, in: a}]\nsteps: [{tool: a}]")},
	{"each", "steps[0].each.as", "would be hidden", g("data: [{id: x}]\nsteps: [{tool: a, each: {in: [1], as: x}}]")},
	{"assign", "steps[0].output", "did you mean payment?", g("data: [{id: payment}]\nsteps: [{tool: a, output: paymnt}]")},
	{"assign", "steps[0].output.y", "add it to data", g("data: [{id: x}]\nsteps: [{tool: a, output: {x: 1, y: 2}}]")},
	{"assign", "edges[0].set.y", "add it to data", g("steps: [{tool: a}]\nedges: [{from: a, on: error, set: {y: 1}, to: done}]")},
	{"assign", "data[0].value", `is of the type int, and "7" came`, g("data: [{id: x, type: int, value: '7'}]\nsteps: [{tool: a}]")},
	{"assign", "steps[0].output.x", `is of the type bool, and 1 came`, g("data: [{id: x, type: bool}]\nsteps: [{tool: a, output: {x: 1}}]")},
	{"assign", "steps[0].output.x", "is of the type int, and this is of the type string", g("data: [{id: x, type: int}]\nsteps: [{tool: a, output: {x: '${user.id}'}}]")},
	{"assign", "steps[0].output.x", "is of the type number, and this is of the type string", g("data: [{id: x, type: number}]\nsteps: [{tool: a, output: {x: 'for ${user.id}'}}]")},
	{"assign", "edges[0].set.x", "is of the type map, and this is of the type list", g("data: [{id: x, type: map}]\nsteps: [{tool: a}]\nedges: [{from: a, on: error, set: {x: ['${now}']}, to: done}]")},
	{"assign", "edges[0].set.x", "expected one of 1, 2", g("data: [{id: x, schema: {enum: [1, 2]}}]\nsteps: [{tool: a}]\nedges: [{from: a, on: error, set: {x: 3}, to: done}]")},
	{"assign", "steps[0].exit[0].set", "expected an object", g("steps: [{tool: a, exit: [{set: y}]}]")},
	{"schema", "input", "JSON Schema", g("input: {type: objekt}\nsteps: [{tool: a}]")},
	{"schema", "events.paid", "JSON Schema", g("events: {paid: {type: objekt}}\nsteps: [{tool: a}]")},
	{"schema", "steps[0].ask.schema", "JSON Schema", g("steps: [{ask: {prompt: x, schema: {required: 3}}}]")},
	{"duration", "steps[0].timer", "or a timestamp", g("steps: [{timer: soon}]")},
	{"duration", "steps[0].within", "duration", g("steps: [{tool: a, within: 2030-01-01T00:00:00Z}]")},
	{"duration", "steps[0].retry.backoff", "duration", g("steps: [{tool: a, retry: {attempts: 2, backoff: x}}]")},
	{"duration", "edges[0].after", "is negative", g("steps: [{tool: a}]\nedges: [{from: a, after: -3s, to: done}]")},

	{"endless", "nodes[0]", "a > b > a", g("nodes: [{id: a}, {id: b}]\nedges: [{from: a, to: b}, {from: b, to: a}]")},
	{"endless", "nodes[0]", "(a > a)", g("nodes: [{id: a}]\nedges: [{from: a}]")},
	{"endless", "nodes[0]", "a > b > a", g("nodes: [{id: a, entry: [{raise: x}]}, {id: b, entry: [{raise: x}]}]\nedges: [{from: a, on: x, to: b}, {from: b, on: x, to: a}]")},
	{"endless", "edges[0]", "(a > a)", g("nodes: [{id: a}]\nedges: [{from: a, on: x, do: [{raise: x}]}]")},
	{"unreachable", "nodes[1]", "is never entered", g("nodes: [{id: a, final: true}, {id: b, tool: b}]\nedges: [{from: b, to: a}]")},
	{"unreachable", "nodes[1]", "no edge goes to the history", g("nodes: [{id: a}, {id: h, in: a, history: deep, initial: b}, {id: b, in: a, tool: b}]\nedges: [{from: b, to: done}]")},
	{"unreachable", "graphs[0]", "no node runs the graph", g("steps: [{tool: a}]\ngraphs: [{graph: i, steps: [{tool: a}]}]")},
	{"dangling", "nodes[0]", "nothing leaves it", g("nodes: [{id: a}]")},
	{"dangling", "nodes[1]", "add an edge from \"a\" on done", g("nodes: [{id: a}, {id: b, in: a, final: true}]")},
	{"dangling", "nodes[2]", "nothing leaves the parallel node", g("nodes: [{id: p, parallel: true}, {id: a, in: p}, {id: b, in: a, final: true}]")},
	{"unhandled", "nodes[0]", "what comes after \"a\"", g("nodes: [{id: a, tool: a}, {id: f, final: failed}]\nedges: [{from: a, on: error, to: f}]")},
	{"unhandled", "nodes[0]", "nothing leaves it", g("data: [{id: x}]\nnodes: [{id: a, tool: a}]\nedges: [{from: a, set: {x: 1}}]")},
	{"unhandled", "nodes[0]", "nothing leaves it", g("data: [{id: x}]\nnodes: [{id: a, tool: a}, {id: f, final: failed}]\nedges: [{from: a, set: {x: 1}}, {from: a, on: error, to: f}]")},
	{"unhandled", "nodes[0].ask.choices", "after the choice \"deny\"", g("nodes: [{id: a, ask: {prompt: x, choices: [approve, deny]}}]\nedges: [{from: a, on: done.approve, to: done}]")},
	{"unhandled", "nodes[2]", "what comes after \"a\"", g("nodes: [{id: p, parallel: true}, {id: r, in: p}, {id: a, in: r, tool: a}, {id: f, in: r, final: true}]\nedges: [{from: p, to: done}, {from: a, on: error, to: f}]")},
	{"unhandled", "nodes[2]", "what comes after \"a\"", g("nodes: [{id: p, plan: {}}, {id: r, in: p}, {id: a, in: r, tool: a}, {id: f, in: r, final: true}]\nedges: [{from: p, to: done}, {from: a, on: error, to: f}]")},
	{"unhandled", "nodes[0]", "what comes after \"p\"", g("nodes: [{id: p, plan: {}}, {id: a, in: p, tool: a}]\nedges: [{from: p, on: error, to: done}]")},
	{"dangling", "nodes[2]", "nothing leaves it", g("nodes: [{id: p, parallel: true}, {id: r, in: p}, {id: idle, in: r}, {id: a, in: p, tool: a}]\nedges: [{from: p, on: error, to: done}]")},
	{"raised", "edges[0].on[0]", "did you mean done.approve?", g("steps: [{ask: {prompt: x, choices: [approve, deny]}}]\nedges: [{from: ask, on: done.aprove, to: done}]")},
	{"raised", "edges[0].on[0]", "nobody can choose approve", g("steps: [{tool: a}]\nedges: [{from: a, on: done.approve, to: done}]")},
	{"raised", "edges[0].on[0]", "is never done", g("nodes: [{id: a}]\nedges: [{from: a, on: done, to: done}]")},
	{"raised", "edges[0].on[0]", "is never done", g("nodes: [{id: a}, {id: b, in: a, tool: b}]\nedges: [{from: a, on: done, to: done}]")},
	{"dangling", "nodes[2]", "from \"b\" on done", g("nodes: [{id: a}, {id: b, in: a}, {id: c, in: b, final: true}, {id: d, in: a, final: true}]\nedges: [{from: a, on: done, to: done}, {from: b, on: error.x, to: d}]")},
	{"raised", "edges[1].on[0]", "can fail", g("nodes: [{id: a}]\nedges: [{from: a, on: x, to: done}, {from: a, on: error, to: done}]")},
	{"raised", "edges[0].on[0]", "has no each", g("steps: [{tool: a}]\nedges: [{from: a, on: error.unmet, to: done}]")},
	{"raised", "edges[0].on[0]", "planner node", g("steps: [{tool: a}]\nedges: [{from: a, on: error.budget, to: done}]")},
	{"waits", "edges[0]", "\"r\" never ends", g("nodes: [{id: p, parallel: true}, {id: a, in: p, tool: a}, {id: r, in: p}, {id: s, in: r}, {id: t, in: r}]\nedges: [{from: p, to: done}, {from: s, on: x, to: t}, {from: t, on: x, to: s}]")},
	{"shadowed", "edges[1]", "edges[0] comes first", g("steps: [{tool: a}]\nnodes: [{id: f, final: failed}]\nedges: [{from: a, on: error, to: f}, {from: a, on: error.card, to: done}]")},
	{"shadowed", "edges[1]", "as soon as it is entered", g("nodes: [{id: a}]\nedges: [{from: a, to: done}, {from: a, on: x, to: done}]")},
	{"shadowed", "edges[0]", "before anything in it has begun", g("nodes: [{id: a}, {id: b, in: a, tool: b}]\nedges: [{from: a, to: done}, {from: b, on: done, to: b}]")},
}

func g(text string) string { return "graph: g\n" + text }

func options() *graph.Options {
	return &graph.Options{Models: map[string]agent.Model{"small": nil}}
}

func TestRules(t *testing.T) {
	for i, tt := range broken {
		t.Run(fmt.Sprintf("%d %s", i, tt.rule), func(t *testing.T) {
			d, err := graph.Parse([]byte(tt.text))
			if err != nil {
				t.Fatalf("%v\n%s", err, tt.text)
			}
			problems := graph.Check(d, options())
			for _, p := range problems {
				if p.Rule == tt.rule && p.Path == tt.path && strings.Contains(p.Message, tt.message) {
					if len(problems) > 2 {
						t.Errorf("one mistake gives %d problems: %v", len(problems), problems)
					}
					return
				}
			}
			t.Errorf("want %s: …%s… (%s), got %v\n%s", tt.path, tt.message, tt.rule, problems, tt.text)
		})
	}
}

// sound has definitions that are taken as they are.
var sound = map[string]string{
	"one step":    g("steps: [{tool: a}]"),
	"error route": g("steps: [{tool: a}, {tool: b}]\nnodes: [{id: sorry, final: failed, fail: '${failure.message}'}]\nedges: [{from: a, on: error.card, to: sorry}, {from: b, on: [error], to: sorry}]"),
	"approval":    g("steps: [{ask: {prompt: ok?, choices: [approve, deny], for: ['group:boss'], due: 2d, escalate: [{for: ['@user'], within: 1w}], default: {choice: deny}}}, {tool: pay}]\nnodes: [{id: no, final: true}]\nedges: [{from: ask, on: done.deny, to: no}]"),
	"join":        g("steps: [{id: both, parallel: true}, {tool: ship}]\nnodes: [{id: a, in: both, tool: a}, {id: b, in: both, agent: b}]"),
	"planner": g(`
nodes:
  - {id: desk, plan: {instructions: help, steps: 5}}
  - {id: look, in: desk, tool: look}
  - {id: pay, in: desk, tool: pay, when: "true"}
  - {id: check, in: desk}
  - {id: ask, in: check, ask: {prompt: well?}}
  - {id: checked, in: check, final: true}
  - {id: sorry, final: failed}
edges:
  - {from: ask, to: checked}
  - {from: desk, to: done}
  - {from: desk, on: error.budget, to: sorry}`),
	"history": g(`
nodes:
  - {id: work}
  - {id: back, in: work, history: shallow, initial: one}
  - {id: one, in: work}
  - {id: two, in: work}
  - {id: pause}
edges:
  - {from: one, on: next, to: two}
  - {from: two, on: next, to: one}
  - {from: work, on: pause, to: pause}
  - {from: pause, on: resume, to: back}
  - {from: work, after: 2w, to: done}`),
	"watch beside work": g(`
nodes:
  - {id: both, parallel: true}
  - {id: work, in: both}
  - {id: call, in: work, tool: call}
  - {id: called, in: work, final: true}
  - {id: watch, in: both}
  - {id: idle, in: watch}
edges:
  - {from: call, to: done}
  - {from: idle, on: beat}
  - {from: both, on: cancel, to: called}`),
	"one region leaves for all":   g("nodes: [{id: p, parallel: true}, {id: r, in: p}, {id: idle, in: r}, {id: s, in: p}, {id: a, in: s, tool: a}]\nedges: [{from: a, to: done}]"),
	"one activity leaves for all": g("nodes: [{id: p, parallel: true}, {id: r, in: p, wait: {signal: stop}}, {id: a, in: p, tool: a}]\nedges: [{from: a, to: done}]"),
	"into a region":               g("initial: b\nnodes: [{id: p, parallel: true}, {id: r, in: p}, {id: a, in: r, tool: a}, {id: f, in: r, final: true}, {id: s, in: p}, {id: b, in: s, tool: b}, {id: e, in: s, final: true}]\nedges: [{from: a, to: f}, {from: b, to: e}, {from: p, to: done}]"),
	"guarded circle":              g("data: [{id: n, type: int, value: 0}]\nnodes: [{id: a}, {id: b}]\nedges: [{from: a, if: n > 3, to: done}, {from: a, set: {n: '${n + 1}'}, to: b}, {from: b, to: a}]"),
	"sub-graphs":                  g("steps: [{graph: i}, {graph: j}]\ngraphs: [{graph: i, steps: [{graph: j}]}, {graph: j, steps: [{tool: a}]}]"),
	"saga": g(`
data: [{id: paid}]
steps:
  - {tool: reserve, undo: {tool: release, input: {id: "${result.id}"}, retry: {attempts: 5}}}
  - {tool: pay, output: paid, undo: {tool: refund}}
nodes:
  - {id: undo, compensate: "*"}
  - {id: undone, final: failed, fail: "undone is ${saga.undone}"}
edges:
  - {from: reserve, on: error, to: undo}
  - {from: pay, on: error, to: undo}
  - {from: undo, to: undone}`),
	"map":                                g("data: [{id: sent}]\nsteps: [{tool: mail, each: {in: '${input.people}', as: who, at_once: 3, until: any}, input: {to: '${who}'}, output: sent}]\nnodes: [{id: none, final: failed}]\nedges: [{from: mail, on: error.unmet, to: none}]"),
	"wait":                               g("events: {paid: {type: object}}\nsteps: [{wait: {signal: paid, key: '${input.id}', keep: 2d}}, {timer: 36h}, {id: late, timer: 2030-01-02T03:04:05Z}]\nedges: [{from: paid, after: 1w, to: done}]"),
	"raise":                              g("nodes: [{id: a, entry: [{raise: go}]}]\nedges: [{from: a, on: go, to: done}]"),
	"compound":                           g("nodes: [{id: a}, {id: b, in: a, tool: b}, {id: c, in: a, final: true}]\nedges: [{from: b, to: c}, {from: a, to: done}, {from: a, on: cancel, to: done}, {from: a, on: error, to: done}]"),
	"a parallel node to choose":          g("nodes: [{id: desk, plan: {}}, {id: both, in: desk, parallel: true}, {id: a, in: both, tool: a}, {id: b, in: both, tool: b}, {id: end, in: desk, final: true}, {id: c, in: desk, ask: {prompt: x, choices: [yes, no]}}]\nedges: [{from: desk, to: done}, {from: c, on: done.no, to: end}]"),
	"choices around":                     g("nodes: [{id: a}, {id: b, in: a, ask: {prompt: x, choices: [yes, no]}}, {id: c, in: a, final: true}]\nedges: [{from: b, on: done.yes, to: c}, {from: a, on: done, to: done}, {from: a, on: done.no, to: done}]"),
	"an end that is noted, and a signal": g("data: [{id: x}]\nnodes: [{id: a, tool: a}]\nedges: [{from: a, set: {x: '${result}'}}, {from: a, on: go, to: done}]"),
	"an end that is noted, and a guard":  g("data: [{id: x}]\nnodes: [{id: a, tool: a}]\nedges: [{from: a, set: {x: '${result}'}}, {from: a, on: always, if: x != null, to: done}]"),
	"an end that is noted beside another region": g("data: [{id: x}]\nnodes: [{id: p, parallel: true}, {id: r, in: p}, {id: a, in: r, tool: a}, {id: b, in: p, tool: b}]\nedges: [{from: a, set: {x: '${result}'}}, {from: b, to: done}]"),
	"inner edge": g("nodes: [{id: a}, {id: b, in: a, tool: b}]\nedges: [{from: a, on: '*', to: done}]"),
}

func TestSound(t *testing.T) {
	for name, text := range sound {
		t.Run(name, func(t *testing.T) {
			d, err := graph.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range graph.Check(d, options()) {
				t.Error(p)
			}
		})
	}
}

// A graph in which nodes are unreachable, dead ends and shadowed is taken with Lax.
func TestLax(t *testing.T) {
	for _, tt := range broken {
		d, err := graph.Parse([]byte(tt.text))
		if err != nil {
			t.Fatal(err)
		}
		o := options()
		o.Lax = true
		problems := graph.Check(d, o)
		switch tt.rule {
		case "unreachable", "dangling", "unhandled", "raised", "waits", "shadowed":
			if len(problems) > 0 {
				t.Errorf("%s: %v", tt.text, problems)
			}
		default:
			if len(problems) == 0 {
				t.Errorf("%s: (%s) is let pass", tt.text, tt.rule)
			}
		}
	}
}

// Problems come in the order of the text, at most a hundred, and get their lines.
func TestProblemsInOrder(t *testing.T) {
	text := "graph: g\n" +
		"steps:\n" +
		"  - tool: a\n" +
		"    within: x\n" +
		"  - tool: b\n" +
		"    retry: {}\n" +
		"edges:\n" +
		"  - {from: a, on: 'x y', to: done}\n" +
		"data:\n" +
		"  - id: event\n"
	d, err := graph.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	problems := graph.Check(d, nil)
	graph.Locate([]byte(text), problems)
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%d %s", p.Line, p.Path))
	}
	want := "10 data[0].id; 4 steps[0].within; 6 steps[1].retry.attempts; 8 edges[0].on[0]"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}

	var b strings.Builder
	b.WriteString("graph: g\nsteps:\n")
	for i := range 500 {
		fmt.Fprintf(&b, "  - {tool: t%d, retry: {}}\n", i)
	}
	if d, err = graph.Parse([]byte(b.String())); err != nil {
		t.Fatal(err)
	}
	if problems = graph.Check(d, nil); len(problems) != 100 || problems[99].Rule != "more" {
		t.Errorf("got %d problems, the last %v", len(problems), problems[len(problems)-1])
	}
}

func TestCheckOfNothing(t *testing.T) {
	if p := graph.Check(nil, nil); len(p) != 1 {
		t.Error(p)
	}
	itself := &graph.Definition{Graph: "g", Steps: []graph.Node{{Tool: "a"}}}
	itself.Graphs = []*graph.Definition{itself, nil}
	if p := graph.Check(itself, nil); len(p) == 0 {
		t.Error("a definition that is in itself is taken")
	}
}

func TestParseFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "order.yaml")
	if _, err := graph.ParseFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte("graph: order\nsteps: [{tol: a}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := graph.ParseFile(path)
	var inv *graph.Invalid
	if !errors.As(err, &inv) || inv.Graph != "order" || !strings.Contains(err.Error(), "order.yaml") {
		t.Errorf("got %v", err)
	}
}

// One mistake is told once, where it was made.
func TestOneMistakeOneProblem(t *testing.T) {
	for _, tt := range []struct{ path, message, text string }{
		{"data[0].type", "did you mean int?", g("data: [{id: x, type: itn}]\nsteps: [{tool: a, input: {x: '${x}', y: '${x + 1}'}}, {tool: b, input: {x: '${x}'}}]")},
		{"edges[0].set", "expected an object of variables and values, got 5", g("steps: [{tool: a}]\nedges: [{from: a, on: error, set: 5, to: done}]")},
		{"steps[0].entry[0].set", "got a list", g("steps: [{tool: a, entry: [{set: [x]}]}]")},
		{"nodes[1]", `"a" is never entered`, g("nodes: [{id: s, tool: s}, {id: a, tool: a}, {id: b, tool: b}, {id: c}, {id: d, in: c, tool: d}, {id: e, in: c, final: true}]\nedges: [{from: s, to: done}, {from: a, to: b}, {from: b, to: d}, {from: d, to: e}, {from: c, to: done}]")},
		{"nodes[2]", `"a" is never entered`, g("nodes: [{id: s, tool: s}, {id: b, tool: b}, {id: a, tool: a}]\nedges: [{from: s, to: done}, {from: a, to: b}, {from: b, to: done}]")},
		{"nodes[1]", `"a" is never entered`, g("nodes: [{id: s, tool: s}, {id: a, tool: a}, {id: b, tool: b}]\nedges: [{from: s, to: done}, {from: a, to: b}, {from: b, to: a}]")},
		{"nodes[1]", `"w" is never entered`, g("nodes: [{id: s, tool: s}, {id: w}, {id: a, in: w, tool: a}, {id: b, in: w, tool: b}]\nedges: [{from: s, to: done}, {from: a, to: b}, {from: b, to: done}]")},
	} {
		d, err := graph.Parse([]byte(tt.text))
		if err != nil {
			t.Fatal(err)
		}
		problems := graph.Check(d, nil)
		if len(problems) != 1 || problems[0].Path != tt.path || !strings.Contains(problems[0].Message, tt.message) {
			t.Errorf("got %v\nwant one, %s: …%s…\n%s", problems, tt.path, tt.message, tt.text)
		}
	}
}
