package redisserver_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/internal/redisserver"
)

// client returns a client of s that tries everything once.
func client(t *testing.T, s *redisserver.Server) *redis.Client {
	t.Helper()
	o := s.ClientOptions()
	o.MaxRetries, o.DialerRetries = -1, 1
	c := redis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

func set(t *testing.T, c redis.Cmdable, key, value string) {
	t.Helper()
	if err := c.Set(t.Context(), key, value, 0).Err(); err != nil {
		t.Fatalf("SET %s: %v", key, err)
	}
}

func wantValue(t *testing.T, c redis.Cmdable, key, want string) {
	t.Helper()
	got, err := c.Get(t.Context(), key).Result()
	if err != nil && !errors.Is(err, redis.Nil) || got != want {
		t.Fatalf("GET %s = %q, %v; want %q", key, got, err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestKillKeepsTheLog(t *testing.T) {
	t.Parallel()
	s := redisserver.Test(t, &redisserver.Options{Appendfsync: "always"})
	c := client(t, s)
	addr, pid := s.Addr(), s.Pid()
	set(t, c, "k", "v")
	must(t, s.Kill())
	must(t, s.Kill())
	if s.Running() {
		t.Error("it runs after Kill")
	}
	must(t, s.Restart())
	if s.Addr() != addr || s.Pid() == pid {
		t.Errorf("after Restart it is %s, pid %d; want %s and another pid than %d", s.Addr(), s.Pid(), addr, pid)
	}
	wantValue(t, c, "k", "v")
}

func TestWithoutLogNothingIsKept(t *testing.T) {
	t.Parallel()
	s := redisserver.Test(t, nil)
	c := client(t, s)
	set(t, c, "k", "v")
	must(t, s.Restart()) // stops it first
	wantValue(t, c, "k", "")
}

func TestStop(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a directory")
	s := redisserver.Test(t, &redisserver.Options{Appendfsync: "everysec", Dir: dir})
	set(t, client(t, s), "k", "v")
	must(t, s.Pause())
	must(t, s.Stop())
	if !strings.Contains(s.Output(), "Redis is now ready to exit") {
		t.Errorf("it was not asked to end; it printed:\n%s", s.Output())
	}
	must(t, s.Close())

	other := redisserver.Test(t, &redisserver.Options{Appendfsync: "everysec", Dir: dir})
	wantValue(t, client(t, other), "k", "v")
}

func TestPause(t *testing.T) {
	t.Parallel()
	s := redisserver.Test(t, nil)
	c := client(t, s)
	set(t, c, "k", "v")
	must(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	quick := c.WithTimeout(100 * time.Millisecond)
	if err := quick.Ping(ctx).Err(); err == nil {
		t.Error("a paused server has answered PING")
	}
	must(t, s.Resume())
	wantValue(t, c, "k", "v")
}

func TestClose(t *testing.T) {
	t.Parallel()
	s, err := redisserver.Start(nil)
	must(t, err)
	must(t, s.Pause())
	must(t, s.Close())
	must(t, s.Close())
	if _, err := os.Stat(filepath.Dir(s.Dir())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory after Close: %v; want %v", err, os.ErrNotExist)
	}
	if err := s.Restart(); err == nil {
		t.Error("a closed server has started again")
	}
}

func TestCloseDuringRestart(t *testing.T) {
	t.Parallel()
	s, err := redisserver.Start(nil)
	must(t, err)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { s.Restart() }) // fails or not, depending on who is first
	}
	must(t, s.Close())
	wg.Wait()
	if s.Running() {
		t.Error("it runs after Close")
	}
}

func TestPasswordAndACL(t *testing.T) {
	t.Parallel()
	s := redisserver.Test(t, &redisserver.Options{
		Password: `se"cr\et`,
		ACL:      []string{"alice on >hers ~app:* +@all"},
	})
	parsed, err := redis.ParseURL(s.URL())
	must(t, err)
	if parsed.Password != `se"cr\et` {
		t.Errorf("the password in %s is %q", s.URL(), parsed.Password)
	}
	set(t, client(t, s), "any", "v")

	o := s.ClientOptions()
	o.Username, o.Password = "alice", "hers"
	alice := redis.NewClient(o)
	defer alice.Close()
	set(t, alice, "app:k", "v")
	if err := alice.Set(t.Context(), "other", "v", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
		t.Errorf("alice writes to a key that is not hers: %v; want NOPERM", err)
	}

	o = s.ClientOptions()
	o.Password = ""
	nobody := redis.NewClient(o)
	defer nobody.Close()
	if err := nobody.Get(t.Context(), "any").Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Errorf("GET without a password: %v; want NOAUTH", err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := redisserver.Test(t, &redisserver.Options{TLS: true})
	if !strings.HasPrefix(s.URL(), "rediss://127.0.0.1:") {
		t.Errorf("URL is %s; want the scheme rediss", s.URL())
	}
	if ca, err := os.ReadFile(s.CAFile()); err != nil || !strings.Contains(string(ca), "BEGIN CERTIFICATE") {
		t.Errorf("the file of the authority: %q, %v", ca, err)
	}
	set(t, client(t, s), "k", "v")

	o := s.ClientOptions()
	o.TLSConfig.RootCAs = nil
	o.MaxRetries, o.DialerRetries = -1, 1
	stranger := redis.NewClient(o)
	defer stranger.Close()
	if err := stranger.Ping(t.Context()).Err(); err == nil {
		t.Error("a client that does not know the authority has trusted the server")
	}
}

func TestMaxMemory(t *testing.T) {
	t.Parallel()
	s := redisserver.Test(t, &redisserver.Options{MaxMemory: 1}) // less than it has already
	err := client(t, s).Set(t.Context(), "k", "v", 0).Err()
	if err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Errorf("SET beyond the limit: %v; want OOM", err)
	}
}

func TestConfigWins(t *testing.T) {
	t.Parallel()
	s := redisserver.Test(t, &redisserver.Options{MaxMemory: 1, Config: []string{"maxmemory 7mb"}})
	got, err := client(t, s).ConfigGet(t.Context(), "maxmemory").Result()
	if want := "7340032"; err != nil || got["maxmemory"] != want {
		t.Errorf("maxmemory is %v, %v; want %s", got, err, want)
	}
}

func TestStartSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := redisserver.Start(&redisserver.Options{Config: []string{"no-such-directive 7"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-directive") {
		t.Errorf("Start with a wrong line: %v; want what redis-server printed", err)
	}
	_, err = redisserver.Start(&redisserver.Options{Appendfsync: "sometimes"})
	if err == nil || !strings.Contains(err.Error(), `"sometimes"`) {
		t.Errorf("Start with a wrong Appendfsync: %v; want it named", err)
	}
}

func TestNotInstalled(t *testing.T) { // not parallel: it changes the PATH
	t.Setenv("PATH", t.TempDir())
	_, err := redisserver.Start(nil)
	if !errors.Is(err, redisserver.ErrNotInstalled) || !strings.Contains(err.Error(), "apt-get install redis-server") {
		t.Errorf("Start without Redis: %v; want ErrNotInstalled and what to do", err)
	}
}
