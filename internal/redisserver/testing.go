package redisserver

import "io"

// TB is what the helpers for tests need of a [testing.TB]. Programs that start
// servers need not link the package testing for it.
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Error(args ...any)
	Fatal(args ...any)
}

// Test starts a server for a test and closes it when the test ends. A test that
// has failed gets the end of the server's output into its log. Without an
// installed Redis the test fails; it is never skipped.
func Test(t TB, o *Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, s, []*Server{s}) })
	return s
}

// finish closes what a test has started.
func finish(t TB, started io.Closer, servers []*Server) {
	for _, s := range servers {
		if t.Failed() {
			t.Logf("redis-server at %s: %s", s.Addr(), s.proc.Load().said())
		}
	}
	if err := started.Close(); err != nil {
		t.Error(err)
	}
}

// TestSentinel is [Test] for [StartSentinel].
func TestSentinel(t TB, o *SentinelOptions) *Sentinel {
	t.Helper()
	s, err := StartSentinel(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, s, append(s.Sentinels(), s.servers...)) })
	return s
}

// TestCluster is [Test] for [StartCluster].
func TestCluster(t TB, n int, o *Options) *Cluster {
	t.Helper()
	c, err := StartCluster(n, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, c, c.servers) })
	return c
}

// TestProxy is [Test] for [NewProxy].
func TestProxy(t TB, target string) *Proxy {
	t.Helper()
	p, err := NewProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, p, nil) })
	return p
}
