package sqlite

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gofrs/flock"
)

// process is this process as others see it: a lock on a file of its own, which
// the kernel gives back when the process dies. The file's name is random and
// never used again, so that a process found dead stays dead.
//
// A process has the lock before it writes its name into any claim, so whoever
// reads the name there and can get the lock knows that the process is dead.
// Others may meet the file between its making and its locking only when they
// clean the directory; the process sees that it is not the one under its name
// any more, and takes another name.
type process struct {
	dir string

	mu   sync.Mutex
	name string // "" until the first claim
	lock *flock.Flock
}

const (
	lockSuffix = ".lock"
	creating   = "create" // held while the store's file is made
)

func newProcess(path string) *process { return &process{dir: path + ".procs"} }

func (p *process) path(name string) string { return filepath.Join(p.dir, name+lockSuffix) }

// joined returns the process's name, or "" before join.
func (p *process) joined() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.name
}

// join makes the process known and returns its name.
func (p *process) join() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name != "" {
		return p.name, nil
	}
	if err := os.Mkdir(p.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("sqlite: cannot make the directory for the locks of processes; check the permissions beside the store: %w", err)
	}
	p.clean()
	for range 100 {
		name := strings.ToLower(rand.Text())
		lock, err := p.tryJoin(name)
		if err != nil {
			return "", fmt.Errorf("sqlite: cannot lock a file in %s, by which other processes see that this one lives: %w", p.dir, err)
		}
		if lock != nil {
			p.name, p.lock = name, lock
			return name, nil
		}
	}
	return "", fmt.Errorf("sqlite: cannot keep a lock in %s: its files are removed by others; keep them while the store is open", p.dir)
}

// tryJoin makes and locks a file; it returns nil when somebody was in between.
func (p *process) tryJoin(name string) (*flock.Flock, error) {
	lock := flock.New(p.path(name), flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil || !ok {
		lock.Close()
		return nil, err
	}
	held, err := lock.Stat()
	if err != nil {
		lock.Close()
		return nil, err
	}
	if named, err := os.Stat(p.path(name)); err != nil || !os.SameFile(held, named) {
		lock.Close()
		return nil, nil
	}
	return lock, nil
}

// leave gives the lock back, as the death of the process does, and in good
// order removes its file.
func (p *process) leave(orderly bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lock != nil {
		if orderly {
			p.forget(p.name)
		}
		p.lock.Close()
		p.lock = nil
	}
}

// dead reports whether a process that has claims has died. If that cannot be
// told, it is taken to live, and its leases end its claims.
func (p *process) dead(name string) bool {
	if name == p.joined() {
		return false
	}
	lock := flock.New(p.path(name), flock.SetFlag(os.O_RDONLY))
	defer lock.Close()
	ok, err := lock.TryRLock()
	return errors.Is(err, fs.ErrNotExist) || (err == nil && ok)
}

// forget removes the file of a dead process.
func (p *process) forget(name string) { os.Remove(p.path(name)) }

// clean removes the files of processes that died before they claimed anything.
func (p *process) clean() {
	entries, _ := os.ReadDir(p.dir)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), lockSuffix)
		if !ok || name == creating {
			continue
		}
		lock := flock.New(p.path(name), flock.SetFlag(os.O_RDONLY))
		if ok, err := lock.TryRLock(); err == nil && ok {
			p.forget(name) // before the lock is given back: its owner cannot lock it meanwhile
		}
		lock.Close()
	}
}
