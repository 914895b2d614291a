package sqlite

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

const (
	applicationID = 0x46726d74 // "Frmt", in the file's header
	formatVersion = 2          // of schema.sql
	smallFile     = 4 << 20    // up to here Open checks the whole file
	headerSize    = 100
)

//go:embed schema.sql
var schema string

// locate looks at what lies at path, makes the store's file if nothing does,
// and returns its path without symbolic links: all processes must find the
// same files beside it.
func locate(path string) (string, error) {
	if path == "" || path == ":memory:" || strings.HasPrefix(path, "file:") {
		return "", fmt.Errorf("sqlite: the store's path is %q; it must be that of a file, which processes share", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("sqlite: the store's path has no absolute form: %w", err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("sqlite: cannot open the store %s: there is no directory %s; make it first", path, filepath.Dir(path))
	} else if err != nil {
		return "", fmt.Errorf("sqlite: cannot open the store %s: %w", path, err)
	}
	path = filepath.Join(dir, filepath.Base(path))
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = create(path)
	case err != nil:
		err = fmt.Errorf("sqlite: cannot open the store %s: %w", path, err)
	case info.IsDir():
		err = fmt.Errorf("sqlite: cannot open the store %s: it is a directory; name a file in it", path)
	case !info.Mode().IsRegular():
		err = fmt.Errorf("sqlite: cannot open the store %s: it is not a regular file (%v)", path, info.Mode().Type())
	case info.Size() == 0:
		err = create(path)
	default:
		err = inspect(path)
	}
	return path, err
}

// create makes the store's file: complete, and then at once under its name.
func create(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("sqlite: cannot make the store %s; check the permissions of its directory and the room on the disk: %w", path, err)
		}
	}()
	p := newProcess(path)
	if err := os.Mkdir(p.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	lock := flock.New(p.path(creating), flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return err
	}
	defer lock.Close()
	mode := fs.FileMode(0)
	if info, err := os.Stat(path); err == nil {
		if info.Size() > 0 { // somebody else was first
			return nil
		}
		mode = info.Mode().Perm()
	}
	return build(path, path+".new", mode)
}

// build makes the file as fresh and renames it to path.
func build(path, fresh string, mode fs.FileMode) error {
	for _, leftover := range []string{fresh, fresh + "-journal", fresh + "-wal", fresh + "-shm"} {
		if err := os.Remove(leftover); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if mode != 0 {
		err = f.Chmod(mode)
	}
	if err := errors.Join(err, f.Close(), lay(fresh)); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	if err := os.Rename(fresh, path); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return syncDir(filepath.Dir(path))
}

// lay writes the empty tables.
func lay(path string) error {
	db, err := openDB(path)
	if err != nil {
		return err
	}
	defer db.Close()
	c, err := dial(db, fmt.Sprintf("application_id=%d", applicationID), fmt.Sprintf("user_version=%d", formatVersion), "synchronous=FULL")
	if err != nil {
		return err
	}
	for _, do := range []string{schema, "PRAGMA journal_mode=WAL"} {
		if _, err := c.raw.ExecContext(context.Background(), do); err != nil {
			return errors.Join(err, c.close())
		}
	}
	return errors.Join(c.close(), db.Close())
}

// syncDir makes a rename in the directory durable, where the system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	d.Sync() // some systems cannot sync a directory, and need not
	return nil
}

// inspect looks at the file without SQLite, which would take a foreign one for
// its own, and says what is wrong with it.
func inspect(path string) error {
	var err error
	for range 3 { // a process may be moving its WAL into the file just now
		if err = inspectOnce(path); err == nil {
			return nil
		}
	}
	return err
}

func inspectOnce(path string) error {
	wal, walErr := os.Stat(path + "-wal")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("sqlite: cannot open the store %s; check its permissions (it has to be writable, also to be read): %w", path, err)
	}
	defer f.Close()
	s := &Store{path: path}
	h := make([]byte, headerSize)
	if n, err := io.ReadFull(f, h); err == io.ErrUnexpectedEOF {
		return s.damaged("the file has %d bytes, less than a store's header; is it another file, or was it cut short? It was left as it is", n)
	} else if err != nil {
		return fmt.Errorf("sqlite: cannot read the store %s: %w", path, err)
	}
	if magic := "SQLite format 3\x00"; string(h[:len(magic)]) != magic {
		return s.damaged("the file is not a store: it begins with %q and not with %q. It was left as it is", h[:len(magic)], magic)
	}
	if id := binary.BigEndian.Uint32(h[68:]); id != applicationID {
		return s.damaged("the file is an SQLite database, but not a Fermata store: its application id is %#x and not %#x. It was left as it is", id, applicationID)
	}
	if err := s.checkVersion(int64(binary.BigEndian.Uint32(h[60:]))); err != nil {
		return err
	}
	if h[18] < 1 || h[18] > 2 || h[19] != h[18] {
		return s.damaged("the file's header has the journal modes %d and %d, which a store does not have. It was left as it is", h[18], h[19])
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("sqlite: cannot read the store %s: %w", path, err)
	}
	size := int64(binary.BigEndian.Uint16(h[16:]))
	if size == 1 {
		size = 65536
	}
	if want := size * int64(binary.BigEndian.Uint32(h[28:])); info.Size() < want && (walErr != nil || wal.Size() == 0) {
		return s.damaged("the file was cut short: it has %d bytes of %d. It was left as it is", info.Size(), want)
	}
	return nil
}

func (s *Store) checkVersion(v int64) error {
	switch {
	case v > formatVersion:
		return fmt.Errorf("sqlite: the store %s has format version %d, and this program knows versions up to %d; use a newer version of the program", s.path, v, formatVersion)
	case v < 1:
		return s.damaged("the store has format version %d, which does not exist", v)
	case v < formatVersion:
		return fmt.Errorf("sqlite: the store %s has format version %d, of a program before the first release, and this one knows %d; use that program, or begin a new store in another file", s.path, v, formatVersion)
	}
	return nil
}

// examine looks at the open file with SQLite's eyes: its version, its tables
// and, if it is small, all its pages.
func (s *Store) examine() error {
	return s.read("open", func(c *conn) error {
		var version, pages, size int64
		for pragma, into := range map[string]*int64{"user_version": &version, "page_count": &pages, "page_size": &size} {
			if _, err := c.one("PRAGMA "+pragma, nil, into); err != nil {
				return err
			}
		}
		if err := s.checkVersion(version); err != nil {
			return err
		}
		var tables int
		const known = `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN
			('runs', 'records', 'snapshots', 'asks', 'words', 'blobs', 'erased', 'processes')`
		if _, err := c.one(known, nil, &tables); err != nil {
			return err
		}
		if tables != 8 {
			return s.damaged("the file has %d of the 8 tables of a store", tables)
		}
		if pages*size > smallFile {
			return nil
		}
		var verdict string
		if _, err := c.one("PRAGMA quick_check(1)", nil, &verdict); err != nil {
			return err
		}
		if verdict != "ok" {
			return s.damaged("the file's pages are not in order (%s)", verdict)
		}
		return nil
	})
}
