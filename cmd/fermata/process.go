package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// environment is that of the tour's processes: its own store and the offline
// model, whatever the user has configured.
func (t *tour) environment(more ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "OPENAI_") && !strings.HasPrefix(e, "FERMATA_") {
			env = append(env, e)
		}
	}
	env = append(env, "FERMATA_STORE="+t.path, "FERMATA_MODEL=offline")
	if !t.color {
		env = append(env, "NO_COLOR=1")
	}
	return append(env, more...)
}

// nothing, as a command's last word, has it read nothing.
const nothing = "</dev/null"

// command types a command and runs it. It is an error if it ends with another
// code than wanted.
func (t *tour) command(want int, args ...string) error {
	t.typed("fermata " + quoted(args))
	if args[len(args)-1] == nothing {
		args = args[:len(args)-1] // what a command is given to read, unless it is told otherwise
	}
	cmd := exec.CommandContext(t.ctx, t.self, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = t.environment(), os.Stdout, os.Stdout
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		return fmt.Errorf("not proven: fermata %s ended with code %d, and %d was expected", args[0], got, want)
	}
	if want != 0 {
		t.fold("", "", t.paint("2", fmt.Sprintf("(exit code %d)", want)))
	}
	t.rest()
	return nil
}

func quoted(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a
		if name, value, ok := strings.Cut(a, "="); ok && strings.Contains(value, " ") {
			words[i] = name + `="` + value + `"`
		} else if strings.ContainsAny(a, " ?") {
			words[i] = `"` + a + `"`
		}
	}
	return strings.Join(words, " ")
}

// A worker is a process that runs fermata work.
type worker struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
	once sync.Once
}

// work starts a worker. What it prints is shown with its number.
func (t *tour) work(number int, env ...string) (*worker, error) {
	t.typed(strings.Join(append(env, "fermata work &"), " "))
	out := &labelled{tour: t, label: fmt.Sprintf("  worker %d │ ", number)}
	cmd := exec.Command(t.self, "work")
	cmd.Env, cmd.Stdout, cmd.Stderr = t.environment(env...), out, out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("worker %d does not start: %w", number, err)
	}
	w := &worker{cmd: cmd, gone: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // what became of it is in ProcessState
		close(w.gone)
	}()
	return w, nil
}

func (w *worker) pid() int { return w.cmd.Process.Pid }

// kill ends the process with SIGKILL: it has no say in that.
func (w *worker) kill() error {
	if err := w.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("the worker cannot be killed: %w", err)
	}
	<-w.gone
	return nil
}

// fate is how the process ended.
func (w *worker) fate() string { return w.cmd.ProcessState.String() }

// end ends a worker that still goes on, in good order if it will.
func (w *worker) end() {
	w.once.Do(func() {
		if w.cmd.Process.Signal(syscall.SIGTERM) != nil {
			<-w.gone // it has ended
			return
		}
		select {
		case <-w.gone:
		case <-time.After(15 * time.Second):
			_ = w.cmd.Process.Kill() // it may have ended just now
			<-w.gone
		}
	})
}
