package redis

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/sourcegraph/conc"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// A hub hears what the scripts publish, over one connection (on a Cluster whose
// channels are sharded, one for each shard), and tells those who wait for it:
//
//	channel   message                     who
//	news      want <run> <time> <agent>   claims that wait
//	          news <run>                  the process that has claimed the run
//	watch:R   end <number> <id>           watchers of R
//	          words <attempt>\n<from>\n…  watchers of R
//
// All of it is hints. A connection that breaks is made anew by the client, and
// then everybody is told to look.
type hub struct {
	store   *Store
	publish string // the command that scripts publish with
	sharded bool

	mu       sync.Mutex
	waiters  map[*waiter]bool
	watchers map[agent.RunID]map[*watcher]bool
	listens  bool
	closed   bool
	waiting  map[string]bool    // channels of news whose first subscription is not confirmed yet
	hears    chan struct{}      // closed when all are
	moving   map[int]bool       // shards whose slot has got another node, and whose channels are followed there
	unheard  map[string]unheard // sharded channels whose subscription is not confirmed yet

	subMu sync.Mutex // held while subscriptions are changed, which may take as long as a connection does
	subs  map[int]*goredis.PubSub
	heard map[agent.RunID]bool // runs whose channel is subscribed to

	readers conc.WaitGroup
}

func newHub(s *Store, sharded bool) *hub {
	h := &hub{store: s, publish: "PUBLISH", sharded: sharded,
		hears: make(chan struct{}), waiting: map[string]bool{}, moving: map[int]bool{}, unheard: map[string]unheard{},
		waiters: map[*waiter]bool{}, watchers: map[agent.RunID]map[*watcher]bool{},
		subs: map[int]*goredis.PubSub{}, heard: map[agent.RunID]bool{}}
	if sharded {
		h.publish = "SPUBLISH"
	}
	return h
}

// firstWord is how long the first claim waits until news can be heard.
const firstWord = time.Second

// listen subscribes to the news of all shards, once, and waits until they can be
// heard, so that none is missed; not long, since news are hints.
func (h *hub) listen(ctx context.Context) {
	h.mu.Lock()
	begun := h.listens || h.closed
	h.listens = true
	if !begun {
		for n := range h.store.keys.shards {
			h.waiting[h.store.keys.shard(n).news()] = true
		}
	}
	h.mu.Unlock()
	if !begun {
		h.subMu.Lock()
		for n := range h.store.keys.shards {
			h.subscribe(n, h.store.keys.shard(n).news())
		}
		h.subMu.Unlock()
	}
	select {
	case <-h.hears:
		return
	default:
	}
	enough := time.NewTimer(firstWord)
	defer enough.Stop()
	select {
	case <-h.hears:
	case <-enough.C:
	case <-ctx.Done():
	case <-h.store.life.Done():
	}
}

// subscribe adds a channel. What cannot be asked now the client asks when it has
// a connection again. subMu is held.
func (h *hub) subscribe(shard int, channel string) {
	if h.sharded {
		h.mu.Lock()
		h.unheard[channel] = unheard{shard, time.Now()}
		h.mu.Unlock()
	} else {
		shard = 0
	}
	switch sub := h.subs[shard]; {
	case sub == nil:
		h.connect(shard, channel)
	case h.sharded:
		_ = sub.SSubscribe(h.store.life, channel)
	default:
		_ = sub.Subscribe(h.store.life, channel)
	}
}

// unsubscribe is the opposite. subMu is held.
func (h *hub) unsubscribe(shard int, channel string) {
	if !h.sharded {
		if sub := h.subs[0]; sub != nil {
			_ = sub.Unsubscribe(h.store.life, channel)
		}
		return
	}
	h.mu.Lock()
	delete(h.unheard, channel)
	h.mu.Unlock()
	sub := h.subs[shard]
	if sub != nil && len(h.channels(shard)) > 0 {
		_ = sub.SUnsubscribe(h.store.life, channel)
	} else if sub != nil { // without channels it would be made anew to any node
		delete(h.subs, shard)
		_ = sub.Close()
	}
}

// connect makes the connection for a shard, with its first channel, by which a
// Cluster's client knows the node. It does nothing after close. subMu is held.
func (h *hub) connect(shard int, channel string) {
	if h.store.life.Err() != nil {
		return
	}
	var sub *goredis.PubSub
	if h.sharded {
		sub = h.store.client.SSubscribe(h.store.life, channel)
	} else {
		sub = h.store.client.Subscribe(h.store.life, channel)
	}
	h.subs[shard] = sub
	messages := sub.ChannelWithSubscriptions(goredis.WithChannelSize(1000))
	h.readers.Go(func() {
		for m := range messages {
			switch m := m.(type) {
			case *goredis.Subscription:
				h.subscribed(m)
				if m.Kind == "sunsubscribe" && h.wants(m.Channel) {
					h.moved(shard)
				}
			case *goredis.Message:
				h.message(m.Channel, m.Payload)
			}
		}
	})
}

// subscribed is told at each new subscription, also after a connection was lost:
// what was said before was not heard.
func (h *hub) subscribed(m *goredis.Subscription) {
	if !strings.HasSuffix(m.Kind, "subscribe") || strings.HasSuffix(m.Kind, "unsubscribe") {
		return
	}
	h.mu.Lock()
	delete(h.unheard, m.Channel)
	h.mu.Unlock()
	if _, run, ok := strings.Cut(m.Channel, "}:watch:"); ok {
		h.each(agent.RunID(run), (*watcher).lost)
		return
	}
	h.mu.Lock()
	first := h.waiting[m.Channel]
	if first {
		if delete(h.waiting, m.Channel); len(h.waiting) == 0 {
			close(h.hears)
		}
	} else {
		for w := range h.waiters {
			w.poke()
		}
	}
	h.mu.Unlock()
	if !first {
		h.store.claims.newsAll()
	}
}

func (h *hub) message(channel, payload string) {
	kind, rest, _ := strings.Cut(payload, " ")
	_, run, _ := strings.Cut(channel, "}:watch:")
	switch kind {
	case "want":
		f := strings.SplitN(rest, " ", 3)
		if len(f) != 3 {
			return
		}
		score, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for w := range h.waiters {
			w.tell(candidate{agent.RunID(f[0]), f[2], score})
		}
	case "news":
		h.store.claims.news(agent.RunID(rest))
	case "end":
		seq, id, _ := strings.Cut(rest, " ")
		h.each(agent.RunID(run), func(w *watcher) { w.end(position(seq, id)) })
	case "words":
		f := strings.SplitN(rest, "\n", 3)
		if len(f) != 3 {
			return
		}
		from, err := strconv.Atoi(f[1])
		if err != nil {
			return
		}
		words := memory.Words{Attempt: f[0], From: from, Data: []byte(f[2])}
		h.each(agent.RunID(run), func(w *watcher) { w.hear(words) })
	}
}

// each calls f for the watchers of a run.
func (h *hub) each(run agent.RunID, f func(*watcher)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers[run] {
		f(w)
	}
}

// wait registers a claim that waits, until the returned function is called.
func (h *hub) wait(w *waiter) (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiters[w] = true
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiters, w)
	}
}

// watch registers a watcher of a run, until the returned function is called.
func (h *hub) watch(run agent.RunID, w *watcher) (leave func()) {
	h.mu.Lock()
	if h.watchers[run] == nil {
		h.watchers[run] = map[*watcher]bool{}
	}
	h.watchers[run][w] = true
	h.mu.Unlock()
	h.settle(run)
	return func() {
		h.mu.Lock()
		delete(h.watchers[run], w)
		if len(h.watchers[run]) == 0 {
			delete(h.watchers, run)
		}
		h.mu.Unlock()
		h.settle(run)
	}
}

// settle subscribes to the channel of a run that has watchers, and the opposite.
func (h *hub) settle(run agent.RunID) {
	h.subMu.Lock()
	defer h.subMu.Unlock()
	h.mu.Lock()
	watched := len(h.watchers[run]) > 0
	h.mu.Unlock()
	if watched == h.heard[run] {
		return
	}
	n := h.store.keys.number(run)
	channel := h.store.keys.shard(n).watch(run)
	if watched {
		h.heard[run] = true
		h.subscribe(n, channel)
	} else {
		delete(h.heard, run)
		h.unsubscribe(n, channel)
	}
}

func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.subMu.Lock()
	for _, sub := range h.subs {
		_ = sub.Close() // it ends the connection, whatever the server says
	}
	h.subMu.Unlock()
	h.readers.Wait()
}

// A waiter is a claim that waits.
type waiter struct {
	agents map[string]bool
	run    agent.RunID
	poked  chan struct{}

	mu    sync.Mutex
	hints map[agent.RunID]candidate // runs that it was told of
}

// maxHints bounds them: with so many, a look finds more.
const maxHints = 64

func newWaiter(r *memory.ClaimRequest) *waiter {
	w := &waiter{run: r.Run, agents: map[string]bool{}, poked: make(chan struct{}, 1), hints: map[agent.RunID]candidate{}}
	for _, name := range r.Agents {
		w.agents[name] = true
	}
	return w
}

func (w *waiter) poke() {
	select {
	case w.poked <- struct{}{}:
	default: // it is poked already
	}
}

// tell tells of a run that wants attention, now or soon.
func (w *waiter) tell(c candidate) {
	if w.run != "" && w.run != c.run || w.run == "" && !w.agents[c.agent] {
		return
	}
	w.mu.Lock()
	if len(w.hints) < maxHints {
		w.hints[c.run] = c
	}
	w.mu.Unlock()
	w.poke()
}

// told takes the runs that it was told of and that want attention now.
func (w *waiter) told(now int64) []candidate {
	w.mu.Lock()
	defer w.mu.Unlock()
	var told []candidate
	for _, c := range w.hints {
		if c.score <= now {
			told = append(told, c)
		}
	}
	clear(w.hints) // of those that come later the look tells
	return told
}

// keep puts back what it was told.
func (w *waiter) keep(told []candidate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range told {
		w.hints[c.run] = c
	}
}

// await waits until it is worth to look again, or, with over, until the wait has
// passed.
func (w *waiter) await(ctx, life context.Context, deadline <-chan time.Time, next time.Duration) (over bool) {
	again := time.NewTimer(next)
	defer again.Stop()
	select {
	case <-w.poked:
	case <-again.C:
	case <-deadline:
		return true
	case <-life.Done():
	case <-ctx.Done():
	}
	return false
}
