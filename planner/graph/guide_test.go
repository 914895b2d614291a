package graph_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/play"
	"github.com/fermata-run/fermata/planner/scripted"
)

const docs = "../../docs/"

// The page docs/graph.md holds: what it has of YAML is a graph that is in order, or a
// part of one, what it has of Go is a part of code that is built, and what it links to
// in its folder is there.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile(docs + "graph.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	graphs := files(t, docs+"graph/*.yaml", docs+"graph/*/*.yaml", "../../examples/*/*.yaml")
	code := files(t, "guide_test.go", docs+"graph/trip/main.go")
	for _, b := range regexp.MustCompile("(?ms)^```(yaml|go)\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		language, block := b[1], b[2]
		switch {
		case language == "go":
			mustBePart(t, block, code)
		case strings.HasPrefix(block, "graph:"):
			mustBeInOrder(t, block)
			mustBePart(t, block, graphs)
		default:
			mustBePart(t, block, graphs)
		}
	}
	for _, p := range regexp.MustCompile(`\]\((graph/[^)]*)\)`).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(docs + p[1]); err != nil {
			t.Errorf("the page links to what is not there: %v", err)
		}
	}
}

func files(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, p := range patterns {
		names, err := filepath.Glob(p)
		if err != nil || len(names) == 0 {
			t.Fatalf("no files %s: %v", p, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(text)
		}
	}
	return texts
}

// mustBePart wants a block to stand in one of the texts, however it is indented.
func mustBePart(t *testing.T, block string, texts map[string]string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(flush(text), flush(block)) {
			return
		}
	}
	t.Errorf("this block of the page stands in no file:\n%s", block)
}

// flush is a text without indentation and empty lines.
func flush(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return "\n" + b.String()
}

func mustBeInOrder(t *testing.T, text string) *graph.Definition {
	t.Helper()
	d, err := graph.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, p := range graph.Check(d, &graph.Options{Models: map[string]agent.Model{"model": scripted.New()}}) {
		t.Errorf("graph %s: %v", d.Graph, p)
	}
	return d
}

// Each graph of the page is in order, and has a picture with all of its nodes: see
// make pictures.
func TestGraphsOfGuide(t *testing.T) {
	for name, text := range files(t, docs+"graph/*.yaml", docs+"graph/*/*.yaml") {
		d := mustBeInOrder(t, text)
		svg, err := os.ReadFile(docs + "graph/" + strings.TrimSuffix(filepath.Base(name), ".yaml") + ".svg")
		if err != nil {
			t.Error(err)
			continue
		}
		for _, n := range append(d.Nodes, d.Steps...) {
			if n.ID != "" && n.History == "" && !strings.Contains(string(svg), ">"+strings.ReplaceAll(n.ID, "-", "&#45;")+"<") {
				t.Errorf("the picture of %s has no %s: renew it with make pictures", name, n.ID)
			}
		}
	}
}

// A definition may be built in Go.
func ExampleBuild() {
	d := graph.Build("trip").
		Data("ticket", nil).
		Step(graph.Choice("May ${user.id} go to ${input.city}?", "approve", "deny").ID("manager").
			For("${input.manager}").On("done.deny", "refused").On("error.expired", "refused").
			With(func(n *graph.Node) { n.Ask.Not, n.Ask.Due = []any{"@user"}, "2d" })).
		Step(graph.Tool("book", graph.Map{"city": "${input.city}"}).
			Retry(3, "1s").Within("1m").Into("ticket").On("error.full", "refused")).
		Node(graph.Failed("refused", "there will be no trip to ${input.city}")).
		Definition()
	g, err := graph.New(d, nil)
	fmt.Println(g.Name(), err)
	// Output: trip <nil>
}

// Expressions may call functions of Go.
func ExampleOptions() {
	d := &graph.Definition{
		Graph:  "remind",
		Nodes:  []graph.Node{{ID: "now"}, {ID: "asked", Final: "done"}},
		Edges:  []graph.Edge{{From: "now", To: []string{"asked"}}},
		Output: "${initials(input.name)}",
	}
	initials := func(args ...any) (any, error) {
		name, ok := args[0].(string)
		if !ok {
			return nil, fmt.Errorf("a name is expected, and this is a %T", args[0])
		}
		var out string
		for _, word := range strings.Fields(name) {
			out += word[:1]
		}
		return out, nil
	}
	g, err := graph.New(d, &graph.Options{Funcs: map[string]graph.Func{"initials": initials}})
	if err != nil {
		fmt.Println(err)
		return
	}
	p := play.New(g, nil)
	err = p.Start(json.RawMessage(`{"name": "Ann Lee"}`))
	fmt.Println(string(p.Last().Output), err)
	// Output: "AL" <nil>
}

// A graph is tried without an orchestrator, in no time, as long as it only waits.
func Example_play() {
	d, err := graph.ParseFile(docs + "graph/lock.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := graph.New(d, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := play.New(g, nil)
	err = p.Start(nil)
	err = p.Send("code", json.RawMessage(`"1234"`))
	fmt.Println(p.At()) // [unlocked]
	may, err := g.Enabled(p.Keys(), graph.Facts{Now: p.Now()})
	for _, m := range may {
		fmt.Println(m.Kind, m.Name, m.Node) // event too-long unlocked; event remove unlocked
	}
	err = p.Pass(40 * time.Second)
	fmt.Println(p.At()) // [locked]
	fmt.Println(err)
	// Output:
	// [unlocked]
	// event too-long unlocked
	// event remove unlocked
	// [locked]
	// <nil>
}

// A graph works for an agent whose planner is a model, and has the form of its tasks.
func ExampleGraph_delegate() {
	d, err := graph.ParseFile(docs + "graph/trip/trip.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := graph.New(d, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	model := scripted.New(scripted.Say("Where do you want to go?"))
	trips := &agent.Agent{Name: "trips", Description: d.Description, Planner: g, Input: d.Input}
	desk := &agent.Agent{
		Name:      "desk",
		Planner:   planner.Loop(model, "You help people who travel for us.", nil),
		Delegates: []*agent.Agent{trips},
	}
	fmt.Println(desk.Delegates[0].Name, string(trips.Input))
	// Output: trips {"type":"object","required":["city","manager"],"properties":{"city":{"type":"string"},"manager":{"type":"string"}}}
}
