package redis

import (
	"time"

	"github.com/fermata-run/fermata/agent"
)

// Key returns the name of a key of a run, or with no run, of its shard, as a store
// with the default options has it.
func Key(kind string, run agent.RunID) string {
	k := keys{defaultPrefix, defaultShards}
	return string(k.of(run)) + kind + ":" + string(run)
}

// CommitSHA is the name by which a server is asked for the script of commits.
var CommitSHA = commitScript.sha

// TendEvery sets how often the store's lists are tended; to be called before the
// first claim that waits.
func TendEvery(s *Store, d time.Duration) { s.tender.every = d }
