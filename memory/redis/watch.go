package redis

import (
	"bytes"
	"context"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

const (
	// heartbeat is how often Watch looks although nothing was told.
	heartbeat = 3 * time.Second
	// wordsKept is how long the server keeps a sentence to which nothing is added.
	wordsKept = 10 * time.Minute
)

// Watch implements [memory.Store].
func (s *Store) Watch(ctx context.Context, run agent.RunID) iter.Seq2[memory.Hint, error] {
	return func(yield func(memory.Hint, error) bool) {
		w := &watcher{poked: make(chan struct{}, 1), stale: true}
		defer s.hub.watch(run, w)()
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for ctx.Err() == nil {
			hint, err := s.hint(ctx, run, w)
			if ctx.Err() != nil || !yield(hint, err) || err != nil {
				return
			}
			select {
			case <-w.poked:
			case <-tick.C:
				s.hub.confirm()
				w.lost()
			case <-s.life.Done():
				w.lost()
			case <-ctx.Done():
			}
		}
	}
}

// hint returns what a watcher knows, and reads it if it may have missed something.
func (s *Store) hint(ctx context.Context, run agent.RunID, w *watcher) (memory.Hint, error) {
	if err := s.begin(ctx); err != nil {
		return memory.Hint{}, err
	}
	if h, fresh := w.state(); fresh {
		return h, nil
	}
	if memory.CheckRun(run) != nil {
		return memory.Hint{}, nil // there is no such run
	}
	sh := s.keys.of(run)
	pipe := s.client.Pipeline()
	last := pipe.HMGet(ctx, sh.run(run), "seq", "id")
	words := pipe.Get(ctx, sh.words(run))
	_, _ = pipe.Exec(ctx) // each command has its error
	values, err := last.Result()
	if err != nil {
		return memory.Hint{}, s.fail(ctx, where("watch", run), err)
	}
	var h memory.Hint
	if values[0] != nil {
		h.Last = position(values[0], values[1])
		if attempt, data, ok := strings.Cut(words.Val(), "\n"); ok { // they may be missed
			h.Words = memory.Words{Attempt: attempt, Data: []byte(data)}
		}
	}
	return w.read(h), nil
}

// watcher is one Watch, and what it knows.
type watcher struct {
	poked chan struct{}

	mu    sync.Mutex
	hint  memory.Hint
	stale bool // something may have been missed
}

func (w *watcher) poke() {
	select {
	case w.poked <- struct{}{}:
	default: // it is poked already
	}
}

func (w *watcher) state() (h memory.Hint, fresh bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h = w.hint
	h.Words.Data = bytes.Clone(h.Words.Data)
	return h, !w.stale
}

// read takes what was read from the server.
func (w *watcher) read(h memory.Hint) memory.Hint {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hint, w.stale = h, false
	h.Words.Data = bytes.Clone(h.Words.Data)
	return h
}

// lost says that something may have been missed.
func (w *watcher) lost() {
	w.mu.Lock()
	w.stale = true
	w.mu.Unlock()
	w.poke()
}

// end takes the new end of the log.
func (w *watcher) end(p memory.Position) {
	w.mu.Lock()
	switch {
	case p.Seq == 0: // erased
		w.hint = memory.Hint{}
	case p.Seq > w.hint.Last.Seq: // and not a message from before it was read
		w.hint.Last = p
	}
	w.mu.Unlock()
	w.poke()
}

// hear takes a piece of a sentence.
func (w *watcher) hear(p memory.Words) {
	w.mu.Lock()
	words := &w.hint.Words
	switch {
	case p.Attempt == "":
		*words = memory.Words{}
	case p.Attempt == words.Attempt && p.From+len(p.Data) <= len(words.Data): // from before it was read
	case p.Attempt == words.Attempt && p.From == len(words.Data):
		words.Data = append(words.Data, p.Data...)
	case p.Attempt != words.Attempt && p.From == 0:
		*words = memory.Words{Attempt: p.Attempt, Data: p.Data}
	default:
		w.stale = true
	}
	w.mu.Unlock()
	w.poke()
}

// Speak implements [memory.Store].
func (s *Store) Speak(ctx context.Context, run agent.RunID, w memory.Words) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	if memory.CheckRun(run) != nil {
		return nil // there is no such run
	}
	sh := s.keys.of(run)
	_, err := s.eval(ctx, &call{script: speakScript, keys: []string{sh.run(run), sh.words(run)},
		args: []any{w.Attempt, w.From, w.Data, wordsKept.Milliseconds(), s.hub.publish, sh.watch(run)}})
	return s.fail(ctx, where("speak in", run), err)
}
