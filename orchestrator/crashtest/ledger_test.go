package crashtest

import (
	"sync"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// verdict is what a person was told of an input in the end.
type verdict int

const (
	unsure   verdict = iota // nothing: the input may be in the log or not
	accepted                // nil
	refused                 // an *agent.Refusal
)

// input is a message, a signal, a cancellation or an answer of a person.
type input struct {
	run     agent.RunID
	kind    string
	key     string // its idempotency key; of an answer the ask
	answer  string // who answered what
	verdict verdict
	sent    int // its places in the order of all that persons did
	told    int
}

// A ledger is what people did, and were told of it.
type ledger struct {
	mu       sync.Mutex
	clock    int
	inputs   map[agent.RunID][]*input
	answers  map[agent.RunID][]*input
	runs     []agent.RunID // whose Start was acknowledged
	unsure   int           // starts that were given up without
	failures int           // calls that failed without being refused
	counts   map[string]int
}

func newLedger() *ledger {
	return &ledger{inputs: map[agent.RunID][]*input{}, answers: map[agent.RunID][]*input{}, counts: map[string]int{}}
}

func (l *ledger) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *ledger) count(what string) { l.note(func() { l.counts[what]++ }) }

// begin notes that a person is about to give an input.
func (l *ledger) begin(i *input) *input {
	l.note(func() {
		l.clock++
		i.sent = l.clock
		if i.kind == "answer" {
			l.answers[i.run] = append(l.answers[i.run], i)
		} else {
			l.inputs[i.run] = append(l.inputs[i.run], i)
		}
	})
	return i
}

// end notes what a person was told.
func (l *ledger) end(i *input, v verdict) {
	l.note(func() {
		l.clock++
		i.told, i.verdict = l.clock, v
		l.counts[i.kind+[]string{"s given up", "s", "s refused"}[v]]++
	})
}

// recent returns one of the runs that were started last, or "".
func (l *ledger) recent(n func(int) int) agent.RunID {
	l.mu.Lock()
	defer l.mu.Unlock()
	const among = 40
	if len(l.runs) == 0 {
		return ""
	}
	return l.runs[max(0, len(l.runs)-1-n(among))]
}

// check holds a run's log against what people were told: what was accepted is
// there once, what was refused is not there, and what was accepted before
// something else was sent stands before it.
func (l *ledger) check(log *orchestratortest.Log) (wrong []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := map[string]int{} // where an input's key stands in the log
	cancelled := false
	for n, r := range log.Records {
		if _, is := r.Event.(*run.Cancelled); is {
			cancelled = true
		}
		if key := keyOf(r.Event); key != "" {
			if at[key] > 0 {
				wrong = append(wrong, "the input "+key+" is in the log twice")
			}
			at[key] = n + 1
		}
	}
	told := l.inputs[log.State.Run]
	for _, i := range told {
		switch {
		case i.kind == "cancellation" && cancelled && i.verdict == accepted: // to cancel a cancelled run does nothing
		case i.verdict == accepted && at[i.key] == 0:
			wrong = append(wrong, "the "+i.kind+" "+i.key+" was accepted, and is not in the log")
		case i.verdict == refused && at[i.key] > 0:
			wrong = append(wrong, "the "+i.kind+" "+i.key+" was refused, and is in the log")
		}
		for _, j := range told {
			if i.verdict == accepted && i.told < j.sent && at[i.key] > at[j.key] && at[j.key] > 0 {
				wrong = append(wrong, "the "+j.kind+" "+j.key+" was sent after "+i.key+" was accepted, and stands before it")
			}
		}
	}
	return append(wrong, l.checkAnswers(log)...)
}

// checkAnswers checks that each ask has at most one answer: the one that was
// accepted, or one of which nobody was told anything.
func (l *ledger) checkAnswers(log *orchestratortest.Log) (wrong []string) {
	there := map[agent.AskID]string{}
	for _, e := range orchestratortest.Find[*run.Answered](log) {
		if there[e.Ask] != "" {
			wrong = append(wrong, "the ask "+string(e.Ask)+" has two answers in the log")
		}
		there[e.Ask] = e.Answer.By.ID + ": " + e.Answer.Choice
	}
	known := map[agent.AskID]bool{}
	for _, i := range l.answers[log.State.Run] {
		given := there[agent.AskID(i.key)]
		known[agent.AskID(i.key)] = known[agent.AskID(i.key)] || i.answer == given
		if i.verdict == accepted && i.answer != given || i.verdict == refused && i.answer == given {
			wrong = append(wrong, "the answer "+i.answer+" to ask "+i.key+" was "+[]string{"", "accepted", "refused"}[i.verdict]+", and the log has "+given)
		}
	}
	for ask, given := range there {
		if !known[ask] {
			wrong = append(wrong, "the ask "+string(ask)+" has the answer "+given+" in the log, which nobody gave")
		}
	}
	return wrong
}

func keyOf(e run.Event) string {
	switch e := e.(type) {
	case *run.Messaged:
		return e.Key
	case *run.Signaled:
		return e.Key
	case *run.Cancelled:
		return e.Key
	}
	return ""
}
