package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/internal/redisserver"
)

// The password of the test's server, which nobody may be shown.
const password = "hush/hush@9"

// onRedis moves a world to a server of its own.
func (w *world) onRedis() *redisserver.Server {
	w.t.Helper()
	server := redisserver.Test(w.t, &redisserver.Options{Password: password, Appendfsync: "always"})
	home := filepath.Dir(w.store)
	w.env = append(w.env, "FERMATA_STORE="+server.URL())
	w.store = filepath.Join(home, ".local", "share", "fermata", "fermata.db") // beside which the bank is
	return server
}

// discreet checks that no process has shown the password.
func discreet(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, secret := range []string{password, "hush%2Fhush%409", "hush"} {
			if strings.Contains(text, secret) {
				t.Errorf("the password was shown:\n%s", text)
				return
			}
		}
	}
}

// worker starts a worker, and waits until it works.
func (w *world) worker() (*exec.Cmd, *waited) {
	w.t.Helper()
	cmd, out := w.command(fermata, "work", "--retain", "1h"), &waited{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	out.waitFor(w.t, "Working on the runs of desk, billing, returns in redis://:xxxxx@127.0.0.1:")
	return cmd, out
}

// Each command does over a Redis what it does over a file: workers in two
// processes share the runs, a chat in a third begins some, and what they ask is
// answered from a fourth.
func TestProcessesShareARedis(t *testing.T) {
	t.Parallel()
	const runs = 6
	w := newWorld(t)
	server := w.onRedis()
	w.env = append(w.env, "FERMATA_MODEL=offline")
	var said []string
	run := func(code int, args ...string) ran {
		t.Helper()
		r := w.run(code, args...)
		said = append(said, r.stdout, r.stderr)
		return r
	}
	if r := run(0, "runs"); !strings.Contains(r.stderr, "No runs in redis://:xxxxx@"+server.Addr()) {
		t.Errorf("an empty store is listed as\n%s", r.stderr)
	}
	first, firstOut := w.worker()
	second, secondOut := w.worker()
	for range runs {
		run(3, "chat", request)
	}
	asks := lines[struct{ ID, Run string }](t, run(0, "asks", "--json").stdout)
	if len(asks) != runs {
		t.Fatalf("%d asks are open, want %d", len(asks), runs)
	}
	run(0, "asks", "show", asks[0].ID)
	answered := make(chan ran, runs)
	for _, a := range asks {
		go func() {
			answered <- w.do(w.command(fermata, "asks", "answer", a.ID, "--edit", `{"order":1042,"amount":40}`))
		}()
	}
	for range asks {
		r := <-answered
		said = append(said, r.stdout, r.stderr)
		if r.code != 0 || !strings.Contains(r.stdout, "goes on with the run") {
			t.Errorf("an answer ended with code %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
	}
	for _, a := range asks {
		run(0, "runs", "watch", a.ID, "--turn")
		if r := run(0, "runs", "show", a.ID); !strings.Contains(r.stdout, "Done: 40.00 EUR") {
			t.Errorf("the run has come to\n%s", r.stdout)
		}
	}
	by := map[int]int{}
	for _, e := range w.ledger() {
		by[e.Process]++
	}
	if len(w.ledger()) != runs || by[first.Process.Pid]+by[second.Process.Pid] != runs {
		t.Errorf("the bank has paid %+v, want %d payments by the workers", w.ledger(), runs)
	}
	t.Logf("payments by worker: %v", by)

	if r := run(0, "chat", "--run", asks[0].ID, "Thank you."); r.stdout == "" {
		t.Error("a run that a worker drives does not answer a chat in another process")
	}
	if r := run(0, "store", "stats"); !strings.Contains(r.stdout, fmt.Sprintf("runs   %d: %d idle", runs, runs)) || !strings.Contains(r.stdout, "store  redis://:xxxxx@"+server.Addr()+"\n") {
		t.Errorf("the stats are\n%s", r.stdout)
	}
	if r := run(0, "store", "check"); !strings.Contains(r.stderr, "All is in order") {
		t.Errorf("the check says\n%s%s", r.stdout, r.stderr)
	}
	run(0, "runs", "cancel", asks[0].ID)
	run(1, "runs", "retry", asks[0].ID)
	if r := run(0, "store", "prune", "--older-than", "0s", "--yes"); r.stdout != "1 run erased.\n" {
		t.Errorf("the prune says %s", r.stdout)
	}
	run(1, "runs", "show", asks[0].ID)
	for i, worker := range []*exec.Cmd{first, second} {
		out := []*waited{firstOut, secondOut}[i]
		if err := worker.Process.Signal(terminate); err != nil {
			t.Fatal(err)
		}
		if err := worker.Wait(); err != nil || !strings.Contains(out.String(), "all runs were given back") {
			t.Errorf("a worker did not end in good order: %v\n%s", err, out.String())
		}
		said = append(said, out.String())
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"runs"}, {"asks"}, {"work"}, {"chat", "hello"}, {"store", "check"}, {"store", "stats"}} {
		r := run(1, args...)
		if strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "connection refused") || r.stdout != "" {
			t.Errorf("without a server, %v says\n%s%s", args, r.stdout, r.stderr)
		}
	}
	discreet(t, said...)
}
