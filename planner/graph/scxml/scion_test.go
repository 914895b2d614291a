package scxml_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/play"
	"github.com/fermata-run/fermata/planner/graph/scxml"
)

// suite is where make scion puts the suite of SCION: documents, each beside a script of
// events and of the configurations that they are to lead to.
const suite = "../../../.tools/scion/package/test"

// differs are the cases of SCION's own that do not come out as its scripts say, and why.
var differs = map[string]string{
	"error/error":                "it wants error.execution to bring an object with SCION's own fields tagname, line, column and reason. The recommendation leaves open what it brings; here that is a text",
	"internal-transitions/test0": "it has a <transition> right in <scxml>, which the recommendation does not allow and which is refused with its line",
	"more-parallel/test10":       "SCION 2 lets a parallel state be the domain of a transition. In the recommendation only a compound state or the document is one (appendix D, findLCCA), so that the parallel state is left and entered again; the script has that as its legacy semantics, and so it comes out here",
	"more-parallel/test10b":      "as more-parallel/test10",
}

// w3cFails are the cases of the W3C's suite, which end in pass or fail, that do not end
// in pass, and why.
var w3cFails = map[string]string{
	"test201": "optional: it sends to the basic HTTP event processor, which is not offered",
	"test326": "it compares two variables that were given one object for being the same object. A variable is kept as JSON, and so each has an object of its own",
	"test329": "as test326",
}

// w3cManual are the cases that have no verdict of their own: a tester is to read their
// log. It has to have these lines, and none that says that it was not to come so far.
var w3cManual = map[string][]string{
	"test230": {"name is : childToParent", "type is : external"},
	"test250": {"Exiting sub01", "Exiting sub0"},
	"test307": {"no error in s0", "error in state s1"},
}

// script is what is to be done with a document, and where it is to stand then.
type script struct {
	Initial []string `json:"initialConfiguration"`
	Events  []struct {
		After int `json:"after"` // milliseconds
		Event struct {
			Name string          `json:"name"`
			Data json.RawMessage `json:"data"`
		} `json:"event"`
		Next []string `json:"nextConfiguration"`
	} `json:"events"`
	Legacy *script `json:"legacySemantics"`
}

func TestSuiteOfSCION(t *testing.T) {
	cases := casesOf(t, func(folder string) bool { return folder != "w3c-ecma" })
	if len(cases) != 127 {
		t.Errorf("there are %d cases, and 127 are expected", len(cases))
	}
	got := map[string]bool{}
	for _, name := range cases {
		s := scriptOf(t, name)
		err := follow(t, name, s)
		if err == nil {
			continue
		}
		got[name] = true
		if differs[name] == "" {
			t.Errorf("%s: %v", name, err)
		}
		if s.Legacy != nil {
			if err := follow(t, name, s.Legacy); err != nil {
				t.Errorf("%s, by its legacy semantics: %v", name, err)
			}
		}
	}
	for name := range differs {
		if !got[name] {
			t.Errorf("%s comes out as its script says: take it out of the table", name)
		}
	}
	t.Logf("%d of %d cases come out as their scripts say", len(cases)-len(got), len(cases))
}

func TestSuiteOfW3C(t *testing.T) {
	cases := casesOf(t, func(folder string) bool { return folder == "w3c-ecma" })
	passed, fails := 0, map[string]bool{}
	for _, name := range cases {
		short := strings.TrimSuffix(filepath.Base(name), ".txml")
		at, log, err := toItsEnd(t, name)
		ok := err == nil && slices.Equal(at, []string{"pass"})
		if lines, manual := w3cManual[short]; manual {
			ok = err == nil && slices.Equal(at, []string{"final"})
			for _, line := range lines {
				ok = ok && strings.Contains(log, line)
			}
			ok = ok && !strings.Contains(log, "invocation was not cancelled")
		}
		if ok {
			passed++
			continue
		}
		fails[short] = true
		if w3cFails[short] == "" {
			t.Errorf("%s ends in %v (%v)\n%s", name, at, err, log)
		}
	}
	if !maps.Equal(fails, keysOf(w3cFails)) {
		t.Errorf("these do not pass: %v, and the table has %v", fails, keysOf(w3cFails))
	}
	t.Logf("%d of %d cases pass", passed, len(cases))
}

func keysOf(m map[string]string) map[string]bool {
	keys := map[string]bool{}
	for k := range m {
		keys[k] = true
	}
	return keys
}

// casesOf lists the suite's cases, FOLDER/NAME, of some folders.
func casesOf(t *testing.T, of func(folder string) bool) []string {
	t.Helper()
	scripts, err := filepath.Glob(suite + "/*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(scripts) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("the SCION suite is not there: run make scion")
		}
		t.Skip("the SCION suite is not there: run make scion")
	}
	var cases []string
	for _, path := range scripts {
		base := strings.TrimSuffix(path, ".json")
		if _, err := os.Stat(base + ".scxml"); err == nil && of(filepath.Base(filepath.Dir(path))) {
			cases = append(cases, strings.TrimPrefix(filepath.ToSlash(base), suite+"/"))
		}
	}
	return cases
}

func scriptOf(t *testing.T, name string) *script {
	t.Helper()
	raw, err := os.ReadFile(suite + "/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return &s
}

// begun loads a case and starts it.
func begun(name string, logged func(string)) (*play.Player, error) {
	def, err := scxml.LoadFile(suite+"/"+name+".scxml", &scxml.LoadOptions{Lax: true})
	if err != nil {
		return nil, err
	}
	g, err := graph.New(def, &graph.Options{Lax: true})
	if err != nil {
		return nil, err
	}
	p := play.New(g, &play.Options{Logged: logged})
	return p, p.Start(nil)
}

// follow plays a script. The error says where it comes out otherwise.
func follow(t *testing.T, name string, s *script) error {
	t.Helper()
	p, err := begun(name, nil)
	if err != nil {
		return err
	}
	if err := standsAt(p, s.Initial); err != nil {
		return fmt.Errorf("at the start: %w", err)
	}
	for i, e := range s.Events {
		if err := p.Pass(time.Duration(e.After) * time.Millisecond); err != nil {
			return err
		}
		if err := p.Send(e.Event.Name, e.Event.Data); err != nil {
			return err
		}
		if err := standsAt(p, e.Next); err != nil {
			return fmt.Errorf("after event %d, %s: %w", i+1, e.Event.Name, err)
		}
	}
	return nil
}

func standsAt(p *play.Player, want []string) error {
	got := p.At()
	slices.Sort(got)
	if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		return fmt.Errorf("it is in %v, and %v is expected", got, want)
	}
	return nil
}

// toItsEnd plays a case without events, while all delays pass.
func toItsEnd(t *testing.T, name string) (at []string, log string, err error) {
	t.Helper()
	var b strings.Builder
	p, err := begun(name, func(s string) { b.WriteString(s + "\n") })
	if err != nil {
		return nil, b.String(), err
	}
	err = p.Pass(time.Hour)
	return p.At(), b.String(), err
}
