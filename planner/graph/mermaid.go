package graph

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Mermaid draws the definition as a state diagram of Mermaid, version 11 or later, as
// it may stand in Markdown:
//
//	stateDiagram-v2
//	  [*] --> reserve
//	  state "reserve" as reserve
//	  reserve : tool reserve_stock
//	  reserve --> charge : done
//
// Mermaid cannot colour transitions: those that m.Taken names have a ✓ in their label.
// Nothing in a definition can change more than the words in the picture.
func (d *Definition) Mermaid(m *Marks) string {
	w := &mermaid{picture: d.drawn(m)}
	if w.title != "" {
		w.put(0, "---\ntitle: %s\n---", yamlText(w.title))
	}
	w.put(0, "stateDiagram-v2")
	w.outside = w.histories()
	if m != nil {
		w.classes()
	}
	w.inside(w.top, 1)
	for _, a := range w.arrows {
		if a.from.kind != "start" && !w.outside[a.from] {
			w.arrow(a, 1)
		}
	}
	w.marks()
	return w.String()
}

type mermaid struct {
	*picture
	strings.Builder
	outside map[*box]bool // histories that are drawn beside their node, and not in it
}

// histories are those that arrows from outside go to: what Mermaid makes of a node is
// much clearer if none crosses its border.
func (w *mermaid) histories() map[*box]bool {
	out := map[*box]bool{}
	for _, a := range w.arrows {
		if a.to.kind == "history" && a.to.in != w.top && a.to.in.in.kind != "parallel" && !a.from.within(a.to.in) &&
			slices.ContainsFunc(a.to.in.boxes, func(b *box) bool { return b.kind != "history" && !b.helper() }) {
			out[a.to] = true
		}
	}
	return out
}

func (w *mermaid) put(depth int, format string, args ...any) {
	fmt.Fprintf(w, strings.Repeat("  ", depth)+format+"\n", args...)
}

// inside draws what is in a box: each region of a parallel one apart from the others.
func (w *mermaid) inside(in *box, depth int) {
	first := true
	for _, b := range in.boxes {
		if b.beside != nil && in.kind == "parallel" {
			continue // stands with the region that it belongs to
		}
		if w.outside[b] {
			continue
		}
		if in.kind == "parallel" && !first {
			w.put(depth, "--")
		}
		first = false
		w.box(b, depth)
		for _, h := range in.boxes {
			if in.kind == "parallel" && h.beside == b {
				w.box(h, depth)
			}
		}
	}
}

func (w *mermaid) box(b *box, depth int) {
	switch b.kind {
	case "start":
		for _, a := range w.arrows {
			if a.from == b {
				w.arrow(a, depth)
			}
		}
		return
	case "fork":
		w.put(depth, "state %s <<fork>>", b.key)
		return
	case "choice":
		w.put(depth, "state %s <<choice>>", b.key)
		w.note(b, depth)
		return
	}
	switch {
	case unnamed(b.id) && b.in.kind == "parallel":
		w.inside(b, depth)
	case b.leaf():
		w.put(depth, `state "%s" as %s`, mermaidTitle(b.title), b.key)
		for _, l := range append(b.lines, b.internal...) {
			w.put(depth, "%s : %s", b.key, mermaidText(l))
		}
		if b.kind == "final" || b.kind == "failed" {
			w.put(depth, "%s --> [*]", b.key)
		}
	default:
		title := strings.Join(append(append([]string{b.title}, b.lines...), b.internal...), " · ")
		w.put(depth, `state "%s" as %s {`, mermaidTitle(cut(title, 80)), b.key)
		w.inside(b, depth+1)
		w.put(depth, "}")
		for _, h := range b.boxes {
			if w.outside[h] {
				w.box(h, depth)
				w.put(depth, "%s --> %s", h.key, b.key)
			}
		}
	}
	w.note(b, depth)
}

func (w *mermaid) note(b *box, depth int) {
	if b.note != "" {
		text := mermaidLines(wrap(b.note, 26))
		// Mermaid reads Markdown in notes after it has read the character codes.
		text = strings.NewReplacer("#42;", "#92;#42;", "#95;", "#92;#95;", "#96;", "#92;#96;", "#92;", "#92;#92;").Replace(text)
		w.put(depth, "note right of %s : %s", b.key, text)
	}
}

func (w *mermaid) arrow(a *arrow, depth int) {
	from := a.from.key
	if a.from.kind == "start" {
		from = "[*]"
	}
	label := mermaidLines(a.label)
	if a.taken && !a.part {
		label = strings.TrimSpace("✓ " + label)
	}
	if label != "" {
		label = " : " + label
	}
	w.put(depth, "%s --> %s%s", from, a.to.key, label)
}

// classes defines how nodes look.
func (w *mermaid) classes() {
	w.put(1, "classDef around stroke:#b45309,stroke-width:2px")
	w.put(1, "classDef active fill:#fde68a,stroke:#b45309,stroke-width:3px,color:#111827")
	w.put(1, "classDef visited fill:#dcfce7,stroke:#15803d,color:#111827")
	w.put(1, "classDef stuck fill:#fecaca,stroke:#b91c1c,stroke-width:3px,color:#111827")
}

func (w *mermaid) marks() {
	for _, b := range w.boxes {
		if c := w.class(b); c != "" {
			w.put(1, "class %s %s", b.key, c)
		}
	}
}

func (w *mermaid) class(b *box) string {
	switch {
	case b.kind == "choice" && b.leaf() && !b.active && !b.stuck && b.visited:
		return "visited"
	case b.stuck:
		return "stuck"
	case b.active && !b.leaf():
		return "around"
	case b.active:
		return "active"
	case b.visited && b.leaf():
		return "visited"
	}
	return ""
}

func mermaidLines(lines []string) string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = mermaidText(l)
	}
	return strings.Join(out, "<br/>")
}

// mermaidText writes a text so that Mermaid, Markdown and HTML see nothing but text
// in it: all but letters, digits and a few harmless signs are character codes. So is
// the d of direction, which Mermaid looks for anywhere in a line.
func mermaidText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		inWord := i > 0 && i+1 < len(s) && isWord(s[i-1]) && isWord(s[i+1])
		switch {
		case isWord(c), c == ' ', c == ',', c > 0x7f, inWord && (c == '_' || c == '-'), inWord && c == '.' && !website.MatchString(s):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "#%d;", c)
		}
	}
	return direction.ReplaceAllStringFunc(b.String(), func(word string) string {
		return fmt.Sprintf("#%d;%s", word[0], word[1:])
	})
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

var (
	direction = regexp.MustCompile(`(?i)direction`)
	website   = regexp.MustCompile(`(?i)www\.`) // which Markdown makes of it
)

// mermaidTitle is a text that is not empty: Mermaid takes none that is.
func mermaidTitle(s string) string {
	if s == "" {
		return "#160;"
	}
	return mermaidText(s)
}

// yamlText is a text as YAML and JSON quote it.
func yamlText(s string) string {
	data, err := json.Marshal(line(s))
	if err != nil {
		return `""`
	}
	return string(data)
}
