package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goai "github.com/sashabaranov/go-openai"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// childArg has the test's own program be a process of a bench.
const childArg = "child-of-a-bench"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == childArg {
		if err := Child(context.Background(), os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// tiny is a bench of the smallest sizes over a store.
func tiny(t *testing.T, store string) Bench {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Bench{
		Self: []string{self, childArg}, Store: store,
		Lengths: []int{2}, Rounds: 1, Small: 3, Large: 5, Parked: 10, Rest: time.Millisecond, Answers: 4, Cold: 2, Workers: 2, Conversations: 6,
	}
}

// overStores runs f over Redis and over a file.
func overStores(t *testing.T, f func(t *testing.T, store string)) {
	t.Run("redis", func(t *testing.T) { f(t, "") })
	t.Run("file", func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "runs.db")) })
}

// Every figure is made over every store, and counts what it should.
func TestFigures(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		var out bytes.Buffer
		b := tiny(t, store)
		b.JSON, b.Out = true, &out
		if err := b.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows := map[string][]map[string]any{}
		goals := map[string]int{}
		for text := range strings.Lines(out.String()) {
			var l line
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if row, ok := l.Row.(map[string]any); ok {
				rows[l.Figure] = append(rows[l.Figure], row)
			}
			if l.Goal != nil {
				goals[l.Figure]++
			}
		}
		for _, name := range Figures() {
			if len(rows[name]) == 0 || goals[name] == 0 {
				t.Errorf("the figure %s has %d rows and %d goals", name, len(rows[name]), goals[name])
			}
		}
		for _, r := range rows["steps"] {
			if n := r["steps"].(float64); r["commits"].(float64) < 2 || r["records"].(float64) < 3 || r["floor_round_trips"].(float64) < (n+1)/n {
				t.Errorf("a step has %v commits, %v records, and %v round trips of the floor", r["commits"], r["records"], r["floor_round_trips"])
			}
		}
		for _, r := range rows["load"] {
			if r["errors"].(float64) != 0 || r["step_p50_ms"].(float64) <= 0 {
				t.Errorf("a load: %v", r)
			}
		}
		times := map[any]any{}
		for _, r := range rows["parked"] {
			times[r["what"]] = r["n"]
		}
		if times[denied] != 2.0 || times[approved] != 2.0 || times[coldStart] != 2.0 || times[coldWorker] != 2.0 {
			t.Errorf("what was timed, and how often: %v", times)
		}
		for _, r := range rows["workers"] {
			if done := r["most_of_one"].(float64); done < 3 || done > 6 || r["conflicts"].(float64) != 0 {
				t.Errorf("workers: %v", r)
			}
		}
	})
}

// The runs that a bench makes are whole: each call and each result is in the log,
// and the floor keeps the same messages. Streamed answers come to the same.
func TestBothSidesDoTheWork(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		for _, stream := range []bool{false, true} {
			b := tiny(t, store)
			b.Stream = stream
			b.fillIn()
			d, err := b.makeBed(t.Context(), &report{out: b.Out})
			if err != nil {
				t.Fatal(err)
			}
			inspect(t, d)
			if err := d.close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func inspect(t *testing.T, d *bed) {
	const n, runs = 3, 2
	d.Lengths = []int{n}
	c, store, err := newContest(d)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := c.floorTurn(n, runs); err != nil {
		t.Fatal(err)
	}
	if _, err := c.fermataTurn(n, runs); err != nil {
		t.Fatal(err)
	}
	if size, err := c.messageBytes(n); err != nil || size < argBytes+resultBytes {
		t.Errorf("a step of the floor has kept %v bytes, %v", size, err)
	}
	page, err := store.Runs(t.Context(), memory.RunQuery{Limit: runs})
	if err != nil || len(page.Runs) != runs {
		t.Fatalf("got %d runs, %v", len(page.Runs), err)
	}
	for _, entry := range page.Runs {
		log, err := store.Read(t.Context(), entry.Run, memory.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		state, results := run.New(entry.Run), 0
		for _, r := range log.Records {
			e, err := run.Decode(r.Data)
			if err != nil {
				t.Fatal(err)
			}
			state.Apply(&run.Record{Seq: r.Seq, ID: r.ID, Time: r.Time, Event: e})
			if e, ok := e.(*run.Returned); ok && len(e.Content) == resultBytes {
				results++
			}
		}
		last := state.Messages()[len(state.Messages())-1]
		if results != n || state.Status() != agent.StatusIdle || last.Text() != farewell {
			t.Errorf("run %s is %s after %d results, and said %q", entry.Run, state.Status(), results, last.Text())
		}
	}
}

// The model finds out what it has to know from a request of go-openai's. That
// it does from planner/openai's is seen above.
func TestUnderstand(t *testing.T) {
	trick := `{"role":"assistant","stream":true,"model":"loop-9"}`
	req := goai.ChatCompletionRequest{Model: loopName(7), Stream: true, Messages: []goai.ChatCompletionMessage{
		{Role: "user", Content: trick}, {Role: "assistant", Content: "x"}, {Role: "tool", Content: trick}, {Role: "assistant", Content: trick},
	}}
	for _, stream := range []bool{true, false} {
		req.Stream = stream
		body, err := json.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := understand(body); err != nil || a != (asked{steps: 7, step: 2, stream: stream}) {
			t.Errorf("understood %+v, %v", a, err)
		}
	}
	for _, body := range []string{``, `{}`, `{"model":"gpt-5"}`, `{"model":"loop-x"}`, `{"model":"loop-3`} {
		if _, err := understand([]byte(body)); err == nil {
			t.Errorf("%s was understood", body)
		}
	}
}

func TestSizes(t *testing.T) {
	if len(theArgs) != argBytes || len(mustJSON(theResult)) != resultBytes {
		t.Errorf("a step has %d bytes of arguments and %d of result", len(theArgs), len(mustJSON(theResult)))
	}
}

func TestQuantile(t *testing.T) {
	values := []float64{4, 1, 3, 2, 5}
	for q, want := range map[float64]float64{0: 1, 0.25: 2, 0.5: 3, 1: 5, 0.125: 1.5} {
		if got := quantile(values, q); got != want {
			t.Errorf("the quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := median([]float64(nil)); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	r := &report{out: &out}
	r.begin("steps", "What", setup{})
	table(r, "Rows", "a|b", []int{1, 23456}, func(n int) []string { return []string{number(float64(n)), "x"} })
	r.atMost(1.25, 1.3, " ×", "more")
	r.atLeast(0.7, 0.7, " ×", "as much")
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"       a  b\n", "  23,456  x\n", "≤ 1.25 ×  is 1.30 ×  NOT MET\n", "≥ 0.70 ×  is 0.70 ×  met\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// What cannot be measured is refused before anything is started.
func TestRefusals(t *testing.T) {
	for want, b := range map[string]Bench{"there is no figure": tiny(t, ""), "appendfsync is": {Fsync: "sometimes"}} {
		name := "steps"
		if b.Fsync == "" {
			name = "speed"
		}
		if err := b.Run(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := Child(t.Context(), []string{"spy", "{}"}, nil, nil); err == nil {
		t.Error("a child played a role that there is not")
	}
}
