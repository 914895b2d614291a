package examples

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "renew each output.txt from what the example prints")

// TestExamples builds each example, runs it in an empty folder, and compares
// what it prints. One that exits with 1 is started again, as a person would.
func TestExamples(t *testing.T) {
	mains, err := filepath.Glob("*/main.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("no examples found: %v", err)
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./...").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, m := range mains {
		name := filepath.Dir(m)
		t.Run(name, func(t *testing.T) {
			got := play(t, filepath.Join(bin, name))
			golden := filepath.Join(name, "output.txt")
			if *rewrite {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("it printed\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func play(t *testing.T, program string) []byte {
	t.Helper()
	dir := t.TempDir()
	var out bytes.Buffer
	for try := 0; ; try++ {
		cmd := exec.Command(program)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
		cmd.Env = append(os.Environ(), "OPENAI_API_KEY=") // what looks for one goes on offline
		err := cmd.Run()
		if err == nil {
			return out.Bytes()
		}
		if cmd.ProcessState.ExitCode() != 1 || try > 0 {
			t.Fatalf("%v\n%s", err, out.Bytes())
		}
		out.WriteString("--- exit 1, started again ---\n")
	}
}

// TestReadme holds the README's first agent to the example that it is.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join("hello", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(readme), "```go\n")
	block, _, closed := strings.Cut(block, "```")
	if !ok || !closed {
		t.Fatal("the README has no Go code")
	}
	if !strings.Contains(string(source), block) {
		t.Errorf("the README's first agent is not what examples/hello/main.go has:\n%s", block)
	}
	if n := strings.Count(block, "\n"); n > 25 {
		t.Errorf("the README's first agent has %d lines, and 25 are enough", n)
	}
}
