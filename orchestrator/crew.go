package orchestrator

import "sync"

// A crew does the jobs of one driver in goroutines that it keeps for the next
// ones, since their stacks have grown to what a job needs. The zero value is ready.
type crew struct {
	mu   sync.Mutex
	idle []chan func()
	over bool
}

// do has f done. It does not wait; foreign code in f may never return.
func (c *crew) do(f func()) {
	c.mu.Lock()
	var hand chan func()
	if n := len(c.idle); n > 0 {
		hand, c.idle = c.idle[n-1], c.idle[:n-1]
	}
	c.mu.Unlock()
	if hand == nil {
		go c.work(f)
		return
	}
	hand <- f
}

// work does f, and then what comes, until the crew is dismissed.
func (c *crew) work(f func()) {
	hand := make(chan func())
	for f != nil {
		f()
		c.mu.Lock()
		if c.over {
			c.mu.Unlock()
			return
		}
		c.idle = append(c.idle, hand)
		c.mu.Unlock()
		f = <-hand
	}
}

// dismiss ends the goroutines that have nothing to do, and lets the others end
// when they have done what they do.
func (c *crew) dismiss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, hand := range c.idle {
		close(hand)
	}
	c.idle = nil
}
