package redis

import (
	"context"
	"fmt"
	"strconv"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// Read implements [memory.Store].
func (s *Store) Read(ctx context.Context, run agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if err := memory.CheckRun(run); err != nil {
		return nil, fmt.Errorf("redis: read run %q: %w (%w)", run, memory.ErrNotFound, err)
	}
	c := s.readCall(run, o)
	reply, err := s.eval(ctx, c)
	return s.readReply(ctx, run, max(o.After, 0), reply, err)
}

func (s *Store) readCall(run agent.RunID, o memory.ReadOptions) *call {
	sh := s.keys.of(run)
	return &call{script: readScript,
		keys: []string{sh.run(run), sh.log(run), sh.snap(run), sh.erased()},
		args: []any{string(run), max(o.After, 0), max(o.Limit, 0), flag(o.Snapshot)},
	}
}

// readReply makes a log of what readCall gave.
func (s *Store) readReply(ctx context.Context, run agent.RunID, after int64, reply any, err error) (*memory.Log, error) {
	if err != nil {
		return nil, s.fail(ctx, where("read", run), err)
	}
	list, ok := reply.([]any)
	if !ok || len(list) == 0 {
		return nil, errReply
	}
	switch list[0] {
	case "erased":
		return nil, fmt.Errorf("redis: read run %s: %w", run, memory.ErrErased)
	case "absent":
		return nil, fmt.Errorf("redis: read run %s: %w", run, memory.ErrNotFound)
	}
	if len(list) != 6 {
		return nil, errReply
	}
	return decodeLog(run, list, after)
}

// decodeLog makes a log of the reply of lua/read.lua.
func decodeLog(run agent.RunID, list []any, after int64) (*memory.Log, error) {
	seq, err := strconv.ParseInt(list[1].(string), 10, 64)
	if err != nil {
		return nil, damaged(run, "its entry does not say how many records there are")
	}
	id, _ := list[2].(string)
	if n, _ := list[3].(int64); n != seq {
		return nil, damaged(run, "its log has %d records, and its entry says %d", n, seq)
	}
	log := &memory.Log{Last: memory.Position{Seq: seq, ID: agent.RecordID(id)}}
	if snap, ok := list[4].(string); ok {
		if log.SnapshotAt, log.Snapshot, err = decodeSnapshot(snap); err != nil {
			return nil, damaged(run, "its snapshot: %v", err)
		}
		after = log.SnapshotAt.Seq
	}
	records, _ := list[5].([]any)
	for i, v := range records {
		text, _ := v.(string)
		r, err := decodeRecord(after+int64(i)+1, text)
		if err != nil {
			return nil, damaged(run, "%v", err)
		}
		log.Records = append(log.Records, r)
	}
	if n := len(log.Records); n > 0 && log.Records[n-1].Seq == seq && log.Records[n-1].ID != log.Last.ID {
		return nil, damaged(run, "its log ends with the record %s, and its entry says %s", log.Records[n-1].ID, id)
	}
	return log, nil
}
