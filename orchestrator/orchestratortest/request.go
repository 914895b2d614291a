package orchestratortest

import (
	"encoding/json"
	"fmt"

	"github.com/fermata-run/fermata/agent"
)

// CheckRequest says what is wrong with a request to a language model; nil if a
// provider can take it. Every call of an assistant's message has exactly one
// result, in the message of tool results that follows directly, and no result is
// without its call. Call ids are not used twice, arguments are JSON objects, and
// no message is empty.
func CheckRequest(req *agent.ModelRequest) error {
	seen := map[string]bool{}
	var owed []*agent.Call // of the assistant's message before
	for i, m := range req.Messages {
		err := checkParts(m)
		switch {
		case err != nil:
		case m.Role == agent.RoleTool:
			err = checkResults(owed, m)
			owed = nil
		case len(owed) > 0:
			err = fmt.Errorf("the calls of the message before have no results")
		}
		if err == nil {
			err = checkCalls(m, seen)
			owed = append(owed, m.Calls()...)
		}
		if err != nil {
			return fmt.Errorf("message %d, of role %q: %w", i, m.Role, err)
		}
	}
	if len(owed) > 0 {
		return fmt.Errorf("the conversation ends with the call %s of %s, without a result", owed[0].ID, owed[0].Name)
	}
	return nil
}

func checkParts(m *agent.Message) error {
	if len(m.Parts) == 0 {
		return fmt.Errorf("it has no parts")
	}
	for _, p := range m.Parts {
		if (p.Result != nil) != (m.Role == agent.RoleTool) {
			return fmt.Errorf("results stand in messages of role %q, and in those nothing else does", agent.RoleTool)
		}
	}
	switch m.Role {
	case agent.RoleTool, agent.RoleAssistant:
		return nil
	case agent.RoleUser, agent.RoleNote:
		if len(m.Calls()) > 0 {
			return fmt.Errorf("only the assistant makes calls")
		}
		return nil
	}
	return fmt.Errorf("the roles are user, assistant, tool and note")
}

// checkResults checks that a message has one result for each call.
func checkResults(owed []*agent.Call, m *agent.Message) error {
	results := map[string]int{}
	for _, p := range m.Parts {
		results[p.Result.CallID]++
		if p.Result.Outcome == "" {
			return fmt.Errorf("the result of call %s has no outcome", p.Result.CallID)
		}
	}
	for _, c := range owed {
		if n := results[c.ID]; n != 1 {
			return fmt.Errorf("the call %s of %s has %d results", c.ID, c.Name, n)
		}
		delete(results, c.ID)
	}
	for id := range results {
		return fmt.Errorf("the result of call %s has no call in the message before", id)
	}
	return nil
}

// checkCalls checks the calls that a message makes.
func checkCalls(m *agent.Message, seen map[string]bool) error {
	for _, c := range m.Calls() {
		if c.ID == "" || seen[c.ID] {
			return fmt.Errorf("the call id %q is empty or was used before", c.ID)
		}
		seen[c.ID] = true
		var args map[string]json.RawMessage
		if len(c.Args) > 0 && json.Unmarshal(c.Args, &args) != nil {
			return fmt.Errorf("the arguments of call %s are not a JSON object: %s", c.ID, c.Args)
		}
	}
	return nil
}
