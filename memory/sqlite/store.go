package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/fermata-run/fermata/memory"
)

// Options are what [Open] may be told. Nil is the same as the zero value.
type Options struct {
	// Now is the store's clock; nil means time.Now. All processes that share the
	// file should have the same one.
	Now func() time.Time
}

// Store is a store in one file. Open it once per process.
type Store struct {
	path  string
	now   func() time.Time
	procs *process
	hub   *hub

	db      *sql.DB
	readers *pool
	turn    chan struct{} // holds a value while somebody of this process writes
	writer  *conn         // used by whoever has the turn
	speaker *conn         // likewise; its commits are not waited for by the disk

	life   sync.RWMutex // held for reading by each call that uses a connection
	closed bool
	done   chan struct{} // closed when Close begins: ends the calls that wait
	ending sync.Once
}

var _ memory.Store = (*Store)(nil)

// Open opens the store in the file at path and makes the file if there is
// none, or if it is empty; the directory must exist. A file that is not a
// Fermata store, is damaged (an error that is [memory.ErrCorrupt]), or is of a
// newer format is refused with what was found, and is left as it was.
func Open(path string, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	path, err := locate(path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, now: o.Now, procs: newProcess(path), turn: make(chan struct{}, 1), done: make(chan struct{})}
	if s.now == nil {
		s.now = time.Now
	}
	s.hub = newHub(s)
	if err := s.connect(); err != nil {
		s.disconnect()
		return nil, err
	}
	return s, nil
}

// connect opens the connections and looks whether the file is sound.
func (s *Store) connect() (err error) {
	if s.db, err = openDB(s.path); err != nil {
		return s.fail("open", err)
	}
	s.readers = newPool(s.db, maxReaders)
	if s.writer, err = dial(s.db, "synchronous=FULL"); err != nil {
		return s.fail("open", err)
	}
	if s.speaker, err = dial(s.db, "synchronous=NORMAL", "wal_autocheckpoint=0"); err != nil {
		return s.fail("open", err)
	}
	if err := s.examine(); err != nil {
		return err
	}
	return s.fail("open", s.writer.exec("PRAGMA journal_mode=WAL")) // a copy by VACUUM INTO has another
}

// disconnect closes the connections. The writer comes last, since the last one
// moves the WAL into the file and must wait for the disk.
func (s *Store) disconnect() error {
	var errs []error
	if s.speaker != nil {
		errs = append(errs, s.speaker.close())
	}
	s.hub.disconnect()
	if s.readers != nil {
		errs = append(errs, s.readers.close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// Now returns the store's clock: that of the machine, unless Options say
// otherwise.
func (s *Store) Now() time.Time { return micro(s.now()) }

// Close ends the calls that wait, voids the claims of this process and closes
// the file. A second Close does nothing.
func (s *Store) Close() error { return s.end(true) }

func (s *Store) end(orderly bool) (err error) {
	s.ending.Do(func() {
		close(s.done)
		s.hub.stop()
		s.life.Lock()
		defer s.life.Unlock()
		s.closed = true
		if name := s.procs.joined(); orderly && name != "" {
			err = s.write(context.Background(), "close", func(c *conn) error { return c.reap(name, toMicro(s.Now())) })
		}
		s.procs.leave(orderly)
		if e := s.disconnect(); err == nil && e != nil {
			err = s.fail("close", e)
		}
	})
	return err
}

// enter begins a call that uses a connection; leave ends it.
func (s *Store) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return nil, fmt.Errorf("sqlite: the store %s was closed by this process: %w", s.path, fs.ErrClosed)
	}
	return s.life.RUnlock, nil
}

// micro returns t as the store keeps it.
func micro(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// ceilMicro returns the first time that the store can keep and that is not before t.
func ceilMicro(t time.Time) time.Time {
	if cut := micro(t); cut.Before(t) {
		return cut.Add(time.Microsecond)
	}
	return t
}

func toMicro(t time.Time) int64   { return t.UnixMicro() }
func fromMicro(v int64) time.Time { return time.UnixMicro(v).UTC() }

// orNull is toMicro for a time that may be none.
func orNull(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

func fromNull(v sql.NullInt64) time.Time {
	if !v.Valid {
		return time.Time{}
	}
	return fromMicro(v.Int64)
}
