package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// The exit codes, which doc.go lists for users.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitWaits       = 3
	exitStuck       = 4
	exitInterrupted = 130
)

// coded is an error with an exit code. One without a cause says nothing more:
// all was said already.
type coded struct {
	code int
	err  error
}

func (e *coded) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *coded) Unwrap() error { return e.err }

// usage makes the error of wrong use.
func usage(format string, args ...any) error {
	return &coded{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode prints an error as one line and returns its exit code.
func (p *program) exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	code := exitError
	var c *coded
	if errors.As(err, &c) {
		code = c.code
	} else if errors.Is(err, context.Canceled) {
		code = exitInterrupted
	}
	if err.Error() != "" {
		p.complain(plainly(err))
	}
	return code
}

// complain prints one line about what is wrong.
func (p *program) complain(text string) {
	c := painterFor(p.err, p.noColor)
	fmt.Fprintf(p.err, "%s %s\n", c.do(red, p.app.Name+":"), p.discreet(cleanLine(text)))
}

// remark prints one line that is not part of the result.
func (p *program) remark(format string, args ...any) {
	c := painterFor(p.err, p.noColor)
	fmt.Fprintln(p.err, c.do(dim, p.discreet(cleanLine(fmt.Sprintf(format, args...)))))
}

// unprefixed drops the name of the package that an error begins with: users do
// not know it.
func unprefixed(text string) string {
	for _, name := range []string{"sqlite: ", "redis: ", "memory: ", "orchestrator: ", "run: "} {
		text = strings.TrimPrefix(text, name)
	}
	return text
}

// discreet leaves out the API key, should it stand in a text.
func (p *program) discreet(text string) string {
	if key := strings.TrimSpace(os.Getenv("OPENAI_API_KEY")); len(key) >= 6 {
		text = strings.ReplaceAll(text, key, "[the API key]")
	}
	return text
}

// plainly is what an error says, without the kind of a refusal.
func plainly(err error) string {
	var r *agent.Refusal
	if errors.As(err, &r) {
		return r.Detail
	}
	return unprefixed(err.Error())
}

// hinted adds to a refusal of what is not theirs to do how to say who they are.
func hinted(err error) error {
	var r *agent.Refusal
	if errors.As(err, &r) && r.Kind == agent.RefusedForbidden {
		return agent.Refuse(r.Kind, "%s; --user and --group say who you are", r.Detail)
	}
	return err
}
