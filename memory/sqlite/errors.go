package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

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

// damaged is the error of a part of the file that does not hold what it must.
func (s *Store) damaged(format string, args ...any) error {
	return fmt.Errorf("sqlite: %s: %s: %w", s.path, fmt.Sprintf(format, args...), memory.ErrCorrupt)
}

func isBusy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_BUSY
}

func isDriver(err error) bool {
	var e *driver.Error
	return errors.As(err, &e)
}
