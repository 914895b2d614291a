package graph

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Flow draws the definition as JSON for React Flow (the npm package @xyflow/react,
// version 12): {"nodes": […], "edges": […]}, each as its props take them, with
// positions and sizes. A node's type is one of those that React Flow has itself, so
// the picture shows as it is; data.kind says more, for a program that draws nodes of
// its own: tool, agent, ask, timer, wait, graph, compensate, planner, state, compound,
// parallel, history, final, failed, choice, and start, fork, anywhere, again and
// chooses for what only helps to draw.
//
// A node's id is that of the definition, an edge's, too; helpers have ids with a colon,
// and the further parts of an edge that is drawn in several have its id and #2, #3 ….
func (d *Definition) Flow(m *Marks) ([]byte, error) {
	p := d.drawn(m)
	for _, a := range p.arrows {
		if a.from == a.to { // has no room for a label
			a.from.internal = append(a.from.internal, "↻ "+strings.Join(a.label, " "))
			a.label = nil
		}
	}
	l := layOut(p)
	f := flowJSON{Nodes: []flowNode{}, Edges: []flowEdge{}}
	for _, b := range p.boxes {
		f.Nodes = append(f.Nodes, flowNodeOf(p, b, l[b]))
	}
	for _, a := range p.arrows {
		e := flowEdgeOf(a)
		if l.above(a.to, a.from) {
			e.Type = "smoothstep"
		}
		f.Edges = append(f.Edges, e)
	}
	data, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("graph %s cannot be drawn: %w", d.Graph, err)
	}
	return data, nil
}

type flowJSON struct {
	Nodes []flowNode `json:"nodes"`
	Edges []flowEdge `json:"edges"`
}

type flowNode struct {
	ID       string         `json:"id"`
	Type     string         `json:"type"`
	Position point          `json:"position"` // within the parent
	ParentID string         `json:"parentId,omitempty"`
	Extent   string         `json:"extent,omitempty"` // parent
	Data     flowData       `json:"data"`
	Width    int            `json:"width"`
	Height   int            `json:"height"`
	Style    map[string]any `json:"style"`
}

type flowData struct {
	Label    string   `json:"label"` // the name, and what it does, in lines
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Details  []string `json:"details,omitempty"`
	Internal []string `json:"internal,omitempty"` // what it reacts to without being left
	Note     string   `json:"note,omitempty"`
	Active   bool     `json:"active,omitempty"`
	Visited  bool     `json:"visited,omitempty"`
	Stuck    bool     `json:"stuck,omitempty"`
}

type flowEdge struct {
	ID        string         `json:"id"`
	Source    string         `json:"source"`
	Target    string         `json:"target"`
	Type      string         `json:"type,omitempty"` // smoothstep, if it leads back
	Label     string         `json:"label,omitempty"`
	Animated  bool           `json:"animated"` // it has been taken, to a node that is active
	Data      flowEdgeData   `json:"data"`
	Style     map[string]any `json:"style,omitempty"`
	MarkerEnd map[string]any `json:"markerEnd,omitempty"`
	ZIndex    int            `json:"zIndex"`
}

type flowEdgeData struct {
	Edge  string   `json:"edge,omitempty"` // the id in the definition
	Kind  string   `json:"kind"`           // plain, error, after, initial or choice
	On    []string `json:"on,omitempty"`
	After any      `json:"after,omitempty"`
	If    string   `json:"if,omitempty"`
	Note  string   `json:"note,omitempty"`
	Taken bool     `json:"taken,omitempty"`
}

func flowNodeOf(p *picture, b *box, r rect) flowNode {
	n := flowNode{
		ID: b.id, Type: "default", Position: r.at, Width: r.width, Height: r.height,
		Data: flowData{
			Label: strings.Join(flowLabel(b), "\n"), Name: b.title, Kind: b.kind, Details: b.lines, Internal: b.internal, Note: b.note,
			Active: b.active, Visited: b.visited, Stuck: b.stuck,
		},
		Style: flowStyle(p, b),
	}
	switch {
	case b.kind == "start", b.kind == "anywhere", b.kind == "chooses":
		n.Type = "input"
	case b.kind == "final", b.kind == "failed":
		n.Type = "output"
	}
	if b.in != p.top {
		n.ParentID, n.Extent = b.in.id, "parent"
	}
	return n
}

// flowLabel is what is written in a box. A dot, a bar and a diamond have no room.
func flowLabel(b *box) []string {
	switch b.kind {
	case "start", "fork":
		return nil
	}
	return append(append([]string{b.title}, b.lines...), b.internal...)
}

func flowStyle(p *picture, b *box) map[string]any {
	s := map[string]any{
		"borderRadius": 8, "whiteSpace": "pre-line", "fontSize": 11, "lineHeight": "15px", "padding": "8px 10px", "boxSizing": "border-box",
		"backgroundColor": "#ffffff", "borderColor": "#64748b", "borderStyle": "solid", "borderWidth": 1, "color": "#111827",
	}
	look := func(fill, border string, width int) {
		s["backgroundColor"], s["borderColor"], s["borderWidth"] = fill, border, width
	}
	switch b.kind {
	case "start":
		s["borderRadius"], s["padding"] = "50%", 0
		look("#334155", "#334155", 1)
	case "fork":
		s["borderRadius"], s["padding"] = 0, 0
		look("#334155", "#334155", 1)
	case "history":
		s["borderRadius"] = "50%"
	case "anywhere", "again":
		s["borderStyle"] = "dashed"
	case "final", "failed":
		s["borderStyle"], s["borderWidth"] = "double", 4
	}
	if !b.leaf() {
		look("rgba(148,163,184,0.08)", "#94a3b8", 1)
		s["textAlign"] = "left"
		if b.in.kind == "parallel" {
			s["borderStyle"] = "dashed"
		}
	}
	switch {
	case b.stuck:
		look("#fecaca", "#b91c1c", 2)
	case b.active && b.leaf():
		look("#fde68a", "#b45309", 2)
	case b.active:
		look("rgba(253,230,138,0.12)", "#b45309", 2)
	case b.visited && b.leaf():
		look("#dcfce7", "#15803d", 1)
	case b.kind == "failed":
		s["borderColor"] = "#b91c1c"
	case !p.marked && b.leaf():
		if c, ok := tints[b.kind]; ok {
			look(c.fill, c.border, 1)
		}
	}
	return s
}

// tints are the colours of kinds of activities, in pictures without marks.
var tints = map[string]struct{ fill, border string }{
	"tool":       {"#eff6ff", "#2563eb"},
	"graph":      {"#eff6ff", "#2563eb"},
	"compensate": {"#eff6ff", "#2563eb"},
	"agent":      {"#f5f3ff", "#7c3aed"},
	"chooses":    {"#ede9fe", "#7c3aed"},
	"ask":        {"#ecfdf5", "#059669"},
	"timer":      {"#fffbeb", "#b45309"},
	"wait":       {"#fffbeb", "#b45309"},
}

func flowEdgeOf(a *arrow) flowEdge {
	e := flowEdge{
		ID: a.id, Source: a.from.id, Target: a.to.id, Label: strings.Join(a.label, " "), Animated: a.taken && a.to.active, ZIndex: 1,
		Data: flowEdgeData{Edge: a.edge.ID, Kind: a.kind, On: a.edge.On, After: a.edge.After, If: a.edge.If, Note: a.edge.Note, Taken: a.taken},
	}
	colour, width := "#475569", 1.0
	switch {
	case a.taken:
		colour, width = "#15803d", 2.5
	case a.kind == "error":
		colour = "#b91c1c"
	case a.kind == "choice":
		colour = "#7c3aed"
	}
	e.Style = map[string]any{"stroke": colour, "strokeWidth": width}
	if a.kind == "after" || a.kind == "choice" {
		e.Style["strokeDasharray"] = "5 4"
	}
	if a.to.kind != "fork" && a.to.kind != "again" {
		e.MarkerEnd = map[string]any{"type": "arrowclosed", "color": colour}
	}
	return e
}
