package agent

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// An Effect says what a second call with the same arguments would do, and so
// what Fermata may do on its own account when a call's outcome was lost.
type Effect string

const (
	// Once, the zero value, is never run again on our own account. Its start is
	// durable before it is called; if its outcome is lost, that is a state which
	// Reconcile or a person decides about.
	Once Effect = ""
	// Idempotent may be run again with the same key (CallInfo.Key).
	Idempotent Effect = "idempotent"
	// ReadOnly may be run again freely.
	ReadOnly Effect = "readonly"
)

// A Tool is something an agent can have done: data, and a function.
// A Tool is not changed after it was given to an agent.
type Tool struct {
	Name        string          // letters, digits, _ and -; at most 64
	Description string          // what it does and when to use it, for the model
	Input       json.RawMessage // JSON Schema of the arguments, an object; nil takes any object
	Output      json.RawMessage // JSON Schema of the result; nil says nothing about it

	// Call does it. args has passed the Input schema. An error is data that the
	// planner sees; mark it with [NotDone] where the act has surely not taken
	// place. ctx ends at the tool's Timeout, and when the call is no longer
	// wanted. [CallFrom] has the call's key, user and run.
	Call func(ctx context.Context, args json.RawMessage) (json.RawMessage, error)

	Effect  Effect
	Approve Approval      // nil is Never
	Timeout time.Duration // of one attempt; 0 means one minute
	Retry   Retry         // the zero value does not retry
	Limit   int           // how many calls at once in one worker; 0 means no limit of its own

	// Reconcile looks up what became of a begun call whose outcome was lost:
	// the result if it took place; an error marked [NotDone] if it surely did
	// not, and will not any more; any other error if that cannot be told now. nil
	// leaves it to a person.
	Reconcile func(ctx context.Context, args json.RawMessage) (json.RawMessage, error)
}

// Retry says how often a failed attempt is made again. A Once tool is retried
// only after an error marked [NotDone].
type Retry struct {
	Attempts int           // in all; 0 and 1 mean a single one
	Backoff  time.Duration // the first wait, which then doubles, with jitter; 0 means a second
	Max      time.Duration // the longest wait; 0 means a minute
	// On says whether an error is worth another attempt; nil says yes.
	On func(error) bool
}

// An Approval decides whether a call waits for a person's approval: it returns
// nil if not, and otherwise what to ask. Prompt says why, for the approver to
// read; For, Not, Within, Escalate, Default and Remind say who approves and until
// when; the rest is filled in. It must not act on the world. If it returns an error
// or panics, approval is needed.
type Approval func(ctx context.Context, c CallInfo, args json.RawMessage) (*Ask, error)

// Always is the Approval that always asks, anybody.
func Always(context.Context, CallInfo, json.RawMessage) (*Ask, error) {
	return &Ask{Prompt: "each call of this tool needs approval"}, nil
}

// Never is the Approval that never asks.
func Never(context.Context, CallInfo, json.RawMessage) (*Ask, error) { return nil, nil }

// CallInfo is what a tool may know of the call that it serves.
type CallInfo struct {
	Run    RunID
	Agent  string
	Action ActionID
	// Key is the same for all attempts of one action, in every worker and after
	// every crash, and differs between any two actions. Hand it to services that
	// take an idempotency key.
	Key     string
	Attempt int // from 1
	User    User
	Meta    map[string]string
	Path    []Place // the runs from the root to this one; empty in a root
}

type callKey struct{}

// WithCall returns a context that carries c. The orchestrator does this before
// it calls a tool; tests of a tool may do it too.
func WithCall(ctx context.Context, c CallInfo) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallFrom returns what is known of the call that ctx belongs to; the zero
// CallInfo outside of one.
func CallFrom(ctx context.Context) CallInfo {
	c, _ := ctx.Value(callKey{}).(CallInfo)
	return c
}

// User is the person on whose behalf a run goes on. Whoever calls the API has
// authenticated them.
type User struct {
	ID     string   `json:"id,omitempty"`
	Name   string   `json:"name,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// Among reports whether the user is one of a list of user ids and groups, which
// begin with "group:".
func (u User) Among(list []string) bool {
	for _, s := range list {
		if group, ok := strings.CutPrefix(s, "group:"); ok && slices.Contains(u.Groups, group) || !ok && s != "" && s == u.ID {
			return true
		}
	}
	return false
}

// IsZero reports whether nothing is known of the user.
func (u User) IsZero() bool { return u.ID == "" && u.Name == "" && len(u.Groups) == 0 }
