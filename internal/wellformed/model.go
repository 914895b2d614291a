package wellformed

import (
	"context"
	"fmt"

	"github.com/fermata-run/fermata/agent"
)

// Model returns m with a guard: a conversation that breaks a rule of [Check] does
// not reach m; fail is called with what is wrong, and Generate returns the same.
// fail must be safe for use by many goroutines, as the Error of a test is.
func Model(m agent.Model, fail func(error)) agent.Model {
	return agent.ModelFunc(func(ctx context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
		if err := Check(req.Messages); err != nil {
			err = fmt.Errorf("a request of run %q is not well-formed: %w", req.Run, err)
			fail(err)
			return nil, err
		}
		return m.Generate(ctx, req, emit)
	})
}
