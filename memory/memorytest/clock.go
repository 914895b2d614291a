package memorytest

import (
	"sync"
	"time"
)

// Clock is a clock that is moved by hand. Its zero value is not of use; make
// one with [NewClock].
type Clock struct {
	mu    sync.Mutex
	now   time.Time
	moved []func()
}

// NewClock makes a clock that shows start.
func NewClock(start time.Time) *Clock { return &Clock{now: start} }

// Now returns what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	moved := c.moved
	c.mu.Unlock()
	for _, f := range moved {
		f()
	}
}

// OnAdvance has f called after each move, for stores that otherwise trust in
// timers.
func (c *Clock) OnAdvance(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved = append(c.moved, f)
}
