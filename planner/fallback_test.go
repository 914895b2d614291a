package planner_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
)

// failing says a word, if it has one, and fails.
func failing(word string, err error) agent.Model {
	return agent.ModelFunc(func(_ context.Context, _ *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
		if word != "" {
			emit(agent.Delta{Text: word})
		}
		return nil, err
	})
}

func TestFallbackGoesOn(t *testing.T) {
	down := agent.Transient(errors.New("down"), 0)
	for name, tt := range map[string]struct {
		first agent.Model
		want  []agent.Delta
	}{
		"transient":     {failing("", down), []agent.Delta{{Text: "Hello."}}},
		"permanent":     {failing("", errors.New("no such model")), []agent.Delta{{Text: "Hello."}}},
		"after a word":  {failing("Hel", down), []agent.Delta{{Text: "Hel"}, {Reset: true}, {Text: "Hello."}}},
		"no reply":      {failing("", nil), []agent.Delta{{Text: "Hello."}}},
		"its own clock": {failing("", context.DeadlineExceeded), []agent.Delta{{Text: "Hello."}}},
	} {
		second := &fake{replies: []any{says("Hello.")}}
		third := &fake{}
		var heard []agent.Delta
		reply, err := planner.Fallback(tt.first, second, third).Generate(t.Context(), &agent.ModelRequest{}, deltas(&heard))
		if err != nil || reply.Message.Text() != "Hello." || len(third.asked) != 0 {
			t.Errorf("%s: got %+v, %v", name, reply, err)
		}
		if !reflect.DeepEqual(heard, tt.want) {
			t.Errorf("%s: heard %+v", name, heard)
		}
	}
}

func TestFallbackJoinsErrors(t *testing.T) {
	bad := errors.New("no such model")
	soon, late := agent.Transient(errors.New("busy"), time.Second), agent.Transient(errors.New("closed"), time.Hour)
	for name, tt := range map[string]struct {
		errs      []error
		transient bool
		after     time.Duration
	}{
		"all permanent":        {[]error{bad, bad}, false, 0},
		"one transient":        {[]error{bad, late, bad}, true, time.Hour},
		"the shortest":         {[]error{late, soon, late}, true, time.Second},
		"one alone, transient": {[]error{soon}, true, time.Second},
		"one alone, permanent": {[]error{bad}, false, 0},
	} {
		var models []agent.Model
		for _, err := range tt.errs {
			models = append(models, failing("", err))
		}
		_, err := planner.Fallback(models...).Generate(t.Context(), &agent.ModelRequest{}, func(agent.Delta) {})
		if after, ok := agent.IsTransient(err); ok != tt.transient || after != tt.after {
			t.Errorf("%s: transient is %v, after %v", name, ok, after)
		}
		for _, want := range tt.errs {
			if !errors.Is(err, want) || !strings.Contains(err.Error(), want.Error()) {
				t.Errorf("%s: %v does not tell of %v", name, err, want)
			}
		}
	}
}

func TestFallbackEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	first := agent.ModelFunc(func(ctx context.Context, _ *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
		emit(agent.Delta{Text: "Hel"})
		cancel()
		return nil, ctx.Err()
	})
	second := &fake{replies: []any{says("Hello.")}}
	var heard []agent.Delta
	_, err := planner.Fallback(first, second).Generate(ctx, &agent.ModelRequest{}, deltas(&heard))
	if !errors.Is(err, context.Canceled) || len(second.asked) != 0 || !heard[len(heard)-1].Reset {
		t.Errorf("got %v, heard %+v", err, heard)
	}
	if _, ok := agent.IsTransient(err); ok {
		t.Error("the error is transient")
	}
}
