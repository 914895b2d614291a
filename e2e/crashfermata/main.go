// Command crashfermata is fermata with a death built in, for the tests beside
// it: FERMATA_CRASH_AT="before 5" kills the process, as kill -9 does, when it is
// about to make its fifth commit, and "after 5" when that commit is durable and
// nobody has heard of it yet. It is a program of its own so that fermata has no
// such hook.
package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/desk"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator/cli"
)

func main() {
	os.Exit(cli.Main(&cli.App{
		Name:    "fermata",
		Agents:  func(s cli.Setup) ([]*agent.Agent, error) { return desk.Agents(s.Model, s.Store), nil },
		Offline: desk.Model(0),
		Open:    open,
	}))
}

func open(path string) (memory.Store, error) {
	store, err := sqlite.Open(path, nil)
	if err != nil {
		return nil, err
	}
	m := &mortal{Store: store}
	if _, err := fmt.Sscanf(os.Getenv("FERMATA_CRASH_AT"), "%s %d", &m.when, &m.at); err != nil || m.when != "before" && m.when != "after" {
		return nil, fmt.Errorf(`FERMATA_CRASH_AT is %q; it must be "before n" or "after n"`, os.Getenv("FERMATA_CRASH_AT"))
	}
	return m, nil
}

// mortal is a store whose process dies at one of its commits.
type mortal struct {
	memory.Store
	when string // before or after
	at   int64  // which commit
	n    atomic.Int64
}

// Commit commits, unless the process dies.
func (m *mortal) Commit(ctx context.Context, c *memory.Commit) error {
	doomed := m.n.Add(1) == m.at
	if doomed && m.when == "before" {
		die()
	}
	err := m.Store.Commit(ctx, c)
	if doomed {
		die()
	}
	return err
}

// die ends the process at once, without a word.
func die() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err) // the test sees that it did not die as it should
	}
	select {} // until the signal has come
}
