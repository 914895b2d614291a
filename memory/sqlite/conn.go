package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const (
	maxReaders  = 4
	busyTimeout = 200 * time.Millisecond // after which a writer looks whether it is still wanted
	lockTimeout = 30 * time.Second       // after which a writer gives up
)

// openDB prepares connections to the file, which must exist.
func openDB(path string) (*sql.DB, error) {
	const pragmas = "?mode=rw&_pragma=busy_timeout(%d)&_pragma=cell_size_check(1)&_pragma=trusted_schema(0)&_pragma=temp_store(memory)"
	name := "file:" + (&url.URL{Path: path}).EscapedPath()
	return sql.Open("sqlite", name+fmt.Sprintf(pragmas, busyTimeout.Milliseconds()))
}

// conn is one connection with its prepared statements. It is used by one
// goroutine at a time. Statements run to their end: they are short, and a
// context is looked at between them.
type conn struct {
	raw   *sql.Conn
	stmts map[string]*sql.Stmt
}

// dial opens a connection and sets pragmas.
func dial(db *sql.DB, pragmas ...string) (*conn, error) {
	raw, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw, stmts: map[string]*sql.Stmt{}}
	for _, p := range pragmas {
		if _, err := raw.ExecContext(context.Background(), "PRAGMA "+p); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

func (c *conn) close() error {
	for _, s := range c.stmts {
		s.Close()
	}
	return c.raw.Close()
}

// prepared returns the statement, prepared at its first use.
func (c *conn) prepared(query string) (*sql.Stmt, error) {
	if s := c.stmts[query]; s != nil {
		return s, nil
	}
	s, err := c.raw.PrepareContext(context.Background(), query)
	if err == nil {
		c.stmts[query] = s
	}
	return s, err
}

func (c *conn) exec(query string, args ...any) error {
	s, err := c.prepared(query)
	if err == nil {
		_, err = s.Exec(args...)
	}
	return err
}

// one reads a single row; found is false if there is none.
func (c *conn) one(query string, args []any, into ...any) (found bool, err error) {
	s, err := c.prepared(query)
	if err != nil {
		return false, err
	}
	err = s.QueryRow(args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// each reads rows; scan is called for each, until it returns errEnough.
func (c *conn) each(ctx context.Context, scan func(*sql.Rows) error, query string, args ...any) error {
	s, err := c.prepared(query)
	if err != nil {
		return err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := scan(rows); err == errEnough {
			return nil
		} else if err != nil {
			return err
		}
	}
	return rows.Err()
}

// inside runs f in a transaction that begins with the statement begin.
func (c *conn) inside(begin string, f func(*conn) error) error {
	if err := c.exec(begin); err != nil {
		return err
	}
	err := f(c)
	if err == nil {
		err = c.exec("COMMIT")
	}
	if err != nil {
		c.exec("ROLLBACK") // says that there is none when SQLite has done it already
	}
	return err
}

// write runs f in one transaction of the writer, durable when write returns nil.
func (s *Store) write(ctx context.Context, what string, f func(*conn) error) error {
	return s.writeOn(ctx, s.writer, what, f)
}

func (s *Store) writeOn(ctx context.Context, c *conn, what string, f func(*conn) error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for start := time.Now(); ; {
		err := c.inside("BEGIN IMMEDIATE", f)
		if !isBusy(err) || time.Since(start) > lockTimeout {
			return s.fail(what, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// read runs f in one transaction of a reader: all that it reads is of one moment.
func (s *Store) read(what string, f func(*conn) error) error {
	c, err := s.readers.get()
	if err != nil {
		return s.fail(what, err)
	}
	defer s.readers.put(c)
	return s.fail(what, c.inside("BEGIN", f))
}

// pool has connections for readers.
type pool struct {
	db    *sql.DB
	slots chan struct{} // holds a value for each connection in use
	mu    sync.Mutex
	idle  []*conn
}

func newPool(db *sql.DB, size int) *pool { return &pool{db: db, slots: make(chan struct{}, size)} }

func (p *pool) get() (*conn, error) {
	p.slots <- struct{}{}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return c, nil
	}
	c, err := dial(p.db, "query_only=1", "busy_timeout=10000")
	if err != nil {
		<-p.slots
	}
	return c, err
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
	<-p.slots
}

func (p *pool) close() error {
	var errs []error
	for _, c := range p.idle {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}
