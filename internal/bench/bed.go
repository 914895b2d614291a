package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
	"github.com/fermata-run/fermata/memory/sqlite"
)

// A bed is what one figure is measured on: the model in its own process, the
// Redis of the floor, and the store of Fermata, which is mostly the same Redis.
type bed struct {
	*Bench
	ctx    context.Context
	report *report

	own    *redisserver.Server // nil if the user has named a Redis
	server *server
	at     string // of Fermata's store, for openStore
	shared bool   // both sides use the same Redis
	model  *child
	asks   modelAt
	dir    string // of what is thrown away
	redis  string // the server's version
}

// openStore opens the store at a URL of Redis or in a file.
func openStore(ctx context.Context, at string) (memory.Store, error) {
	if isURL(at) {
		return redis.Open(ctx, at, nil)
	}
	return sqlite.Open(at, nil)
}

func isURL(at string) bool { return strings.Contains(at, "://") }

func (b *Bench) makeBed(ctx context.Context, r *report) (_ *bed, err error) {
	d := &bed{Bench: b, ctx: ctx, report: r, at: b.Store}
	defer func() {
		if err != nil {
			_ = d.close() // the first error is the one that matters
		}
	}()
	if d.dir, err = os.MkdirTemp("", "fermata-bench-"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	url := b.Store
	if !isURL(b.Store) {
		if d.own, err = startServer(b.Fsync); err != nil {
			return nil, err
		}
		url = d.own.URL()
	}
	if b.Store == "" {
		d.at = url
	}
	d.shared = d.at == url
	if d.server, err = dial(ctx, url); err != nil {
		return nil, err
	}
	if d.redis, err = d.lookAround(); err != nil {
		return nil, err
	}
	if d.model, err = b.spawn("model", nil); err != nil {
		return nil, err
	}
	d.asks.Stream = b.Stream
	d.asks.URL, err = d.model.next()
	return d, err
}

// startServer starts a Redis server of the bench's own.
func startServer(fsync string) (*redisserver.Server, error) {
	switch fsync {
	case "everysec", "always":
	case "none":
		fsync = "" // no file at all
	default:
		return nil, fmt.Errorf("appendfsync is %q; take none, everysec or always", fsync)
	}
	return redisserver.Start(&redisserver.Options{Appendfsync: fsync})
}

// lookAround refuses a Redis that is in use: its keys would be taken for the
// bench's. It returns the server's version.
func (d *bed) lookAround() (version string, err error) {
	n, err := d.server.client.DBSize(d.ctx).Result()
	if err != nil {
		return "", err
	}
	if n > 0 && d.own == nil {
		return "", fmt.Errorf("the Redis of --store has %d keys; give an empty database, as the bench leaves its runs there", n)
	}
	text, err := d.server.client.Info(d.ctx, "server").Result()
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(text, "redis_version:")
	version, _, _ = strings.Cut(rest, "\r")
	return version, nil
}

// close ends what the bed has started. It may be called on half a bed.
func (d *bed) close() error {
	var errs []error
	if d.model != nil {
		errs = append(errs, d.model.end())
	}
	if d.server != nil {
		errs = append(errs, d.server.client.Close())
	}
	if d.own != nil {
		errs = append(errs, d.own.Close())
	}
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}

// open opens Fermata's store.
func (d *bed) open() (*counted, error) {
	s, err := openStore(d.ctx, d.at)
	if err != nil {
		return nil, err
	}
	return &counted{Store: s}, nil
}

func (d *bed) progress(format string, args ...any) {
	fmt.Fprintf(d.Progress, "bench: "+format+"\n", args...)
}

// setup is what was measured on, which belongs to each figure.
type setup struct {
	CPUs      int       `json:"cpus"`
	Go        string    `json:"go"`
	Platform  string    `json:"platform"`
	Redis     string    `json:"redis"`
	Fsync     string    `json:"appendfsync"` // "as it is" for a Redis that the user has named
	Store     string    `json:"store"`       // of Fermata
	Shared    bool      `json:"shared"`      // the floor uses the same Redis
	Streaming bool      `json:"streaming"`
	At        time.Time `json:"at"`
}

func (d *bed) setup() setup {
	s := setup{
		CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Redis: d.redis,
		Fsync: d.Fsync, Store: "redis", Shared: d.shared, Streaming: d.Stream, At: time.Now().UTC().Truncate(time.Second),
	}
	if d.own == nil {
		s.Fsync = "as it is"
	}
	if !isURL(d.at) {
		s.Store = "file " + filepath.Base(d.at)
	}
	return s
}

// String tells the setup in words.
func (s setup) String() string {
	store := "both sides on the same Redis"
	if !s.Shared {
		store = "Fermata on the " + s.Store + ", the floor on Redis: their commits do not promise the same"
	}
	answers := "answers in one piece on both sides"
	if s.Streaming {
		answers = "streamed answers on both sides"
	}
	return fmt.Sprintf("%s, %d CPUs, %s, Redis %s, appendfsync %s; %s; %s", s.Platform, s.CPUs, s.Go, s.Redis, s.Fsync, store, answers)
}

// parallel calls f for 0 to n-1 in so many goroutines, and returns the first
// error.
func parallel(ctx context.Context, n, goroutines int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, goroutines) {
		wg.Go(func() {
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// A counter makes ids of conversations that differ within a bench.
type counter struct{ n int }

func (c *counter) next(name string) string {
	c.n++
	return fmt.Sprintf("%s-%d", name, c.n)
}
