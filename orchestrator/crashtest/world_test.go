package crashtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

// A world is a store, workers over it, people, and what calls act on.
type world struct {
	*testing.T
	seed    uint64
	service *service
	fleet   *fleet
	ledger  *ledger
	store   memory.Store               // the test's own way to the store: nothing is done to it
	o       *orchestrator.Orchestrator // that of the people
	hurried bool                       // people do not wait long for an answer
	began   time.Time

	runs    int           // how many there are to be, at least
	open    int           // how many are to be open at once
	issued  int           // tickets
	tickets chan struct{} // each lets a person start a run
	spoke   time.Time     // when progress was printed
	restive []memory.RunEntry
}

// newWorld makes a world over the store at an address, without workers and
// people. Those reach the store at another one, if it is not empty.
func newWorld(t *testing.T, store, people string) *world {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("FERMATA_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("FERMATA_SEED is not a number: %v", err)
		}
	}
	t.Logf("FERMATA_SEED=%d", seed)
	w := &world{T: t, seed: seed, service: newService(), ledger: newLedger(), began: time.Now(), spoke: time.Now()}
	server := httptest.NewServer(w.service)
	t.Cleanup(server.Close)
	w.fleet = &fleet{T: t, service: w.service, url: server.URL, dir: t.TempDir()}
	w.store = w.opened(store)
	own := w.store
	if people != "" {
		own = w.opened(people)
	}
	var err error
	if w.o, err = orchestrator.New(own, nil, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.fleet.killAll)
	return w
}

func (w *world) opened(address string) memory.Store {
	w.Helper()
	store, err := open(w.Context(), address)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := store.Close(); err != nil {
			w.Error(err)
		}
	})
	return store
}

// roll makes dice, other ones for each n.
func (w *world) roll(n uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, n)) }

// between is a time between two others.
func between(dice *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(dice.Int64N(int64(most-least)))
}

// live has people start runs until there are enough, and enough has been done to
// them. It returns when the people have done all that they wanted to.
func (w *world) live(users, clerks int, enough func() bool, most time.Duration) (stop func()) {
	w.tickets = make(chan struct{}, w.open)
	closed := sync.OnceFunc(func() { close(w.tickets) })
	gone, stop := w.people(users, clerks)
	w.Cleanup(func() { closed(); stop() })
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for deadline := time.Now().Add(most); ; {
		w.look()
		for len(w.tickets)+len(w.restive) < w.open && (w.issued < w.runs || !enough()) {
			w.tickets <- struct{}{}
			w.issued++
		}
		if w.issued >= w.runs && enough() {
			closed()
		}
		if time.Now().After(deadline) {
			w.Fatalf("after %v: %s", most, w.list())
		}
		select {
		case <-gone:
			return stop
		case <-look.C:
		}
	}
}

// settle waits until no run has anything left to do: there is nothing that they
// could wait for, as people answer, and nobody does anything else to them.
func (w *world) settle(most time.Duration) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for deadline, quiet := time.Now().Add(most), 0; quiet < 3; quiet++ {
		<-look.C
		w.service.stirred() // nobody else lets calls go on any more
		if !w.look() || len(w.restive) > 0 {
			quiet = -1
		}
		if time.Now().After(deadline) {
			w.Fatalf("%v after the last fault, runs are silent: %s", most, w.list())
		}
	}
}

// lookEvery is how often it is looked which runs have something to do.
const lookEvery = 500 * time.Millisecond

// restiveStatuses are those of runs that are not at rest, or at the wrong one.
var restiveStatuses = []agent.Status{agent.StatusPlanning, agent.StatusActing, agent.StatusWaiting, agent.StatusStuck, agent.StatusFailed}

// look finds the runs that are not at rest, if the store can be asked, lets those
// go on that are in quarantine, and prints how it goes.
func (w *world) look() bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.Context()), 5*time.Second)
	defer cancel()
	page, err := w.store.Runs(ctx, memory.RunQuery{Limit: 10000, Statuses: restiveStatuses})
	if err != nil {
		return false
	}
	w.restive = page.Runs
	for _, r := range page.Runs {
		if r.Index.Status == agent.StatusStuck {
			w.ledger.count("stuck: " + strings.Map(noDigits, r.Index.Reason))
			_ = w.o.Retry(ctx, r.Run, "what was done to its workers was the test's doing", nil)
		}
	}
	if time.Since(w.spoke) > 10*time.Second {
		w.spoke = time.Now()
		calm, others := w.service.holders.takeovers()
		w.Logf("%s: %d runs started, %d open, %d workers killed, %d take-overs", time.Since(w.began).Round(time.Second), w.issued, len(page.Runs), w.fleet.killed(), len(calm)+len(others))
	}
	return true
}

func noDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}

// list says what the runs that are not at rest wait for.
func (w *world) list() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d runs", len(w.restive))
	for n, r := range w.restive {
		fmt.Fprintf(&text, "\n%s (%s) %s %s, late %s, worker %q, wake %s", r.Run, r.Index.Agent, r.Index.Status, r.Index.Reason, r.Late, r.Worker, r.Index.Wake)
		if n == 20 {
			break
		}
	}
	return text.String()
}

// counts are the lines of what was counted, in order.
func counts(of map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%d %s", of[what], what))
	}
	return strings.Join(parts, ", ")
}
