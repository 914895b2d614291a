package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// fiveEach makes two runs of five records, each with a snapshot, an ask and a blob.
func fiveEach(t *testing.T, s *Store) {
	t.Helper()
	for _, run := range []agent.RunID{"r1", "r2"} {
		var base memory.Position
		for range 5 {
			c := next(s, run, base)
			c.Index.Parent = "parent"
			c.Snapshot = []byte("s")
			c.Opened = []memory.AskEntry{{ID: agent.AskID(run + ".a.0"), Kind: agent.AskQuestion, For: []string{"ada"}, Data: []byte("ask")}}
			if err := s.Commit(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			base = c.Last()
		}
		if _, err := s.PutBlob(t.Context(), run, []byte(run)); err != nil {
			t.Fatal(err)
		}
	}
}

// problems lists what Check finds: whether it is repaired, its run, and what.
func problems(t *testing.T, s *Store, repair bool) (found []string) {
	t.Helper()
	for p, err := range s.Check(t.Context(), repair) {
		if err != nil {
			t.Fatal(err)
		}
		head := string(p.Run)
		if p.Repaired {
			head = "repaired " + head
		}
		found = append(found, head+": "+p.What)
	}
	return found
}

// Each damage is one problem, and the walk goes on after it.
func TestCheckTellsEachDamage(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "test.db"), nil)
	fiveEach(t, s)
	claimOne(t, s, 0)
	for _, do := range []string{
		"UPDATE records SET data = x'00' WHERE place % 4294967296 = 2",
		"UPDATE records SET time = 'noon' WHERE place >> 32 = 1 AND place % 4294967296 = 4",
		"DELETE FROM records WHERE place >> 32 = 2 AND place % 4294967296 >= 4",
		"UPDATE snapshots SET seq = 4 WHERE n = 1",
		"UPDATE asks SET data = x'00' WHERE n = 1",
		"UPDATE asks SET people = '' WHERE n = 2",
		"UPDATE blobs SET data = x'00' WHERE run = 'r2'",
		"INSERT INTO asks SELECT 'r9.a.0', 9, kind, opened, due, people, crc, sum, data FROM asks LIMIT 1",
		"INSERT INTO snapshots SELECT 9, seq, id, crc, data FROM snapshots LIMIT 1",
		"INSERT INTO records SELECT (9 << 32) + 1, id, time, crc, data FROM records LIMIT 1",
		"INSERT INTO erased (run, time) VALUES ('r1', 0)",
	} {
		if err := s.writer.exec(do); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"r1: the snapshot at record 4 is not as it was written",
		"r1: record 2 is not as it was written",
		"r1: record 4 cannot be read",
		"r2: record 2 is not as it was written",
		"r2: record 4 and those after it up to 5 are missing",
		"r1: it is erased, and there is still its entry",
		"r1: it is erased, and there is still the blob",
		": there is a snapshot of the run with the number 9",
		": there are records of the run with the number 9",
		"r1: the ask r1.a.0 is not as it was written",
		"r2: the ask r2.a.0 is not as it was written",
		": the ask r9.a.0 is not as it was written",
		"r2: blob ",
	}
	for _, repair := range []bool{false, true} { // nothing of this can be repaired
		got := problems(t, s, repair)
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Fatalf("found, with repair %v:\n%s\nwant:\n%s", repair, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	for p, err := range s.Check(t.Context(), false) { // breaking the loop releases all
		if err != nil || p.Run != "r1" {
			t.Fatalf("first found %+v (%v), want one of r1", p, err)
		}
		break
	}
}

// What follows from other rows is repaired.
func TestCheckRepairs(t *testing.T) {
	for _, c := range []struct{ name, do, says, then string }{
		{"times", "UPDATE runs SET created = 7, updated = 8 WHERE run = 'r1'", "r1: its entry says that its first record is of 1970",
			"SELECT count(*) FROM runs WHERE updated < 9"},
		{"a wake-up time", "UPDATE runs SET want = NULL WHERE run = 'r2'", "r2: it has a wake-up time",
			"SELECT count(*) FROM runs WHERE run = 'r2' AND want != wake"},
		{"a claim's end", "UPDATE runs SET want = NULL WHERE run = 'r1'", "r1: it has a wake-up time or a claim",
			"SELECT count(*) FROM runs WHERE want IS NULL"},
		{"a process", "DELETE FROM processes", "r1: it is claimed by the process ", "SELECT count(*) = 0 FROM processes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, filepath.Join(t.TempDir(), "test.db"), nil)
			fiveEach(t, s)
			claimOne(t, s, 0) // r1
			if err := s.writer.exec(c.do); err != nil {
				t.Fatal(err)
			}
			for _, head := range []string{"", "repaired "} {
				if got := problems(t, s, head != ""); len(got) != 1 || !strings.HasPrefix(got[0], head+c.says) {
					t.Fatalf("found %q, want %q", got, head+c.says)
				}
			}
			var wrong int
			if _, err := s.writer.one(c.then, nil, &wrong); err != nil || wrong != 0 {
				t.Errorf("after the repair %s is %d (%v), want 0", c.then, wrong, err)
			}
			if got := problems(t, s, false); len(got) != 0 {
				t.Errorf("found %q after the repair", got)
			}
		})
	}
}

// An index that does not fit its table, so that runs are served that want no
// attention, and others not, is made anew.
func TestCheckRepairsIndexes(t *testing.T) {
	for _, c := range []struct{ name, index, do, says string }{
		{"too much", "runs_want", "UPDATE runs SET want = NULL, wake = NULL WHERE run = 'r1'", "r1: the index of what wants attention"},
		{"too little", "runs_updated", "UPDATE runs SET created = 7, updated = 8 WHERE run = 'r1'", "missing from index runs_updated"},
		{"a delegate", "runs_parent", "UPDATE runs SET parent = '' WHERE run = 'r1'", "r1: the index of delegates"},
		{"a process", "runs_process", "UPDATE runs SET token = NULL, process = NULL, want = NULL, wake = NULL WHERE run = 'r1'", "the index of claims"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			s := open(t, path, nil)
			fiveEach(t, s)
			claimOne(t, s, 0)
			if err := s.end(false); err != nil { // its claim stays
				t.Fatal(err)
			}
			behindTheIndex(t, path, c.index, c.do)
			s = open(t, path, nil)
			got := problems(t, s, false)
			if !strings.Contains(strings.Join(got, "\n"), c.says) {
				t.Fatalf("found %q, want something wrong with the index", got)
			}
			repaired := problems(t, s, true)
			if len(repaired) != len(got) {
				t.Errorf("repairing found %q, and looking %q", repaired, got)
			}
			for _, p := range repaired {
				if !strings.HasPrefix(p, "repaired ") {
					t.Errorf("%s: it was not repaired", p)
				}
			}
			if got := problems(t, s, false); len(got) != 0 {
				t.Errorf("found %q after the repair", got)
			}
		})
	}
}

// behindTheIndex changes a file while SQLite does not know one of its indexes.
func behindTheIndex(t *testing.T, path, index, do string) {
	t.Helper()
	var table, statement string
	var root int
	for _, step := range []func(*sql.DB) error{
		func(db *sql.DB) error {
			err := db.QueryRow("SELECT tbl_name, rootpage, sql FROM sqlite_schema WHERE name = ?", index).Scan(&table, &root, &statement)
			if err == nil {
				_, err = db.Exec("PRAGMA writable_schema=1; DELETE FROM sqlite_schema WHERE name = '" + index + "'")
			}
			return err
		},
		func(db *sql.DB) error { _, err := db.Exec(do); return err },
		func(db *sql.DB) error {
			_, err := db.Exec("PRAGMA writable_schema=1; INSERT INTO sqlite_schema VALUES ('index', '"+index+"', ?, ?, ?)", table, root, statement)
			return err
		},
	} {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		if err := errors.Join(step(db), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// A walk may be broken off by Close, also from within its loop.
func TestCheckEndsWithClose(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "test.db"), nil)
	fiveEach(t, s)
	if err := s.writer.exec("UPDATE asks SET data = x'00'"); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range s.Check(t.Context(), false) {
		last = err
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(last, fs.ErrClosed) {
		t.Fatalf("the walk ended with %v, want that the store was closed", last)
	}
}

// What is erased while the walk goes on is no problem.
func TestCheckWhileErasing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "test.db"), nil)
	fiveEach(t, s)
	for _, do := range []string{"UPDATE records SET data = x'00' WHERE place >> 32 = 1", "UPDATE blobs SET data = x'00' WHERE run = 'r1'"} {
		if err := s.writer.exec(do); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.PutBlob(t.Context(), "r3", []byte("r3")); err != nil {
		t.Fatal(err)
	}
	for p, err := range s.Check(t.Context(), false) {
		if err != nil || p.Run != "r1" {
			t.Fatalf("found %+v (%v), want problems of r1 alone", p, err)
		}
		erase := agent.RunID("r2") // its row was seen, and is looked at next
		if strings.HasPrefix(p.What, "blob") {
			erase = "r3" // likewise its blob
		}
		if err := s.Erase(t.Context(), erase); err != nil {
			t.Fatal(err)
		}
	}
}

// A moment between two microseconds is after what changed in the first of them.
func TestRunsBeforeAMoment(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "test.db"), nil)
	c := next(s, "r1", memory.Position{})
	if err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]int{0: 0, 1: 1, 999: 1, 1000: 1, -1: 0} {
		page, err := s.Runs(t.Context(), memory.RunQuery{Before: c.Records[0].Time.Add(after)})
		if err != nil || len(page.Runs) != want {
			t.Errorf("%v after it changed: %d runs (%v), want %d", after, len(page.Runs), err, want)
		}
	}
}

// A claim that takes nothing over does not expect the ends of leases.
func TestNoTakeOverExpectsNoLeases(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "test.db"), nil)
	commitNext(t, s, "r1", memory.Position{})
	claimOne(t, s, 0)
	for _, run := range []agent.RunID{"", "r1"} {
		for _, no := range []bool{false, true} {
			_, next, err := s.tryClaim(t.Context(), &memory.ClaimRequest{Agents: []string{"x"}, Run: run, Lease: time.Hour, NoTakeOver: no})
			if err != nil || next.Valid == no {
				t.Errorf("with NoTakeOver %v it expects %v (%v)", no, next, err)
			}
		}
	}
}

// The hub looks while there are claims whose news are told, and no longer.
func TestLookingForNewsEnds(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "test.db"), nil)
	for i := range 3 {
		commitNext(t, s, agent.RunID(fmt.Sprintf("r%d", i)), memory.Position{})
	}
	r := &memory.ClaimRequest{Agents: []string{"x"}, Max: 2, Lease: time.Hour, News: func(agent.RunID) {}}
	claims, err := s.Claim(t.Context(), r)
	if err != nil || len(claims) != 2 {
		t.Fatalf("claimed %v (%v), want two runs", claims, err)
	}
	if !s.hub.wanted() {
		t.Fatal("nobody looks")
	}
	if err := s.Release(t.Context(), memory.Held{Run: claims[0].Run, Token: claims[0].Token}); err != nil {
		t.Fatal(err)
	}
	if err := s.writer.exec("UPDATE runs SET token = 'other'"); err != nil { // the other one is lost
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	other := open(t, s.path, nil)
	for s.hub.news.any() { // until it has seen that
		if ctx.Err() != nil {
			t.Fatal("the claim is lost, and its news are still told")
		}
		commitNext(t, other, agent.RunID(fmt.Sprintf("s%d", time.Now().UnixNano())), memory.Position{})
	}
	ended := make(chan struct{})
	go func() { s.hub.group.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatal("the looking goes on with nobody listening")
	}
}
