package redisserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A Server is a redis-server process, or what is left of one until Restart. Make
// it with [Start]. Its methods may be called at the same time.
type Server struct {
	opts   Options
	role   role
	home   string // its own directory: configuration, output, certificates
	data   string // the data; below home, unless the caller chose it
	port   port
	bus    port        // of a cluster's node
	tls    *tls.Config // nil without TLS
	proc   atomic.Pointer[process]
	closed atomic.Bool

	mu sync.Mutex // held by what starts or stops the process in an orderly way
}

// role is what a server is besides a server. The zero value is nothing more.
type role struct {
	cluster  bool                     // a node of a cluster, with a second port
	sentinel bool                     // a sentinel, for which nothing of Options but TLS counts
	lines    func(s *Server) []string // further lines of redis.conf, made once the ports are known
}

// Start starts a server and returns when it answers. o may be nil.
func Start(o *Options) (*Server, error) {
	return startRole(o, role{})
}

func startRole(o *Options, r role) (*Server, error) {
	opts, err := o.check()
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "redisserver-")
	if err != nil {
		return nil, fmt.Errorf("redisserver: a directory for the server: %w", err)
	}
	s := &Server{opts: opts, role: r, home: home, data: opts.Dir}
	if s.data == "" {
		s.data = filepath.Join(home, "data")
	}
	s.mu.Lock()
	err = s.first()
	s.mu.Unlock()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// first finds ports and starts the server on them. A port that somebody else took
// in between is given up for another.
func (s *Server) first() error {
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return fmt.Errorf("redisserver: the data directory: %w", err)
	}
	const most = 5
	for i := 1; ; i++ {
		if err := s.reserve(); err != nil {
			return err
		}
		if err := s.configure(); err != nil {
			return err
		}
		err := s.run()
		if err == nil || i == most || !s.proc.Load().taken() {
			return err
		}
		s.release()
	}
}

func (s *Server) reserve() (err error) {
	if s.port, err = reservePort(); err == nil && s.role.cluster {
		s.bus, err = reservePort()
	}
	return err
}

func (s *Server) release() {
	for _, p := range []port{s.port, s.bus} {
		if p.release != nil {
			p.release()
		}
	}
}

// configure writes redis.conf. It is a file, and not arguments, so that sentinels
// can make their changes last.
func (s *Server) configure() error {
	lines := []string{"bind " + loopback, "dir " + quote(s.data)}
	number := strconv.Itoa(s.port.number)
	if s.opts.TLS {
		client, certs, err := secure(s.home)
		if err != nil {
			return err
		}
		s.tls = client
		lines = append(append(lines, "port 0", "tls-port "+number), certs...)
	} else {
		lines = append(lines, "port "+number)
	}
	if s.role.lines != nil {
		lines = append(lines, s.role.lines(s)...)
	}
	if !s.role.sentinel {
		lines = append(lines, s.opts.lines()...)
	}
	if err := os.WriteFile(s.conf(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("redisserver: write the configuration: %w", err)
	}
	return nil
}

func (s *Server) conf() string { return filepath.Join(s.home, "redis.conf") }

// run starts the process and waits until it answers. When it does not, it is
// killed.
func (s *Server) run() error {
	args := []string{s.conf()}
	if s.role.sentinel {
		args = append(args, "--sentinel")
	}
	p, err := startProcess(s.home, filepath.Join(s.home, "redis.log"), args...)
	if err != nil {
		return err
	}
	s.proc.Store(p)
	if s.closed.Load() { // and has perhaps not seen p
		return errors.Join(errClosed, p.kill())
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = await(ctx, "redis-server answers on "+s.Addr(), func(ctx context.Context) error {
		if p.ended() {
			return errFinal{fmt.Errorf("it has ended (%v); %s", p.cmd.ProcessState, p.said())}
		}
		return ping(ctx, s.Addr(), s.opts.Password, s.tls)
	})
	if err != nil && !p.ended() {
		err = errors.Join(fmt.Errorf("%w; %s", err, p.said()), p.kill())
	}
	return err
}

// taken is portTaken of a process that may not exist.
func (p *process) taken() bool { return p != nil && p.portTaken() }

var errClosed = errors.New("redisserver: the server has been closed; start another one")

// Addr returns its address, "127.0.0.1:port". It stays the same over Restart.
func (s *Server) Addr() string { return s.port.addr() }

// URL returns its address as a URL: "redis://127.0.0.1:port", with the password
// if there is one, and "rediss" as the scheme with TLS.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr()}
	if s.opts.TLS {
		u.Scheme = "rediss"
	}
	if s.opts.Password != "" {
		u.User = url.UserPassword("", s.opts.Password)
	}
	return u.String()
}

// ClientOptions returns what a client of go-redis needs to reach it as the
// default user. The result is the caller's to change.
func (s *Server) ClientOptions() *redis.Options {
	return &redis.Options{
		Addr:                     s.Addr(),
		Password:                 s.opts.Password,
		TLSConfig:                s.TLS(),
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// admin returns a client for the package's own questions.
func (s *Server) admin() *redis.Client {
	o := s.ClientOptions()
	o.ContextTimeoutEnabled = true
	return redis.NewClient(o)
}

// TLS returns a client's configuration that trusts it, or nil when it speaks no
// TLS. The result is the caller's to change.
func (s *Server) TLS() *tls.Config { return s.tls.Clone() }

// CAFile returns the path of the PEM file of the authority that signed its
// certificate, or "" when it speaks no TLS. The file is gone after Close.
func (s *Server) CAFile() string {
	if s.tls == nil {
		return ""
	}
	return filepath.Join(s.home, caFile)
}

// Dir returns the directory of its data.
func (s *Server) Dir() string { return s.data }

// Pid returns the id of its latest process, which may have ended.
func (s *Server) Pid() int { return s.proc.Load().cmd.Process.Pid }

// Running reports whether its process is there, perhaps paused.
func (s *Server) Running() bool {
	p := s.proc.Load()
	return p != nil && !p.ended()
}

// Output returns what its latest process has printed.
func (s *Server) Output() string { return string(s.proc.Load().output()) }

// Kill ends its process with SIGKILL, also while it is paused or starting, and
// returns when it is gone. A server that is down stays down, and that is no error.
func (s *Server) Kill() error { return s.proc.Load().kill() }

// Stop ends its process with SIGTERM, so that it flushes what it has, and returns
// when it is gone. A process that is paused is resumed for it; one that does not
// end is killed, and that is an error. A server that is down stays down.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopLocked()
}

func (s *Server) stopLocked() error {
	const most = 20 * time.Second // Redis itself waits up to 10 s for its replicas
	p := s.proc.Load()
	if p.ended() {
		return nil
	}
	return p.stop(most)
}

// Restart starts it again, on the same port, over the same data, and returns when
// it answers. A process that still runs is stopped first, as by Stop.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return errClosed
	}
	if err := s.stopLocked(); err != nil {
		return err
	}
	const most = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	return await(ctx, "port "+strconv.Itoa(s.port.number)+" is free again", func(context.Context) error {
		err := s.run()
		if err != nil && !s.proc.Load().taken() {
			return errFinal{err}
		}
		return err
	})
}

// Pause stops its process with SIGSTOP: its connections stay open and nothing is
// answered.
func (s *Server) Pause() error { return s.proc.Load().signal(sigStop) }

// Resume lets a paused process go on.
func (s *Server) Resume() error { return s.proc.Load().signal(sigCont) }

// Close kills its process in whatever state it is and removes its directory, but
// not one of Options.Dir. It may be called again.
func (s *Server) Close() error {
	s.closed.Store(true)
	if err := s.killAny(); err != nil { // also one that Restart waits for
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.killAny(); err != nil {
		return err
	}
	s.release()
	const most = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	return await(ctx, "the server's directory is removed", func(context.Context) error {
		return os.RemoveAll(s.home) // fails while a child that Redis forked still writes
	})
}

func (s *Server) killAny() error {
	if p := s.proc.Load(); p != nil {
		return p.kill()
	}
	return nil
}
