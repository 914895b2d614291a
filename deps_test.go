// Package fermata_test holds the import law of the house.
package fermata_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/fermata-run/fermata"

// law says which of our packages each package may import, apart from itself,
// and which libraries. A package that is not in the table may not exist, so that
// a newcomer finds the whole house here. A name that ends in /... stands for all
// packages below it.
var law = []struct {
	pkg  string
	ours string
	libs string
}{
	{"agent", "", ""},
	{"internal/schema", "", "github.com/invopop/jsonschema github.com/santhosh-tekuri/jsonschema/v6 golang.org/x/text"},

	{"internal/wellformed", "agent", ""},
	{"internal/adapter", "agent", ""},

	{"tools", "agent internal/schema", ""},
	{"tools/langchain", "agent internal/schema tools", "github.com/tmc/langchaingo"},
	{"planner", "agent internal/schema", ""},
	{"planner/openai", "agent internal/adapter", "github.com/sashabaranov/go-openai"},
	{"planner/langchain", "agent internal/adapter", "github.com/tmc/langchaingo"},
	{"planner/scripted", "agent internal/wellformed", ""},
	{"planner/graph/chart", "", ""},
	{"planner/graph/scxml", "planner/graph", "github.com/dop251/goja github.com/dlclark/regexp2/v2"},
	{"planner/graph/play", "agent planner/graph", ""},
	{"planner/graph", "agent internal/schema planner/graph/chart", "cel.dev/cel-go go.yaml.in/yaml/v4"},

	{"memory", "agent", ""},
	{"memory/sqlite", "agent memory", "modernc.org/sqlite github.com/gofrs/flock"},
	{"memory/redis", "agent memory", "github.com/redis/go-redis/v9 github.com/sourcegraph/conc"},
	{"memory/memorytest", "agent memory", "pgregory.net/rapid"},

	{"orchestrator/run", "agent", ""},
	{"orchestrator/perform", "agent orchestrator/run", "github.com/sourcegraph/conc"},
	{"orchestrator", "agent internal/schema memory orchestrator/run orchestrator/perform", "github.com/sourcegraph/conc go.opentelemetry.io/otel"},
	{"orchestrator/orchestratortest", "agent memory memory/memorytest orchestrator orchestrator/run planner planner/scripted internal/wellformed", ""},
	{"orchestrator/cli", "agent internal/schema memory memory/redis memory/sqlite orchestrator orchestrator/run planner/graph planner/graph/play planner/graph/scxml planner/openai planner/scripted", "github.com/spf13/cobra golang.org/x/term golang.org/x/text/width"},

	{"internal/redisserver", "", "github.com/redis/go-redis/v9"},
	{"internal/bench", "agent internal/redisserver memory memory/redis memory/sqlite orchestrator orchestrator/run planner planner/openai tools", "github.com/redis/go-redis/v9 github.com/sashabaranov/go-openai"},
	{"internal/jsonl", "", ""},
	{"internal/desk", "agent internal/jsonl planner planner/scripted tools", ""},
	{"internal/story/...", "agent internal/jsonl internal/story memory/sqlite orchestrator orchestrator/orchestratortest orchestrator/run planner/graph", ""},
	{"internal/chatserver/...", "agent internal/chatserver internal/wellformed", "github.com/sashabaranov/go-openai"},
	{"cmd/...", "...", "github.com/spf13/cobra golang.org/x/term"},
	{"examples/...", "...", "github.com/tmc/langchaingo"},
	{"docs/...", "...", ""},
	{"e2e/...", "...", "github.com/creack/pty"},
}

// pure lists the packages that may not touch the world, and what of the
// standard library they may not import.
var pure = map[string][]string{
	"orchestrator/run":    {"bufio", "context", "io", "log", "math/rand", "net", "os", "sync", "testing", "crypto/rand", "runtime", "syscall", "unsafe", "database"},
	"planner/graph/chart": {"bufio", "context", "io", "log", "math/rand", "net", "os", "sync", "testing", "time", "crypto/rand", "runtime", "syscall", "unsafe", "database"},
	"agent":               {"io", "log", "math/rand", "net", "os", "sync", "crypto/rand", "runtime", "syscall", "unsafe", "database"},
}

// listed is what the go command says of a package.
type listed struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
	Standard        bool
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles,Standard", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
}

func TestImportLaw(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		ours, libs, ok := lawOf(name)
		if !ok {
			t.Errorf("package %s is not in the table: give it its place in the house", name)
			continue
		}
		for _, imp := range p.Imports {
			own, isOurs := strings.CutPrefix(imp, module+"/")
			switch {
			case isOurs && !allowed(own, ours):
				t.Errorf("%s imports %s, and may import of ours only: %s", name, own, ours)
			case !isOurs && strings.Contains(strings.Split(imp, "/")[0], ".") && !allowedLib(imp, libs):
				t.Errorf("%s imports the library %s, and may import only: %s", name, imp, libs)
			}
		}
	}
}

func lawOf(name string) (ours, libs string, ok bool) {
	for _, l := range law {
		if base, below := strings.CutSuffix(l.pkg, "/..."); l.pkg == name || below && (name == base || strings.HasPrefix(name, base+"/")) {
			return l.ours, l.libs, true
		}
	}
	return "", "", false
}

func allowed(name, ours string) bool {
	return ours == "..." || slices.Contains(strings.Fields(ours), name)
}

func allowedLib(imp, libs string) bool {
	return slices.ContainsFunc(strings.Fields(libs), func(l string) bool { return imp == l || strings.HasPrefix(imp, l+"/") })
}

// TestPurity holds the pure packages to what they promise: no clock, no
// randomness, no I/O, no goroutine.
func TestPurity(t *testing.T) {
	for _, p := range packages(t) {
		banned, ok := pure[strings.TrimPrefix(p.ImportPath, module+"/")]
		if !ok {
			continue
		}
		for _, imp := range p.Imports {
			if slices.ContainsFunc(banned, func(b string) bool { return imp == b || strings.HasPrefix(imp, b+"/") }) {
				t.Errorf("%s is pure and imports %s", p.ImportPath, imp)
			}
		}
		for _, f := range p.GoFiles {
			checkPureFile(t, filepath.Join(p.Dir, f))
		}
	}
}

func checkPureFile(t *testing.T, path string) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: a pure package starts a goroutine", fset.Position(n.Pos()))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Sleep", "Tick"}, n.Sel.Name) {
				t.Errorf("%s: a pure package uses time.%s; times arrive in records", fset.Position(n.Pos()), n.Sel.Name)
			}
		}
		return true
	})
}

// TestShortChains holds the depth of our own imports below a package: a reader
// who starts at the CLI meets no more than this many layers.
func TestShortChains(t *testing.T) {
	const most = 6
	imports := map[string][]string{}
	for _, p := range packages(t) {
		imports[p.ImportPath] = p.Imports
	}
	depth := map[string]int{}
	var measure func(string) int
	measure = func(pkg string) int {
		if d, ok := depth[pkg]; ok {
			return d
		}
		deepest := 0
		for _, imp := range imports[pkg] {
			if strings.HasPrefix(imp, module+"/") {
				deepest = max(deepest, measure(imp))
			}
		}
		depth[pkg] = deepest + 1
		return depth[pkg]
	}
	for pkg := range imports {
		if d := measure(pkg); d > most && !strings.Contains(pkg, "/cmd/") && !strings.Contains(pkg, "/examples/") && !strings.Contains(pkg, "/e2e") {
			t.Errorf("%s stands on a chain of %d of our packages; %d is enough", pkg, d, most)
		}
	}
}
