package graph

import (
	"errors"
	"fmt"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

// outcome is how the graph has ended: its result, or why it has failed.
func (x *instance) outcome() (result any, failed *failure, err error) {
	final := x.final()
	if final.Final == "failed" {
		v, err := x.eval(final.fail)
		if err != nil {
			return nil, nil, fmt.Errorf("fail of %s: %w", final.ID, err)
		}
		return nil, failureOf(v, final), nil
	}
	switch {
	case x.p.def.Output != nil:
		result, err = x.eval(x.p.output)
	case final.Output != nil || final.done != nil:
		result, err = x.doneData(final, nil)
	default:
		result = x.all()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the result of the graph: %w", err)
	}
	return result, nil, nil
}

func (x *instance) final() *node {
	for _, n := range x.p.chart.ActiveNodes(x.cfg) {
		if n.Kind == chart.Final && n.Parent() == x.p.chart.Root() {
			return n.Tag.(*node)
		}
	}
	return nil
}

func failureOf(v any, final *node) *failure {
	switch v := v.(type) {
	case map[string]any:
		code, _ := v["code"].(string)
		message, _ := valueText(v["message"])
		if code == "" {
			code = "failed"
		}
		return &failure{Code: code, Message: message}
	case nil:
		return &failure{Code: "failed", Message: "it has ended at " + final.ID}
	case string:
		return &failure{Code: "failed", Message: v}
	}
	return &failure{Code: "failed", Message: fmt.Sprint(v)}
}

// all is the result of a graph that says nothing else: its variables, and what was
// done and undone if anything can be.
func (x *instance) all() any {
	all := map[string]any{}
	if x.sess != nil {
		if err := x.sess.End(); err != nil {
			x.fatal = errors.Join(x.fatal, err)
		}
		x.sess = nil
	}
	for _, d := range x.p.data {
		if v, ok := x.Get(d.ID); ok {
			all[d.ID] = v
		}
	}
	if x.id == "" && len(x.st.s.keys("u/")) > 0 {
		if _, taken := all["saga"]; !taken {
			all["saga"] = x.st.saga()
		}
	}
	return all
}
