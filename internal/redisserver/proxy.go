package redisserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// A Proxy is a TCP proxy between clients and a server that does, when told, what
// networks do when nobody asked. Make it with [NewProxy]. It reads bytes only as
// far as [Proxy.DropRepliesTo] needs it, which TLS therefore makes useless; all
// else works with TLS too.
type Proxy struct {
	target   string
	listener net.Listener
	work     sync.WaitGroup

	mu      sync.Mutex
	links   map[*link]bool
	closed  bool
	cut     bool
	stall   chan struct{} // nil while traffic flows; closed when it flows again
	delay   time.Duration
	drop    drop
	dropped int
}

// drop says which replies are lost next.
type drop struct {
	left int    // so many more
	to   string // requests that hold this, in lower case
}

// NewProxy starts a proxy on a free port of the loopback interface that forwards
// each connection to target, "host:port".
func NewProxy(target string) (*Proxy, error) {
	if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, fmt.Errorf("redisserver: the target %q of a proxy is not host:port: %w", target, err)
	}
	l, err := net.Listen("tcp4", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, fmt.Errorf("redisserver: listen for a proxy: %w", err)
	}
	p := &Proxy{target: target, listener: l, links: map[*link]bool{}}
	p.work.Go(p.accept)
	return p, nil
}

// Addr returns the address that clients connect to, "127.0.0.1:port".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets all connections, and until Heal each new one as soon as it is
// accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	p.resetLocked()
}

// Stall stops forwarding in both directions until Heal. Connections stay open and
// new ones are accepted. What is under way meanwhile arrives after Heal, requests
// of clients that have gone included, as a network may deliver it late.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stall == nil {
		p.stall = make(chan struct{})
	}
}

// Heal ends Cut and Stall, the delay of Delay, and drops no more replies.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.delay, p.drop = false, 0, drop{}
	if p.stall != nil {
		close(p.stall)
		p.stall = nil
	}
}

// Delay holds back each chunk of data, in each direction, for d; a request and
// its reply take 2d longer. 0 ends it.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// DropReplies loses the replies to the next n requests: each is forwarded, and
// when the server answers, the connection is reset instead, so the server has
// done what the client does not know of. Other replies that the same connection
// waits for are lost with it. A request is whatever a client sends at once; that
// may be the greeting of a new connection, so [Proxy.DropRepliesTo] is the more
// exact. It replaces what was to be dropped before; 0 ends it.
func (p *Proxy) DropReplies(n int) { p.DropRepliesTo("", n) }

// DropRepliesTo is DropReplies for requests that hold the text, such as the name
// of a command or a key, in upper or lower case.
func (p *Proxy) DropRepliesTo(text string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop = drop{n, strings.ToLower(text)}
}

// Dropped returns how many replies have been dropped so far.
func (p *Proxy) Dropped() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped
}

// Close resets all connections, ends the proxy and waits until it is gone. It may
// be called again.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.resetLocked()
	p.mu.Unlock()
	err := p.listener.Close()
	p.work.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("redisserver: close a proxy: %w", err)
	}
	return nil
}

func (p *Proxy) resetLocked() {
	for l := range p.links {
		l.reset()
	}
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue // the client has gone before it was accepted
		}
		if l := newLink(conn.(*net.TCPConn)); p.admit(l) {
			p.work.Go(func() { p.serve(l) })
		}
	}
}

// admit reports whether l may be served. Otherwise it has been reset.
func (p *Proxy) admit(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		l.reset()
		return false
	}
	p.links[l] = true
	return true
}

// serve connects l to the target and forwards until both sides have ended.
func (p *Proxy) serve(l *link) {
	defer func() {
		l.close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	}()
	if !p.flows(l) {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.work.Go(func() { <-l.done; cancel() })
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		l.reset()
		return
	}
	server := conn.(*net.TCPConn)
	context.AfterFunc(ctx, func() { server.Close() })
	var both sync.WaitGroup
	both.Go(func() { p.forward(l, l.client, server, p.seeRequest) })
	both.Go(func() { p.forward(l, server, l.client, p.seeReply) })
	both.Wait()
}

// forward copies from one side of l to the other, each chunk after see has agreed.
func (p *Proxy) forward(l *link, from, to *net.TCPConn, see func(*link, []byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && (!p.wait(l) || !see(l, buf[:n])) {
			l.reset()
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				l.reset()
				return
			}
		}
		if err != nil {
			if p.wait(l) { // an end travels no faster than data
				to.CloseWrite()
			}
			return
		}
	}
}

// wait holds back a chunk as long as Delay and Stall say. It reports whether the
// link still stands then.
func (p *Proxy) wait(l *link) bool {
	p.mu.Lock()
	d := p.delay
	p.mu.Unlock()
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-l.done:
			return false
		}
	}
	return p.flows(l)
}

// flows waits until nothing is stalled. It reports whether the link still stands
// then.
func (p *Proxy) flows(l *link) bool {
	for {
		p.mu.Lock()
		stall := p.stall
		p.mu.Unlock()
		if stall == nil {
			return !l.ended()
		}
		select {
		case <-stall:
		case <-l.done:
			return false
		}
	}
}

// seeRequest condemns the link when the reply to this request is to be lost. It
// does so before the request goes on, so that the reply cannot be faster.
func (p *Proxy) seeRequest(l *link, request []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drop.left > 0 && !l.condemned && strings.Contains(strings.ToLower(string(request)), p.drop.to) {
		p.drop.left--
		l.condemned = true
	}
	return true
}

func (p *Proxy) seeReply(l *link, _ []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.condemned {
		p.dropped++
	}
	return !l.condemned
}

// A link is a client's connection, and what there is of it to the server.
type link struct {
	client    *net.TCPConn
	done      chan struct{} // closed at the end; both connections end with it
	once      sync.Once
	condemned bool // the next reply is not forwarded; held by Proxy.mu
}

func newLink(client *net.TCPConn) *link {
	return &link{client: client, done: make(chan struct{})}
}

// close ends both connections once what has been sent has arrived.
func (l *link) close() {
	l.once.Do(func() {
		l.client.Close()
		close(l.done)
	})
}

// reset ends both connections; the client loses what it has not received.
func (l *link) reset() {
	l.client.SetLinger(0) // fails only when the connection has ended
	l.close()
}

func (l *link) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}
