package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// PutBlob implements [memory.Store].
func (s *Store) PutBlob(ctx context.Context, run agent.RunID, data []byte) (string, error) {
	if err := memory.CheckRun(run); err != nil {
		return "", err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	hash := hashOf(data)
	what := "keep a blob of run " + string(run)
	err = s.write(ctx, what, func(c *conn) error {
		if err := c.absence(run); err != memory.ErrNotFound {
			return fmt.Errorf("sqlite: %s: %w", what, err)
		}
		return c.exec("INSERT OR IGNORE INTO blobs (run, hash, data) VALUES (?, ?, ?)", string(run), hash, blob(data))
	})
	if err != nil {
		return "", err
	}
	return hash, nil
}

// Blob implements [memory.Store]. A value that does not have its hash any more
// makes it fail with [memory.ErrCorrupt].
func (s *Store) Blob(ctx context.Context, run agent.RunID, hash string) (data []byte, err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	err = s.read("read a blob of run "+string(run), func(c *conn) error {
		data, err = s.blobOf(c, run, hash)
		return err
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

func (s *Store) blobOf(c *conn, run agent.RunID, hash string) (data []byte, err error) {
	found, err := c.one("SELECT data FROM blobs WHERE run = ? AND hash = ?", []any{string(run), hash}, &data)
	if err != nil {
		return nil, s.unreadable(err, run, "blob %s", hash)
	}
	if !found {
		return nil, fmt.Errorf("sqlite: blob %s of run %s: %w", hash, run, memory.ErrNotFound)
	}
	if hashOf(data) != hash {
		return nil, s.damagedRun(run, "blob %s is not as it was written: its hash is another", hash)
	}
	return blob(data), nil
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Erase implements [memory.Store]. What is erased is overwritten in the file.
func (s *Store) Erase(ctx context.Context, run agent.RunID) error {
	if err := memory.CheckRun(run); err != nil {
		return err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	err = s.write(ctx, "erase run "+string(run), func(c *conn) error {
		if err := c.exec("PRAGMA secure_delete=1"); err != nil {
			return err
		}
		err := c.erase(run, toMicro(s.Now()))
		if e := c.exec("PRAGMA secure_delete=0"); err == nil {
			err = e
		}
		return err
	})
	if err == nil {
		s.hub.changed(run)
	}
	return err
}

func (c *conn) erase(run agent.RunID, now int64) error {
	if err := c.exec("INSERT OR IGNORE INTO erased (run, time) VALUES (?, ?)", string(run), now); err != nil {
		return err
	}
	if err := c.exec("DELETE FROM blobs WHERE run = ?", string(run)); err != nil {
		return err
	}
	r, err := c.row(run)
	if err != nil || r == nil {
		return err
	}
	for _, query := range []string{"DELETE FROM records WHERE place BETWEEN ? AND ?", "DELETE FROM words WHERE place BETWEEN ? AND ?"} {
		if err := c.exec(query, r.first(), r.end()); err != nil {
			return err
		}
	}
	for _, query := range []string{"DELETE FROM snapshots WHERE n = ?", "DELETE FROM asks WHERE n = ?", "DELETE FROM runs WHERE n = ?"} {
		if err := c.exec(query, r.n); err != nil {
			return err
		}
	}
	return nil
}
