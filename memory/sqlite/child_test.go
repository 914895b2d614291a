package sqlite

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// The test binary is also the processes that the tests kill: with childMode
// set it does one of these with the store at childPath.
const (
	childMode = "FERMATA_SQLITE_TEST_CHILD"
	childPath = "FERMATA_SQLITE_TEST_PATH"
)

var children = map[string]func(path string) error{"claim": childClaims, "commit": childCommits}

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		if err := children[mode](os.Getenv(childPath)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is a process that says what it has done, line by line, and ends when
// its standard input does.
type child struct {
	*testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	stdin io.Closer
}

func start(t *testing.T, mode, path string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childMode+"="+mode, childPath+"="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t, cmd, bufio.NewScanner(out), in}
	t.Cleanup(func() { c.kill() })
	return c
}

// line waits for the next line; "" means that the child has ended.
func (c *child) line() string {
	if !c.lines.Scan() {
		return ""
	}
	return c.lines.Text()
}

// kill ends the child with SIGKILL, once.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		for c.lines.Scan() { // what it said before
		}
		c.cmd.Wait()
	}
}

// untilEOF blocks the child until its parent closes its input or dies.
func untilEOF() { io.Copy(io.Discard, os.Stdin) }
