package scxml_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/scxml"
)

var rewrite = flag.Bool("rewrite", false, "write what is seen as what is expected")

func TestDocumentBecomesDefinition(t *testing.T) {
	def, err := scxml.LoadFile("testdata/everything.scxml", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(def); err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile("testdata/everything.json", got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/everything.json")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the document becomes\n%s\nwhich is not what everything.json says (-rewrite renews it)", got.String())
	}
}

// in makes a document of what stands in it, from its second line on.
func in(inner string) string {
	return `<scxml xmlns="http://www.w3.org/2005/07/scxml" xmlns:x="http://x.example" version="1.0">` + "\n" + inner + "\n</scxml>"
}

func TestDocumentsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, document, says string }{
		{"nothing", "", "document:1: this is not XML"},
		{"no XML", "<scxml", "document:1: this is not well-formed XML"},
		{"cut off", in("<state>"), "document:3: this is not well-formed XML"},
		{"two roots", "<scxml/><scxml/>", "two outermost elements"},
		{"other root", "<svg/>", "the outermost element is <svg>"},
		{"other namespace", `<scxml xmlns="http://x.example"/>`, "the outermost element is <scxml>"},
		{"encoding", `<?xml version="1.0" encoding="latin1"?><scxml/>`, "the encoding is latin1, and UTF-8 is read"},
		{"doctype", "<!DOCTYPE scxml><scxml/>", "a document type declaration (DOCTYPE) is not taken"},
		{"entity", in("<state id='&lol;'/>"), "not well-formed XML"},
		{"xpath", `<scxml xmlns="http://www.w3.org/2005/07/scxml" datamodel="xpath"><state/></scxml>`, `the data model is "xpath"; ecmascript and null are taken`},
		{"unknown element", in("<state>\n<onenter/></state>"), "document:3: <onenter> is not an element of SCXML"},
		{"misplaced element", in("<final>\n\n<transition/></final>"), "document:4: <transition> cannot stand in <final>"},
		{"unknown attribute", in(`<state><transition evnt="e" target="a"/></state>`), "document:2: <transition> has no attribute evnt; it may have: event, cond, target, type"},
		{"text", in("<state>text</state>"), `holds the text "text"`},
		{"foreign action", in("<state><onentry><x:pay/></onentry></state>"), "<pay> of \"http://x.example\" is not an action that is known here"},
		{"double id", in("<state id='a'/>\n<state id='a'/>"), "document:3: the id \"a\" is taken: line 2"},
		{"odd id", in("<state id='a b'/>"), `the id "a b" is no name`},
		{"no target", in("<state><transition target='nowhere'/></state>"), `there is no state "nowhere" to go to`},
		{"no transition", in("<state><transition/></state>"), "neither event nor cond nor target"},
		{"no default", in("<state id='a'><history id='h'/><state/></state>"), "the history h has no transition"},
		{"no regions", in("<parallel id='p'/>"), "the parallel p has no states in it"},
		{"two initials", in("<state initial='a'><initial><transition target='a'/></initial><state id='a'/></state>"), "an attribute initial, too"},
		{"initial with cond", in("<state><initial><transition cond='1' target='a'/></initial><state id='a'/></state>"), "has no cond"},
		{"odd type", in("<state><transition event='e' type='local'/></state>"), `type is "local"`},
		{"odd binding", `<scxml xmlns="http://www.w3.org/2005/07/scxml" binding="never"><state/></scxml>`, `binding is "never"`},
		{"broken cond", in("<state>\n<transition cond='a ==' target='b'/></state><state id='b'/>"), "document:3: the expression \"a ==\": this is not ECMAScript"},
		{"broken script", in("<script>function {</script><state/>"), "the script: this is not ECMAScript"},
		{"broken location", in("<state><onentry><assign location='1 + 1' expr='1'/></onentry></state>"), `the location "1 + 1"`},
		{"double variable", in("<datamodel><data id='a'/><data id='a'/></datamodel><state/>"), "there are two variables a"},
		{"odd variable", in("<datamodel><data id='if'/></datamodel><state/>"), `"if" cannot be the name of a variable`},
		{"system variable", in("<datamodel><data id='_event'/></datamodel><state/>"), `"_event" cannot be the name`},
		{"two values", in("<datamodel><data id='a' expr='1'>2</data></datamodel><state/>"), "has one of expr, src and a value"},
		{"odd delay", in("<state><onentry><send event='e' delay='soon'/></onentry></state>"), `the delay is "soon"`},
		{"event twice", in("<state><onentry><send event='e' eventexpr='e'/></onentry></state>"), "event or eventexpr, and this one has both"},
		{"no event", in("<state><onentry><send/></onentry></state>"), "needs an event"},
		{"late else", in("<state><onentry><if cond='1'><else/><elseif cond='2'/></if></onentry></state>"), "cannot come after the <else>"},
		{"odd invoke", in("<state><invoke type='http'/></state>"), `the type "http" is not known here; scxml is`},
		{"empty invoke", in("<state><invoke/></state>"), "one of src, srcexpr and <content>, and this one has 0"},
		{"no folder", in("<state><invoke src='a.scxml'/></state>"), "this document has no folder"},
		{"inner document", in("<state><invoke><content>\n<scxml><bad/></scxml></content></invoke></state>"), "document:3: <bad> is not an element"},
		{"null with variables", `<scxml xmlns="http://www.w3.org/2005/07/scxml" datamodel="null"><datamodel><data id="a"/></datamodel><state/></scxml>`, "the null data model has no variables"},
		{"null with guard", `<scxml xmlns="http://www.w3.org/2005/07/scxml" datamodel="null"><state id="a"><transition cond="1 == 1" target="a"/></state></scxml>`, "no others than In('id')"},
		{"deep", strings.Repeat("<state>", 300), "deeper than 200"},
		{"many", in(strings.Repeat("<state/>", 60_000)), "more than 50000 elements"},
		{"long", in(strings.Repeat(" ", 1<<20)), "longer than 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := scxml.Load([]byte(c.document), nil)
			var invalid *graph.Invalid
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v\nwant: %s", err, c.says)
			}
		})
	}
}

// All that is wrong is told, not only the first of it.
func TestAllProblemsAreTold(t *testing.T) {
	_, err := scxml.Load([]byte(in("<state id='a'><transition target='b'/>\n<transition cond='(' target='c'/></state>")), &scxml.LoadOptions{Name: "a.scxml"})
	var invalid *graph.Invalid
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	var got []string
	for _, p := range invalid.Problems {
		got = append(got, p.Path+" "+p.Rule)
	}
	if want := "a.scxml:2 target, a.scxml:3 target, a.scxml:3 expression"; strings.Join(got, ", ") != want {
		t.Errorf("the problems are %q, want %q", got, want)
	}
}

func TestBillionLaughs(t *testing.T) {
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\"?>\n<!DOCTYPE lolz [<!ENTITY lol0 \"lol\">\n")
	for i := range 30 {
		fmt.Fprintf(&b, "<!ENTITY lol%d \"%s\">\n", i+1, strings.Repeat(fmt.Sprintf("&lol%d;", i), 10))
	}
	b.WriteString("]>\n" + in("<datamodel><data id='a'>&lol30;</data></datamodel><state/>"))
	begun := time.Now()
	_, err := scxml.Load([]byte(b.String()), nil)
	if err == nil || !strings.Contains(err.Error(), "DOCTYPE") || time.Since(begun) > 20*time.Second {
		t.Errorf("after %v: %v, want a document type that is refused", time.Since(begun), err)
	}
}

func TestFilesOfADocument(t *testing.T) {
	files := fstest.MapFS{
		"in/ok.scxml":        {Data: []byte(in("<state><invoke src='sub/child.scxml'/><onentry><script src='file:sub/a.js'/></onentry></state>"))},
		"in/sub/a.js":        {Data: []byte("a = 1")},
		"in/loop.scxml":      {Data: []byte(in("<state><invoke src='loop2.scxml'/></state>"))},
		"in/loop2.scxml":     {Data: []byte(in("<state><invoke src='loop.scxml'/></state>"))},
		"in/sub/child.scxml": {Data: []byte(in("<state><invoke src='../sub/leaf.scxml'/><invoke src='leaf.scxml'/></state>"))},
		"in/sub/leaf.scxml":  {Data: []byte(in("<final/>"))},
	}
	load := func(name, document string) (*graph.Definition, error) {
		if document == "" {
			document = string(files[name].Data)
		}
		return scxml.Load([]byte(document), &scxml.LoadOptions{Name: name, Files: files})
	}
	def, err := load("in/ok.scxml", "")
	if err != nil {
		t.Fatal(err)
	}
	if len(def.Graphs) != 1 || len(def.Graphs[0].Graphs) != 1 || def.Graphs[0].Graphs[0].Graph != "leaf" {
		t.Errorf("the graphs are %+v, want child with leaf in it, once", def.Graphs)
	}
	for src, says := range map[string]string{
		"../../secret.scxml": "not a file in the document's folder",
		"/etc/passwd":        "not a file in the document's folder",
		"http://x.example/a": "not a file in the document's folder",
		"file:///etc/passwd": "not a file in the document's folder",
		"missing.scxml":      `"missing.scxml": file does not exist`,
		"sub":                "is not a file",
	} {
		_, err := load("in/a.scxml", in("<state><invoke src='"+src+"'/></state>"))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want one that says %q", src, err, says)
		}
	}
	if _, err := load("in/loop.scxml", ""); err == nil || !strings.Contains(err.Error(), "a document cannot invoke itself") {
		t.Errorf("a circle: %v", err)
	}
}

func TestLinkOutOfTheFolder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("secret.txt", "secret")
	write("in/a.scxml", in("<datamodel><data id='a' src='link.txt'/></datamodel><state/>"))
	if err := os.Symlink(filepath.Join(dir, "secret.txt"), filepath.Join(dir, "in", "link.txt")); err != nil {
		if runtime.GOOS == "windows" {
			t.Skip("links need a privilege here")
		}
		t.Fatal(err)
	}
	if _, err := scxml.LoadFile(filepath.Join(dir, "in", "a.scxml"), nil); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("a link out of the folder: %v", err)
	}
}

// Bounds of sources are not for data: a long text is one, whatever it has in it.
func TestDataThatIsLong(t *testing.T) {
	text := strings.Repeat("at 12:30: a => b ((( ", 5000)
	for _, inner := range []string{
		"<datamodel><data id='a'>" + text + "</data></datamodel><state/>",
		"<datamodel><data id='a'><x>" + text + "</x></data></datamodel><state/>",
		"<datamodel><data id='a'>[" + strings.Repeat(`{"a": "1:2"},`, 5000) + "0]</data></datamodel><state/>",
	} {
		if _, err := scxml.Load([]byte(in(inner)), nil); err != nil {
			t.Errorf("%.60s: %.200v", inner, err)
		}
	}
}

// What may fail when it is reached is let pass with Lax.
func TestLax(t *testing.T) {
	for _, document := range []string{
		in("<datamodel><data id='a' expr='{'/><data id='b' src='missing'/></datamodel><state><transition cond='return' event='e'/></state>"),
		in("<state><onentry><x:pay/><assign location='' expr='1'/><script src='missing.js'/><send event='e' delay='soon'/></onentry></state>"),
		in("<state><onentry><foreach item='if' array='[]'/></onentry><invoke src='missing.scxml'/><invoke type='http'/></state>"),
	} {
		if _, err := scxml.Load([]byte(document), nil); err == nil {
			t.Errorf("without Lax it is taken:\n%s", document)
		}
		def, err := scxml.Load([]byte(document), &scxml.LoadOptions{Lax: true})
		if err != nil {
			t.Errorf("with Lax: %v", err)
			continue
		}
		if raw, err := json.Marshal(def); err != nil || !strings.Contains(string(raw), "$fail(") {
			t.Errorf("nothing of it fails when it is reached: %s (%v)", raw, err)
		}
	}
}
