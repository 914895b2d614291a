package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/chatserver"
)

// recorded makes a run's conversation of n rounds: user, call, result.
func recorded(n int) []*agent.Message {
	var msgs []*agent.Message
	for i := range n {
		id := fmt.Sprint("c", i)
		hi := agent.Text(fmt.Sprint("message ", i))
		msgs = append(msgs, &hi,
			&agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Text: "I look."}, {Call: &agent.Call{ID: id, Name: "f", Args: json.RawMessage(`{"x":1}`)}}}},
			&agent.Message{Role: agent.RoleTool, Parts: []agent.Part{{Result: &agent.Result{CallID: id, Outcome: agent.Returned, Content: json.RawMessage(`{"ok":true}`)}}}})
	}
	for i, m := range msgs {
		m.ID = fmt.Sprint("m", i)
	}
	return msgs
}

func testModel(t testing.TB) *Model {
	m := New("m", &Options{BaseURL: "http://h/v1", APIKey: testKey})
	if m.broken != nil {
		t.Fatal(m.broken)
	}
	return m
}

func bodyBytes(t testing.TB, m *Model, req *agent.ModelRequest) []byte {
	t.Helper()
	b, err := m.body(m.profile.Load(), req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(b.reader())
	if err != nil || int64(len(got)) != b.size {
		t.Fatalf("%d of %d bytes, %v", len(got), b.size, err)
	}
	return got
}

// What another agent said last, before it handed the conversation off, is followed by a
// word of the user's role: there are endpoints that refuse anything else.
func TestEndsWithTheUser(t *testing.T) {
	hi := agent.Text("I want to return it.")
	msgs := []*agent.Message{&hi, agent.Said("My colleague helps you.")}
	const goOn = `{"role":"user","content":"[note] The conversation goes on with you."}]`
	if got := string(bodyBytes(t, testModel(t), &agent.ModelRequest{Messages: msgs})); !strings.Contains(got, `{"role":"assistant","content":"My colleague helps you."},`+goOn) {
		t.Errorf("the body is %s", got)
	}
	if got := string(bodyBytes(t, testModel(t), &agent.ModelRequest{Messages: append(msgs, &hi)})); strings.Contains(got, "[note]") {
		t.Errorf("the body is %s", got)
	}
}

// A recorded message is encoded once for all requests of its run.
func TestEncodesOnce(t *testing.T) {
	msgs := recorded(10)
	var c conversations
	count := 0
	encode := func(run agent.RunID, msgs []*agent.Message) (encoded int, out [][]byte) {
		before := count
		out = c.encode(run, msgs, func(m *agent.Message) []byte {
			count++
			return encoder{}.message(m)
		})
		return count - before, out
	}
	if n, _ := encode("r1", msgs[:12]); n != 12 {
		t.Fatalf("the first request encodes %d of 12", n)
	}
	n, first := encode("r1", msgs)
	if n != 18 {
		t.Fatalf("18 more messages: encodes %d", n)
	}
	n, again := encode("r1", msgs)
	for i := range again {
		if n != 0 || &again[i][0] != &first[i][0] {
			t.Fatalf("asked again, it encodes %d, and message %d is another", n, i)
		}
	}
	if n, _ := encode("r2", msgs); n != 30 {
		t.Fatalf("another run encodes %d of 30", n)
	}
	if n, _ := encode("", msgs); n != 30 {
		t.Fatalf("without a run it encodes %d of 30", n)
	}
	loose := agent.Text("not recorded")
	for range 2 {
		if n, _ := encode("r1", append(msgs[20:30:30], &loose)); n != 1 {
			t.Fatalf("with one that is not recorded it encodes %d", n)
		}
	}
	runtime.KeepAlive(msgs)
}

// What is kept goes when the conversation goes.
func TestForgetsWithTheRun(t *testing.T) {
	m := testModel(t)
	c := &m.profile.Load().conversations
	stays := recorded(3)
	bodyBytes(t, m, &agent.ModelRequest{Run: "stays", Messages: stays})
	for i := range 50 {
		bodyBytes(t, m, &agent.ModelRequest{Run: agent.RunID(fmt.Sprint("r", i)), Messages: recorded(3)})
	}
	kept := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.runs)
	}
	for range 100 {
		runtime.GC()
		if kept() == 1 {
			break
		}
		runtime.Gosched()
	}
	if n := kept(); n != 1 {
		t.Errorf("%d runs are kept", n)
	}
	if c.runs["stays"] == nil || len(c.runs["stays"].ids) != len(stays) {
		t.Error("the run that is still there was forgotten")
	}
	runtime.KeepAlive(stays)
}

// Messages that were made for one request only, as the newest of a view may be,
// do not take the rest of the conversation with them.
func TestRemembersWhileTheRunIsThere(t *testing.T) {
	m := testModel(t)
	stays := recorded(3)
	for range 3 {
		shown := append(stays[:len(stays):len(stays)], recorded(4)[9:]...) // three fresh copies at the end
		bodyBytes(t, m, &agent.ModelRequest{Run: "r", Messages: shown})
		runtime.GC()
		runtime.GC()
	}
	c := &m.profile.Load().conversations
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs["r"] == nil || len(c.runs["r"].ids) != 12 {
		t.Error("the conversation was forgotten")
	}
	runtime.KeepAlive(stays)
}

// A long run whose older messages are shown no more does not keep them all.
func TestForgetsWhatIsNotShown(t *testing.T) {
	m := testModel(t)
	msgs := recorded(200)
	for end := 30; end <= len(msgs); end += 3 {
		bodyBytes(t, m, &agent.ModelRequest{Run: "r", Messages: msgs[end-30 : end]})
	}
	if n := len(m.profile.Load().conversations.runs["r"].ids); n > 2*30+64+30 {
		t.Errorf("%d encodings are kept for 30 messages", n)
	}
	runtime.KeepAlive(msgs)
}

func TestBodyIsWellFormed(t *testing.T) {
	m := testModel(t)
	msgs := append(recorded(5), &agent.Message{ID: "thought", Role: agent.RoleAssistant, Parts: []agent.Part{{Reasoning: "hm"}}})
	for n := 3; n <= len(msgs); n += 3 {
		for _, system := range []string{"", "You help."} {
			req := &agent.ModelRequest{Run: "r", System: system, Messages: msgs[:n], Tools: []agent.ToolSpec{{Name: "f"}, {Name: "g", Input: json.RawMessage(` {"type": "object"} `)}}}
			first := bodyBytes(t, m, req)
			if err := chatserver.CheckRequest(first); err != nil {
				t.Errorf("%v:\n%s", err, first)
			}
			if again := bodyBytes(t, m, req); !bytes.Equal(first, again) {
				t.Errorf("asked again it differs:\n%s\n%s", first, again)
			}
		}
	}
	b, err := m.body(m.profile.Load(), &agent.ModelRequest{Messages: msgs})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := io.ReadAll(b.reader())
	if err := iotest.TestReader(b.reader(), want); err != nil {
		t.Error(err)
	}
}

// A tool list is encoded once, and changes when the tools do.
func TestRecentTools(t *testing.T) {
	m := testModel(t)
	tools := []agent.ToolSpec{{Name: "f", Input: json.RawMessage(`{"type":"object"}`)}}
	ask := func() string {
		return string(bodyBytes(t, m, &agent.ModelRequest{System: "s", Tools: tools}))
	}
	first := ask()
	if m.tools.kept[0].value[0].Name != "f" || ask() != first || len(m.tools.kept) != 1 {
		t.Fatal("not kept")
	}
	tools[0].Name = "g" // the caller's list, changed
	if got := ask(); !strings.Contains(got, `"g"`) || strings.Contains(got, `"f"`) {
		t.Fatalf("the old tools: %s", got)
	}
	for i := range 3 * keepRecent {
		tools[0].Name = fmt.Sprint("f", i)
		if got := ask(); !strings.Contains(got, fmt.Sprintf(`"f%d"`, i)) {
			t.Fatalf("other tools: %s", got)
		}
	}
	if n := len(m.tools.kept); n != keepRecent {
		t.Fatalf("%d lists are kept", n)
	}
}

func BenchmarkBody(b *testing.B) {
	for _, n := range []int{10, 200} {
		b.Run(fmt.Sprint(3*n, " messages"), func(b *testing.B) {
			m, msgs := testModel(b), recorded(n)
			req := &agent.ModelRequest{Run: "r", System: "You help.", Messages: msgs, Tools: []agent.ToolSpec{{Name: "f"}}}
			p := m.profile.Load()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.body(p, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
