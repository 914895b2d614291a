package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	sound := storeFile(t)
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	version := func(v uint32) []byte {
		data := bytes.Clone(sound)
		binary.BigEndian.PutUint32(data[60:], v)
		return data
	}
	text := file("text", []byte(strings.Repeat("Dear diary, ", 100)))
	for _, c := range []struct {
		name, path string
		is         error
		says       []string
	}{
		{"no path", "", nil, []string{"path"}},
		{"memory", ":memory:", nil, []string{":memory:", "file"}},
		{"a directory", dir, nil, []string{dir, "is a directory"}},
		{"a missing directory", filepath.Join(dir, "none", "x.db"), nil, []string{filepath.Join(dir, "none"), "make it"}},
		{"a file as directory", filepath.Join(text, "x.db"), nil, []string{text}},
		{"another file", text, memory.ErrCorrupt, []string{text, "Dear diary"}},
		{"a short file", file("short", []byte("x")), memory.ErrCorrupt, []string{"1 bytes"}},
		{"another database", file("other", foreignDatabase(t)), memory.ErrCorrupt, []string{"application id"}},
		{"a newer format", file("newer", version(7)), nil, []string{"version 7", "up to 2"}},
		{"an older format", file("older", version(1)), nil, []string{"version 1", "knows 2", "new store"}},
		{"no format", file("none at all", version(0)), memory.ErrCorrupt, []string{"version 0"}},
		{"half a file", file("half", sound[:len(sound)/2]), memory.ErrCorrupt, []string{fmt.Sprint(len(sound) / 2), fmt.Sprint(len(sound))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, _ := os.ReadFile(c.path)
			s, err := Open(c.path, nil)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %v", err, c.is)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("the error %q does not say %q", err, says)
				}
			}
			if after, _ := os.ReadFile(c.path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
			if left, _ := filepath.Glob(c.path + "?*"); c.path != "" && len(left) > 0 {
				t.Errorf("left beside it: %v", left)
			}
		})
	}
}

func foreignDatabase(t *testing.T) []byte {
	path := filepath.Join(t.TempDir(), "foreign.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE t (x)"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// storeFile makes the file of a store with some runs.
func storeFile(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sound.db")
	s := open(t, path, nil)
	for i := range 5 {
		run, base := agent.RunID(fmt.Sprintf("r%d", i)), memory.Position{}
		for seq := range 20 {
			c := next(s, run, base)
			if seq == 10 {
				c.Snapshot = dataOf(11)
				c.Opened = []memory.AskEntry{{ID: agent.AskID(run + ".a.0"), Kind: agent.AskQuestion, Opened: s.Now(), Data: dataOf(0)}}
			}
			if err := s.Commit(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			base = c.Last()
		}
		if _, err := s.PutBlob(t.Context(), run, dataOf(99)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDamageIsReported(t *testing.T) {
	t.Parallel()
	sound := storeFile(t)
	path := filepath.Join(t.TempDir(), "damaged.db")
	random := rand.New(rand.NewPCG(1, 2))
	counts := map[string]int{}
	try := func(what string, data []byte) {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%s: panic: %v", what, p)
			}
		}()
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		counts[tryDamaged(t, what, path, data)]++
	}
	for i := 0; i < headerSize; i += 3 {
		data := bytes.Clone(sound)
		data[i] ^= 0xff
		try(fmt.Sprintf("byte %d of the header", i), data)
	}
	for range 45 {
		data := bytes.Clone(sound)
		at := random.IntN(len(data))
		data[at] ^= byte(1 + random.IntN(255))
		try(fmt.Sprintf("byte %d", at), data)
	}
	for range 8 {
		data, at := bytes.Clone(sound), 512*random.IntN(len(sound)/512)
		clear(data[at : at+512])
		try(fmt.Sprintf("sector at %d", at), data)
	}
	for range 8 {
		size := 1 + random.IntN(len(sound)-1)
		try(fmt.Sprintf("cut at %d", size), sound[:size])
	}
	t.Logf("of %d bytes: %v", len(sound), counts)
	for _, outcome := range []string{"refused", "reported", "unharmed"} {
		if counts[outcome] == 0 {
			t.Errorf("no damage was %s", outcome)
		}
	}
}

// FuzzDamage looks further than TestDamageIsReported, when it is asked to:
// go test -fuzz FuzzDamage ./memory/sqlite
func FuzzDamage(f *testing.F) {
	f.Add(uint32(96), byte(1), uint32(0))
	f.Add(uint32(5000), byte(255), uint32(90000))
	var once sync.Once
	var sound []byte
	f.Fuzz(func(t *testing.T, at uint32, flip byte, cut uint32) {
		once.Do(func() { sound = storeFile(t) })
		data := bytes.Clone(sound)
		data[int(at)%len(data)] ^= flip
		if cut > 0 {
			data = data[:1+int(cut)%len(data)]
		}
		path := filepath.Join(t.TempDir(), "damaged.db")
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		tryDamaged(t, fmt.Sprintf("byte %d, cut at %d", at, cut), path, data)
	})
}

// damageOf joins what Check finds in one error.
func damageOf(ctx context.Context, s *Store) (found error) {
	for p, err := range s.Check(ctx, false) {
		if err == nil {
			err = fmt.Errorf("run %s, %s: %w", p.Run, p.What, memory.ErrCorrupt)
		}
		found = errors.Join(found, err)
	}
	return found
}

// tryDamaged opens and reads a damaged file and says what came of it. A record
// that is given out must be one that was written.
func tryDamaged(t *testing.T, what, path string, data []byte) string {
	s, err := Open(path, nil)
	if err != nil {
		if after, _ := os.ReadFile(path); !bytes.Equal(after, data) {
			t.Errorf("%s: the file was refused, and changed", what)
		}
		if !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error does not name the file: %v", what, err)
		}
		return "refused"
	}
	defer s.Close()
	ctx, outcome := t.Context(), "unharmed"
	damage := damageOf(ctx, s)
	for i := range 5 {
		run := agent.RunID(fmt.Sprintf("r%d", i))
		log, err := s.Read(ctx, run, memory.ReadOptions{})
		switch {
		case errors.Is(err, memory.ErrCorrupt):
			outcome = "reported"
			if !errors.Is(damage, memory.ErrCorrupt) {
				t.Errorf("%s: Read reports %v, Check only %v", what, err, damage)
			}
		case err != nil:
			outcome = "reported"
			if damage == nil {
				t.Errorf("%s: run %s: %v, but Check finds nothing", what, run, err)
			}
		default:
			if len(log.Records) != 20 {
				t.Errorf("%s: run %s has %d records of 20", what, run, len(log.Records))
			}
			for _, r := range log.Records {
				if !bytes.Equal(r.Data, dataOf(r.Seq)) {
					t.Errorf("%s: run %s, record %d is %q", what, run, r.Seq, r.Data)
				}
			}
		}
	}
	for _, call := range []func() error{
		func() error { _, err := s.Runs(ctx, memory.RunQuery{}); return err },
		func() error { _, err := s.Asks(ctx, memory.AskQuery{}); return err },
		func() error { return s.Commit(ctx, next(s, "new", memory.Position{})) },
	} {
		if err := call(); err != nil && !errors.Is(err, memory.ErrCorrupt) && damage == nil {
			t.Errorf("%s: %v, but Check finds nothing", what, err)
		}
	}
	return outcome
}

// A record that was changed or lost inside of sound pages is named.
func TestDamagedRecordIsNamed(t *testing.T) {
	for what, c := range map[string]struct{ do, says string }{
		"data":       {"UPDATE records SET data = x'00' WHERE place % 4294967296 = 3", "run r1, record 3"},
		"id":         {"UPDATE records SET id = 'other' WHERE place % 4294967296 = 2", "run r1, record 2"},
		"time":       {"UPDATE records SET time = 'noon' WHERE place % 4294967296 = 2", "run r1, record 2"},
		"middle":     {"DELETE FROM records WHERE place % 4294967296 = 2", "run r1, record 2"},
		"end":        {"DELETE FROM records WHERE place % 4294967296 = 5", "run r1, record 5"},
		"end's name": {"UPDATE runs SET last_id = 'other'", "run r1, record 5"},
		"snapshot":   {"UPDATE snapshots SET data = x'00'", "run r1, the snapshot at record 5"},
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t, filepath.Join(t.TempDir(), "test.db"), nil)
			var base memory.Position
			for range 5 {
				m := next(s, "r1", base)
				m.Snapshot = []byte("s")
				if err := s.Commit(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				base = m.Last()
			}
			if err := s.writer.exec(c.do); err != nil {
				t.Fatal(err)
			}
			_, err := s.Read(t.Context(), "r1", memory.ReadOptions{})
			if what == "snapshot" {
				if err != nil {
					t.Fatalf("the log without the snapshot: %v", err)
				}
				_, err = s.Read(t.Context(), "r1", memory.ReadOptions{Snapshot: true})
			}
			if !errors.Is(err, memory.ErrCorrupt) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %q", err, c.says)
			}
			if err := damageOf(t.Context(), s); !errors.Is(err, memory.ErrCorrupt) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("Check finds %v, want %q", err, c.says)
			}
		})
	}
}

// Processes that begin at once make one store, also of an empty file and by
// different names of it.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	for _, empty := range []bool{false, true} {
		dir := t.TempDir()
		path, link := filepath.Join(dir, "the store?#%41.db"), filepath.Join(dir, "link")
		if empty {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
		} else {
			link = path
		}
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				s, err := Open([]string{path, link}[i%2], nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				if err := s.Commit(context.Background(), next(s, agent.RunID(fmt.Sprintf("r%d", i)), memory.Position{})); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		s := open(t, link, nil)
		page, err := s.Runs(t.Context(), memory.RunQuery{})
		if err != nil || len(page.Runs) != 8 {
			t.Fatalf("%d runs (%v), want 8", len(page.Runs), err)
		}
		if info, err := os.Stat(path); err != nil || (empty && info.Mode().Perm() != 0o600) {
			t.Fatalf("the file is %v (%v), want its permissions kept", info.Mode(), err)
		}
	}
}

// A copy that SQLite's own tools have made is a store.
func TestOpenCopy(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "test.db"), nil)
	end := commitNext(t, s, "r1", memory.Position{})
	if err := s.writer.exec("VACUUM INTO ?", filepath.Join(dir, "copy.db")); err != nil {
		t.Fatal(err)
	}
	c := open(t, filepath.Join(dir, "copy.db"), nil)
	commitNext(t, c, "r1", end)
	checkLog(t, c, "r1", 2)
	checkLog(t, s, "r1", 1)
	var mode string
	if _, err := c.writer.one("PRAGMA journal_mode", nil, &mode); err != nil || mode != "wal" {
		t.Fatalf("the journal mode is %q (%v), want wal", mode, err)
	}
}

// What a step adds to the WAL and to the file does not depend on the length of
// the run.
func TestBytesPerStep(t *testing.T) {
	t.Parallel()
	const long, short = 1000, 10
	wal := func(steps int) float64 { return costOf(t, 1, steps, "-wal") / float64(steps) }
	if s, l := wal(short), wal(long); l > 1.1*s {
		t.Errorf("a step writes %.0f bytes in a run of %d, and %.0f in one of %d", l, long, s, short)
	} else {
		t.Logf("written per step: %.0f bytes in a run of %d, %.0f in one of %d", s, short, l, long)
	}
	kept := func(runs, steps int) float64 { return costOf(t, runs, steps, "") / float64(runs*steps) }
	if s, l := kept(long/short, short), kept(1, long); l > 1.1*s {
		t.Errorf("a step keeps %.0f bytes in a run of %d, and %.0f in one of %d", l, long, s, short)
	} else {
		t.Logf("kept per step: %.0f bytes in a run of %d, %.0f in one of %d", s, short, l, long)
	}
}

// costOf makes runs of so many steps and returns how much the store's file, or
// with a suffix the one beside it, has grown.
func costOf(t *testing.T, runs, steps int, suffix string) float64 {
	path := filepath.Join(t.TempDir(), "test.db")
	clock := time.Now()
	s := open(t, path, &Options{Now: func() time.Time { clock = clock.Add(time.Millisecond); return clock }})
	pragmas := []string{"PRAGMA synchronous=OFF", "PRAGMA wal_autocheckpoint=0"} // only bytes count here
	for _, p := range pragmas {
		if err := s.writer.exec(p); err != nil {
			t.Fatal(err)
		}
	}
	size := func() float64 {
		info, err := os.Stat(path + suffix)
		if errors.Is(err, os.ErrNotExist) {
			return 0
		} else if err != nil {
			t.Fatal(err)
		}
		return float64(info.Size())
	}
	before := size()
	for r := range runs {
		var base memory.Position
		for range steps {
			c := next(s, agent.RunID(fmt.Sprintf("r%d", r)), base)
			c.Snapshot = make([]byte, 600)
			if err := s.Commit(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			base = c.Last()
		}
	}
	if suffix == "" {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return size() - before
}

func BenchmarkCommit(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "test.db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var base memory.Position
	for b.Loop() {
		c := next(s, "r1", base)
		if err := s.Commit(context.Background(), c); err != nil {
			b.Fatal(err)
		}
		base = c.Last()
	}
}
