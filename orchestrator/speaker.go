package orchestrator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// speakEvery is how long words are gathered before they go to the store.
const speakEvery = 30 * time.Millisecond

// A speaker hands the words of one planning attempt to the store as they come,
// for whoever watches. They are deltas in JSON, one per line. Words that the
// store does not take are lost; the recorded move has them all.
type speaker struct {
	ctx     context.Context
	store   memory.Store
	run     agent.RunID
	attempt string

	mu     sync.Mutex
	said   int // bytes that the store has
	buf    []byte
	timer  *time.Timer
	closed bool
}

// sentence names a planning attempt, so that watchers can tell whether what
// they hear is still of interest.
func sentence(j run.Job, nonce string) string {
	return fmt.Sprintf("%d/%d/%s", j.Slot, j.Attempt, nonce)
}

// ofSlot reports whether the sentence belongs to the planning that goes on in s.
func ofSlot(attempt string, s *run.State) bool {
	var slot int64
	var n int
	if _, err := fmt.Sscanf(attempt, "%d/%d/", &slot, &n); err != nil {
		return false
	}
	return slot == s.Plan.Slot && n == s.Plan.Attempt+1
}

func newSpeaker(ctx context.Context, store memory.Store, id agent.RunID, j run.Job) *speaker {
	return &speaker{ctx: ctx, store: store, run: id, attempt: sentence(j, newID(6))}
}

// say takes a delta.
func (s *speaker) say(d agent.Delta) {
	line, err := json.Marshal(d)
	if err != nil {
		return // a Delta always has a JSON form
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.buf = append(append(s.buf, line...), '\n')
	if s.timer == nil {
		s.timer = time.AfterFunc(speakEvery, s.flush)
	}
}

// flush hands over what was gathered.
func (s *speaker) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	if s.closed || len(s.buf) == 0 {
		return
	}
	words := memory.Words{Attempt: s.attempt, From: s.said, Data: s.buf}
	if s.store.Speak(s.ctx, s.run, words) == nil {
		s.said += len(s.buf)
		s.buf = nil
	}
}

// close drops what was not handed over.
func (s *speaker) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// listener turns the sentence that is being said back into deltas, each once.
type listener struct {
	attempt string
	heard   int
}

// hear returns the deltas of w that are new. A new attempt begins with a Reset
// if the one before was not heard to its end.
func (l *listener) hear(w memory.Words) []agent.Delta {
	var deltas []agent.Delta
	if w.Attempt != l.attempt {
		if l.attempt != "" && l.heard > 0 {
			deltas = append(deltas, agent.Delta{Reset: true})
		}
		l.attempt, l.heard = w.Attempt, 0
	}
	if l.heard > len(w.Data) {
		return deltas
	}
	for line := range bytes.Lines(w.Data[l.heard:]) {
		var d agent.Delta
		if json.Unmarshal(line, &d) == nil {
			deltas = append(deltas, d)
		}
	}
	l.heard = len(w.Data)
	return deltas
}

// dropped forgets the sentence if s is past it, and reports whether what was
// heard of it is to be taken back: s is not just past the move that has it all.
func (l *listener) dropped(s *run.State) bool {
	if l.attempt == "" || ofSlot(l.attempt, s) {
		return false
	}
	heard := l.heard > 0
	*l = listener{}
	return heard && s.Plan.LastMove != s.Seq
}
