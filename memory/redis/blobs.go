package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// PutBlob implements [memory.Store].
func (s *Store) PutBlob(ctx context.Context, run agent.RunID, data []byte) (string, error) {
	if err := memory.CheckRun(run); err != nil {
		return "", err
	}
	if err := s.begin(ctx); err != nil {
		return "", err
	}
	hash, sh := hashOf(data), s.keys.of(run)
	reply, err := s.eval(ctx, &call{script: blobScript,
		keys: []string{sh.blobs(run), sh.erased()}, args: []any{string(run), hash, data}})
	if err != nil {
		return "", s.fail(ctx, where("keep a blob of", run), err)
	}
	if reply == "erased" {
		return "", fmt.Errorf("redis: keep a blob of run %s: %w", run, memory.ErrErased)
	}
	return hash, nil
}

// Blob implements [memory.Store].
func (s *Store) Blob(ctx context.Context, run agent.RunID, hash string) ([]byte, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	v, err := s.client.HGet(ctx, s.keys.of(run).blobs(run), hash).Bytes()
	if errors.Is(err, goredis.Nil) {
		return nil, fmt.Errorf("redis: the blob %s of run %s: %w", hash, run, memory.ErrNotFound)
	}
	if err != nil {
		return nil, s.fail(ctx, where("read a blob of", run), err)
	}
	if hashOf(v) != hash {
		return nil, damaged(run, "the blob %s does not fit its hash", hash)
	}
	return v, nil
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Erase implements [memory.Store].
func (s *Store) Erase(ctx context.Context, run agent.RunID) error {
	if err := memory.CheckRun(run); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	sh := s.keys.of(run)
	for name := ""; ; {
		keys := []string{sh.run(run), sh.log(run), sh.snap(run), sh.asks(run), sh.runs(), sh.inbox(), sh.erased(), sh.blobs(run), sh.words(run)}
		if name != "" {
			keys = append(keys, sh.want(name), sh.suspects(name))
		}
		reply, err := s.eval(ctx, &call{script: eraseScript, keys: keys, args: []any{string(run), s.hub.publish, sh.watch(run), name}})
		if err != nil {
			return s.fail(ctx, where("erase", run), err)
		}
		list, ok := reply.([]any)
		if !ok || len(list) == 0 {
			return errReply
		}
		if list[0] != "agent" {
			s.claims.forget(run, "")
			return nil
		}
		name, _ = list[1].(string)
	}
}
