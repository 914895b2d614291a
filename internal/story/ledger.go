// Package story has what the examples of the logic graph share: a ledger of what
// their pretend services did, and a play, in which people answer and each thing that
// happens is told in a line.
package story

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/jsonl"
)

// PauseVar is the environment variable that says how long the pretend services take
// to answer, such as 2s, when they have done what they were asked to do. A process
// that dies in that time does not know of it.
const PauseVar = "FERMATA_SERVICE_PAUSE"

// A Ledger is what pretend services did. Each act is a line of JSON in a file, on disk
// before anybody is told. It takes whatever it is given: that nothing is done twice is
// up to who asks.
type Ledger struct {
	path  string
	pause time.Duration
	mu    sync.Mutex
}

// Line is a line of a ledger.
type Line struct {
	What    string `json:"what"`    // was done
	About   string `json:"about"`   // and to what
	Key     string `json:"key"`     // of the call that asked for it
	Process int    `json:"process"` // of this machine, which asked
}

func (l Line) String() string { return l.What + " " + l.About }

// OpenLedger opens the ledger in the file at path, which begins to be with its first
// line.
func OpenLedger(path string) *Ledger {
	l := &Ledger{path: path}
	if d, err := time.ParseDuration(os.Getenv(PauseVar)); err == nil && d > 0 {
		l.pause = d
	}
	return l
}

// Do does something for the call that ctx belongs to: it is in the ledger when Do
// answers. An error marked as agent.NotDone says that it is not.
func (l *Ledger) Do(ctx context.Context, what, about string) error {
	return l.do(ctx, what, about, false)
}

// DoOnce does something unless the same call has had it done before: for tools that
// may be called again with the same key.
func (l *Ledger) DoOnce(ctx context.Context, what, about string) error {
	return l.do(ctx, what, about, true)
}

func (l *Ledger) do(ctx context.Context, what, about string, once bool) error {
	if done, err := l.enter(ctx, what, about, once); done || err != nil {
		return err
	}
	select {
	case <-time.After(l.pause):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the service did not answer: %w", context.Cause(ctx))
	}
}

// enter adds a line, with once only if the call has none.
func (l *Ledger) enter(ctx context.Context, what, about string, once bool) (done bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if once {
		if done, err := l.Done(ctx, what); done || err != nil {
			return done, agent.NotDone(err)
		}
	}
	if err := jsonl.Append(l.path, Line{What: what, About: about, Key: agent.CallFrom(ctx).Key, Process: os.Getpid()}); err != nil {
		return false, fmt.Errorf("the ledger cannot be written: %w", err)
	}
	return false, nil
}

// Done reports whether the call that ctx belongs to has had this done.
func (l *Ledger) Done(ctx context.Context, what string) (bool, error) {
	lines, err := l.Lines()
	for _, line := range lines {
		if line.What == what && line.Key == agent.CallFrom(ctx).Key {
			return true, nil
		}
	}
	return false, err
}

// Has reports whether something was done.
func (l *Ledger) Has(what, about string) (bool, error) {
	lines, err := l.Lines()
	for _, line := range lines {
		if line.What == what && line.About == about {
			return true, nil
		}
	}
	return false, err
}

// Lines returns all that was done, the oldest first.
func (l *Ledger) Lines() ([]Line, error) {
	lines, err := jsonl.Read[Line](l.path)
	if err != nil {
		return nil, fmt.Errorf("the ledger cannot be read: %w", err)
	}
	return lines, nil
}
