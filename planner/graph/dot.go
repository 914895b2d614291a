package graph

import (
	"fmt"
	"strings"
)

// DOT draws the definition in the language of Graphviz: dot -Tsvg makes a picture of
// it. Nothing in a definition can change more than the words in the picture.
func (d *Definition) DOT(m *Marks) string {
	w := &dot{picture: d.drawn(m)}
	w.put(0, "digraph %s {", dotText("graph "+line(d.Graph)))
	w.put(1, "graph [compound=true, rankdir=TB, nodesep=0.4, ranksep=0.45, fontname=%s, fontsize=12, pad=0.2]", dotFont)
	if w.title != "" {
		w.put(1, "graph [label=%s, labelloc=t, fontsize=14]", dotText(line(w.title)))
	}
	w.put(1, "node [shape=box, style=\"rounded,filled\", fillcolor=white, color=\"#64748b\", fontname=%s, fontsize=11, margin=\"0.16,0.09\", height=0.35]", dotFont)
	w.put(1, "edge [color=\"#475569\", fontcolor=\"#334155\", fontname=%s, fontsize=10, arrowsize=0.7]", dotFont)
	w.inside(w.top, 1)
	for _, a := range w.arrows {
		w.arrow(a)
	}
	w.put(0, "}")
	return w.String()
}

const dotFont = `"Helvetica,Arial,sans-serif"`

type dot struct {
	*picture
	strings.Builder
}

func (w *dot) put(depth int, format string, args ...any) {
	fmt.Fprintf(w, strings.Repeat("  ", depth)+format+"\n", args...)
}

func (w *dot) inside(in *box, depth int) {
	for _, b := range in.boxes {
		if b.leaf() {
			w.leaf(b, depth)
		} else {
			w.cluster(b, depth)
		}
		w.note(b, depth)
	}
}

func (w *dot) cluster(b *box, depth int) {
	w.put(depth, "subgraph %q {", "cluster_"+b.key)
	style, color, width := "rounded", "#94a3b8", 1.0
	if b.in.kind == "parallel" {
		style = "rounded,dashed"
	}
	fill := `, bgcolor="#f8fafc"`
	if b.kind == "planner" && !w.marked {
		fill = `, bgcolor="#faf5ff"`
	}
	switch {
	case b.active:
		color, width = "#b45309", 2
	case b.visited:
		color, width = "#15803d", 1.5
	}
	w.put(depth+1, "graph [label=<%s>, labelloc=t, labeljust=l, style=%q, color=%q, penwidth=%g, fontsize=11%s]",
		dotLabel(b.title, append(b.lines, b.internal...)), style, color, width, fill)
	w.inside(b, depth+1)
	w.put(depth, "}")
}

func (w *dot) leaf(b *box, depth int) {
	attrs := w.looks(b)
	if b.note != "" {
		attrs += ", tooltip=" + dotText(b.note)
	}
	w.put(depth, "%q [%s]", b.key, attrs)
}

// looks says how a box without others in it is drawn.
func (w *dot) looks(b *box) string {
	label := "label=<" + dotLabel(b.title, append(b.lines, b.internal...)) + ">"
	switch b.kind {
	case "start":
		return `label="", shape=circle, style=filled, fillcolor="#334155", width=0.14, height=0.14, fixedsize=true`
	case "fork":
		return `label="", shape=box, style=filled, fillcolor="#334155", width=0.7, height=0.06, margin=0`
	case "again":
		return label + ", shape=plain, style=solid"
	case "anywhere":
		return label + `, style="rounded,dashed", color="#94a3b8", fontsize=9`
	case "chooses":
		return label + `, shape=box, style="filled", fillcolor="#ede9fe", color="#7c3aed"`
	case "history":
		label += ", shape=circle, margin=0, width=0.36, fixedsize=true"
	case "choice":
		label = fmt.Sprintf("label=<%s>, shape=diamond, style=filled, margin=\"0.02,0.02\"", `<font point-size="9">`+htmlText(b.title)+"</font>")
	case "final", "failed":
		label += ", peripheries=2"
	}
	return label + w.colours(b)
}

func (w *dot) colours(b *box) string {
	switch {
	case b.stuck:
		return `, fillcolor="#fecaca", color="#b91c1c", penwidth=2.5`
	case b.active:
		return `, fillcolor="#fde68a", color="#b45309", penwidth=2.5`
	case b.visited:
		return `, fillcolor="#dcfce7", color="#15803d", penwidth=1.5`
	case b.kind == "failed":
		return `, color="#b91c1c"`
	case w.marked:
		return ""
	}
	switch b.kind {
	case "tool", "graph", "compensate":
		return `, fillcolor="#eff6ff", color="#2563eb"`
	case "agent":
		return `, fillcolor="#f5f3ff", color="#7c3aed"`
	case "ask":
		return `, fillcolor="#ecfdf5", color="#059669"`
	case "timer", "wait":
		return `, fillcolor="#fffbeb", color="#b45309"`
	}
	return ""
}

// note draws a slip of paper beside a box.
func (w *dot) note(b *box, depth int) {
	if b.note == "" {
		return
	}
	id := "note:" + b.key
	var text strings.Builder
	for _, l := range wrap(b.note, 30) {
		text.WriteString(htmlText(l) + `<br align="left"/>`)
	}
	w.put(depth, "%q [label=<%s>, shape=note, style=filled, fillcolor=\"#fefce8\", color=\"#ca8a04\", fontsize=9]", id, text.String())
	if b.leaf() {
		w.put(depth, "{ rank=same; %q; %q }", b.key, id)
		w.put(depth, "%q -> %q [style=dotted, arrowhead=none, color=\"#ca8a04\"]", b.key, id)
		return
	}
	w.put(depth, "%q -> %q [style=dotted, arrowhead=none, constraint=false, color=\"#ca8a04\", ltail=%q]", firstOf(b).key, id, "cluster_"+b.key)
}

func (w *dot) arrow(a *arrow) {
	attrs := "label=" + dotText(spaced(a.label)...)
	if !a.from.leaf() {
		attrs += fmt.Sprintf(", ltail=%q", "cluster_"+a.from.key)
	}
	if !a.to.leaf() {
		attrs += fmt.Sprintf(", lhead=%q", "cluster_"+a.to.key)
	}
	switch a.kind {
	case "error":
		attrs += `, color="#b91c1c", fontcolor="#b91c1c"`
	case "after":
		attrs += ", style=dashed"
	case "choice":
		attrs += `, style=dashed, color="#7c3aed"`
	}
	if a.taken {
		attrs += `, color="#15803d", fontcolor="#15803d", penwidth=2.5`
	}
	if a.to.kind == "fork" || a.to.kind == "again" {
		attrs += ", arrowhead=none"
	}
	if a.edge.Note != "" {
		attrs += ", edgetooltip=" + dotText(line(a.edge.Note))
	}
	w.put(1, "%q -> %q [%s]", lastOf(a.from).key, firstOf(a.to).key, attrs)
}

// spaced keeps the lines of a label off the arrow.
func spaced(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = " " + line(l) + " "
	}
	return out
}

// firstOf and lastOf are the boxes without others in them that stand for a box where
// an arrow comes in and goes out: Graphviz draws arrows between those alone, and
// clips them at the border.
func firstOf(b *box) *box {
	for !b.leaf() {
		b = b.boxes[0]
	}
	return b
}

func lastOf(b *box) *box {
	for !b.leaf() {
		last, ended := b.boxes[0], false
		for _, c := range b.boxes {
			if c.helper() || c.kind == "history" || ended {
				continue
			}
			last, ended = c, c.kind == "final"
		}
		b = last
	}
	return b
}

// dotLabel is a title with smaller lines below it, in Graphviz's HTML.
func dotLabel(title string, lines []string) string {
	var b strings.Builder
	if t := htmlText(title); strings.TrimSpace(t) != "" {
		b.WriteString("<b>" + t + "</b>")
	}
	for _, l := range lines {
		if l = htmlText(l); strings.TrimSpace(l) != "" {
			b.WriteString(`<br/><font point-size="9">` + l + "</font>")
		}
	}
	return b.String()
}

var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")

func htmlText(s string) string { return htmlEscapes.Replace(line(s)) }

var dotEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;")

// dotText is a quoted text of Graphviz, of one or more lines.
func dotText(lines ...string) string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = dotEscapes.Replace(l)
	}
	return `"` + strings.Join(out, `\n`) + `"`
}
