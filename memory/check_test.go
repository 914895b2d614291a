package memory_test

import (
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

func TestCheckRun(t *testing.T) {
	for id, ok := range map[agent.RunID]bool{
		"a": true, "0az9": true, agent.RunID(strings.Repeat("r", 128)): true,
		"": false, "A": false, "a.b": false, "a-b": false, "a b": false, "{a}": false, "ä": false, "a\x00": false,
		agent.RunID(strings.Repeat("r", 129)): false,
	} {
		if err := memory.CheckRun(id); (err == nil) != ok {
			t.Errorf("the id %q: got %v, want that it is allowed: %v", id, err, ok)
		}
	}
}

// What stores must refuse is in memorytest; this is what they must take.
func TestCheckTakes(t *testing.T) {
	c := &memory.Commit{Run: "r1", Base: memory.Position{Seq: 2, ID: "b"}, Records: []memory.Record{{Seq: 3, ID: "c"}, {Seq: 4, ID: "d"}},
		Opened: []memory.AskEntry{{ID: "r1.c.0"}}, Closed: []agent.AskID{"r1.c.0", "r1.a.1"}}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if got := c.Last(); got != (memory.Position{Seq: 4, ID: "d"}) {
		t.Errorf("the end is %+v, want record 4", got)
	}
}
