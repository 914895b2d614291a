package crashtest

import (
	"fmt"
	"slices"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// check looks at what the logs say, and at what the service has recorded.
func (c *crash) check() {
	begun := map[request]bool{}
	answered := map[agent.AskID]string{}
	for _, id := range c.runs {
		log := orchestratortest.ReadLog(c.T, c.store, id)
		if log.State.Status() != agent.StatusIdle {
			c.Errorf("run %s is %s\n%s", id, log.State.Status(), log)
		}
		c.checkMessages(id, log)
		for _, e := range orchestratortest.Find[*run.Answered](log) {
			answered[e.Ask] = e.Answer.Choice
		}
		for _, e := range orchestratortest.Find[*run.Began](log) {
			begun[requestOf(id, toolOf(log, e.Action), e.Action, e.Attempt)] = true
		}
		c.count(log)
	}
	for ask, choice := range c.answers {
		if answered[ask] != choice {
			c.Errorf("the answer %s to ask %s was accepted, and the log has %q", choice, ask, answered[ask])
		}
	}
	c.checkService(begun)
}

// checkMessages checks that every acknowledged message is in the log, once.
func (c *crash) checkMessages(id agent.RunID, log *orchestratortest.Log) {
	var keys []string
	for _, e := range orchestratortest.Find[*run.Messaged](log) {
		if e.Key != "" {
			keys = append(keys, e.Key)
		}
	}
	if !slices.Equal(keys, c.messages[id]) {
		c.Errorf("the messages %q to run %s were accepted, and the log has %q\n%s", c.messages[id], id, keys, log)
	}
}

// checkService checks that no Once call was sent twice, or without a beginning
// in the log, and that no call was made again that had taken place.
func (c *crash) checkService(begun map[request]bool) {
	times := map[string]int{}
	for q, n := range c.service.all() {
		if q.Tool != "once" && q.Tool != "sure" {
			continue
		}
		if n > 1 {
			c.Errorf("attempt %d of the Once call %s was sent %d times", q.Attempt, q.Key, n)
		}
		if !begun[q] {
			c.Errorf("attempt %d of the Once call %s was sent, and its beginning is not in the log", q.Attempt, q.Key)
		}
		times[q.Key]++
	}
	for key, n := range times {
		if n > 1 {
			c.Errorf("the Once call %s took place in %d attempts, though it was looked up before it was made again", key, n)
		}
	}
}

// toolOf returns the tool of a call.
func toolOf(log *orchestratortest.Log, id agent.ActionID) string {
	for _, r := range log.Records {
		m, ok := r.Event.(*run.Moved)
		if !ok {
			continue
		}
		for i := range m.Actions {
			if agent.ActionID(fmt.Sprintf("%s.%d", r.ID, i)) == id {
				return m.Actions[i].Name
			}
		}
	}
	return ""
}

func (c *crash) count(log *orchestratortest.Log) {
	c.begun += len(orchestratortest.Find[*run.Began](log))
	c.takeovers += len(orchestratortest.Find[*run.TookOver](log))
	for _, e := range orchestratortest.Find[*run.Returned](log) {
		if e.Lookup {
			c.reconciled++
		}
	}
	for _, e := range orchestratortest.Find[*run.CallFailed](log) {
		if e.Lookup {
			c.reconciled++
		}
	}
}
