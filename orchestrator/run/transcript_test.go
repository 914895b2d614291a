package run_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

var rewrite = flag.Bool("rewrite", false, "renew the output in testdata/*.txt, and write golden files that do not exist yet")

// TestTranscripts plays the stories in testdata. In a file, a paragraph that
// begins with # is prose. Any other is one step: a command, ----, and what came
// of it. The commands are in script_test.go. What is shown: the records that were
// appended, or why none was; the status; each open action; the letters to other runs;
// the news that no move has taken up; the jobs that are due; when to look again.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newScript(t).play(string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s differs (-rewrite renews it) from line %d on; now it is:\n%s", file, firstDifference(got, string(want)), got)
			}
		})
	}
}

// play returns the transcript with the output as it is now.
func (s *script) play(text string) string {
	var out bytes.Buffer
	for i, par := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			out.WriteByte('\n')
		}
		par = strings.Trim(par, "\n")
		if strings.HasPrefix(par, "#") {
			fmt.Fprintln(&out, par)
			continue
		}
		command, _, _ := strings.Cut(par, "\n----")
		fmt.Fprintf(&out, "%s\n----\n%s", command, s.step(command))
	}
	return out.String()
}

func firstDifference(a, b string) int {
	al, bl := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(al), len(bl)) {
		if al[i] != bl[i] {
			return i + 1
		}
	}
	return min(len(al), len(bl)) + 1
}

// describe spells the state out.
func (s *script) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", s.state.Status())
	if reason := s.state.Reason(); reason != "" {
		fmt.Fprintf(&b, ": %s", reason)
	}
	b.WriteByte('\n')
	if d := s.state.Definition; d != "" {
		fmt.Fprintf(&b, "  by the definition %s, %d keys\n", d, len(s.state.Keys))
	}
	for _, o := range s.state.Open {
		fmt.Fprintf(&b, "  %s %s\n", s.nameOf(o.ID), s.standing(o))
	}
	if m := s.state.Mailbox; m != nil {
		b.WriteString(s.holds(m))
	}
	if a := s.state.LimitAsk; a != nil {
		fmt.Fprintf(&b, "  ask: %s [%s]\n", a.Prompt, strings.Join(a.Choices, " "))
	}
	for _, l := range s.state.Outbox {
		fmt.Fprintf(&b, "  letter %d to %s: %s\n", l.N, s.runs[l.To], says(l)+s.saysMail(l))
	}
	for _, l := range s.state.Left {
		fmt.Fprintf(&b, "  called off: %s\n", s.nameOf(l.Action))
	}
	if len(s.state.News) > 0 {
		b.WriteString("news:")
		for _, n := range s.state.News {
			fmt.Fprintf(&b, " %s", n.Kind)
			if c := n.Closed; c != nil {
				fmt.Fprintf(&b, "(%s %s", s.nameOf(c.Action), c.Outcome)
				if c.Name == agent.AnySignal && c.Signal != "" {
					fmt.Fprintf(&b, " by %s", c.Signal)
				}
				b.WriteByte(')')
			}
		}
		b.WriteByte('\n')
	}
	if jobs := s.state.Due(s.now); len(jobs) > 0 {
		b.WriteString("due:")
		for _, j := range jobs {
			fmt.Fprintf(&b, " %s", s.job(j))
		}
		b.WriteByte('\n')
	}
	if wake := s.state.Wake(); !wake.IsZero() {
		fmt.Fprintf(&b, "wake: %s\n", s.when(wake))
	}
	return b.String()
}

// says tells what is in a letter.
func says(l *run.Letter) string {
	var words []string
	if l.Spawn != nil {
		words = append(words, fmt.Sprintf("begin %s %s", l.Spawn.Agent, l.Spawn.Task))
	}
	if l.Cancel != nil {
		words = append(words, fmt.Sprintf("end, as %s", l.Cancel.Reason))
	}
	if l.Report != nil {
		words = append(words, "it "+stands(*l.Report))
	}
	return strings.Join(words, "; ")
}

// stands tells how a delegate stands.
func stands(r run.Report) string {
	text := "goes on"
	if r.Status != "" {
		text = "is " + string(r.Status)
	}
	if r.Reason != "" {
		text += " (" + r.Reason + ")"
	}
	return text
}

func (s *script) standing(o *run.Open) string {
	text := firstNonEmpty(o.Action.Name, string(o.Action.Kind))
	if len(o.Args) > 0 {
		text += " " + string(o.Args)
	}
	text += ": " + string(o.Phase)
	if o.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", o.Attempt)
	}
	if o.Phase == run.Begun {
		text += fmt.Sprintf(" by %s until %s", o.Claim, s.when(o.Deadline))
	}
	if o.Stopped != "" {
		text += fmt.Sprintf(", no longer wanted (%s)", o.Stopped)
	}
	if o.Doubt != "" {
		text += ", " + o.Doubt
	}
	if !o.Due.IsZero() {
		text += ", until " + s.when(o.Due)
	}
	if a := o.Ask; a != nil {
		text += fmt.Sprintf(", ask [%s]", strings.Join(a.Choices, " "))
		text += s.whom(a)
		if !a.Due.IsZero() {
			text += " due " + s.when(a.Due)
		}
	}
	if o.Stands != (run.Report{}) {
		text += ", it " + stands(o.Stands)
	}
	if o.Agent != "" {
		text += ", asked for by " + o.Agent
	}
	return text
}

// whom tells for whom an ask is.
func (s *script) whom(a *agent.Ask) (text string) {
	if len(a.For) > 0 {
		text += " for " + strings.Join(a.For, " ")
	}
	if len(a.Not) > 0 {
		text += " not for " + strings.Join(a.Not, " ")
	}
	if a.Claimed.ID != "" {
		text += " claimed by " + a.Claimed.ID
	}
	if a.Note != "" {
		text += fmt.Sprintf(", of which %s said: %s", a.Delegated.ID, a.Note)
	}
	if a.Stage > 0 {
		text += fmt.Sprintf(" escalated %d times", a.Stage)
	}
	if a.Reminded > 0 {
		text += fmt.Sprintf(" reminded %d times", a.Reminded)
	}
	return text
}

func (s *script) job(j run.Job) string {
	switch j.Kind {
	case run.JobBegin, run.JobPlan:
		return fmt.Sprintf("%s(attempt %d)", j.Kind, j.Attempt)
	}
	if j.Kind == run.JobDeliver {
		return fmt.Sprintf("%s(%s, attempt %d)", j.Kind, s.runs[j.To], j.Attempt)
	}
	begun := ""
	if j.Begun {
		begun = ", begun"
	}
	return fmt.Sprintf("%s(%s, attempt %d%s)", j.Kind, s.nameOf(j.Action), j.Attempt, begun)
}

// when tells a time from now on.
func (s *script) when(t time.Time) string {
	if !t.After(s.now) {
		return "now"
	}
	return "in " + t.Sub(s.now).String()
}

// nameOf returns the call that stands for an action, or the action's own id.
func (s *script) nameOf(id agent.ActionID) string {
	if name := s.names[id]; name != "" {
		return name
	}
	return string(id)
}

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
