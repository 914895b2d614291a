package openai

import (
	"runtime"
	"sync"
	"weak"

	"github.com/fermata-run/fermata/agent"
)

// conversations keeps the encoding of each recorded message, so that a run
// encodes a message once and not at each call. A message is known by its run
// and ID, which the contract of agent.Message allows; one without either is
// encoded each time.
//
// What is kept of a run lives as long as the first recorded message of its latest
// request: when the worker lets go of the run and its messages are collected,
// the encodings go with them. So a parked run costs nothing, and there is no
// limit to tune. It is the first and not the last, because the newest messages
// of a view may have been made for that view only, while those that an earlier
// move has taken up are held by the run's state. The zero value is ready.
type conversations struct {
	mu   sync.Mutex
	runs map[agent.RunID]*conversation
}

// conversation is what is kept of one run, in the order in which it came.
type conversation struct {
	owner   weak.Pointer[agent.Message]
	ids     []string
	encoded [][]byte
	at      map[string]int // where in ids
}

// encode returns the encoding of each message, in order. encodeOne is asked
// for those that are not known yet.
func (c *conversations) encode(run agent.RunID, msgs []*agent.Message, encodeOne func(*agent.Message) []byte) [][]byte {
	out := make([][]byte, len(msgs))
	missing := c.lookup(run, msgs, out)
	for _, i := range missing {
		out[i] = encodeOne(msgs[i])
	}
	if len(missing) > 0 && run != "" {
		c.keep(run, msgs, out, missing)
	}
	return out
}

// lookup fills in what is known, and returns the indexes of the rest. Mostly the
// messages are those of the run's last request, in the same order, and are found
// without a look into the map.
func (c *conversations) lookup(run agent.RunID, msgs []*agent.Message, out [][]byte) (missing []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conv := c.runs[run]
	if conv == nil {
		conv = &conversation{}
	}
	next := 0
	for i, m := range msgs {
		k, ok := next, m.ID != ""
		if ok && (k >= len(conv.ids) || conv.ids[k] != m.ID) {
			k, ok = conv.at[m.ID]
		}
		if !ok {
			missing = append(missing, i)
			continue
		}
		out[i] = conv.encoded[k]
		next = k + 1
	}
	return missing
}

// keep keeps the encodings of recorded messages that were missing.
func (c *conversations) keep(run agent.RunID, msgs []*agent.Message, encoded [][]byte, missing []int) {
	first := firstRecorded(msgs)
	if first == nil {
		return
	}
	owner := weak.Make(first)
	c.mu.Lock()
	defer c.mu.Unlock()
	conv := c.runs[run]
	if conv == nil || len(conv.ids) > 2*len(msgs)+64 { // much of it is shown no more
		conv, missing = &conversation{at: map[string]int{}}, nil
		for i := range msgs {
			missing = append(missing, i)
		}
		if c.runs == nil {
			c.runs = map[agent.RunID]*conversation{}
		}
		c.runs[run] = conv
	}
	for _, i := range missing {
		conv.add(msgs[i].ID, encoded[i])
	}
	if conv.owner != owner {
		conv.owner = owner
		runtime.AddCleanup(first, c.drop, lease{run, owner})
	}
}

func (c *conversation) add(id string, encoded []byte) {
	if _, ok := c.at[id]; ok || id == "" {
		return
	}
	c.at[id] = len(c.ids)
	c.ids = append(c.ids, id)
	c.encoded = append(c.encoded, encoded)
}

// A lease ties what is kept of a run to a message.
type lease struct {
	run   agent.RunID
	owner weak.Pointer[agent.Message]
}

// drop forgets a run whose owner is gone, unless it has a new one.
func (c *conversations) drop(l lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conv := c.runs[l.run]; conv != nil && conv.owner == l.owner {
		delete(c.runs, l.run)
	}
}

func firstRecorded(msgs []*agent.Message) *agent.Message {
	for _, m := range msgs {
		if m.ID != "" {
			return m
		}
	}
	return nil
}
