package orchestrator

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"os"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// alphabet has 32 lowercase letters and digits that are hard to confuse.
var encoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newID returns a random id of n characters, each with five bits.
func newID(n int) string {
	b := make([]byte, n*5/8+1)
	rand.Read(b) // never fails
	return encoding.EncodeToString(b)[:n]
}

func newRecordID() agent.RecordID { return agent.RecordID(newID(10)) }

// runID returns the id of the run that a request starts: a random one, or that
// which its agent, user and idempotency key name.
func runID(r *Request) agent.RunID {
	if r.Key == "" {
		return agent.RunID(newID(16))
	}
	return run.DeriveID("run", r.Agent, r.User.ID, r.Key)
}

func defaultWorker() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}
