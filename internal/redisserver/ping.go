package redisserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"
)

// ping returns nil when a server at addr answers PING, so that it listens, has
// loaded its data and knows the password. It speaks the protocol itself because a
// client writes to the program's log for each connection that is refused.
func ping(ctx context.Context, addr, password string, secure *tls.Config) error {
	const most = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if secure != nil {
		conn = tls.Client(conn, secure)
	}
	r := bufio.NewReader(conn)
	if password != "" {
		if err := command(conn, r, "+OK", "AUTH", password); err != nil {
			return err
		}
	}
	return command(conn, r, "+PONG", "PING")
}

// command sends a command and expects the line want as the reply.
func command(conn net.Conn, r *bufio.Reader, want string, args ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := conn.Write([]byte(b.String())); err != nil {
		return err
	}
	got, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	if got = strings.TrimSpace(got); got != want {
		return fmt.Errorf("the answer to %s is %q, not %q", args[0], got, want)
	}
	return nil
}
