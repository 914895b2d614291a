package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/planner/scripted"
)

// told is what one process tells of itself: it has providers of its own.
type told struct {
	spans   *tracetest.InMemoryExporter
	tracer  *sdktrace.TracerProvider
	figures *sdkmetric.ManualReader
	meter   *sdkmetric.MeterProvider
}

func newTold() *told {
	t := &told{spans: tracetest.NewInMemoryExporter(), figures: sdkmetric.NewManualReader()}
	t.tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(t.spans))
	t.meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(t.figures))
	return t
}

func (p *told) options() *orchestrator.Options {
	return &orchestrator.Options{Tracer: p.tracer, Meter: p.meter, Worker: "w"}
}

// tree draws the ended spans: a line for each, below its parent, in the order in
// which they began. What is not asked for in show is left out.
func tree(all tracetest.SpanStubs, show ...attribute.Key) string {
	slices.SortStableFunc(all, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	there := map[trace.SpanID]bool{}
	for _, s := range all {
		there[s.SpanContext.SpanID()] = true
	}
	var b strings.Builder
	var draw func(parent trace.SpanID, of trace.TraceID, indent string)
	draw = func(parent trace.SpanID, of trace.TraceID, indent string) {
		for _, s := range all {
			root := parent == trace.SpanID{} && !there[s.Parent.SpanID()]
			if !root && (s.Parent.SpanID() != parent || s.SpanContext.TraceID() != of || parent == trace.SpanID{}) {
				continue
			}
			fmt.Fprintf(&b, "%s%s", indent, s.Name)
			for _, k := range show {
				if v := attr(s, k); v != "" {
					fmt.Fprintf(&b, " %s=%s", k, v)
				}
			}
			if s.Status.Code == codes.Error {
				b.WriteString(" ERROR")
			}
			b.WriteString("\n")
			draw(s.SpanContext.SpanID(), s.SpanContext.TraceID(), indent+"  ")
		}
	}
	draw(trace.SpanID{}, trace.TraceID{}, "")
	return b.String()
}

func attr(s tracetest.SpanStub, key attribute.Key) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// checkTree holds the spans against a drawing.
func (l *lab) checkTree(spans tracetest.SpanStubs, want string, show ...attribute.Key) {
	l.Helper()
	want = strings.TrimPrefix(strings.ReplaceAll(want, "\n\t\t", "\n"), "\n")
	if got := tree(spans, show...); got != strings.TrimRight(want, "\t") {
		l.Errorf("the spans are\n%s\nwant\n%s", got, want)
	}
}

// secret stands in all that people, models and tools say in these tests.
const secret = "my card is 4711"

// clerk is an agent that looks something up, makes a call that has to be
// approved, and says that it is done.
func clerk(t *testing.T, call func(ctx, raw) (raw, error)) *agent.Agent {
	look := scripted.Call("look", map[string]string{"what": secret})
	look.Usage = agent.Usage{Input: 100, Output: 10, Cached: 40}
	pay := scripted.Call("pay", map[string]string{"card": secret})
	pay.Usage = agent.Usage{Input: 200, Output: 20}
	said := scripted.Say("Done: " + secret)
	said.Usage = agent.Usage{Input: 300, Output: 30, Reasoning: 25}
	m := orchestratortest.Model(t, orchestratortest.Steps(look, pay, said)...)
	return service(m,
		&agent.Tool{Name: "look", Effect: agent.ReadOnly, Call: func(ctx, raw) (raw, error) { return agent.JSONText(secret), nil }},
		&agent.Tool{Name: "pay", Approve: agent.Always, Call: call})
}

// A turn is one trace: what a request has caused, in whichever process, before
// and after a wait for a person.
func TestTurnIsOneTrace(t *testing.T) {
	inLab(t, func(l *lab) {
		web, one, two := newTold(), newTold(), newTold()
		client, err := orchestrator.New(l.store.Another(), nil, web.options())
		l.must(err)
		fails := func(ctx, raw) (raw, error) { return nil, agent.NotDone(errors.New(secret)) }
		worker := func(p *told) func() {
			o, err := orchestrator.New(l.store.Another(), []*agent.Agent{clerk(l.T, fails)}, p.options())
			l.must(err)
			return l.until(o)
		}

		stop := worker(one)
		request, span := web.tracer.Tracer("web").Start(l.Context(), "POST /chat")
		id, err := client.Start(request, orchestrator.Request{Agent: "desk", Message: agent.Text(secret), User: agent.User{ID: "u1"}})
		l.must(err)
		span.End()
		ask := l.asks(id, agent.AskApproval)
		stop()
		l.checkTree(one.spans.GetSpans(), `
		invoke_agent desk fermata.run.status=waiting
		  chat scripted
		  execute_tool look gen_ai.tool.name=look
		  chat scripted
		`, "fermata.run.status", "gen_ai.tool.name")

		l.after(time.Hour)
		l.must(client.Answer(l.Context(), ask.ID, agent.Answer{Choice: agent.Approve, Note: secret}))
		worker(two)
		l.rests(id, agent.StatusIdle)
		l.after(time.Second)
		l.checkTree(two.spans.GetSpans(), `
		resume_agent desk fermata.run.status=idle
		  execute_tool pay error.type=not_done ERROR
		  chat scripted
		`, "fermata.run.status", "error.type")

		all := append(one.spans.GetSpans(), two.spans.GetSpans()...)
		l.checkTree(all, `
		invoke_agent desk
		  chat scripted
		  execute_tool look
		  chat scripted
		  resume_agent desk
		    execute_tool pay ERROR
		    chat scripted
		`)
		root := all[len(one.spans.GetSpans())-1]
		for _, s := range all {
			if s.SpanContext.TraceID() != root.SpanContext.TraceID() {
				l.Errorf("%s is in another trace", s.Name)
			}
			if s.Parent.IsRemote() != (s.Name == "resume_agent desk") {
				l.Errorf("%s: its parent is remote: %t", s.Name, s.Parent.IsRemote())
			}
		}
		if root.Parent.IsValid() || len(root.Links) != 1 || root.Links[0].SpanContext.SpanID() != span.SpanContext().SpanID() {
			l.Errorf("the turn is not a trace of its own with a link to the request: %+v", root)
		}
		l.attributes(id, all)
		l.discreet(all)
	})
}

// attributes checks the attributes of the spans of a clerk's turn.
func (l *lab) attributes(id agent.RunID, all tracetest.SpanStubs) {
	l.Helper()
	for _, c := range []struct {
		name, at string
		kind     trace.SpanKind
		want     string
	}{
		{"invoke_agent desk", "gen_ai.operation.name=invoke_agent", trace.SpanKindInternal, "gen_ai.agent.name=desk fermata.turn=1 fermata.worker=w gen_ai.usage.input_tokens=300 gen_ai.usage.output_tokens=30 gen_ai.usage.cache_read.input_tokens=40"},
		{"resume_agent desk", "gen_ai.operation.name=resume_agent", trace.SpanKindInternal, "gen_ai.agent.name=desk fermata.turn=1 gen_ai.usage.input_tokens=300 gen_ai.usage.reasoning.output_tokens=25"},
		{"chat scripted", "gen_ai.usage.input_tokens=100", trace.SpanKindClient, "gen_ai.operation.name=chat gen_ai.agent.name=desk gen_ai.response.model=scripted gen_ai.usage.output_tokens=10 gen_ai.usage.cache_read.input_tokens=40 fermata.job.attempt=1 fermata.job.outcome=done"},
		{"execute_tool look", "gen_ai.tool.name=look", trace.SpanKindInternal, "gen_ai.operation.name=execute_tool gen_ai.tool.type=function gen_ai.tool.call.id=call_0_0 fermata.job.kind=call fermata.job.attempt=1 fermata.job.outcome=done"},
		{"execute_tool pay", "gen_ai.tool.name=pay", trace.SpanKindInternal, "gen_ai.tool.call.id=call_1_0 fermata.job.outcome=failed error.type=not_done"},
	} {
		at := slices.IndexFunc(all, func(s tracetest.SpanStub) bool {
			key, value, _ := strings.Cut(c.at, "=")
			return s.Name == c.name && attr(s, attribute.Key(key)) == value
		})
		if at < 0 {
			l.Errorf("there is no span %s with %s", c.name, c.at)
			continue
		}
		s := all[at]
		if s.SpanKind != c.kind || attr(s, "gen_ai.conversation.id") != string(id) {
			l.Errorf("%s is %s of the conversation %q", s.Name, s.SpanKind, attr(s, "gen_ai.conversation.id"))
		}
		for _, pair := range strings.Fields(c.want) {
			key, value, _ := strings.Cut(pair, "=")
			if got := attr(s, attribute.Key(key)); got != value {
				l.Errorf("%s has %s=%q, want %q", s.Name, key, got, value)
			}
		}
	}
}

// discreet checks that spans tell nothing of what was said.
func (l *lab) discreet(all tracetest.SpanStubs) {
	l.Helper()
	for _, s := range all {
		if text := fmt.Sprint(s.Name, s.Attributes, s.Events, s.Status); strings.Contains(text, secret) {
			l.Errorf("%s tells what was said: %s", s.Name, text)
		}
	}
}

// What goes wrong is marked, with what kind of failure it was, and what is
// stopped is not a failure.
func TestFailuresInTraces(t *testing.T) {
	yes := func(ctx, raw) (raw, error) { return agent.JSONText("paid"), nil }
	boom := func(ctx, raw) (raw, error) { panic(secret) }
	lost := func(ctx, raw) (raw, error) { return nil, errors.New(secret) }
	for _, c := range []struct {
		name string
		desk func(l *lab) *agent.Agent
		want string
	}{
		{"a call that panics", func(l *lab) *agent.Agent {
			return service(l.says(act, done), &agent.Tool{Name: "act", Effect: agent.Idempotent, Call: boom})
		}, `
		invoke_agent desk fermata.run.status=idle
		  chat scripted
		  execute_tool act error.type=panic ERROR
		  chat scripted
		`},
		{"a call that fails twice", func(l *lab) *agent.Agent {
			n := 0
			return service(l.says(act, done), &agent.Tool{Name: "act", Effect: agent.ReadOnly, Retry: agent.Retry{Attempts: 3}, Call: func(c ctx, a raw) (raw, error) {
				if n++; n < 3 {
					return lost(c, a)
				}
				return yes(c, a)
			}})
		}, `
		invoke_agent desk fermata.run.status=acting
		  chat scripted
		  execute_tool act error.type=failed ERROR
		  resume_agent desk fermata.run.status=acting
		    execute_tool act error.type=failed ERROR
		  resume_agent desk fermata.run.status=idle
		    execute_tool act
		    chat scripted
		`},
		{"a Once call whose outcome is looked up", func(l *lab) *agent.Agent {
			return service(l.says(act, done), &agent.Tool{Name: "act", Call: lost, Reconcile: yes})
		}, `
		invoke_agent desk fermata.run.status=idle
		  chat scripted
		  execute_tool act error.type=unknown ERROR
		  execute_tool act
		  chat scripted
		`},
		{"a planner that cannot be asked", func(l *lab) *agent.Agent {
			return service(l.says(scripted.Fail(errors.New(secret))))
		}, `
		invoke_agent desk fermata.run.status=stuck error.type=stuck ERROR
		  chat error.type=permanent ERROR
		`},
		{"a planner that is no model", func(l *lab) *agent.Agent {
			return inquirer(colour)
		}, `
		invoke_agent desk fermata.run.status=waiting
		  plan desk
		`},
		{"instructions that cannot be made", func(l *lab) *agent.Agent {
			return &agent.Agent{Name: "desk", Planner: failingBriefer{}}
		}, `
		invoke_agent desk error.type=permanent ERROR
		`},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				p := newTold()
				l.work(p.options(), c.desk(l))
				id := l.start(secret)
				l.rest(id)
				l.after(time.Second)
				l.checkTree(p.spans.GetSpans(), c.want, "fermata.run.status", "error.type")
				l.discreet(p.spans.GetSpans())
			})
		})
	}
}

type failingBriefer struct{ agent.PlannerFunc }

func (failingBriefer) Brief(context.Context, *agent.View) (string, error) {
	return "", errors.New(secret)
}

// Each turn is a trace of its own, also when the next one begins at once; and a
// turn that was begun by a process without a tracer has one for each stretch.
func TestTurnsAreTraces(t *testing.T) {
	inLab(t, func(l *lab) {
		p := newTold()
		h := held()
		stop := l.until(l.orchestrator(p.options(), service(l.says(act, done, done), h.tool("act", agent.ReadOnly))))
		id := l.start("One.")
		<-h.calls
		l.send(id, "Two.")
		h.returns <- result{content: "acted"}
		l.rests(id, agent.StatusIdle)
		l.after(time.Second)
		l.send(id, "Three.")
		l.rests(id, agent.StatusIdle)
		l.after(time.Second)
		l.checkTree(p.spans.GetSpans(), `
		invoke_agent desk fermata.turn=1
		  chat scripted
		  execute_tool act
		invoke_agent desk fermata.turn=2
		  chat scripted
		invoke_agent desk fermata.turn=3
		  chat scripted
		`, "fermata.turn")
		stop()

		quiet := l.until(l.orchestrator(nil, service(l.says(act, done, done, act), h.tool("act", agent.ReadOnly))))
		l.send(id, "Four.")
		<-h.calls
		var over sync.WaitGroup
		over.Go(quiet)
		l.after(time.Millisecond) // it shuts down, and waits for the call
		h.returns <- result{content: "acted"}
		over.Wait()
		if s := l.state(id); s.Turn.Trace != "" || !s.Turn.Open {
			l.Fatalf("the turn is %+v", s.Turn)
		}
		p.spans.Reset()
		l.work(p.options(), service(l.says(act, done, done, act, done), h.tool("act", agent.ReadOnly)))
		l.rests(id, agent.StatusIdle)
		l.after(time.Second)
		l.checkTree(p.spans.GetSpans(), `
		resume_agent desk fermata.turn=4
		  chat scripted
		`, "fermata.turn")
	})
}

func (l *lab) orchestrator(opts *orchestrator.Options, desk *agent.Agent) *orchestrator.Orchestrator {
	l.Helper()
	o, err := orchestrator.New(l.store.Another(), []*agent.Agent{desk}, opts)
	l.must(err)
	return o
}

// A worker that loses its claim says so, and the one that takes the run over
// goes on in the same trace.
func TestTraceOverTakeOver(t *testing.T) {
	inLab(t, func(l *lab) {
		one, two := newTold(), newTold()
		h := held()
		first := &frozen{Store: l.store.Another()}
		desk := service(l.says(act, done), h.tool("act", agent.ReadOnly))
		orchestratortest.Work(l.T, first, one.options(), desk)
		id := l.start("act")
		<-h.calls
		first.freeze(true) // it cannot renew, and does not know
		l.after(15 * time.Second)
		l.work(two.options(), desk)
		<-h.calls
		first.freeze(false)
		l.after(10 * time.Second)
		h.returns <- result{content: "acted"}
		l.rests(id, agent.StatusIdle)
		l.after(time.Minute)
		l.checkTree(append(one.spans.GetSpans(), two.spans.GetSpans()...), `
		invoke_agent desk error.type=claim_lost ERROR
		  chat scripted fermata.job.outcome=done
		  execute_tool act fermata.job.outcome=stopped
		  resume_agent desk
		    execute_tool act fermata.job.outcome=done
		    chat scripted fermata.job.outcome=done
		`, "error.type", "fermata.job.outcome")
		one.expect(l, map[string]float64{"fermata.claim.lost": 1, "fermata.claim.takeovers": 0, "fermata.run.held": 0})
		two.expect(l, map[string]float64{"fermata.claim.taken": 1, "fermata.claim.takeovers": 1})
	})
}

// A turn that was begun, but not in the log, as its user cancelled it first, has
// a span that ends; one that its worker leaves as soon as it has begun says so.
func TestTracesOfTurnsThatHardlyBegan(t *testing.T) {
	for name, c := range map[string]struct {
		meddle func(l *lab, id agent.RunID, stop context.CancelFunc)
		want   string
	}{
		"cancelled": {func(l *lab, id agent.RunID, _ context.CancelFunc) {
			l.must(l.client.Cancel(l.Context(), id, "", nil))
		}, `
		invoke_agent desk
		`},
		"left": {func(_ *lab, _ agent.RunID, stop context.CancelFunc) { stop(); time.Sleep(time.Second) }, `
		invoke_agent desk fermata.run.status=planning
		`},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				p := newTold()
				working, stop := context.WithCancel(l.Context())
				var id agent.RunID
				desk := &agent.Agent{Name: "desk", Planner: meddledBriefer{agent.PlannerFunc(nil), func() { c.meddle(l, id, stop) }}}
				o := l.orchestrator(p.options(), desk)
				id = l.start("Hello.")
				time.AfterFunc(time.Minute, stop)
				l.must(o.Work(working))
				// Planning may have begun while the turn's beginning was committed, in vain.
				spans := slices.DeleteFunc(p.spans.GetSpans(), func(s tracetest.SpanStub) bool { return strings.HasPrefix(s.Name, "chat") })
				l.checkTree(spans, c.want, "fermata.run.status")
			})
		})
	}
}

// meddledBriefer has something happen while its instructions are made.
type meddledBriefer struct {
	agent.PlannerFunc
	meddle func()
}

func (b meddledBriefer) Brief(context.Context, *agent.View) (string, error) {
	b.meddle()
	return "", nil
}

// The context of a tool and of a planner has the span of its job, so that the
// requests that they make come below it.
func TestForeignCodeIsInItsSpan(t *testing.T) {
	inLab(t, func(l *lab) {
		p := newTold()
		note := func(c context.Context, name string) {
			_, s := p.tracer.Tracer("mine").Start(c, name)
			s.End()
		}
		script := l.says(act, done)
		m := agent.ModelFunc(func(c context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
			note(c, "POST /v1/chat/completions")
			return script.Generate(c, req, emit)
		})
		tool := &agent.Tool{Name: "act", Call: func(c ctx, _ raw) (raw, error) { note(c, "GET /orders"); return raw(`1`), nil }}
		l.work(p.options(), service(m, tool))
		l.rests(l.start("act"), agent.StatusIdle)
		l.after(time.Second)
		l.checkTree(p.spans.GetSpans(), `
		invoke_agent desk
		  chat scripted
		    POST /v1/chat/completions
		  execute_tool act
		    GET /orders
		  chat scripted
		    POST /v1/chat/completions
		`)
	})
}

// An input that is repeated in another span is the same input.
func TestSpansDoNotTellInputsApart(t *testing.T) {
	inLab(t, func(l *lab) {
		p := newTold()
		client, err := orchestrator.New(l.store.Another(), nil, p.options())
		l.must(err)
		for _, m := range []agent.Message{agent.Text("Hello."), {}} {
			r := orchestrator.Request{Agent: "desk", Message: m, Key: "k" + m.Text()}
			var ids []agent.RunID
			for range 2 {
				c, span := p.tracer.Tracer("web").Start(l.Context(), "POST /chat")
				id, err := client.Start(c, r)
				l.must(err)
				l.must(client.Send(c, id, agent.Text("And?"), &orchestrator.Input{Key: "s"}))
				span.End()
				ids = append(ids, id)
			}
			id, err := l.client.Start(l.Context(), r) // and without any
			l.must(err)
			l.must(l.client.Send(l.Context(), id, agent.Text("And?"), &orchestrator.Input{Key: "s"}))
			l.refused(client.Send(l.Context(), id, agent.Text("What?"), &orchestrator.Input{Key: "s"}), agent.RefusedConflict)
			if ids[0] != id || ids[1] != id {
				l.Errorf("the runs are %q and %s", ids, id)
			}
			senders := 0
			for _, n := range l.state(id).News {
				if strings.HasPrefix(n.Trace, "00-") {
					senders++
				}
			}
			if senders != 2 {
				l.Errorf("the news have %d senders, want 2: %+v", senders, l.state(id).News)
			}
			r.Message = agent.Text("Something else.")
			_, err = client.Start(l.Context(), r)
			l.refused(err, agent.RefusedConflict)
		}
	})
}

// Without providers no trace is in the log, whatever span there is.
func TestNobodyToTell(t *testing.T) {
	inLab(t, func(l *lab) {
		p := newTold()
		c, span := p.tracer.Tracer("web").Start(l.Context(), "POST /chat")
		o := l.orchestrator(nil, service(l.says(done)))
		res, err := o.Run(c, orchestrator.Request{Agent: "desk", Message: agent.Text("Hello.")})
		l.must(err)
		span.End()
		if got := tree(p.spans.GetSpans()); got != "POST /chat\n" {
			l.Errorf("the spans are\n%s", got)
		}
		log, err := l.store.Read(l.Context(), res.Run, memory.ReadOptions{})
		l.must(err)
		for _, r := range log.Records {
			if strings.Contains(string(r.Data), `"trace"`) {
				l.Errorf("a record has a trace: %s", r.Data)
			}
		}
	})
}

// sums reads the figures: a counter's or gauge's sum, and the count of a
// histogram, by name and by name with its attributes.
func (p *told) sums(l *lab) map[string]float64 {
	l.Helper()
	var all metricdata.ResourceMetrics
	l.must(p.figures.Collect(l.Context(), &all))
	sums := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Unit == "" || m.Description == "" {
				l.Errorf("%s has the unit %q and the description %q", m.Name, m.Unit, m.Description)
			}
			add := func(attrs attribute.Set, v float64) {
				sums[m.Name] += v
				sums[m.Name+"{"+attrs.Encoded(attribute.DefaultEncoder())+"}"] += v
			}
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, x := range d.DataPoints {
					add(x.Attributes, float64(x.Value))
				}
			case metricdata.Gauge[int64]:
				for _, x := range d.DataPoints {
					add(x.Attributes, float64(x.Value))
				}
			case metricdata.Gauge[float64]:
				for _, x := range d.DataPoints {
					add(x.Attributes, x.Value)
				}
			case metricdata.Histogram[float64]:
				for _, x := range d.DataPoints {
					add(x.Attributes, float64(x.Count))
				}
			case metricdata.Histogram[int64]:
				for _, x := range d.DataPoints {
					add(x.Attributes, float64(x.Sum))
				}
			}
		}
	}
	return sums
}

func (p *told) expect(l *lab, want map[string]float64) {
	l.Helper()
	got := p.sums(l)
	for name, v := range want {
		if got[name] != v {
			l.Errorf("%s is %v, want %v; there are:\n%s", name, got[name], v, listed(got))
		}
	}
}

func listed(sums map[string]float64) string {
	var lines []string
	for name, v := range sums {
		lines = append(lines, fmt.Sprintf("%s = %v", name, v))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestFigures(t *testing.T) {
	inLab(t, func(l *lab) {
		web, p := newTold(), newTold()
		client, err := orchestrator.New(l.store.Another(), nil, web.options())
		l.must(err)
		yes := func(ctx, raw) (raw, error) { return raw(`1`), nil }
		id, err := client.Start(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text(secret)})
		l.must(err)
		l.after(3 * time.Second)
		web.expect(l, map[string]float64{
			"fermata.commit.made": 1, "fermata.run.kept": 1, "fermata.ask.open": 0, "fermata.run.held": 0,
			"fermata.run.ready{gen_ai.agent.name=desk}": 1, "fermata.run.lag{gen_ai.agent.name=desk}": 3,
		})

		l.work(p.options(), clerk(l.T, yes))
		l.asks(id, agent.AskApproval)
		l.after(time.Second)
		p.expect(l, map[string]float64{
			"fermata.claim.taken": 1, "fermata.claim.takeovers": 0, "fermata.claim.lost": 0, "fermata.claim.first_job": 1,
			"fermata.job.started": 4, "fermata.job.finished": 4, "fermata.job.running": 0,
			"fermata.job.finished{fermata.job.kind=plan,fermata.job.outcome=done,gen_ai.agent.name=desk}":                       2,
			"fermata.job.finished{fermata.job.kind=call,fermata.job.outcome=done,gen_ai.agent.name=desk,gen_ai.tool.name=look}": 1,
			"fermata.job.started{fermata.job.kind=begin}":                                                                       1,
			"fermata.job.duration":      4,
			"fermata.run.held":          0,
			"fermata.ask.open":          1,
			"fermata.run.ready":         0,
			"fermata.run.lag":           0,
			"gen_ai.client.token.usage": 330,
			"gen_ai.client.operation.duration{gen_ai.agent.name=desk,gen_ai.operation.name=chat,gen_ai.response.model=scripted}":                  2,
			"gen_ai.client.token.usage{gen_ai.agent.name=desk,gen_ai.operation.name=chat,gen_ai.response.model=scripted,gen_ai.token.type=input}": 300,
		})
		if made, took := p.sums(l)["fermata.commit.made"], p.sums(l)["fermata.commit.duration"]; made < 3 || made != took {
			l.Errorf("%v commits are counted, and the time of %v", made, took)
		}
		page, err := os.ReadFile("../docs/observability.md")
		l.must(err)
		names := slices.Collect(maps.Keys(p.sums(l)))
		for _, s := range p.spans.GetSpans() {
			for _, a := range s.Attributes {
				names = append(names, string(a.Key))
			}
		}
		for _, name := range names {
			if !strings.Contains(name, "{") && !strings.Contains(string(page), "`"+name+"`") {
				l.Errorf("docs/observability.md does not tell of %s", name)
			}
		}
	})
}

// What goes on is counted while it does.
func TestFiguresOfWhatGoesOn(t *testing.T) {
	inLab(t, func(l *lab) {
		p := newTold()
		h := held()
		both := act.And(scripted.Call("act", nil))
		l.work(p.options(), service(l.says(both, done), h.tool("act", agent.ReadOnly)))
		id := l.start("act")
		l.after(time.Second)
		p.expect(l, map[string]float64{"fermata.run.held": 1, "fermata.job.running": 2, "fermata.job.running{fermata.job.kind=call}": 2})
		h.returns <- result{content: "acted"}
		h.returns <- result{err: errors.New("no")}
		l.rests(id, agent.StatusIdle)
		l.after(time.Second)
		p.expect(l, map[string]float64{
			"fermata.run.held": 0, "fermata.job.running": 0,
			"fermata.job.finished{error.type=failed,fermata.job.kind=call,fermata.job.outcome=failed,gen_ai.agent.name=desk,gen_ai.tool.name=act}": 1,
		})
	})
}

// Two who append at once are a conflict, which is counted and no failure.
func TestConflictsAreCounted(t *testing.T) {
	inLab(t, func(l *lab) {
		p := newTold()
		store := memorytest.Faulty(l.store.Another(), memorytest.At(memorytest.Fault{At: memorytest.Before, Err: memory.ErrConflict}, 2))
		o, err := orchestrator.New(store, []*agent.Agent{service(l.says(done))}, p.options())
		l.must(err)
		l.until(o)
		l.rests(l.start("Hello."), agent.StatusIdle)
		l.after(time.Second)
		p.expect(l, map[string]float64{"fermata.commit.conflicts": 1, "fermata.commit.duration{error.type=conflict}": 1})
	})
}

// A store that does not count in time, or not at all, is an error for whoever
// collects; one that was closed has nothing more to tell.
func TestFiguresWithoutTheStore(t *testing.T) {
	inLab(t, func(l *lab) {
		p := newTold()
		store := &countless{Store: l.store.Another()}
		_, err := orchestrator.New(store, nil, p.options())
		l.must(err)
		var all metricdata.ResourceMetrics
		began := time.Now()
		if err := p.figures.Collect(l.Context(), &all); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			l.Errorf("a store that hangs: %v after %s", err, time.Since(began))
		}
		store.err = errors.New("down")
		if err := p.figures.Collect(l.Context(), &all); !errors.Is(err, store.err) {
			l.Errorf("a store that is down: %v", err)
		}

		p = newTold()
		closed := l.store.Another()
		_, err = orchestrator.New(closed, nil, p.options())
		l.must(err)
		l.must(closed.Close())
		p.expect(l, map[string]float64{"fermata.run.kept": 0})
	})
}

// countless is a store that does not count.
type countless struct {
	memory.Store
	err error
}

func (s *countless) Stats(ctx context.Context) (*memory.Stats, error) {
	if s.err == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, s.err
}

// The same over a store that is a file: the trace is in the log, and a program
// that comes later finds it there. Who drives a run while a request of its own
// goes on has it in a trace of its own.
func TestTraceInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.db")
	yes := func(ctx, raw) (raw, error) { return raw(`1`), nil }
	process := func(p *told, do func(o *orchestrator.Orchestrator) *orchestrator.Result) *orchestrator.Result {
		store, err := sqlite.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		o, err := orchestrator.New(store, []*agent.Agent{clerk(t, yes)}, p.options())
		if err != nil {
			t.Fatal(err)
		}
		return do(o)
	}
	one, two := newTold(), newTold()
	res := process(one, func(o *orchestrator.Orchestrator) *orchestrator.Result {
		request, span := one.tracer.Tracer("web").Start(t.Context(), "POST /chat")
		defer span.End()
		res, err := o.Run(request, orchestrator.Request{Agent: "desk", Message: agent.Text(secret)})
		if err != nil || res.Status != agent.StatusWaiting {
			t.Fatal(res, err)
		}
		return res
	})
	res = process(two, func(o *orchestrator.Orchestrator) *orchestrator.Result {
		if err := o.Answer(t.Context(), res.Asks[0].ID, agent.Answer{Choice: agent.Approve}); err != nil {
			t.Fatal(err)
		}
		res, err := o.Await(t.Context(), res.Run)
		if err != nil || res.Status != agent.StatusIdle {
			t.Fatal(res, err)
		}
		return res
	})
	l := &lab{T: t}
	l.checkTree(append(one.spans.GetSpans(), two.spans.GetSpans()...), `
		POST /chat
		invoke_agent desk
		  chat scripted
		  execute_tool look
		  chat scripted
		  resume_agent desk
		    execute_tool pay
		    chat scripted
		`)
	two.expect(l, map[string]float64{"fermata.claim.taken": 1, "fermata.job.started": 2})
}
