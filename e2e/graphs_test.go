package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	services "github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
)

// A tale is a run of an example of the logic graph, in processes: a chat begins it, a
// process is killed in the middle of a call, and a worker goes on.
type tale struct {
	name    string
	example string
	user    string
	message string
	kill    string   // who has the services do this is killed when it is done, and not answered
	people  []person // who answer what is asked
	ends    string   // the run's status, reason and result
	ledger  []string // what the services have done then
}

// A person answers asks of which the prompt, the tool or the kind has a word.
type person struct {
	word  string
	flags []string // of asks answer
}

// colleagues answer in time or late, as the processes come along: it comes to the same.
var colleagues = []person{
	{"needs a laptop", []string{"--field", "serial=L-77", "--user", "ida", "--group", "it"}},
	{"contract", []string{"--choice", "yes", "--user", "hugo", "--group", "hr"}},
	{"first week", []string{"--text", "meet everybody", "--user", "marc"}},
	{"It takes too long", []string{"--choice", "wait", "--user", "dora", "--group", "heads"}},
	{"How is it going", []string{"--choice", "well", "--note", "nothing was heard", "--user", "marc"}},
}

// clerks answer what a ticket leads to.
var clerks = []person{
	{"what exactly is wrong", []string{"--text", "the handle came off", "--user", "ann"}},
	{"refund", []string{"--approve", "--user", "ann", "--group", "supervisors"}}, // refused: it is her own
	{"refund", []string{"--approve", "--user", "sue", "--group", "supervisors"}},
}

// tales are of all examples with a graph.
var tales = []tale{
	{
		name: "a payment that was begun", example: "order", user: "ann", kill: "pay P-1, 140 euros",
		message: `{"order": 1, "articles": ["desk", "lamp"], "euros": 140, "card": "visa", "address": "1 High Street"}`,
		ends:    `done  {"done":["reserve/0","reserve/1","pay"],"order":1,"parcel":"F-1"}`,
		ledger:  []string{"reserve desk for order 1", "lost lamp for order 1", "reserve lamp for order 1", "pay P-1, 140 euros", "ship F-1 to 1 High Street"},
	},
	{
		name: "a parcel of which a person knows", example: "order", user: "ann", kill: "ship F-1 to 1 High Street",
		message: `{"order": 1, "articles": ["desk"], "euros": 140, "card": "visa", "address": "1 High Street"}`,
		people:  []person{{"outcome", []string{"--choice", "happened", "--value", `{"parcel": "F-1"}`, "--user", "mia", "--group", "operators"}}},
		ends:    `done  {"done":["reserve/0","pay"],"order":1,"parcel":"F-1"}`,
		ledger:  []string{"reserve desk for order 1", "pay P-1, 140 euros", "ship F-1 to 1 High Street"},
	},
	{
		name: "an undo that was begun", example: "order", user: "ann", kill: "refund P-3, 190 euros",
		message: `{"order": 3, "articles": ["desk", "shelf"], "euros": 190, "card": "visa", "address": "nowhere"}`,
		ends:    `failed called-off: nobody lives at that address; undone: ["reserve/0","reserve/1","pay"], still done: []`,
		ledger: []string{"reserve desk for order 3", "reserve shelf for order 3", "pay P-3, 190 euros",
			"refund P-3, 190 euros", "release shelf for order 3", "release desk for order 3"},
	},
	{
		name: "what was bought", example: "approval-chain", user: "ann", kill: "buy a press, 25000 euros, approved by leo, fay, bea",
		message: `{"what": "a press", "euros": 25000}`,
		people: []person{
			{"May ann buy", []string{"--choice", "approve", "--user", "ann", "--group", "leads"}}, // refused
			{"May ann buy", []string{"--choice", "approve", "--user", "leo", "--group", "leads"}},
			{"Is there a budget", []string{"--choice", "approve", "--user", "leo", "--group", "finance"}}, // refused
			{"Is there a budget", []string{"--choice", "approve", "--user", "fay", "--group", "finance"}},
			{"Approved by leo, fay", []string{"--choice", "approve", "--user", "bea", "--group", "board"}},
		},
		ends:   `done  {"approvers":["leo","fay","bea"],"bill":"bill for a press","euros":25000,"outcome":"bought","what":"a press"}`,
		ledger: []string{"buy a press, 25000 euros, approved by leo, fay, bea"},
	},
	{
		name: "an account that was opened", example: "onboarding", user: "hugo", kill: "open eve@example.com",
		message: `{"name": "eve", "manager": "marc", "days": 14, "day": 300}`, people: colleagues,
		ends:   `done  {"account":"eve@example.com","laptop":"L-77","name":"eve","notes":["nothing was heard","nothing was heard"]}`,
		ledger: []string{"open eve@example.com", "welcome eve: meet everybody"},
	},
	{
		name: "a letter that was sent", example: "onboarding", user: "hugo", kill: "welcome eve: meet everybody",
		message: `{"name": "eve", "manager": "marc", "days": 14, "day": 300}`, people: colleagues,
		ends:   `done  {"account":"eve@example.com","laptop":"L-77","name":"eve","notes":["nothing was heard","nothing was heard"]}`,
		ledger: []string{"open eve@example.com", "welcome eve: meet everybody"},
	},
	{
		name: "a refund that a model has chosen", example: "triage", user: "ann", kill: "refund order 1045, 89 euros",
		message: "Order 1045 arrived broken.", people: clerks,
		ends:   "idle  We are sorry. You get back 89 euros.",
		ledger: []string{"refund order 1045, 89 euros"},
	},
}

// Every example with a graph is started from the command line, killed with kill -9 in the middle of
// a call, and taken over by another process; nobody can tell from how it ends.
func TestGraphsOutliveTheirProcesses(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"file", "redis"} {
		for _, k := range tales {
			t.Run(where+" "+k.example+" "+k.name, func(t *testing.T) {
				t.Parallel()
				k.run(t, where == "redis")
			})
		}
	}
}

// graphWorld is where a tale goes on.
type graphWorld struct {
	*world
	program  string
	ledger   *services.Ledger
	answered map[string]bool
}

func (k *tale) run(t *testing.T, onRedis bool) {
	home := t.TempDir()
	w := &graphWorld{world: &world{t: t, store: filepath.Join(home, "tale.db")}, program: exampleOf[k.example], answered: map[string]bool{}}
	w.env = []string{"HOME=" + home, "USER=" + k.user, "FERMATA_MODEL=offline"}
	w.ledger = services.OpenLedger(w.store + ".ledger")
	if onRedis {
		server := redisserver.Test(t, &redisserver.Options{Appendfsync: "always"})
		w.store = server.URL()
		w.ledger = services.OpenLedger(filepath.Join(home, ".local", "share", k.example, k.example+".db.ledger"))
	}
	w.env = append(w.env, "FERMATA_STORE="+w.store)

	w.begin(k)
	work, out := w.command(w.program, "work"), &waited{}
	work.Stdout, work.Stderr = out, out
	if err := work.Start(); err != nil {
		t.Fatal(err)
	}
	w.serve(k.people, w.over)
	if err := work.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = work.Wait()
	if got := w.ending(); got != k.ends {
		t.Errorf("it has ended as\n%s\nwant\n%s\nthe worker said:\n%s", got, k.ends, out.String())
	}
	if got, want := strings.Join(w.did(), "\n"), strings.Join(k.ledger, "\n"); got != want {
		t.Errorf("the services have done\n%s\nwant\n%s\nthe worker said:\n%s", got, want, out.String())
	}
}

// did returns what the services have done.
func (w *graphWorld) did() (did []string) {
	w.t.Helper()
	lines, err := w.ledger.Lines()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range lines {
		did = append(did, l.String())
	}
	return did
}

// begin has a chat begin the run. Whichever process does the line of the ledger at
// which one is to be killed, the chat or, where that has ended before, a worker, is
// killed before it has heard of it.
func (w *graphWorld) begin(k *tale) {
	w.t.Helper()
	chat, ended := w.slowly("chat", k.message)
	if w.serve(k.people, func() bool { return w.hasDone(k.kill) || isClosed(ended) }); !w.hasDone(k.kill) {
		chat, ended = w.slowly("work")
		w.serve(k.people, func() bool { return w.hasDone(k.kill) })
	}
	if isClosed(ended) {
		w.t.Fatalf("the process that did %q has ended before it was killed", k.kill)
	}
	if err := chat.Process.Kill(); err != nil {
		w.t.Fatal(err)
	}
	<-ended
}

// slowly starts a process whose services take their time to answer. What is returned
// is closed when it has ended.
func (w *graphWorld) slowly(args ...string) (*exec.Cmd, chan struct{}) {
	w.t.Helper()
	cmd, ended := w.command(w.program, args...), make(chan struct{})
	cmd.Env = append(cmd.Env, services.PauseVar+"=1s")
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed, or waits
	}()
	return cmd, ended
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (w *graphWorld) hasDone(line string) bool { return slices.Contains(w.did(), line) }

// serve answers what is asked until enough has happened.
func (w *graphWorld) serve(people []person, enough func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !enough(); time.Sleep(20 * time.Millisecond) {
		listed := w.do(w.command(w.program, "asks", "--json")).stdout
		if time.Now().After(deadline) {
			w.t.Fatalf("it does not go on; the services have done %q, and it is asked: %s", w.did(), listed)
		}
		if strings.TrimSpace(listed) == "" {
			continue
		}
		for _, a := range lines[struct {
			ID, Kind, Prompt, Tool string
			Stage                  int
		}](w.t, listed) {
			about := a.Kind + " " + a.Tool + " " + a.Prompt
			for _, p := range people {
				if key := fmt.Sprint(a.ID, a.Stage, p); strings.Contains(about, p.word) && !w.answered[key] {
					w.answered[key] = true
					w.do(w.command(w.program, append([]string{"asks", "answer", a.ID}, p.flags...)...))
				}
			}
		}
	}
}

// over reports whether the run, or its turn, has ended.
func (w *graphWorld) over() bool {
	w.t.Helper()
	r := w.do(w.command(w.program, "runs", "--json"))
	if r.code != 0 {
		w.t.Fatalf("the runs cannot be listed: %s", r.stderr)
	}
	status := lines[struct{ Status agent.Status }](w.t, r.stdout)[0].Status
	return status.Ended() || status == agent.StatusIdle
}

// ending reads from the store how the run has ended.
func (w *graphWorld) ending() string {
	w.t.Helper()
	store, err := open(w.t.Context(), w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	o, err := orchestrator.New(store, nil, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	page, err := o.Runs(w.t.Context(), memory.RunQuery{Roots: true})
	if err != nil || len(page.Runs) != 1 {
		w.t.Fatalf("%d runs are in the store (%v), want 1", len(page.Runs), err)
	}
	state, err := o.State(w.t.Context(), page.Runs[0].Run)
	if err != nil {
		w.t.Fatal(err)
	}
	return services.Ending(orchestrator.ResultOf(state))
}

func open(ctx context.Context, address string) (memory.Store, error) {
	if strings.HasPrefix(address, "redis://") {
		return redis.Open(ctx, address, nil)
	}
	return sqlite.Open(address, nil)
}
