//go:build unix

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

func init() { children["fill"] = childFills }

// childFills commits until there is no room, by a limit on the size of its
// files, then makes room and goes on.
func childFills(path string) error {
	s, err := Open(path, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	ctx, base := context.Background(), memory.Position{}
	for size := uint64(200 << 10); size <= 800<<10; size += 300 << 10 {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: limit.Max}); err != nil {
			return err
		}
		var refused *memory.Commit
		for refused == nil {
			c := next(s, "r1", base)
			c.Records = append(c.Records, memory.Record{Seq: base.Seq + 2, ID: c.Records[0].ID + "b", Time: c.Records[0].Time, Data: dataOf(base.Seq + 2)})
			switch err := s.Commit(ctx, c); {
			case errors.Is(err, memory.ErrFull):
				refused = c
			case err != nil:
				return err
			default:
				base = c.Last()
			}
		}
		log, err := s.Read(ctx, "r1", memory.ReadOptions{})
		if err != nil || log.Last != base {
			return fmt.Errorf("the log ends at %+v (%v) when full, want %+v", log, err, base)
		}
		if _, err := s.PutBlob(ctx, "r1", make([]byte, 1<<20)); !errors.Is(err, memory.ErrFull) {
			return fmt.Errorf("a blob of 1 MB: %v, want that the store is full", err)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit.Max, Max: limit.Max}); err != nil {
			return err
		}
		if err := s.Commit(ctx, refused); err != nil {
			return fmt.Errorf("there is room again: %w", err)
		}
		base = refused.Last()
		fmt.Println(base.Seq)
	}
	return damageOf(ctx, s)
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	c := start(t, "fill", path)
	var acknowledged int64
	rounds := 0
	for line := c.line(); line != ""; line = c.line() {
		acknowledged = number(t, line)
		rounds++
	}
	if err := c.cmd.Wait(); err != nil || rounds != 3 {
		t.Fatalf("the child ended after %d rounds of 3: %v", rounds, err)
	}
	s := open(t, path, nil)
	checkLog(t, s, agent.RunID("r1"), acknowledged)
	if err := damageOf(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}
