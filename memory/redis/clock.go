package redis

import (
	"strconv"
	"sync"
	"time"
)

// clock is the server's clock as this process knows it from the replies: its own
// one, corrected by the difference that they have shown, and never before a time
// that the server has told. A reply shows the difference to within half of the
// time that it took; one that took long, as under load, changes nothing as long
// as a better one is not too old.
type clock struct {
	mu    sync.Mutex
	skew  int64     // microseconds to add to this process's clock
	error int64     // by how much skew may be wrong, when it was found
	found time.Time // when
	floor int64     // the last time that a reply has told
}

const (
	// drift is by how much the error grows in a second, in microseconds: two
	// clocks of computers drift apart by less.
	drift = 200
	// back is how far the server's clock must have gone back to be believed:
	// another server has taken over, whose clock is another.
	back = int64(time.Second / time.Microsecond)
)

// tell takes the time of a reply that was asked for at sent.
func (c *clock) tell(server int64, sent time.Time) {
	took := time.Since(sent)
	half := took.Microseconds() / 2
	c.mu.Lock()
	defer c.mu.Unlock()
	another := server <= c.floor-back
	if age := sent.Sub(c.found); another || c.found.IsZero() || half <= c.error+int64(age.Seconds()*drift) {
		c.skew, c.error, c.found = server-sent.Add(took/2).UnixMicro(), half, sent
	}
	if another || server > c.floor {
		c.floor = server
	}
}

// tellText is tell for a script's reply.
func (c *clock) tellText(server any, sent time.Time) {
	text, _ := server.(string)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		c.tell(n, sent)
	}
}

// latest is what the server's clock may show by now, in microseconds: what is not
// due then is not due by that clock.
func (c *clock) latest() int64 {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.UnixMicro() + c.error + int64(time.Since(c.found).Seconds()*drift)
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.UnixMicro(max(time.Now().UnixMicro()+c.skew, c.floor)).UTC()
}
