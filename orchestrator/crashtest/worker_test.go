package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
)

// ordersVar holds what a worker is told, in JSON. A process without it is the test.
const ordersVar = "FERMATA_CRASHTEST_WORKER"

// orders are what the test tells a worker.
type orders struct {
	Name    string        // of the worker
	Store   string        // its address
	Service string        // its URL
	Lease   time.Duration // 0 is the default
	MaxRuns int
}

func TestMain(m *testing.M) {
	text := os.Getenv(ordersVar)
	if text == "" {
		os.Exit(m.Run())
	}
	var o orders
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = work(&o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// work is a worker process. It lives until it is killed, or until its test is
// gone, which closes its standard input.
func work(o *orders) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	store, err := openSurely(o.Store)
	if err != nil {
		return err
	}
	orch, err := orchestrator.New(&teller{store, o}, agents(o.Service), &orchestrator.Options{
		MaxRuns: o.MaxRuns, Lease: o.Lease, Worker: o.Name,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	return orch.Work(context.Background())
}

// open opens the store at an address: a URL, or the path of a file.
func open(ctx context.Context, address string) (memory.Store, error) {
	if redis.IsURL(address) {
		return redis.Open(ctx, address, nil)
	}
	return sqlite.Open(address, nil)
}

// openSurely opens a store as a program does that comes up in the middle of an
// outage and is started again until it has come up.
func openSurely(address string) (memory.Store, error) {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		store, err := open(ctx, address)
		cancel()
		if err == nil || !redis.IsURL(address) {
			return store, err
		}
		<-again.C
	}
}

// A teller is a store that tells the service which runs its worker claims and
// gives back, so that the test knows who had what when it killed somebody.
type teller struct {
	memory.Store
	*orders
}

// claimed is what a worker tells of a claim.
type claimed struct {
	Worker  string      `json:"worker"`
	Run     agent.RunID `json:"run"`
	Strikes int         `json:"strikes"` // of the run when it was claimed
}

// Claim implements [memory.Store].
func (t *teller) Claim(ctx context.Context, r *memory.ClaimRequest) ([]memory.Claim, error) {
	claims, err := t.Store.Claim(ctx, r)
	told := make([]claimed, len(claims))
	for i, c := range claims {
		told[i] = claimed{t.Name, c.Run, c.Strikes}
	}
	t.tell("/claimed", told)
	return claims, err
}

// Release implements [memory.Store].
func (t *teller) Release(ctx context.Context, h memory.Held) error {
	t.tell("/released", []claimed{{Worker: t.Name, Run: h.Run}})
	return t.Store.Release(ctx, h)
}

func (t *teller) tell(path string, told []claimed) {
	if len(told) == 0 {
		return
	}
	body, err := json.Marshal(told)
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	if resp, err := client.Post(t.Service+path, "application/json", bytes.NewReader(body)); err == nil {
		resp.Body.Close()
	}
}

// client keeps its connections, of which there are many at once.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
