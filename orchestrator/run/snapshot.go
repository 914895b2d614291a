package run

import (
	"encoding/json"
	"fmt"
)

// snapshot is a state as stored. It holds no words of the conversation.
type snapshot struct {
	V     int    `json:"v"`
	State *State `json:"state"`
}

// Snapshot returns the state as it is stored beside the log, so that inputs need
// not read the log from its beginning. Its size depends on what is open and on
// what has to be remembered, and not on the words of the conversation.
func (s *State) Snapshot() ([]byte, error) {
	b, err := json.Marshal(snapshot{V: Version, State: s})
	if err != nil {
		return nil, fmt.Errorf("run: encode the snapshot of run %s: %w", s.Run, err)
	}
	return b, nil
}

// Restore returns the state that Snapshot stored. It goes on folding as the
// whole log would, but knows no words: its View is nil.
func Restore(data []byte) (*State, error) {
	var snap snapshot
	if err := json.Unmarshal(data, &snap); err != nil {
		return nil, fmt.Errorf("run: this is not a snapshot: %w", err)
	}
	if snap.V != Version {
		return nil, fmt.Errorf("run: the snapshot has version %d, and this program reads version %d", snap.V, Version)
	}
	if snap.State == nil {
		return nil, fmt.Errorf("run: the snapshot has no state")
	}
	snap.State.blind = true
	return snap.State, nil
}
