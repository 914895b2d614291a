package cli_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// A terminal is somebody's session with the shop on a real pseudo terminal.
type terminal struct {
	t     *testing.T
	who   string
	input io.WriteCloser

	mu   sync.Mutex
	seen strings.Builder
	more chan struct{} // has one when something was shown since somebody looked
}

// place is a shop with a store of its own.
type place struct {
	*testing.T
	store string
}

func newPlace(t *testing.T) *place {
	t.Parallel()
	return &place{t, filepath.Join(t.TempDir(), "shop.db")}
}

func (p *place) command(who string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		p.Fatal(err)
	}
	cmd := exec.CommandContext(p.Context(), self, args...)
	cmd.Env = []string{shopVar + "=1", "USER=" + who, "HOME=" + filepath.Dir(p.store), "FERMATA_STORE=" + p.store, "TERM=xterm", "NO_COLOR=1"}
	return cmd
}

// run runs a command to its end, and returns its output and exit code.
func (p *place) run(who string, args ...string) (string, int) {
	p.Helper()
	cmd := p.command(who, args...)
	out, _ := cmd.CombinedOutput() // how it ended is in ProcessState
	return string(out), cmd.ProcessState.ExitCode()
}

// ids returns a field of each object that a command prints.
func (p *place) ids(field string, args ...string) (ids []string) {
	p.Helper()
	out, err := p.command("ann", append(args, "--json")...).Output()
	if err != nil {
		p.Fatal(err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var fields map[string]any
		if err := d.Decode(&fields); err != nil {
			p.Fatal(err)
		}
		id, _ := fields[field].(string)
		ids = append(ids, id)
	}
	return ids
}

// sits has somebody sit down at a terminal.
func (p *place) sits(who string, args ...string) *terminal {
	p.Helper()
	f, err := pty.StartWithSize(p.command(who, args...), &pty.Winsize{Rows: 40, Cols: 100})
	if err != nil {
		p.Fatal(err)
	}
	s := &terminal{t: p.T, who: who, input: f, more: make(chan struct{}, 1)}
	go func() { _, _ = io.Copy(s, f) }() // ends with an error when the process has ended
	p.Cleanup(func() { f.Close() })
	return s
}

func (s *terminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.seen.Write(p)
}

var steering = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

// sees waits until texts have come, one after the other, and forgets what was before.
func (s *terminal) sees(texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		deadline := time.After(time.Minute)
		for {
			s.mu.Lock()
			shown := steering.ReplaceAllString(s.seen.String(), "")
			_, rest, found := strings.Cut(shown, text)
			if found {
				s.seen.Reset()
				s.seen.WriteString(rest)
			}
			s.mu.Unlock()
			if found {
				break
			}
			select {
			case <-s.more:
			case <-deadline:
				s.t.Fatalf("%s does not see %q, but:\n%s", s.who, text, shown)
			}
		}
	}
}

func (s *terminal) types(line string) {
	s.t.Helper()
	s.presses(line + "\r")
}

func (s *terminal) presses(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.input, keys); err != nil {
		s.t.Fatal(err)
	}
}

// A delegate asks for an approval that is not the customer's to give: she sees for
// whom it waits, goes on talking, and is told when the supervisor at another
// terminal has given it.
func TestTwoTerminals(t *testing.T) {
	p := newPlace(t)
	ann := p.sits("ann", "chat")
	ann.sees("Write a message.")
	ann.types("my invoice 77")
	ann.sees("One moment.", "→ billing  my invoice 77", "billing · find_invoice", "billing ✓ find_invoice",
		"desk › billing: credit needs your approval", "it waits for the group supervisors, but not ann", "waiting for the group supervisors")
	root := p.ids("run", "runs")[0]
	bob := p.sits("bob", "chat", "--run", root[:8], "--group", "supervisors")
	bob.sees("→ billing  my invoice 77", "credit needs your approval", "a approve", "credit a/e/d/r › ")

	ask := p.ids("id", "asks")[0]
	if out, code := p.run("kim", "asks", "claim", ask, "--group", "supervisors"); code != 0 {
		t.Fatal(out)
	}
	ann.sees("billing · kim claimed it")
	bob.sees("billing · kim claimed it")
	if out, code := p.run("eve", "asks", "release", ask, "--group", "supervisors"); code != 0 {
		t.Fatal(out)
	}
	bob.sees("billing · eve released it", "credit a/e/d/r › ")
	ann.types("hello")
	ann.sees("You said: hello")
	bob.sees("ann › hello", "You said: hello")
	bob.types("a")
	for _, s := range []*terminal{ann, bob} {
		s.sees("billing ✓ credit: approved by bob", "✓ billing  It is settled")
	}
}

// A form on a terminal, set aside and taken up where it was left.
func TestFormOnTerminal(t *testing.T) {
	p := newPlace(t)
	ann := p.sits("ann", "chat")
	ann.sees("Write a message.")
	ann.types("my address")
	ann.sees("Where shall it go?", "A form of 5 fields", "1/5  street", "required", "street › ")
	ann.types("x")
	ann.sees("must have at least 3 characters")
	ann.types("\x15Elm 5")
	ann.sees("2/5  floor")
	ann.types("/later")
	ann.sees("Set aside", "1 question set aside")
	ann.types("/asks")
	ann.sees("2/5  floor", "floor › ")
	ann.types("")
	ann.sees("3/5  size", "2  large", "size › ")
	ann.types("2")
	ann.sees("4/5  express")
	ann.types("yes")
	ann.sees("5/5  tags")
	ann.types("")
	ann.sees("This would be sent:", "send › ")
	ann.types("")
	ann.sees("express: expected false", "4/5  express", "express › ")
	ann.types("no")
	ann.sees("This would be sent:", "send › ")
	ann.types("")
	ann.sees("answered by ann", `Noted: {"street":"Elm 5","size":"large","express":false}`)
}

// What begins with a slash is an answer where words are asked for, unless it is one of
// the commands.
func TestSlashInAnAnswer(t *testing.T) {
	p := newPlace(t)
	ann := p.sits("ann", "chat", "--group", "supervisors")
	ann.sees("Write a message.")
	ann.types("my address")
	ann.sees("street › ")
	ann.types("/mnt 5")
	ann.sees("street › /mnt 5", "2/5  floor")
	ann.types("/later")
	ann.sees("Set aside")
	ann.types("/what")
	ann.sees("There is no command /what")
}

// What is half typed when somebody else takes the question is not lost.
func TestTakenWhileTyping(t *testing.T) {
	p := newPlace(t)
	ann := p.sits("ann", "chat")
	ann.sees("Write a message.")
	ann.types("my address")
	ann.sees("street › ")
	ann.presses("Elm Street 5")
	ann.sees("street › Elm Street 5")
	ask := p.ids("id", "asks")[0]
	if out, code := p.run("kim", "asks", "claim", ask); code != 0 {
		t.Fatal(out)
	}
	ann.sees("kim claimed it", "no longer yours", "was not sent. The up key")
	if out, code := p.run("kim", "asks", "release", ask); code != 0 {
		t.Fatal(out)
	}
	ann.sees("kim released it", "street › ")
	ann.presses("\x1b[A")
	ann.sees("street › Elm Street 5")
	ann.types("")
	ann.sees("2/5  floor")
	if out, code := p.run("kim", "asks", "answer", ask, "--field", "street=Oak 7", "--field", "size=small", "--field", "express=no"); code != 0 {
		t.Fatal(out)
	}
	ann.sees("no longer open")
}

// Who has begun to deny may still leave it.
func TestLaterInsteadOfAReason(t *testing.T) {
	p := newPlace(t)
	p.run("ann", "chat", "my invoice 77")
	bob := p.sits("bob", "chat", "--run", p.ids("run", "runs")[0], "--group", "supervisors")
	bob.sees("credit a/e/d/r › ")
	bob.types("d")
	bob.sees("Why not?", "reason › ")
	bob.types("/later")
	bob.sees("Set aside", "1 question set aside")
	bob.types("/asks")
	bob.sees("credit a/e/d/r › ")
	if ids := p.ids("id", "asks"); len(ids) != 1 {
		t.Errorf("open are %v", ids)
	}
}

// The same form by a command, on a terminal.
func TestFormByCommand(t *testing.T) {
	p := newPlace(t)
	if out, code := p.run("ann", "chat", "my address"); code != 3 || !strings.Contains(out, "--field street=… --field size=…") {
		t.Fatalf("it ended with code %d:\n%s", code, out)
	}
	s := p.sits("ann", "asks", "answer", p.ids("id", "asks")[0])
	s.sees("Where shall it go?", "street › ")
	for _, line := range []string{"Elm 5", "", "small", "", ""} {
		s.types(line)
	}
	s.sees("send › ")
	s.types("")
	s.sees(`Accepted: street="Elm 5"  size="small"  express=false.`)
}

// What was filled in is not lost where somebody else has claimed the form meanwhile.
func TestFormClaimedMeanwhile(t *testing.T) {
	p := newPlace(t)
	p.run("ann", "chat", "my address")
	id := p.ids("id", "asks")[0]
	s := p.sits("ann", "asks", "answer", id)
	s.sees("street › ")
	for _, line := range []string{"Elm 5", "", "small", "", ""} {
		s.types(line)
	}
	s.sees("send › ")
	if out, code := p.run("bob", "asks", "claim", id); code != 0 {
		t.Fatalf("bob cannot claim it:\n%s", out)
	}
	s.types("")
	s.sees(`What was filled in, for --value: {"street":"Elm 5","size":"small","express":false}`, "is claimed by bob")
}

// A message in the middle of a turn: queued until it is taken up, an interruption,
// or refused and left on the line.
func TestManners(t *testing.T) {
	for manner, sees := range map[string]struct{ before, after []string }{
		"desk":  {[]string{"› more  (queued)"}, []string{"✓ slow  ready", "› more\r\n", "You said: more"}},
		"hasty": {[]string{"› more\r\n", "what went on was interrupted by this", "You said: more"}, nil},
		"stern": {[]string{"takes no message in the middle of a turn", "› more"}, []string{"✓ slow  ready"}},
	} {
		t.Run(manner, func(t *testing.T) {
			p := newPlace(t)
			ann := p.sits("ann", "chat", "--agent", manner)
			ann.sees("Write a message.")
			ann.types("slow, please")
			ann.sees("· slow")
			ann.types("more")
			ann.sees(sees.before...)
			if err := os.WriteFile(filepath.Join(filepath.Dir(p.store), slowUntil), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			ann.sees(sees.after...)
		})
	}
}

// Hand-offs, reminders and escalation are told as they come.
func TestToldAsItHappens(t *testing.T) {
	p := newPlace(t)
	ann := p.sits("ann", "chat", "--group", "supervisors")
	ann.sees("Write a message.")
	ann.types("my wine")
	ann.sees("Which wine?", "it waits for bob", "waiting for bob to answer", "a reminder: nobody has answered", "now it waits for the group supervisors", "answer › ")
	ann.types("red")
	ann.sees("answered by ann", "Noted: red")
	ann.types("a return")
	ann.sees("I hand you over.", "→ returns goes on with you", "Send it to us.")
	ann.types("\x03")
	ann.sees("The run is kept.")
	root := p.ids("run", "runs")[0]
	ann = p.sits("ann", "chat", "--run", root)
	ann.sees("→ returns goes on with you", "Send it to us.")
	ann.types("thanks")
	ann.sees("› thanks", "Send it to us.")
}

// Without a terminal: the code says that a delegate waits for a person, and the
// tree who.
func TestOnceWithDelegates(t *testing.T) {
	p := newPlace(t)
	out, code := p.run("ann", "chat", "--json", "my invoice 77 and invoice 78")
	if code != 3 {
		t.Fatalf("it ended with code %d:\n%s", code, out)
	}
	runs := map[string]bool{}
	for d := json.NewDecoder(strings.NewReader(strings.SplitN(out, "\nshop", 2)[0])); d.More(); {
		var ev struct{ Run string }
		if d.Decode(&ev) != nil {
			break // the notices of stderr
		}
		runs[ev.Run] = true
	}
	if len(runs) != 3 {
		t.Errorf("the events are of the runs %v, want a root and two delegates", runs)
	}
	if roots, all := p.ids("run", "runs"), p.ids("run", "runs", "--all"); len(roots) != 1 || len(all) != 3 {
		t.Errorf("there are the roots %v among %v", roots, all)
	}
	root := p.ids("run", "runs")[0]
	tree, _ := p.run("ann", "runs", "show", root)
	want := regexp.MustCompile(`(?m)^desk  waiting  1 step  \w+
├─ billing  waiting  2 steps  \w+  my invoice 77
│     \? \S+  may credit be called\?  amount="49"  – waits for the group supervisors, but not ann, within 2 h
└─ billing  waiting  2 steps  \w+  invoice 78
      \? \S+ `)
	if !want.MatchString(tree) {
		t.Errorf("the tree is drawn as\n%s", tree)
	}
	for _, id := range p.ids("id", "asks") {
		if out, code := p.run("bob", "asks", "answer", id, "--approve", "--group", "supervisors"); code != 0 || !strings.Contains(out, "chat --run "+root) {
			t.Errorf("the answer: code %d\n%s", code, out)
		}
	}
	cmd := p.command("ann", "chat", "--run", p.ids("run", "runs", "--all", "--agent", "billing")[0]) // a delegate's is its root's
	cmd.Stdin = strings.NewReader("")
	if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), "✓ billing") != 2 || !strings.Contains(string(out), "Billing says: ") {
		t.Errorf("going on: %v\n%s", err, out)
	}
}

// What failed and nothing handles: the run is stuck, the list says so, and whoever
// may says what is to be done. To write is not to answer.
func TestRepair(t *testing.T) {
	p := newPlace(t)
	ann := p.sits("ann", "chat")
	ann.sees("Write a message.")
	ann.types("a transfer")
	ann.sees("The transfer failed: 503 from the bank.", "it waits for the group ops", "waiting for the group ops to answer")
	ann.types("retry")
	ann.sees("You said: retry", "waiting for the group ops to answer")
	bob := p.sits("bob", "chat", "--run", p.ids("run", "runs", "--status", "stuck")[0], "--group", "ops")
	bob.sees("The transfer failed: 503 from the bank.", "1  retry", "2  skip", "3  refund", "1–3 › ")
	bob.types("is it up?")
	for _, s := range []*terminal{ann, bob} {
		s.sees("You said: is it up?")
	}
	bob.types("/retry")
	for _, s := range []*terminal{ann, bob} {
		s.sees("it is tried again by bob", "You said: is it up?")
	}
	if ids := p.ids("id", "asks"); len(ids) != 0 {
		t.Errorf("still asked are %v", ids)
	}
}

// The same without a terminal.
func TestRepairByCommand(t *testing.T) {
	p := newPlace(t)
	out, code := p.run("ann", "chat", "a transfer")
	if code != 4 || !strings.Contains(out, "the run is stuck until that is answered") || !strings.Contains(out, "The transfer failed: 503 from the bank.") || !strings.Contains(out, "--choice retry  (or skip, refund), perhaps with --value JSON") {
		t.Fatalf("it ended with code %d:\n%s", code, out)
	}
	run, ask := p.ids("run", "runs", "--status", "stuck")[0], p.ids("id", "asks", "--kind", "repair")[0]
	if out, _ := p.run("ann", "runs", "show", run); !strings.Contains(out, "stuck") || !strings.Contains(out, "The transfer failed: 503 from the bank.") {
		t.Errorf("it is shown as\n%s", out)
	}
	shown, _ := p.run("ann", "asks", "show", ask)
	for _, want := range []string{"The transfer failed: 503 from the bank.", "beside a choice a value may be given, an object of", "sum", "2  skip", "the group ops", "asks answer " + ask + " --choice retry  (or skip, refund)"} {
		if !strings.Contains(shown, want) {
			t.Errorf("asks show lacks %q:\n%s", want, shown)
		}
	}
	if out, code := p.run("ann", "runs", "retry", run); code == 0 || !strings.Contains(out, "is for group:ops, and not for ann") || !strings.Contains(out, "--user and --group say who you are") {
		t.Errorf("who may not retries it: code %d\n%s", code, out)
	}
	if out, code := p.run("bob", "asks", "answer", ask, "--group", "ops", "--choice", "skip", "--value", `{"sum":"much"}`); code == 0 || !strings.Contains(out, "does not fit") {
		t.Errorf("a value that does not fit: code %d\n%s", code, out)
	}
	if out, code := p.run("bob", "asks", "answer", ask, "--group", "ops", "--choice", "skip", "--value", `{"sum":3}`); code != 0 || !strings.Contains(out, "Accepted: skip sum=3.") {
		t.Errorf("the answer: code %d\n%s", code, out)
	}
	cmd := p.command("ann", "chat", "--run", run)
	cmd.Stdin = strings.NewReader("")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), `Noted: {"choice":"skip","value":{"sum":3}}`) {
		t.Errorf("going on: %v\n%s", err, out)
	}
}

// What others wrote steers no terminal, wherever it is shown.
func TestOddContent(t *testing.T) {
	p := newPlace(t)
	shown, _ := p.run("ann", "chat", "odd")
	ask := p.ids("id", "asks")[0]
	run, _, _ := strings.Cut(ask, ".")
	for _, args := range [][]string{{"asks"}, {"asks", "show", ask}, {"asks", "claim", ask}, {"runs", "show", run}, {"runs", "show", run, "--log"}} {
		out, code := p.run("ann", args...)
		if code != 0 {
			t.Errorf("%q ended with code %d", args, code)
		}
		shown += out
	}
	for _, odd := range []string{"\x1b", "\u009b", "\u202e", "\ne, "} {
		if at := strings.Index(shown, odd); at >= 0 {
			t.Errorf("%q is shown: %q", odd, shown[max(at-60, 0):at+20])
		}
	}
	if n := strings.Count(shown, "(or c\ufffd2Jd, \ufffdgnp e)"); n != 4 {
		t.Errorf("how to answer is told %d times in\n%s", n, shown)
	}
}

// Groups that no ask could name are refused, wherever they are given.
func TestBadGroups(t *testing.T) {
	p := newPlace(t)
	p.run("ann", "chat", "my invoice 77")
	ask := p.ids("id", "asks")[0]
	for _, args := range [][]string{{"asks", "--mine"}, {"asks", "claim", ask}, {"asks", "answer", ask, "--approve"}, {"chat", "hello"}} {
		cmd := p.command("bob", args...)
		cmd.Env = append(cmd.Env, "FERMATA_GROUPS=group:supervisors")
		if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), `FERMATA_GROUPS takes the names of groups, with commas between, and "group:supervisors" came`) {
			t.Errorf("%q says\n%s", args, out)
		}
	}
	cmd := p.command("bob", "asks", "claim", ask)
	cmd.Env = append(cmd.Env, "FERMATA_GROUPS=supervisors")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A flag that is given and empty, as by a script whose variable is not set, neither
// widens a list nor is an answer.
func TestEmptyFlags(t *testing.T) {
	p := newPlace(t)
	p.run("ann", "chat", "some wine")
	ask := p.ids("id", "asks")[0]
	for _, args := range [][]string{
		{"asks", "--group", ""}, {"asks", "--mine", "--group", ""}, {"asks", "--for", ""}, {"asks", "--claimed", ""}, {"asks", "--run", ""},
		{"asks", "--agent", ""}, {"asks", "--kind", ""}, {"asks", "answer", ask, "--text", " ", "--user", "bob"},
	} {
		if out, code := p.run("ann", args...); code != 2 {
			t.Errorf("%q ended with code %d, want 2:\n%s", args, code, out)
		}
	}
}
