package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// fail gives an error of SQLite its meaning in the contract, and says what was
// being done. Errors that have theirs already pass.
func (s *Store) fail(what string, err error) error {
	var e *driver.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch code := e.Code(); {
	case code&0xff == lib.SQLITE_CORRUPT || code&0xff == lib.SQLITE_NOTADB:
		return fmt.Errorf("sqlite: %s: %s is damaged; restore it from a copy: %w (%v)", what, s.path, memory.ErrCorrupt, e)
	case code&0xff == lib.SQLITE_FULL || code == lib.SQLITE_IOERR_WRITE || code == lib.SQLITE_IOERR_SHMSIZE:
		return fmt.Errorf("sqlite: %s: there is no room to write %s; nothing was changed, make room and try again: %w (%v)", what, s.path, memory.ErrFull, e)
	case code&0xff == lib.SQLITE_BUSY:
		return fmt.Errorf("sqlite: %s: another process has kept %s locked for %v; find it and end it: %w", what, s.path, lockTimeout, e)
	case code&0xff == lib.SQLITE_READONLY || code&0xff == lib.SQLITE_CANTOPEN || code&0xff == lib.SQLITE_PERM:
		return fmt.Errorf("sqlite: %s: %s cannot be written; check the permissions of the file and its directory: %w", what, s.path, e)
	default:
		return fmt.Errorf("sqlite: %s: %s: %w", what, s.path, e)
	}
}

// damage is a part of the file that does not hold what it must.
type damage struct {
	path string
	run  agent.RunID // "" if it is not of one run
	what string      // what is there, and what was expected
}

func (d *damage) Error() string {
	of := ""
	if d.run != "" {
		of = fmt.Sprintf("run %s, ", d.run)
	}
	return fmt.Sprintf("sqlite: %s: %s%s: %v", d.path, of, d.what, memory.ErrCorrupt)
}

func (d *damage) Unwrap() error { return memory.ErrCorrupt }

// damaged is the error of a part of the file that is not of one run.
func (s *Store) damaged(format string, args ...any) error {
	return &damage{path: s.path, what: fmt.Sprintf(format, args...)}
}

// damagedRun is the error of a part of a run.
func (s *Store) damagedRun(run agent.RunID, format string, args ...any) error {
	return &damage{path: s.path, run: run, what: fmt.Sprintf(format, args...)}
}

// unreadable is the error of a row whose columns do not have their types,
// unless SQLite says more.
func (s *Store) unreadable(err error, run agent.RunID, format string, args ...any) error {
	if isDriver(err) {
		return err
	}
	return s.damagedRun(run, "%s cannot be read (%v)", fmt.Sprintf(format, args...), err)
}

func isBusy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_BUSY
}

func isDriver(err error) bool {
	var e *driver.Error
	return errors.As(err, &e)
}
