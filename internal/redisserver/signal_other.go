//go:build !unix

package redisserver

import "syscall"

// Elsewhere no signal pauses a process; sending these returns an error.
const (
	sigStop = syscall.Signal(-1)
	sigCont = syscall.Signal(-1)
)
