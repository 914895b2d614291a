package graph_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fermata-run/fermata/planner/graph"
)

// TestPicturesOfAnything draws random definitions, also those that a check refuses,
// with texts that try to break out of what they are put into.
func TestPicturesOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, m := definitions.Draw(t, "definition"), marks.Draw(t, "marks")
		if rapid.Bool().Draw(t, "plain") {
			m = nil
		}
		if err := checkDOT(d.DOT(m)); err != nil {
			t.Fatalf("DOT: %v:\n%s", err, d.DOT(m))
		}
		if err := checkMermaid(d.Mermaid(m)); err != nil {
			t.Fatalf("Mermaid: %v:\n%s", err, d.Mermaid(m))
		}
		flow, err := d.Flow(m)
		if err == nil {
			err = checkFlow(flow)
		}
		if err != nil {
			t.Fatalf("Flow: %v:\n%s", err, flow)
		}
		if first, second := drawn(d, m), drawn(d, m); first != second {
			t.Fatalf("drawn twice, it is not the same:\n%s\n%s", first, second)
		}
	})
}

func drawn(d *graph.Definition, m *graph.Marks) string {
	flow, _ := d.Flow(m)
	return d.DOT(m) + d.Mermaid(m) + string(flow) + d.Outline(m)
}

// nasty are texts that mean something to the languages of pictures.
var nasty = []string{
	"a", "b", "c", "d", "a.b", "a-b", "A_b", "class", "end", "constructor", "__proto__", "root_start", "edge0", "n2", "start:a", "a:region", "a:done", "日本",
	`"`, `\`, `\"`, `"]; x -> y [label="`, "a\nb", "-->", "direction LR", "%%{init: {}}%%", "<script>alert(1)</script>", "</b>", "<<fork>>", "[*]", "{", "}", "--",
	"&amp;", "#35;", "]]>", "x\x00y", "\xff", "end note", "www.example.com", "snake_case", "_x_", ":::active", ";", "`", "${x}", "---", "",
}

var (
	ids   = rapid.SampledFrom(nasty[:18])
	texts = rapid.SampledFrom(nasty)

	marks = rapid.Custom(func(t *rapid.T) *graph.Marks {
		some := rapid.SliceOfN(ids, 0, 4)
		return &graph.Marks{Active: some.Draw(t, "active"), Visited: some.Draw(t, "visited"), Taken: rapid.SliceOfN(texts, 0, 3).Draw(t, "taken"), Stuck: some.Draw(t, "stuck")}
	})

	definitions = rapid.Custom(func(t *rapid.T) *graph.Definition {
		return &graph.Definition{
			Graph: texts.Draw(t, "name"), Description: texts.Draw(t, "description"),
			Initial: rapid.Ptr(edges, true).Draw(t, "initial"),
			Steps:   rapid.SliceOfN(nodes, 0, 2).Draw(t, "steps"),
			Nodes:   rapid.SliceOfN(nodes, 0, 8).Draw(t, "nodes"),
			Edges:   rapid.SliceOfN(edges, 0, 10).Draw(t, "edges"),
		}
	})

	nodes = rapid.Custom(func(t *rapid.T) graph.Node {
		n := graph.Node{ID: ids.Draw(t, "id"), Note: texts.Draw(t, "note")}
		if rapid.Bool().Draw(t, "inside") {
			n.In = ids.Draw(t, "in")
		}
		text := texts.Draw(t, "text")
		switch rapid.IntRange(0, 13).Draw(t, "kind") {
		case 0:
			n.Tool, n.Undo, n.Retry = text, &graph.Undo{Tool: text}, &graph.Retry{Attempts: 2}
		case 1:
			n.Agent, n.Each = text, &graph.Each{In: text, Until: text}
		case 2:
			n.Ask = &graph.Ask{Prompt: text, For: []any{text, 1}, Due: text}
		case 3:
			n.Timer = text
		case 4:
			n.Wait = &graph.Wait{Signal: text, Key: map[string]any{text: text}}
		case 5:
			n.Graph, n.When = text, text
		case 6:
			n.Compensate = text
		case 7:
			n.Plan = &graph.Plan{}
		case 8, 9:
			n.Parallel = true
		case 10:
			n.History = rapid.SampledFrom([]string{"shallow", "deep"}).Draw(t, "history")
		case 11:
			n.Final = rapid.SampledFrom([]string{"done", "failed"}).Draw(t, "final")
		default:
			n.Entry = []graph.Do{{Raise: text}, {Set: map[string]any{text: 1}}, {Send: &graph.Send{Event: text}}}
			n.Initial = rapid.Ptr(edges, true).Draw(t, "initial")
		}
		return n
	})

	edges = rapid.Custom(func(t *rapid.T) graph.Edge {
		e := graph.Edge{From: ids.Draw(t, "from"), To: rapid.SliceOfN(ids, 0, 3).Draw(t, "to"), Note: texts.Draw(t, "note")}
		if rapid.Bool().Draw(t, "named") {
			e.ID = texts.Draw(t, "id")
		}
		switch rapid.IntRange(0, 3).Draw(t, "trigger") {
		case 0:
			e.On = []string{texts.Draw(t, "on"), "error.x"}
		case 1:
			e.After = texts.Draw(t, "after")
		case 2:
			e.If, e.Set = texts.Draw(t, "if"), map[string]any{texts.Draw(t, "set"): 1}
		}
		e.Internal = rapid.Bool().Draw(t, "internal")
		return e
	})
)

// mermaidLine is what a line of a picture in Mermaid may be. A text is letters,
// digits, a few signs, and character codes.
var mermaidLine = func() *regexp.Regexp {
	const text, key = `(?:[A-Za-z0-9]+(?:[_.-][A-Za-z0-9]+)*|[ ,]|[^\x00-\x7f]|#[0-9]+;|<br/>)*`, `[A-Za-z][A-Za-z0-9_]*`
	return regexp.MustCompile(`^ *(?:` + strings.Join([]string{
		`---`, `title: ".*"`, `stateDiagram-v2`, `classDef [a-z]+ [a-z0-9#:,-]+`, `class ` + key + ` (?:active|around|visited|stuck)`,
		`state "` + strings.TrimSuffix(text, "*") + `+" as ` + key + `(?: \{)?`, `\}`, `--`, `state ` + key + ` <<(?:fork|choice)>>`,
		key + ` : ` + text, `note right of ` + key + ` : ` + text, `(?:\[\*\]|` + key + `) --> (?:\[\*\]|` + key + `)(?: : ` + text + `)?`,
	}, "|") + `)$`)
}()

var turns = regexp.MustCompile(`(?i)direction\s`)

func checkMermaid(s string) error {
	depth, ends := 0, 0
	for l := range strings.Lines(s) {
		l = strings.TrimSuffix(l, "\n")
		switch {
		case !mermaidLine.MatchString(l):
			return fmt.Errorf("a line that no picture has: %q", l)
		case strings.HasPrefix(l, "title:") && !json.Valid([]byte(strings.TrimPrefix(l, "title: "))):
			return fmt.Errorf("a title that is not quoted: %q", l)
		case l == "---":
			ends++
		case ends != 1 && turns.MatchString(l):
			return fmt.Errorf("a line that turns the picture: %q", l)
		case strings.HasSuffix(l, "{"):
			depth++
		case strings.TrimSpace(l) == "}":
			depth--
		}
	}
	if depth != 0 || ends != 0 && ends != 2 {
		return errors.New("it is not balanced")
	}
	return nil
}

// checkDOT reads a picture as Graphviz does, as far as its structure goes: quoted
// texts, well-formed HTML, balanced brackets, and arrows between nodes that are there.
func checkDOT(s string) error {
	tokens, err := dotTokens(s)
	if err != nil {
		return err
	}
	var open []string
	nodes, ends := map[string]bool{}, []string{}
	for i, tok := range tokens {
		switch tok {
		case "{", "[":
			open = append(open, tok)
		case "}", "]":
			if len(open) == 0 || open[len(open)-1] != map[string]string{"}": "{", "]": "["}[tok] {
				return fmt.Errorf("%s closes nothing", tok)
			}
			open = open[:len(open)-1]
		case "->":
			ends = append(ends, tokens[i-1], tokens[i+1])
		}
		if tok == "[" && tokens[i-1][0] == '"' && tokens[i-2] != "->" {
			nodes[tokens[i-1]] = true
		}
		if (tok == "lhead" || tok == "ltail") && !slices.Contains(tokens[:i], tokens[i+2]) {
			return fmt.Errorf("an arrow to the cluster %s, which is not there", tokens[i+2])
		}
	}
	for _, e := range ends {
		if !nodes[e] {
			return fmt.Errorf("an arrow to or from %s, which is not there", e)
		}
	}
	if len(open) != 0 {
		return fmt.Errorf("%v is not closed", open)
	}
	return nil
}

var dotToken = regexp.MustCompile(`^(?s:\s+|"(?:[^"\\\n]|\\.)*"|->|[{}\[\]=,;]|[A-Za-z_][A-Za-z0-9_]*|[0-9.]+)`)

func dotTokens(s string) ([]string, error) {
	var tokens []string
	for s != "" {
		tok := dotToken.FindString(s)
		if strings.HasPrefix(s, "<") {
			depth, end := 0, -1
			for i, r := range s {
				if r == '<' {
					depth++
				} else if r == '>' {
					depth--
				}
				if depth == 0 {
					end = i + 1
					break
				}
			}
			if end < 0 {
				return nil, errors.New("HTML without an end")
			}
			tok = s[:end]
			if err := wellFormed(tok[1 : end-1]); err != nil {
				return nil, fmt.Errorf("HTML %s: %w", tok, err)
			}
		}
		if tok == "" {
			return nil, fmt.Errorf("no word of DOT: %.60q", s)
		}
		if strings.TrimSpace(tok) != "" {
			tokens = append(tokens, tok)
		}
		s = s[len(tok):]
	}
	return tokens, nil
}

func wellFormed(html string) error {
	for d := xml.NewDecoder(strings.NewReader("<p>" + html + "</p>")); ; {
		switch tok, err := d.Token(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		default:
			if e, ok := tok.(xml.StartElement); ok && !slices.Contains([]string{"p", "b", "br", "font"}, e.Name.Local) {
				return fmt.Errorf("an element <%s>", e.Name.Local)
			}
		}
	}
}

// checkFlow checks that ids differ, that parents come before what is in them, that all
// that is named is there, and that children stand within their parents without
// covering each other.
func checkFlow(data []byte) error {
	type box struct {
		ID, ParentID  string
		Position      struct{ X, Y int }
		Width, Height int
	}
	var f struct {
		Nodes []box
		Edges []struct{ ID, Source, Target string }
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	nodes, edges := map[string]box{}, map[string]bool{}
	for _, n := range f.Nodes {
		if _, twice := nodes[n.ID]; twice || n.ID == "" {
			return fmt.Errorf("two nodes %q", n.ID)
		}
		if n.ParentID != "" {
			p, ok := nodes[n.ParentID]
			if !ok {
				return fmt.Errorf("%q stands before its parent %q", n.ID, n.ParentID)
			}
			if n.Position.X < 0 || n.Position.Y < 0 || n.Position.X+n.Width > p.Width || n.Position.Y+n.Height > p.Height {
				return fmt.Errorf("%q reaches out of its parent %q", n.ID, n.ParentID)
			}
		}
		for _, o := range nodes {
			if o.ParentID == n.ParentID && o.Position.X < n.Position.X+n.Width && n.Position.X < o.Position.X+o.Width &&
				o.Position.Y < n.Position.Y+n.Height && n.Position.Y < o.Position.Y+o.Height {
				return fmt.Errorf("%q covers %q", n.ID, o.ID)
			}
		}
		nodes[n.ID] = n
	}
	for _, e := range f.Edges {
		_, from := nodes[e.Source]
		_, to := nodes[e.Target]
		if edges[e.ID] || !from || !to {
			return fmt.Errorf("edge %+v: it is there twice, or an end is not", e)
		}
		edges[e.ID] = true
	}
	return nil
}
