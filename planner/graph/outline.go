package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Outline is the definition as text for a terminal: each node with what it does, its
// edges below it, and then the nodes in it, farther to the right. With marks, nodes
// that are active have a ●, those that were a ✓, as have edges that were taken, and
// those at which the run is stuck a ✗.
func (d *Definition) Outline(m *Marks) string {
	w := &outline{picture: d.drawn(m), taken: map[string]bool{}}
	if m != nil {
		for _, id := range m.Taken {
			w.taken[id] = true
		}
	}
	for _, text := range []string{w.title, line(d.Description), w.begins(w.top)} {
		if text != "" {
			w.WriteString(text + "\n")
		}
	}
	w.inside(w.top, 0)
	for _, g := range d.Graphs {
		if g != nil {
			w.WriteString("\n" + g.Outline(nil))
		}
	}
	return w.String()
}

type outline struct {
	*picture
	strings.Builder
	taken map[string]bool
}

func (w *outline) put(depth int, mark string, parts ...string) {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	text := strings.Join(parts, "  ")
	if w.marked {
		text = fmt.Sprintf("%-2s%s", mark, text)
	}
	text = strings.Repeat("    ", depth) + text
	w.WriteString(strings.TrimRight(text, " ") + "\n")
}

func (w *outline) inside(in *box, depth int) {
	for _, b := range in.boxes {
		if b.helper() {
			continue
		}
		if unnamed(in.id) && b.kind == "final" {
			continue
		}
		if unnamed(b.id) {
			w.inside(b, depth)
			continue
		}
		lines := append(w.whatItIs(b), strings.Join(b.lines[:b.prompt], " "))
		what := strings.Join(slices.DeleteFunc(append(lines, b.lines[b.prompt:]...), func(s string) bool { return s == "" }), ", ")
		name := b.title
		if b.kind == "history" {
			name = line(b.id)
		}
		w.put(depth, markOf(b), name, what)
		if b.note != "" {
			w.put(depth, "", "  “"+b.note+"”")
		}
		for i := range w.edges {
			if e := &w.edges[i]; e.From == b.id {
				w.edge(e, b, depth)
			}
		}
		w.inside(b, depth+1)
	}
}

func markOf(b *box) string {
	switch {
	case b.stuck:
		return "✗"
	case b.active:
		return "●"
	case b.visited:
		return "✓"
	}
	return ""
}

// whatItIs says what is not in the lines of a box.
func (w *outline) whatItIs(b *box) []string {
	switch b.kind {
	case "history":
		what := "where " + cmp.Or(b.in.title, "the graph") + " was last"
		if b.title == "H*" {
			what += ", and all in it"
		}
		for _, a := range w.arrows {
			if a.from == b && a.kind == "initial" {
				what += ", or else " + strings.Join(w.names(a.edge.To), " and ")
				break
			}
		}
		return []string{what}
	case "final":
		return []string{"final"}
	case "failed":
		return []string{"final, failed"}
	case "choice":
		return []string{"choice"}
	case "parallel":
		return []string{"all at once"}
	}
	if text := w.begins(b); text != "" {
		return []string{text}
	}
	return nil
}

// begins says where a box begins.
func (w *outline) begins(b *box) string {
	var at []string
	for _, a := range w.arrows {
		if a.kind == "initial" && a.from.kind == "start" && a.from.in == b {
			at = append(at, w.names(a.edge.To)...)
			break
		}
	}
	if len(at) == 0 {
		return ""
	}
	return "begins at " + strings.Join(at, " and ")
}

func (w *outline) names(ids []string) []string {
	var names []string
	for _, b := range w.targets(ids) {
		name := b.id
		if b.title == "done" {
			name = b.title
		}
		names = append(names, line(name))
	}
	return names
}

func (w *outline) edge(e *Edge, from *box, depth int) {
	mark := ""
	if w.taken[e.ID] {
		mark = "✓"
	}
	label := strings.Join(labelOf(e, from), " ")
	to := w.names(e.To)
	if len(to) == 0 && len(e.To) > 0 || unnamed(from.in.id) && label == "" {
		return // to what does not exist, or to the end of a region
	}
	text := label
	if len(to) > 0 {
		text = strings.TrimSpace(label + " → " + strings.Join(to, " and "))
	}
	if w.marked {
		text = fmt.Sprintf("%-2s%s", mark, text)
	}
	w.put(depth, "", "  "+text)
}
