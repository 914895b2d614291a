package redisserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A process is one run of redis-server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and has been waited for
	err  error         // how it ended; to be read after done

	log  string // the file that its output is appended to
	from int64  // where in the file its own output starts
}

// startProcess runs redis-server in dir and appends what it prints to the file
// log.
func startProcess(dir, log string, args ...string) (*process, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf(`redisserver: %w: it is not in the PATH; install Redis 7.0 or later, on Debian with "apt-get install redis-server" or "make tools"`, ErrNotInstalled)
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("redisserver: a file for the server's output: %w", err)
	}
	defer out.Close()
	from, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("redisserver: the file of the server's output: %w", err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := spawn(cmd); err != nil {
		return nil, fmt.Errorf("redisserver: start %s: %w", path, err)
	}
	p := &process{cmd: cmd, done: make(chan struct{}), log: log, from: from}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends it at once, also when it is paused, and waits until it is gone.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// signal sends sig. A process that has ended is no error.
func (p *process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("redisserver: signal %q to redis-server, pid %d: %w", sig, p.cmd.Process.Pid, err)
	}
	return nil
}

// stop asks it to end and waits until it is gone. One that has not ended after
// timeout is killed, and that is an error.
func (p *process) stop(timeout time.Duration) error {
	if err := errors.Join(p.signal(sigCont), p.signal(syscall.SIGTERM)); err != nil {
		return err
	}
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		return errors.Join(fmt.Errorf("redisserver: redis-server, pid %d, had not ended %v after SIGTERM and was killed; %s", p.cmd.Process.Pid, timeout, p.said()), p.kill())
	}
	if p.err != nil {
		return fmt.Errorf("redisserver: redis-server was asked to end and ended with %w; %s", p.err, p.said())
	}
	return nil
}

// output returns what it has printed.
func (p *process) output() []byte {
	all, err := os.ReadFile(p.log)
	if err != nil || int64(len(all)) < p.from {
		return nil
	}
	return all[p.from:]
}

// said is the end of its output, as the last part of an error.
func (p *process) said() string {
	const most = 15
	out := strings.TrimSpace(string(p.output()))
	if out == "" {
		return "it printed nothing"
	}
	lines := strings.Split(out, "\n")
	return "it printed:\n\t" + strings.Join(lines[max(0, len(lines)-most):], "\n\t")
}

// portTaken reports whether it ended because it could not bind its address.
func (p *process) portTaken() bool {
	return p.ended() && bytes.Contains(p.output(), []byte("Address already in use"))
}
