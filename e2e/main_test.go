// Package e2e drives the built command line in real processes, against an
// endpoint that speaks chat completions over HTTP, on one store file: nothing in
// here calls the orchestrator to make something happen. What is asserted is read
// from the store's log, from the bank's ledger, and from what the endpoint was
// sent.
package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/internal/chatserver"
	"github.com/fermata-run/fermata/internal/desk"
)

// The programs, which TestMain builds once.
var (
	fermata, crashfermata, teamfermata string

	exampleOf = map[string]string{} // the examples with a graph
)

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "fermata-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	fermata, crashfermata, teamfermata = filepath.Join(dir, "fermata"), filepath.Join(dir, "crashfermata"), filepath.Join(dir, "teamfermata")
	programs := map[string]string{fermata: "../cmd/fermata", crashfermata: "./crashfermata", teamfermata: "./teamfermata"}
	for _, name := range []string{"order", "approval-chain", "onboarding", "triage"} {
		exampleOf[name] = filepath.Join(dir, name)
		programs[exampleOf[name]] = "../examples/" + name
	}
	for path, from := range programs {
		if out, err := exec.Command("go", "build", "-o", path, from).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build %s: %v\n%s", from, err, out)
			return 1
		}
	}
	return m.Run()
}

// A world is a store, an endpoint, and the processes that share them.
type world struct {
	t        *testing.T
	store    string
	endpoint *chatserver.Server
	env      []string
}

// newWorld makes an empty store and an endpoint that plays a script. At the end
// of the test every request that the endpoint got is held against the protocol.
func newWorld(t *testing.T, replies ...chatserver.Reply) *world {
	t.Helper()
	w := &world{t: t, store: filepath.Join(t.TempDir(), "test.db")}
	w.endpoint = chatserver.New(chatserver.Replies(replies...), &chatserver.Options{Key: "sk-e2e"})
	srv := httptest.NewServer(w.endpoint)
	t.Cleanup(func() {
		srv.Close()
		if err := w.endpoint.Err(); err != nil {
			t.Error(err)
		}
		for i, r := range w.endpoint.Requests() {
			if err := chatserver.CheckRequest(r.Body); err != nil || r.Error != "" {
				t.Errorf("request %d: %v, %s:\n%s", i, err, r.Error, r.Body)
			}
		}
	})
	w.env = []string{
		"OPENAI_BASE_URL=" + srv.URL + "/v1", "OPENAI_API_KEY=sk-e2e", "FERMATA_STORE=" + w.store, "FERMATA_BANK_PAUSE=20ms",
		"USER=ann", "HOME=" + filepath.Dir(w.store), "PATH=" + os.Getenv("PATH"), "TERM=xterm-256color",
	}
	return w
}

// ran is a process that has ended.
type ran struct {
	code   int // -1: killed
	stdout string
	stderr string
}

// command makes a process of the world.
func (w *world) command(program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.t.Context(), program, args...)
	cmd.Env = append([]string(nil), w.env...)
	return cmd
}

// do runs a command to its end.
func (w *world) do(cmd *exec.Cmd) ran {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// run runs fermata, which has to end with a code.
func (w *world) run(code int, args ...string) ran {
	w.t.Helper()
	r := w.do(w.command(fermata, args...))
	if r.code != code {
		w.t.Fatalf("fermata %s ended with code %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), r.code, code, r.stdout, r.stderr)
	}
	return r
}

// lines reads lines of JSON.
func lines[T any](t *testing.T, text string) []T {
	t.Helper()
	var out []T
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("not a line of JSON: %v: %s", err, line)
		}
		out = append(out, v)
	}
	return out
}

// ask returns the id of the only open ask.
func (w *world) ask() string {
	w.t.Helper()
	asks := lines[struct{ ID string }](w.t, w.run(0, "asks", "--json").stdout)
	if len(asks) != 1 {
		w.t.Fatalf("%d asks are open, want 1", len(asks))
	}
	return asks[0].ID
}

// ledger returns what the bank has paid.
func (w *world) ledger() []desk.Entry {
	w.t.Helper()
	entries, err := desk.NewBank(desk.Ledger(w.store)).Entries(0)
	if err != nil {
		w.t.Fatal(err)
	}
	return entries
}

// toolResults returns what the last request told the model of its calls.
func (w *world) toolResults() []string {
	w.t.Helper()
	requests := w.endpoint.Requests()
	var body struct {
		Messages []struct {
			Role    string
			Content any
		}
	}
	if err := json.Unmarshal(requests[len(requests)-1].Body, &body); err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, m := range body.Messages {
		if m.Role == "tool" {
			out = append(out, fmt.Sprint(m.Content))
		}
	}
	return out
}
