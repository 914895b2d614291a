package run_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// In testdata/golden are logs as released versions have stored them, and the
// states that they fold to. A log never changes; if the form of the state does,
// its file is deleted and written anew by -rewrite.

// goldenLine is one record of a golden log.
type goldenLine struct {
	Seq  int64           `json:"seq"`
	ID   agent.RecordID  `json:"id"`
	Time time.Time       `json:"time"`
	Data json.RawMessage `json:"data"` // as encoded
}

// goldenStories are the transcripts whose logs are kept.
var goldenStories = []string{"approval", "cancel", "expiry", "limits", "message-interrupt", "parallel-calls", "pending", "retry", "signal", "stuck", "take-over", "unknown-outcome",
	"delegation", "delegation-unbegun", "stuck-delegate", "hand-off", "escalation", "ask-claim", "ask-note", "edited", "reminder", "timer", "any-signal", "repair", "redefine", "mailbox", "correlation-key"}

func TestGoldenLogsFoldForEver(t *testing.T) {
	if *rewrite {
		writeGolden(t)
	}
	logs, err := filepath.Glob("testdata/golden/*.jsonl")
	if err != nil || len(logs) == 0 {
		t.Fatalf("no golden logs: %v", err)
	}
	for _, file := range logs {
		t.Run(filepath.Base(file), func(t *testing.T) {
			state := foldFile(t, file)
			snap, err := state.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, snap, "", "  "); err != nil {
				t.Fatal(err)
			}
			stateFile := strings.TrimSuffix(file, ".jsonl") + ".json"
			if *rewrite {
				writeNew(t, stateFile, got.Bytes())
			}
			want, err := os.ReadFile(stateFile)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("%s folds to another state:\n%s", file, got.String())
			}
			if restored, err := run.Restore(want); err != nil {
				t.Error(err)
			} else if again, err := restored.Snapshot(); err != nil || !bytes.Equal(again, snap) {
				t.Errorf("the stored state of %s is restored as another one (%v)", file, err)
			}
		})
	}
}

func foldFile(t *testing.T, file string) *run.State {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := run.New("run")
	for line := range bytes.Lines(data) {
		var l goldenLine
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		e, err := run.Decode(l.Data)
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(&run.Record{Seq: l.Seq, ID: l.ID, Time: l.Time, Event: e})
	}
	return s
}

// writeGolden writes the logs that do not exist yet.
func writeGolden(t *testing.T) {
	for _, story := range goldenStories {
		text, err := os.ReadFile("testdata/" + story + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		s := newScript(t)
		s.play(string(text))
		writeNew(t, "testdata/golden/v1-"+story+".jsonl", jsonl(t, s.log))
	}
	s := newScript(t)
	for _, e := range everyKind() {
		s.add(e)
	}
	writeNew(t, "testdata/golden/v1-every-field-and-edited.jsonl", jsonl(t, s.log))
}

func jsonl(t *testing.T, log []row) []byte {
	var b bytes.Buffer
	for _, row := range log {
		line, err := json.Marshal(goldenLine{row.rec.Seq, row.rec.ID, row.rec.Time, row.data})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	return b.Bytes()
}

// everyKind returns an event of each kind with every field set, in an order in
// which a fold has much to do: a move that sets everything ends the run.
func everyKind() []run.Event {
	order := []string{"started", "messaged", "turnbegan", "signaled", "planfailed", "limited", "answered", "began", "returned", "callfailed", "unresolved", "tookover", "assigned", "reminded", "reported", "delivered", "lapsed", "stuck", "retried", "redefined", "moved", "cancelled"}
	all := run.NewOfEachKind()
	var events []run.Event
	for _, kind := range order {
		fill(reflect.ValueOf(all[kind]).Elem(), 0)
		events = append(events, all[kind])
		delete(all, kind)
	}
	for _, e := range all { // a kind that is new has no place in the order yet
		fill(reflect.ValueOf(e).Elem(), 0)
		events = append(events, e)
	}
	return events
}

// fill sets every field.
func fill(v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case json.RawMessage:
		v.SetBytes([]byte(`{"n":1}`))
		return
	case time.Time:
		v.Set(reflect.ValueOf(epoch))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		if depth < 8 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth+1)
		fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	}
}

func TestEveryFieldIsStored(t *testing.T) {
	for _, e := range everyKind() {
		data, err := run.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		back, err := run.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(e, back) {
			t.Errorf("%s comes back as another event:\n%s\n%s", run.KindOf(e), describe(e), describe(back))
		}
	}
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	for data, want := range map[string]string{
		`{"v":2,"kind":"moved","event":{}}`:                "run: a record has version 2, and this program reads versions 1 to 1: use a newer program",
		`{"v":0,"kind":"moved","event":{}}`:                "run: a record has version 0, and this program reads versions 1 to 1: use a newer program",
		`{"v":1,"kind":"forked","event":{}}`:               `run: a record has the kind "forked", which this program does not know: use a newer program`,
		`{"v":1,"kind":"moved"`:                            "run: a record is not an event: unexpected end of JSON input",
		`{"v":1,"kind":"moved"}`:                           "run: a record of kind moved has another form than expected: unexpected end of JSON input",
		`{"v":1,"kind":"moved","event":{"basis":"first"}}`: "run: a record of kind moved has another form than expected: json: cannot unmarshal string into Go struct field Moved.basis of type int64",
		`[]`: "run: a record is not an event: json: cannot unmarshal array into Go value of type run.envelope",
	} {
		e, err := run.Decode([]byte(data))
		if err == nil || err.Error() != want || e != nil {
			t.Errorf("Decode(%s): %v, %v; want the error %q", data, e, err, want)
		}
	}
}

func TestRestoreSaysWhatIsWrong(t *testing.T) {
	for data, want := range map[string]string{
		`{"v":9,"state":{}}`: "run: the snapshot has version 9, and this program reads version 1",
		`{"v":1}`:            "run: the snapshot has no state",
		`nonsense`:           "run: this is not a snapshot: invalid character 'o' in literal null (expecting 'u')",
	} {
		if _, err := run.Restore([]byte(data)); err == nil || err.Error() != want {
			t.Errorf("Restore(%s): %v; want %q", data, err, want)
		}
	}
}

// writeNew writes a file that does not exist yet.
func writeNew(t *testing.T, file string, data []byte) {
	t.Helper()
	if _, err := os.Stat(file); err == nil {
		return
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
