package redisserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/internal/redisserver"
)

// proxied returns a server, a proxy before it, a client through the proxy, which
// tries everything once and has a warm connection, and one that goes around.
func proxied(t *testing.T) (*redisserver.Proxy, *redis.Client, *redis.Client) {
	t.Helper()
	s := redisserver.Test(t, nil)
	p := redisserver.TestProxy(t, s.Addr())
	o := s.ClientOptions()
	o.Addr, o.MaxRetries, o.DialerRetries = p.Addr(), -1, 1
	o.ContextTimeoutEnabled = true
	through := redis.NewClient(o)
	t.Cleanup(func() { through.Close() })
	set(t, through, "k", "v")
	return p, through, client(t, s)
}

func TestProxyCut(t *testing.T) {
	t.Parallel()
	p, through, _ := proxied(t)
	p.Cut()
	for range 2 { // the connection that there was, and a new one
		if err := through.Get(t.Context(), "k").Err(); err == nil {
			t.Error("GET has come through a cut")
		}
	}
	p.Heal()
	wantValue(t, through, "k", "v")
}

func TestProxyCutResetsAtOnce(t *testing.T) {
	t.Parallel()
	p, _, _ := proxied(t)
	conn, err := net.Dial("tcp", p.Addr())
	must(t, err)
	defer conn.Close()
	must(t, redisPing(conn)) // so that it has been accepted
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	p.Cut()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("read after Cut: %v; want a reset", err)
	}
}

func redisPing(conn net.Conn) error {
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, len("+PONG\r\n")))
	return err
}

func TestProxyStall(t *testing.T) {
	t.Parallel()
	p, through, around := proxied(t)
	p.Stall()
	for _, which := range []string{"old", "new"} { // connections, both accepted
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := through.Set(ctx, which, "late", 0).Err()
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("SET over a stalled, %s connection: %v; want a timeout", which, err)
		}
	}
	wantValue(t, around, "old", "")
	p.Heal()
	wantValue(t, through, "k", "v")
	eventually(t, "the stalled SET arrives late", func() bool {
		return around.Get(t.Context(), "old").Val() == "late"
	})
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatalf("after 20 s it does not hold that %s", what)
		}
	}
}

func TestProxyDropsReplies(t *testing.T) {
	t.Parallel()
	p, through, around := proxied(t)
	p.DropRepliesTo("INCR", 2)
	wantValue(t, through, "k", "v") // not an INCR
	for range 2 {
		if err := through.Incr(t.Context(), "n").Err(); err == nil {
			t.Error("the reply to INCR has come, and should have been lost")
		}
	}
	wantValue(t, around, "n", "2")
	if n, err := through.Incr(t.Context(), "n").Result(); n != 3 || err != nil {
		t.Errorf("INCR after the lost ones: %d, %v; want 3", n, err)
	}
	if p.Dropped() != 2 {
		t.Errorf("it has dropped %d replies, not 2", p.Dropped())
	}

	p.DropReplies(1)
	if err := through.Set(t.Context(), "k", "w", 0).Err(); err == nil {
		t.Error("the reply to SET has come, and should have been lost")
	}
	wantValue(t, around, "k", "w")
}

func TestProxyDelay(t *testing.T) {
	t.Parallel()
	p, through, _ := proxied(t)
	const d = 50 * time.Millisecond
	p.Delay(d)
	start := time.Now()
	wantValue(t, through, "k", "v")
	if took := time.Since(start); took < 2*d {
		t.Errorf("a GET took %v; want at least %v", took, 2*d)
	}
}

func TestProxyClose(t *testing.T) {
	t.Parallel()
	p, through, _ := proxied(t)
	p.Stall()
	must(t, p.Close())
	must(t, p.Close())
	if err := through.Ping(t.Context()).Err(); err == nil {
		t.Error("PING has come through a closed proxy")
	}
	if _, err := redisserver.NewProxy("nowhere"); err == nil {
		t.Error("a proxy to an address without a port has started")
	}
}
