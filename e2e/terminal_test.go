package e2e

import (
	"errors"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/fermata-run/fermata/internal/chatserver"
	"github.com/fermata-run/fermata/orchestrator/run"
)

const terminate = syscall.SIGTERM

// waited is an output that a test waits for.
type waited struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed when there is more, or no more to come
	end  bool
}

func (o *waited) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	o.wakeLocked()
	return len(p), nil
}

func (o *waited) wakeLocked() {
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
}

func (o *waited) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// forget drops what has come so far.
func (o *waited) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Reset()
}

// waitFor waits until the output holds a text, as it is seen on a terminal.
func (o *waited) waitFor(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		o.mu.Lock()
		seen := escapes.ReplaceAllString(o.text.String(), "")
		if o.more == nil {
			o.more = make(chan struct{})
		}
		more, end := o.more, o.end
		o.mu.Unlock()
		if strings.Contains(seen, text) {
			return
		}
		if end {
			t.Fatalf("the output has ended without %q:\n%s", text, seen)
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("the output does not come to %q:\n%s", text, seen)
		}
	}
}

// escapes are what steers a terminal.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

// A terminal is a session on a real pseudo terminal.
type terminal struct {
	waited
	t     *testing.T
	input io.WriteCloser
	cmd   *exec.Cmd
	read  sync.WaitGroup
}

func (w *world) terminal(args ...string) *terminal {
	w.t.Helper()
	s := &terminal{t: w.t, cmd: w.command(fermata, args...)}
	f, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 30, Cols: 90})
	if err != nil {
		w.t.Fatal(err)
	}
	s.input = f
	s.read.Go(func() {
		_, _ = io.Copy(s, f) // ends with an error when the process has ended
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end = true
		s.wakeLocked()
	})
	w.t.Cleanup(func() { f.Close() })
	return s
}

// types types keys.
func (s *terminal) types(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.input, keys); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the process and returns its exit code.
func (s *terminal) ends() int {
	s.t.Helper()
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	s.read.Wait()
	return s.cmd.ProcessState.ExitCode()
}

const (
	enter, ctrlC, ctrlD, ctrlU = "\r", "\x03", "\x04", "\x15"
	edited                     = `{"order":1042,"amount":75}`
)

// A conversation on a real terminal: an approval that is edited after a slip,
// leaving, and coming back.
func TestTerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, append(refund, refund[2])...)
	s := w.terminal("chat")
	s.waitFor(t, "Write a message.")
	s.types(request + enter)
	s.waitFor(t, "Let me see.")
	s.waitFor(t, "refund needs your approval")
	s.waitFor(t, "a/e/d/r › ")
	s.types("e" + enter)
	s.waitFor(t, `arguments › {"order":1042,"amount":249}`)
	s.types(ctrlU + `{"order":1042,"amount":"much"}` + enter)
	s.waitFor(t, "expected a number")
	s.types(ctrlU + edited + enter)
	s.waitFor(t, "approved with other arguments by ann")
	s.waitFor(t, "That is settled.")
	s.types(ctrlC)
	s.waitFor(t, "The run is kept. Come back with:  fermata chat --run ")
	if code := s.ends(); code != 0 {
		t.Errorf("it ended with code %d, want 0", code)
	}
	if l := w.ledger(); len(l) != 1 || l[0].Amount != 75 {
		t.Errorf("the ledger is %+v, want 75 once", l)
	}

	s = w.terminal("chat", "--run", w.firstRun()[:6])
	s.waitFor(t, "› "+request)
	s.waitFor(t, "That is settled.")
	s.forget()
	s.types("Thank you." + enter)
	s.waitFor(t, "› Thank you.\r\n")
	s.waitFor(t, "That is settled.")
	s.types(ctrlD)
	if code := s.ends(); code != 0 {
		t.Errorf("it ended with code %d, want 0", code)
	}
	l := w.log()
	if n := len(of[*run.Messaged](l)); n != 2 || len(of[*run.Moved](l)) != 4 {
		t.Errorf("%d messages and %d moves are in the log, want 2 and 4", n, len(of[*run.Moved](l)))
	}
}

// What is typed for one approval never answers another: while a person has typed
// their yes to the first of two refunds, somebody else denies that one.
func TestTerminalAnswersWhatWasShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t,
		chatserver.Reply{Calls: []chatserver.Call{call("refund", `{"order":1042,"amount":249}`), call("refund", `{"order":1046,"amount":300}`)}},
		chatserver.Reply{Text: "That is settled."})
	s := w.terminal("chat")
	s.waitFor(t, "Write a message.")
	s.types(request + enter)
	s.waitFor(t, "refund needs your approval")
	s.waitFor(t, "amount  249")
	s.waitFor(t, "a/e/d/r › ")
	s.types("a")
	s.waitFor(t, "a/e/d/r › a")
	first := lines[struct{ ID string }](t, w.run(0, "asks", "--json").stdout)[0].ID
	w.run(0, "asks", "answer", first, "--deny", "not this one", "--user", "boss")
	s.waitFor(t, "amount  300")
	s.forget()
	s.types(enter)
	s.waitFor(t, "what you typed was not sent")
	s.types("d" + enter + "nor this" + enter)
	s.waitFor(t, "That is settled.")
	s.types(ctrlD)
	if code := s.ends(); code != 0 {
		t.Errorf("it ended with code %d, want 0", code)
	}
	if l := w.ledger(); len(l) != 0 {
		t.Errorf("the ledger is %+v, want nothing paid", l)
	}
}
