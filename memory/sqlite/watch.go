package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"iter"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// heartbeat is how often Watch yields a hint without a cause.
const heartbeat = 2 * time.Second

// Watch implements [memory.Store].
func (s *Store) Watch(ctx context.Context, run agent.RunID) iter.Seq2[memory.Hint, error] {
	return func(yield func(memory.Hint, error) bool) {
		if memory.CheckRun(run) != nil { // there is no such run, and never will be
			run = "-"
		}
		w := s.hub.join(run)
		defer s.hub.leave(w)
		beat := time.NewTicker(heartbeat)
		defer beat.Stop()
		var last memory.Hint
		for due := true; ctx.Err() == nil; {
			hint, err := s.hint(ctx, run)
			if ctx.Err() != nil {
				return
			}
			if due || err != nil || !same(hint, last) {
				if !yield(hint, err) || err != nil {
					return
				}
			}
			last, due = hint, false
			select {
			case <-w.poke:
			case <-beat.C:
				due = true
			case <-s.done:
			case <-ctx.Done():
			}
		}
	}
}

func same(a, b memory.Hint) bool {
	return a.Last == b.Last && a.Words.Attempt == b.Words.Attempt && bytes.Equal(a.Words.Data, b.Words.Data)
}

// hint reads how the run stands.
func (s *Store) hint(ctx context.Context, run agent.RunID) (hint memory.Hint, err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return hint, err
	}
	defer leave()
	err = s.read("watch run "+string(run), func(c *conn) error {
		r, err := c.row(run)
		if err != nil || r == nil {
			return err
		}
		hint.Last = r.last
		return c.each(ctx, func(rows *sql.Rows) error {
			var piece []byte
			err := rows.Scan(&hint.Words.Attempt, &piece)
			hint.Words.Data = append(hint.Words.Data, piece...)
			return err
		}, "SELECT attempt, data FROM words WHERE place BETWEEN ? AND ? ORDER BY place", r.first(), r.end())
	})
	return hint, err
}

// Speak implements [memory.Store]. It does not wait for the disk.
func (s *Store) Speak(ctx context.Context, run agent.RunID, w memory.Words) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	err = s.writeOn(ctx, s.speaker, "speak in run "+string(run), func(c *conn) error {
		r, err := c.row(run)
		if err != nil || r == nil {
			return err
		}
		return c.speak(r, w)
	})
	if err == nil {
		s.hub.changed(run)
	}
	return err
}

func (c *conn) speak(r *row, w memory.Words) error {
	var place, size int64
	var attempt string
	said, err := c.one("SELECT place, attempt, length(data) FROM words WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT 1",
		[]any{r.first(), r.end()}, &place, &attempt, &size)
	if err != nil {
		return err
	}
	length := place - r.first() + size
	if !said || attempt != w.Attempt {
		if err := c.exec("DELETE FROM words WHERE place BETWEEN ? AND ?", r.first(), r.end()); err != nil || w.Attempt == "" {
			return err
		}
		length = 0
		if w.From != 0 { // the piece is not its beginning: all that is known of the attempt is its name
			w.Data, w.From = nil, 0
		}
	} else if len(w.Data) == 0 {
		return nil
	}
	if int64(w.From) != length {
		return nil
	}
	return c.exec("INSERT OR REPLACE INTO words (place, attempt, data) VALUES (?, ?, ?)", r.first()+length, w.Attempt, blob(w.Data))
}
