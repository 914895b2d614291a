package orchestrator

import (
	"sync"

	"github.com/fermata-run/fermata/agent"
)

// slots bound how many jobs go on at once in this process: in all, and for each
// tool that has a limit of its own.
type slots struct {
	mu      sync.Mutex
	free    int
	tools   map[*agent.Tool]int // calls going on
	waiting map[*driver]bool    // drivers that were turned away
}

func newSlots(n int) *slots {
	return &slots{free: n, tools: map[*agent.Tool]int{}, waiting: map[*driver]bool{}}
}

// take takes a slot for a job of d; tool is nil for a job that calls none. If
// there is none free, d is poked when one may be.
func (s *slots) take(d *driver, tool *agent.Tool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free <= 0 || tool != nil && tool.Limit > 0 && s.tools[tool] >= tool.Limit {
		s.waiting[d] = true
		return false
	}
	s.free--
	if tool != nil && tool.Limit > 0 {
		s.tools[tool]++
	}
	return true
}

// none reports whether no slot is free, whatever the tool.
func (s *slots) none() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free <= 0
}

// give gives a slot back.
func (s *slots) give(tool *agent.Tool) {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting = map[*driver]bool{}
	s.free++
	if tool != nil && tool.Limit > 0 {
		if s.tools[tool]--; s.tools[tool] == 0 {
			delete(s.tools, tool)
		}
	}
	s.mu.Unlock()
	for d := range waiting {
		d.poke()
	}
}

// forget drops a driver that has ended.
func (s *slots) forget(d *driver) {
	s.mu.Lock()
	delete(s.waiting, d)
	s.mu.Unlock()
}
