package crashtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fleet is a number of berths, each with a worker process or, for a moment,
// without one.
type fleet struct {
	*testing.T
	service *service
	url     string // of the service
	lease   time.Duration
	maxRuns int
	dir     string // of what the workers print
	berths  []*berth

	mu       sync.Mutex
	launched int
	kills    int
}

// berth is where one worker after the other runs.
type berth struct {
	store string // the address at which its workers reach the store

	mu   sync.Mutex
	proc *process // nil: there is none now
}

// process is a worker.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
}

// launch starts a worker in a berth that has none.
func (f *fleet) launch(b *berth) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f.mu.Lock()
	f.launched++
	name := fmt.Sprint("worker ", f.launched)
	f.mu.Unlock()
	out, err := os.Create(filepath.Join(f.dir, name))
	if err != nil {
		f.Error(err)
		return
	}
	defer out.Close()
	told, err := json.Marshal(&orders{Name: name, Store: b.store, Service: f.url, Lease: f.lease, MaxRuns: f.maxRuns})
	if err != nil {
		f.Error(err)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), ordersVar+"="+string(told))
	cmd.Stderr = out
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		f.Error(err)
		return
	}
	b.proc = &process{name, cmd, stdin}
}

// kill kills the worker of a berth with SIGKILL. It must have lived until then.
// It returns how many runs the worker had, as far as is known.
func (f *fleet) kill(b *berth, calm bool) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.proc
	if p == nil {
		return 0
	}
	b.proc = nil
	at := time.Now()
	if err := p.cmd.Process.Kill(); err != nil {
		f.Errorf("%s cannot be killed: %v", p.name, err)
	}
	had := f.service.holders.killed(p.name, at, calm)
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Exited() {
		f.Errorf("%s ended by itself: %v\n%s", p.name, err, f.said(p.name))
	}
	p.stdin.Close()
	f.service.stirred()
	f.mu.Lock()
	f.kills++
	f.mu.Unlock()
	return had
}

// freeze stops the worker of a berth until thaw, as a computer that is suspended
// does.
func (f *fleet) freeze(b *berth) { f.signal(b, freeze) }
func (f *fleet) thaw(b *berth)   { f.signal(b, thaw) }

func (f *fleet) signal(b *berth, send func(*os.Process) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proc == nil {
		return
	}
	if err := send(b.proc.cmd.Process); err != nil {
		f.Errorf("%s: %v", b.proc.name, err)
	}
	f.service.stirred()
}

// killed returns how many were killed so far.
func (f *fleet) killed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kills
}

func (f *fleet) killAll() {
	for _, b := range f.berths {
		f.kill(b, false)
	}
}

// said returns the end of what a worker has printed.
func (f *fleet) said(name string) string {
	text, _ := os.ReadFile(filepath.Join(f.dir, name))
	return string(text[max(0, len(text)-4000):])
}

// check looks for what no worker may ever say, whatever is done to it.
func (f *fleet) check() {
	bad := []string{"has lost records", "panic", "DATA RACE", "cannot be read", "store is damaged", "another form"}
	for n := range f.launched {
		name := fmt.Sprint("worker ", n+1)
		text, err := os.ReadFile(filepath.Join(f.dir, name))
		if err != nil {
			f.Error(err)
		}
		for line := range strings.Lines(string(text)) {
			for _, b := range bad {
				if strings.Contains(line, b) {
					f.Errorf("%s said: %s", name, line)
				}
			}
		}
	}
}
