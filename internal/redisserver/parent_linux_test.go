package redisserver_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/fermata-run/fermata/internal/redisserver"
)

const asParent = "REDISSERVER_TEST_PARENT"

// TestMain is also the program that TestServersDieWithTheirParent kills.
func TestMain(m *testing.M) {
	if os.Getenv(asParent) == "" {
		os.Exit(m.Run())
	}
	s, err := redisserver.Start(nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.Addr())
	io.Copy(io.Discard, os.Stdin) // until it is killed
}

func TestServersDieWithTheirParent(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), asParent+"=1", "TMPDIR="+t.TempDir()) // nobody closes its server
	cmd.Stderr = os.Stderr
	_, err = cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	addr, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	addr = strings.TrimSpace(addr)
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	defer conn.Close()
	must(t, redisPing(conn))

	must(t, cmd.Process.Kill())
	cmd.Wait() // says that it was killed
	eventually(t, "the server has died with its parent", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

// TestServersOutliveThreads holds the parent to be the process, where Linux means
// the thread.
func TestServersOutliveThreads(t *testing.T) {
	t.Parallel()
	var s *redisserver.Server
	var err error
	tid := onOwnThread(func() { s, err = redisserver.Start(nil) })
	must(t, err)
	defer s.Close()
	eventually(t, "the thread has ended", func() bool {
		_, err := os.Stat(fmt.Sprint("/proc/self/task/", tid))
		return errors.Is(err, os.ErrNotExist)
	})
	set(t, client(t, s), "k", "v")
}

// onOwnThread runs f on a thread that ends after it, and returns the thread's id.
func onOwnThread(f func()) (tid int) {
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if tid = syscall.Gettid(); tid == syscall.Getpid() {
			tid = onOwnThread(f) // the main thread does not end; it is taken, so this is another
			return
		}
		f()
	}()
	<-done
	return tid
}

func TestThePortStaysReserved(t *testing.T) {
	t.Parallel()
	s := redisserver.Test(t, nil)
	must(t, s.Kill())
	// Without SO_REUSEADDR, as what goes out has it, a reserved port is in use.
	plain := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0)
		}), err)
	}}
	l, err := plain.Listen(t.Context(), "tcp", s.Addr())
	if err == nil {
		l.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listen on the port of a killed server: %v; want %v", err, syscall.EADDRINUSE)
	}
	must(t, s.Restart())
}
