package orchestratortest

import (
	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/wellformed"
)

// CheckRequest says what is wrong with a request to a language model; nil if a
// provider can take it. Every call of an assistant's message has exactly one
// result, in the message of tool results that follows directly, and no result is
// without its call. Call ids are not used twice, arguments are JSON objects, and
// no message is empty.
func CheckRequest(req *agent.ModelRequest) error { return wellformed.Check(req.Messages) }
