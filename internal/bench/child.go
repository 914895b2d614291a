package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// roles are what the processes of a bench do. Each gets a specification as JSON,
// tells of itself in lines on stdout, and ends when its stdin does.
var roles = map[string]func(ctx context.Context, spec []byte, stdin io.Reader, stdout io.Writer) error{
	"model": func(_ context.Context, _ []byte, stdin io.Reader, stdout io.Writer) error {
		return serveModel(stdin, stdout)
	},
	"worker":   workerRole,
	"answerer": answererRole,
	"resumer":  resumerRole,
}

// Child is the body of a process that a bench has started with args.
func Child(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 2 || roles[args[0]] == nil {
		return errors.New("this is for the processes of a bench, which it starts itself")
	}
	return roles[args[0]](ctx, []byte(args[1]), stdin, stdout)
}

// A child is a process of this program that plays a role.
type child struct {
	role  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
	wait  error
}

// spawn starts a child. The caller ends it.
func (b *Bench) spawn(role string, spec any) (*child, error) {
	arg, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	if len(b.Self) == 0 {
		return nil, errors.New("Bench.Self is empty: give the command line that calls bench.Child")
	}
	c := &child{role: role, cmd: exec.Command(b.Self[0], append(b.Self[1:len(b.Self):len(b.Self)], role, string(arg))...)}
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.stdin, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("the %s process does not start: %w", role, err)
	}
	c.lines = bufio.NewScanner(out)
	return c, nil
}

// next returns the next line that the child prints.
func (c *child) next() (string, error) {
	if c.lines.Scan() {
		return c.lines.Text(), nil
	}
	err := c.lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return "", fmt.Errorf("the %s process has ended too early: %w", c.role, err)
}

// read decodes the next line that the child prints.
func (c *child) read(v any) error {
	text, err := c.next()
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("the %s process has printed %q: %w", c.role, text, err)
	}
	return nil
}

// tell writes a line to the child's stdin.
func (c *child) tell(text string) error {
	if _, err := io.WriteString(c.stdin, text+"\n"); err != nil {
		return fmt.Errorf("the %s process does not listen: %w", c.role, err)
	}
	return nil
}

// end ends the child in good order, or kills it if it does not. It may be called
// again.
func (c *child) end() error {
	if c.stdin == nil {
		return c.wait
	}
	_ = c.stdin.Close() // it may have ended already
	c.stdin = nil
	kill := time.AfterFunc(30*time.Second, func() { _ = c.cmd.Process.Kill() }) // it may end just then
	defer kill.Stop()
	for c.lines.Scan() {
		continue // what it still prints is of no interest
	}
	if err := c.cmd.Wait(); err != nil {
		c.wait = fmt.Errorf("the %s process: %w", c.role, err)
	}
	return c.wait
}

// kill ends the child at once, if it has not ended.
func (c *child) kill() {
	if c.stdin != nil {
		_ = c.cmd.Process.Kill() // it may have ended already
		_ = c.end()              // that it was killed is known
	}
}

// printLine prints a line of JSON.
func printLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// untilEOF returns a context that ends when stdin does.
func untilEOF(ctx context.Context, stdin io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, stdin) // whatever ends it, the parent is gone
	}()
	return ctx
}
