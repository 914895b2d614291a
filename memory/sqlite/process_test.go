package sqlite

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// next makes a commit of one record that wants attention now. Its data derives
// from its number, so that it can be checked.
func next(s memory.Store, run agent.RunID, base memory.Position) *memory.Commit {
	return &memory.Commit{Run: run, Base: base, Index: memory.Index{Agent: "x", Status: agent.StatusPlanning, Wake: s.Now()},
		Records: []memory.Record{{Seq: base.Seq + 1, ID: agent.RecordID(rand.Text()), Time: s.Now(), Data: dataOf(base.Seq + 1)}}}
}

func dataOf(seq int64) []byte { return []byte(strings.Repeat(fmt.Sprintf("record %d ", seq), 40)) }

func commitNext(t *testing.T, s memory.Store, run agent.RunID, base memory.Position) memory.Position {
	t.Helper()
	c := next(s, run, base)
	if err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c.Last()
}

func claimOne(t *testing.T, s memory.Store, wait time.Duration) memory.Claim {
	t.Helper()
	claims, err := s.Claim(t.Context(), &memory.ClaimRequest{Worker: "w", Agents: []string{"x"}, Max: 1, Lease: time.Hour, Wait: wait})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %v (%v), want one run", claims, err)
	}
	return claims[0]
}

func childClaims(path string) error {
	s, err := Open(path, nil)
	if err != nil {
		return err
	}
	claims, err := s.Claim(context.Background(), &memory.ClaimRequest{Worker: "child", Agents: []string{"x"}, Lease: time.Hour})
	if err != nil || len(claims) != 1 {
		return fmt.Errorf("claimed %v (%v), want one run", claims, err)
	}
	fmt.Println("claimed", claims[0].Run)
	untilEOF()
	return nil
}

func TestClaimOfKilledProcessIsVoid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := open(t, path, nil)
	commitNext(t, s, "r1", memory.Position{})
	c := start(t, "claim", path)
	if line := c.line(); line != "claimed r1" {
		t.Fatalf("the child says %q", line)
	}
	claims, err := s.Claim(t.Context(), &memory.ClaimRequest{Agents: []string{"x"}, Lease: time.Hour})
	if err != nil || len(claims) != 0 {
		t.Fatalf("claimed %v (%v), but the child lives", claims, err)
	}
	page, err := s.Runs(t.Context(), memory.RunQuery{})
	if err != nil || page.Runs[0].Worker != "child" {
		t.Fatalf("the list is %+v (%v), want that the child has the run", page, err)
	}
	c.kill()
	if got := claimOne(t, s, 0); got.Strikes != 1 {
		t.Fatalf("claimed %+v, want one strike", got)
	}
	left, err := filepath.Glob(filepath.Join(path+".procs", "*"))
	if err != nil || len(left) != 2 { // of this process, and that of making the store
		t.Fatalf("lock files are %v, want that the child's is removed", left)
	}
}

func TestWaitingClaimSeesKilledProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := open(t, path, nil)
	commitNext(t, s, "r1", memory.Position{})
	c := start(t, "claim", path)
	c.line()
	got := make(chan memory.Claim)
	go func() {
		claims, err := s.Claim(t.Context(), &memory.ClaimRequest{Agents: []string{"x"}, Lease: time.Hour, Wait: time.Minute})
		if err != nil || len(claims) != 1 {
			t.Errorf("claimed %v (%v), want one run", claims, err)
			claims = make([]memory.Claim, 1)
		}
		got <- claims[0]
	}()
	c.kill()
	if claim := <-got; claim.Run != "r1" {
		t.Fatalf("claimed %+v, want r1", claim)
	}
}

func childCommits(path string) error {
	s, err := Open(path, nil)
	if err != nil {
		return err
	}
	log, err := s.Read(context.Background(), "r1", memory.ReadOptions{})
	if err != nil {
		return err
	}
	for base := log.Last; ; {
		c := next(s, "r1", base)
		c.Snapshot = dataOf(c.Last().Seq)
		if err := s.Commit(context.Background(), c); err != nil {
			return err
		}
		base = c.Last()
		fmt.Println(base.Seq)
	}
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	s := open(t, path, nil)
	commitNext(t, s, "r1", memory.Position{})
	var acknowledged int64
	for round := range 6 {
		if round%2 == 1 { // also when nobody else has the file open, so that the next has to recover
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		c := start(t, "commit", path)
		for range 20 + 7*round {
			acknowledged = number(t, c.line())
		}
		c.cmd.Process.Kill()
		for line := c.line(); line != ""; line = c.line() {
			acknowledged = number(t, line)
		}
		c.cmd.Wait()
		s = open(t, path, nil)
		checkLog(t, s, "r1", acknowledged)
		if err := damageOf(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func number(t *testing.T, line string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		t.Fatalf("the child says %q, want a number", line)
	}
	return n
}

// checkLog checks that all of a log that next has made is there, at least up to
// the number that was acknowledged.
func checkLog(t *testing.T, s memory.Store, run agent.RunID, acknowledged int64) {
	t.Helper()
	log, err := s.Read(t.Context(), run, memory.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if log.Last.Seq < acknowledged || int64(len(log.Records)) != log.Last.Seq {
		t.Fatalf("run %s has %d records and ends at %d; %d were acknowledged", run, len(log.Records), log.Last.Seq, acknowledged)
	}
	for _, r := range log.Records {
		if string(r.Data) != string(dataOf(r.Seq)) {
			t.Fatalf("run %s, record %d is %q", run, r.Seq, r.Data)
		}
	}
}

// While processes start, claim and die, no claim of one that lives is void.
func TestStartingProcessesKeepTheirClaims(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	open(t, path, nil)
	var group sync.WaitGroup
	for g := range 6 {
		group.Go(func() {
			for i := range 8 {
				if err := liveAndDie(t.Context(), path, agent.RunID(fmt.Sprintf("g%di%d", g, i)), i%2 == 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func liveAndDie(ctx context.Context, path string, run agent.RunID, orderly bool) error {
	s, err := Open(path, nil)
	if err != nil {
		return err
	}
	first := next(s, run, memory.Position{})
	if err := s.Commit(ctx, first); err != nil {
		return err
	}
	first.Index.Agent = string(run)
	claims, err := s.Claim(ctx, &memory.ClaimRequest{Run: run, Lease: time.Hour})
	if err != nil || len(claims) != 1 {
		return fmt.Errorf("claimed %v (%v), want %s", claims, err, run)
	}
	c := next(s, run, first.Last())
	for range 3 {
		c.Claim = claims[0].Token
		if err := s.Commit(ctx, c); err != nil {
			return err
		}
		c = next(s, run, c.Last())
	}
	return s.end(orderly)
}

// A cleaner that meets a file between its making and its locking makes its
// process take another name.
func TestJoinAfterCleaning(t *testing.T) {
	p := newProcess(filepath.Join(t.TempDir(), "test.db"))
	if err := os.Mkdir(p.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	lock, err := p.tryJoin("one")
	if err != nil || lock == nil {
		t.Fatalf("joining: %v, %v", lock, err)
	}
	if other, err := p.tryJoin("one"); err != nil || other != nil {
		t.Fatalf("joining under a name that is locked: %v, %v", other, err)
	}
	q := newProcess(strings.TrimSuffix(p.dir, ".procs"))
	q.clean()
	if q.dead("one") {
		t.Fatal("a process that has its lock counts as dead")
	}
	lock.Close()
	if !q.dead("one") {
		t.Fatal("a process that gave its lock back counts as alive")
	}
	q.clean()
	if left, _ := os.ReadDir(p.dir); len(left) != 0 {
		t.Fatalf("left after cleaning: %v", left)
	}
	if !q.dead("one") {
		t.Fatal("a process whose lock is gone counts as alive")
	}
}

// While others clean the directory, a process that has joined counts as alive.
func TestJoinWhileCleaning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.Mkdir(newProcess(path).dir, 0o777); err != nil {
		t.Fatal(err)
	}
	joined := make(chan struct{})
	var cleaning, joining sync.WaitGroup
	for range 2 {
		cleaning.Go(func() {
			for cleaner := newProcess(path); ; cleaner.clean() {
				select {
				case <-joined:
					return
				default:
				}
			}
		})
	}
	for range 3 {
		joining.Go(func() {
			for range 300 {
				p := newProcess(path)
				name, err := p.join()
				if err != nil {
					t.Error(err)
					return
				}
				if newProcess(path).dead(name) {
					t.Errorf("process %s lives and counts as dead", name)
				}
				p.leave(false)
			}
		})
	}
	joining.Wait()
	close(joined)
	cleaning.Wait()
}

// The goroutine that looks for changes of others ends with the last who waits.
func TestLookingEnds(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "test.db"), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Claim(ctx, &memory.ClaimRequest{Agents: []string{"x"}, Lease: time.Hour, Wait: time.Hour}); ctx.Err() == nil {
		t.Fatalf("the claim ended before its context: %v", err)
	}
	ended := make(chan struct{})
	go func() { s.hub.group.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the looking goes on with nobody waiting")
	}
	commitNext(t, s, "r1", memory.Position{})
	claimOne(t, s, time.Minute) // and begins again
}
