package memorytest

import (
	"bytes"
	"context"
	"iter"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// heartbeat is how often Watch yields a hint without a cause.
const heartbeat = 2 * time.Second

// Watch implements [memory.Store].
func (s *Store) Watch(ctx context.Context, id agent.RunID) iter.Seq2[memory.Hint, error] {
	return func(yield func(memory.Hint, error) bool) {
		poke := make(chan struct{}, 1)
		defer s.data.watcher(id, poke)()
		for ctx.Err() == nil {
			hint, err := s.hint(ctx, id)
			if ctx.Err() != nil || !yield(hint, err) || err != nil {
				return
			}
			again := time.NewTimer(heartbeat)
			select {
			case <-poke:
			case <-again.C:
			case <-s.done:
			case <-ctx.Done():
			}
			again.Stop()
		}
	}
}

func (d *data) watcher(id agent.RunID, poke chan struct{}) (leave func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watchers[id] == nil {
		d.watchers[id] = map[chan struct{}]bool{}
	}
	d.watchers[id][poke] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watchers[id], poke)
		if len(d.watchers[id]) == 0 {
			delete(d.watchers, id)
		}
	}
}

func (d *data) pokeWatchersLocked(id agent.RunID) {
	for c := range d.watchers[id] {
		poke(c)
	}
}

func (s *Store) hint(ctx context.Context, id agent.RunID) (memory.Hint, error) {
	if err := s.begin(ctx); err != nil {
		return memory.Hint{}, err
	}
	defer s.data.mu.Unlock()
	r := s.data.runs[id]
	if r == nil {
		return memory.Hint{}, nil
	}
	words := r.words
	words.Data = bytes.Clone(words.Data)
	return memory.Hint{Last: r.last(), Words: words}, nil
}

// Speak implements [memory.Store].
func (s *Store) Speak(ctx context.Context, id agent.RunID, w memory.Words) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.data.mu.Unlock()
	r := s.data.runs[id]
	if r == nil {
		return nil
	}
	if w.Attempt != r.words.Attempt {
		r.words = memory.Words{Attempt: w.Attempt}
	}
	if w.Attempt != "" && w.From == len(r.words.Data) {
		r.words.Data = append(r.words.Data, w.Data...)
	}
	s.data.pokeWatchersLocked(id)
	return nil
}
