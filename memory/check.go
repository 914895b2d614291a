package memory

import (
	"errors"
	"fmt"

	"github.com/fermata-run/fermata/agent"
)

// Check reports what is malformed in c, so that all stores refuse the same
// commits: a run id that [agent.RunID] does not allow, no records where there must
// be some, records that do not count on from Base or have no or equal ids, times that decrease, asks
// without an id of this run. Nil means that a store can take it.
func (c *Commit) Check() error {
	if err := CheckRun(c.Run); err != nil {
		return err
	}
	if len(c.Records) == 0 && (c.Base.Seq == 0 || c.Snapshot != nil) {
		return fmt.Errorf("memory: a commit to run %s has no records; one that creates a run or has a snapshot needs some", c.Run)
	}
	if (c.Base.Seq == 0) != (c.Base.ID == "") || c.Base.Seq < 0 {
		return fmt.Errorf("memory: the base of a commit to run %s is record %d with id %q; it must be a record's position or zero", c.Run, c.Base.Seq, c.Base.ID)
	}
	if err := c.checkRecords(); err != nil {
		return err
	}
	for _, a := range c.Opened {
		if a.ID.Run() != c.Run {
			return fmt.Errorf("memory: a commit to run %s opens the ask %q, which is not one of this run; an ask's id begins with its run", c.Run, a.ID)
		}
	}
	for _, id := range c.Closed {
		if id.Run() != c.Run {
			return fmt.Errorf("memory: a commit to run %s closes the ask %q, which is not one of this run; an ask's id begins with its run", c.Run, id)
		}
	}
	return nil
}

func (c *Commit) checkRecords() error {
	seen := make(map[agent.RecordID]bool, len(c.Records)+1)
	seen[c.Base.ID] = true
	for i := range c.Records {
		r := &c.Records[i]
		if want := c.Base.Seq + int64(i) + 1; r.Seq != want {
			return fmt.Errorf("memory: record %d of a commit to run %s has Seq %d; after %d it must be %d", i, c.Run, r.Seq, c.Base.Seq, want)
		}
		if r.ID == "" || seen[r.ID] {
			return fmt.Errorf("memory: record %d of run %s has the id %q; it must be a new one", r.Seq, c.Run, r.ID)
		}
		seen[r.ID] = true
		if i > 0 && r.Time.Before(c.Records[i-1].Time) {
			return fmt.Errorf("memory: record %d of run %s has a time before that of the record before it; times must not decrease", r.Seq, c.Run)
		}
	}
	return nil
}

// CheckRun reports whether id has the form of a run's id: lowercase letters and
// digits, at least one and at most 128.
func CheckRun(id agent.RunID) error {
	if id == "" {
		return errors.New("memory: the run's id is empty")
	}
	if len(id) > 128 {
		return fmt.Errorf("memory: the run's id has %d characters; at most 128 are allowed", len(id))
	}
	for i := 0; i < len(id); i++ {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return fmt.Errorf("memory: the run's id %q has the character %q; lowercase letters and digits are allowed", id, c)
		}
	}
	return nil
}
