package redisserver

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawn starts cmd so that it dies with this program where the system can do
// that. On Linux it is the end of the parent's thread, not of its process, that
// kills a child, so one goroutine that never gives its thread back starts them
// all.
func spawn(cmd *exec.Cmd) error {
	dieWithParent(cmd)
	s := start{cmd, make(chan error, 1)}
	starts() <- s
	return <-s.err
}

type start struct {
	cmd *exec.Cmd
	err chan error
}

var starts = sync.OnceValue(func() chan<- start {
	c := make(chan start)
	go func() {
		runtime.LockOSThread()
		for s := range c {
			s.err <- s.cmd.Start()
		}
	}()
	return c
})
