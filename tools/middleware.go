package tools

import (
	"bytes"
	"fmt"

	"github.com/fermata-run/fermata/agent"
)

// Middleware is a function around a tool. It is given a copy of the tool that
// is its own, and returns it changed: most often with a Call around the former.
//
//	func Limited(timeout time.Duration) tools.Middleware {
//		return func(t *agent.Tool) *agent.Tool {
//			t.Timeout = timeout
//			return t
//		}
//	}
//
// A Call that runs another one more than once must keep to the tool's Effect.
type Middleware func(*agent.Tool) *agent.Tool

// Wrap returns a copy of t with the middleware around it, the first outermost.
// t itself stays as it is. Wrap panics if t or a middleware is nil, or if a
// middleware returns nil.
func Wrap(t *agent.Tool, mw ...Middleware) *agent.Tool {
	if t == nil {
		panic("tools.Wrap: the tool is nil")
	}
	t = clone(t)
	for i := len(mw) - 1; i >= 0; i-- {
		if mw[i] == nil {
			panic(fmt.Sprintf("tools.Wrap(%q): middleware %d is nil", t.Name, i))
		}
		wrapped := mw[i](clone(t))
		if wrapped == nil {
			panic(fmt.Sprintf("tools.Wrap(%q): middleware %d returned nil: it must return the tool", t.Name, i))
		}
		t = wrapped
	}
	return t
}

func clone(t *agent.Tool) *agent.Tool {
	c := *t
	c.Input, c.Output = bytes.Clone(t.Input), bytes.Clone(t.Output)
	return &c
}
