package orchestrator

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A turn is one trace, whichever processes drive it:
//
//	invoke_agent desk           the turn, from its beginning to its first rest
//	├── chat gpt-5-mini         one attempt to plan
//	├── execute_tool refund     one attempt of a call
//	└── resume_agent desk       the same turn, driven on after it had rested or had
//	    └── …                   lost its worker, in any process
//
// The first span's id goes with TurnBegan into the log, and so to whoever drives
// the turn on. A span ends in the process that began it: a turn that waits has
// none open, and what a killed worker had open is never told of.

// A stretch is a turn as far as one driver drives it.
type stretch struct {
	span  trace.Span // nil: there is none
	turn  int        // State.Turn.N
	trace string     // State.Turn.Trace
	base  agent.Usage
	used  agent.Usage // since base
}

// of reports whether s is in the turn of the stretch.
func (st *stretch) of(s *run.State) bool {
	return st.span != nil && st.turn == s.Turn.N && st.trace == s.Turn.Trace
}

// end ends the stretch's span. status is how the run stands, "" if it is in
// another turn already.
func (st *stretch) end(status agent.Status, errType string) {
	if st.span == nil {
		return
	}
	if status != "" {
		st.span.SetAttributes(attrStatus.String(string(status)))
	}
	if errType == "" && (status == agent.StatusFailed || status == agent.StatusStuck) {
		errType = string(status)
	}
	st.span.SetAttributes(usageAttributes(st.used)...)
	endSpan(st.span, errType)
	*st = stretch{}
}

// endSpan ends a span; errType is "" if all is well.
func endSpan(span trace.Span, errType string) {
	if errType != "" {
		span.SetAttributes(attrError.String(errType))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// at notes how the run stands after a commit.
func (t *trail) at(s *run.State) {
	if t == nil || t.tracer == nil {
		return
	}
	t.status = s.Status()
	t.follows(s)
	if t.turn.span != nil {
		t.turn.used = less(s.Turn.Usage, t.turn.base)
	}
}

// follows goes over to the turn that s is in, if that is another one.
func (t *trail) follows(s *run.State) {
	if t.turn.of(s) {
		return
	}
	t.turn.end("", "")
	if t.begun.of(s) {
		t.turn, t.begun = t.begun, stretch{}
	}
}

// end ends what is open when the driver ends: also a turn that never came to
// stand in the log.
func (t *trail) end() {
	if t == nil {
		return
	}
	errType := ""
	if t.lost {
		errType = "claim_lost"
	}
	t.turn.end(t.status, errType)
	t.begun.end("", errType)
}

// span begins the span of a job; for one that begins a turn, that of the turn.
func (t *trail) span(ctx context.Context, s *run.State, st *starting) (context.Context, trace.Span) {
	if st.job.Kind == run.JobBegin {
		return t.begin(ctx, s)
	}
	t.drives(ctx, s)
	ctx = trace.ContextWithSpan(ctx, t.turn.span)
	attrs := []attribute.KeyValue{
		attrAgent.String(s.Agent), attrConversation.String(string(s.Run)), attrAttempt.Int(st.job.Attempt),
	}
	if st.task == nil {
		attrs = append(attrs, attrOperation.String("chat"))
		return t.tracer.Start(ctx, "chat", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
	}
	tool := st.task.Action.Name
	attrs = append(attrs, attrOperation.String("execute_tool"), attrTool.String(tool), attrToolType.String("function"),
		attrKind.String(string(st.job.Kind)), attrAction.String(string(st.job.Action)))
	if id := st.task.Action.CallID; id != "" {
		attrs = append(attrs, attrToolCall.String(id))
	}
	return t.tracer.Start(ctx, "execute_tool "+tool, trace.WithAttributes(attrs...))
}

// begin begins the trace of a turn, with links to who sent what it is about.
func (t *trail) begin(ctx context.Context, s *run.State) (context.Context, trace.Span) {
	t.begun.end("", "")
	var links []trace.Link
	for i := range s.News {
		if sender := parse(s.News[i].Trace); sender.IsValid() {
			links = append(links, trace.Link{SpanContext: sender})
		}
	}
	n := s.Turn.N + 1
	ctx, span := t.tracer.Start(ctx, "invoke_agent "+s.Agent, trace.WithNewRoot(), trace.WithLinks(links...),
		trace.WithAttributes(t.turnAttributes(s, "invoke_agent", n)...))
	t.begun = stretch{span: span, turn: n, trace: traceparent(ctx)}
	return ctx, span
}

// drives sees to it that there is a span for the turn that s is in.
func (t *trail) drives(ctx context.Context, s *run.State) {
	if t.follows(s); t.turn.span != nil {
		return
	}
	parent := trace.WithNewRoot() // whoever began the turn had no tracer
	if first := parse(s.Turn.Trace); first.IsValid() {
		ctx, parent = trace.ContextWithRemoteSpanContext(ctx, first), trace.WithSpanKind(trace.SpanKindInternal)
	}
	_, span := t.tracer.Start(ctx, "resume_agent "+s.Agent, parent,
		trace.WithAttributes(t.turnAttributes(s, "resume_agent", s.Turn.N)...))
	t.turn = stretch{span: span, turn: s.Turn.N, trace: s.Turn.Trace, base: s.Turn.Usage}
}

func (t *trail) turnAttributes(s *run.State, operation string, turn int) []attribute.KeyValue {
	return []attribute.KeyValue{
		attrOperation.String(operation), attrAgent.String(s.Agent), attrConversation.String(string(s.Run)),
		attrTurn.Int(turn), attrWorker.String(t.worker),
	}
}

// endSpan tells the job's span how it ended. That of a turn goes on, and e takes
// its id along.
func (g *sight) endSpan(e run.Event, outcome, errType string) {
	if began, ok := e.(*run.TurnBegan); ok {
		began.Trace = traceparent(trace.ContextWithSpan(context.Background(), g.span))
		return
	}
	g.span.SetAttributes(attrOutcome.String(outcome))
	if moved, ok := e.(*run.Moved); ok {
		g.moved(moved)
	}
	endSpan(g.span, errType)
}

// moved tells the span which model was asked, if one was.
func (g *sight) moved(e *run.Moved) {
	switch {
	case !asked(e):
		g.span.SetName("plan " + g.agent)
		g.span.SetAttributes(attrOperation.String("plan"))
		return
	case e.Model != "":
		g.span.SetName("chat " + e.Model)
		g.span.SetAttributes(attrModel.String(e.Model))
	}
	g.span.SetAttributes(usageAttributes(e.Usage)...)
}

func usageAttributes(u agent.Usage) []attribute.KeyValue {
	if u == (agent.Usage{}) {
		return nil
	}
	attrs := []attribute.KeyValue{attrInput.Int(u.Input), attrOutput.Int(u.Output)}
	if u.Cached > 0 {
		attrs = append(attrs, attrCached.Int(u.Cached))
	}
	if u.Reasoning > 0 {
		attrs = append(attrs, attrReasoning.Int(u.Reasoning))
	}
	return attrs
}

// less returns u without what v has of it.
func less(u, v agent.Usage) agent.Usage {
	return agent.Usage{
		Input: u.Input - v.Input, Output: u.Output - v.Output,
		Cached: u.Cached - v.Cached, Reasoning: u.Reasoning - v.Reasoning,
	}
}

// sender returns the traceparent of who sends an input, or "".
func (t *telemetry) sender(ctx context.Context) string {
	if t == nil || t.tracer == nil {
		return ""
	}
	return traceparent(ctx)
}

// traceparent returns the span of ctx as the W3C's header of that name has it,
// or "".
func traceparent(ctx context.Context) string {
	header := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, header)
	return header.Get("traceparent")
}

// parse returns the span that traceparent names; it is not valid if there is
// none.
func parse(traceparent string) trace.SpanContext {
	if traceparent == "" {
		return trace.SpanContext{}
	}
	header := propagation.MapCarrier{"traceparent": traceparent}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), header))
}

// sameSender gives an input the trace that another one has, so that who
// repeats a request in another span sends the same.
func sameSender(e, other run.Event) {
	switch e := e.(type) {
	case *run.Started:
		if o, ok := other.(*run.Started); ok {
			e.Trace = o.Trace
		}
	case *run.Messaged:
		if o, ok := other.(*run.Messaged); ok {
			e.Trace = o.Trace
		}
	}
}
