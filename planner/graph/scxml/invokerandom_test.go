package scxml_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/scxml"
)

// Random documents that invoke others, which tell by <log> what happens to them. After
// each step it is held that
//
//   - restored from JSON it does the same; and all of it at once, never saved, comes to
//     the same as step by step;
//   - each invocation of a state that was entered and not left has begun once, and goes
//     on, or is done, which was told once; or there was one error;
//   - those of a state that was left are done or were cancelled, and nothing of them is
//     saved;
//   - an event comes once to all invocations with autoforward, down from the document
//     itself, and to no other;
//   - what an invocation sends comes once, after its finalize, and not from one that
//     was cancelled.
func TestRandomInvocations(t *testing.T) {
	counts := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		d := &invoking{t: t, left: 4, states: map[string]*invokingState{}, invocations: map[string]*invocation{}}
		w := newWatched(t, d, d.document(0), counts)
		w.next(graph.Input{Start: &graph.Start{}})
		for range 3 + upTo(t, 12, "events") {
			w.next(w.something())
			if len(w.all)%8 == 0 {
				w.checkUnsaved()
			}
		}
		for range 20 { // what comes by itself
			if len(w.open) == 0 {
				break
			}
			w.next(w.lapses(0))
		}
		w.next(event("halt"))
		w.checkUnsaved()
		if len(w.alive()) > 0 || w.running["r"] {
			w.fatal("it was ended, and these go on: %v", w.alive())
		}
		counts["runs"]++
	})
	for _, what := range []string{"done", "cancelled", "errors", "forwarded", "sent", "finalized", "nested"} {
		if counts["runs"] >= 100 && counts[what] == 0 {
			t.Errorf("this has never happened: %s", what)
		}
	}
	t.Logf("%v", counts)
}

var invokeDice = rapid.Custom(func(t *rapid.T) int {
	v := 0
	for range 6 {
		v *= 2
		if rapid.Bool().Draw(t, "") {
			v++
		}
	}
	return v
})

// upTo draws a number from 0 to n.
func upTo(t *rapid.T, n int, what string) int { return invokeDice.Draw(t, what) % (n + 1) }

// invoking is a document in the making, with those that it invokes.
type invoking struct {
	t           *rapid.T
	count       int
	left        int                       // invocations that may still be drawn
	states      map[string]*invokingState // by id: each has its own among all documents
	invocations map[string]*invocation
}

type invokingState struct{ invokes []*invocation }

type invocation struct {
	id, state              string // the state that it is in
	broken, forward, final bool   // final: it has a finalize
}

func (d *invoking) id(prefix string) string {
	d.count++
	return fmt.Sprintf("%s%d", prefix, d.count)
}

func (d *invoking) oneIn(n int, what string) bool { return upTo(d.t, n-1, what) == n-1 }

// document draws a document: a state around all, which tells and can be ended, and a
// line of states in it, or two such lines at once.
func (d *invoking) document(depth int) string {
	top, end := d.id("top"), d.id("end")
	var data, body strings.Builder
	lines := func(in string) {
		var ids []string
		for range 1 + upTo(d.t, 1+max(1-depth, 0), "states") {
			ids = append(ids, d.id("s"))
		}
		for i, id := range ids {
			next := end
			if i+1 < len(ids) {
				next = ids[i+1]
			} else if in != "" || depth == 0 {
				next = ids[0]
			}
			fmt.Fprintf(&data, "<data id='n_%s' expr='0'/>\n", id)
			d.state(&body, depth, id, next, ids[0], in == "")
		}
	}
	if d.oneIn(4, "parallel") {
		fmt.Fprintf(&body, "<parallel id='%s'>\n", d.id("both"))
		for range 2 {
			region := d.id("region")
			fmt.Fprintf(&body, "<state id='%s'>\n", region)
			lines(region)
			body.WriteString("</state>\n")
		}
		body.WriteString("</parallel>\n")
	} else {
		lines("")
	}
	return fmt.Sprintf(`<scxml xmlns="http://www.w3.org/2005/07/scxml" version="1.0" datamodel="ecmascript" initial="%s">
<datamodel><data id="path" expr="'r'"/><data id="heard" expr="[]"/><data id="fin" expr="''"/>
%s</datamodel>
<state id="%s">
<onentry><log label="begin" expr="path"/></onentry>
<onexit><log label="end" expr="path"/></onexit>
%s<transition event="ping"><script>heard.push(1)</script><log label="heard" expr="path + ' ' + heard.length"/></transition>
<transition event="tell"><log label="tell" expr="path + ' ' + _event.data.path + ' ' + _event.data.n + ' ' + _event.invokeid + ' ' + fin"/></transition>
<transition event="done.invoke"><log label="done" expr="path + ' ' + _event.data.path + ' ' + _event.invokeid"/></transition>
<transition event="error"><log label="error" expr="path + ' ' + _event.name + ' ' + _event.data"/></transition>
<transition event="%s" target="%s"/>
</state>
<final id="%s"><onentry><log label="final" expr="path"/></onentry><donedata><param name="path" expr="path"/></donedata></final>
</scxml>`, top, data.String(), top, body.String(), map[bool]string{true: "halt", false: "close"}[depth == 0], end, end)
}

// state draws a state with invocations.
func (d *invoking) state(b *strings.Builder, depth int, id, next, first string, alone bool) {
	s := &invokingState{}
	d.states[id] = s
	fmt.Fprintf(b, "<state id='%s'>\n<onentry><assign location='n_%s' expr='n_%s + 1'/><log label='enter' expr=\"path + ' %s ' + n_%s\"/>", id, id, id, id, id)
	if depth > 0 && d.oneIn(2, "tells") {
		delay := ""
		if d.oneIn(3, "later") {
			delay = " delay='1s'"
		} else {
			fmt.Fprintf(b, "<log label='send' expr=\"path + ' %s.' + n_%s\"/>", id, id)
		}
		fmt.Fprintf(b, "<send event='tell' target='#_parent'%s><param name='path' expr='path'/><param name='n' expr=\"'%s.' + n_%s\"/></send>", delay, id, id)
	}
	ticks := depth > 0 && !d.oneIn(3, "no tick")
	if ticks {
		fmt.Fprintf(b, "<send event='tick.%s' delay='2s' id='tick.%s'/>", id, id)
	}
	fmt.Fprintf(b, "</onentry>\n<onexit><log label='exit' expr=\"path + ' %s ' + n_%s\"/>", id, id)
	if depth > 0 && d.oneIn(2, "tells as it is left") { // which is not heard if it is cancelled
		fmt.Fprintf(b, "<log label='send' expr=\"path + ' x.%s.' + n_%s\"/>", id, id)
		fmt.Fprintf(b, "<send event='tell' target='#_parent'><param name='path' expr='path'/><param name='n' expr=\"'x.%s.' + n_%s\"/></send>", id, id)
	}
	if ticks {
		fmt.Fprintf(b, "<cancel sendid='tick.%s'/>", id)
	}
	b.WriteString("</onexit>\n")
	if ticks {
		fmt.Fprintf(b, "<transition event='tick.%s' target='%s'/>\n", id, next)
	}
	if depth > 0 && d.oneIn(8, "at once") && next != first {
		fmt.Fprintf(b, "<transition cond='n_%s &lt; 3' target='%s'/>\n", id, next)
	}
	fmt.Fprintf(b, "<transition event='go' target='%s'/>\n", next)
	if d.oneIn(2, "stops") {
		fmt.Fprintf(b, "<transition event='stop' target='%s'/>\n", first)
	}
	if depth < 3 {
		for range min(upTo(d.t, 2, "invocations"), d.left) {
			d.left--
			d.invocation(b, s, depth, id, next, alone)
		}
	}
	b.WriteString("</state>\n")
}

func (d *invoking) invocation(b *strings.Builder, s *invokingState, depth int, state, next string, alone bool) {
	i := &invocation{id: d.id("i"), state: state, broken: d.oneIn(6, "broken"), forward: d.oneIn(2, "forward"), final: d.oneIn(2, "finalize")}
	s.invokes = append(s.invokes, i)
	d.invocations[i.id] = i
	kind := ""
	if i.broken {
		kind = ` typeexpr="'odd'"`
	}
	fmt.Fprintf(b, "<invoke id='%s' autoforward='%v'%s>\n<param name='path' expr=\"path + '/%s#' + n_%s\"/>\n", i.id, i.forward, kind, i.id, state)
	if i.final {
		b.WriteString("<finalize><assign location='fin' expr='_event.data.path'/></finalize>\n")
	}
	fmt.Fprintf(b, "<content>%s</content>\n</invoke>\n", d.document(depth+1))
	if alone && d.oneIn(2, "goes on") { // beside another region the state around would tell it, too
		fmt.Fprintf(b, "<transition event='done.invoke.%s' cond='n_%s &lt; 4' target='%s'><log label='done' expr=\"path + ' ' + _event.data.path + ' ' + _event.invokeid\"/></transition>\n", i.id, state, next)
	}
	if d.oneIn(2, "closes") {
		fmt.Fprintf(b, "<transition event='poke'><send event='close' target='#_%s'/></transition>\n", i.id)
	}
}

// watched is a document that runs, and what it has told.
type watched struct {
	t       *rapid.T
	g, twin *graph.Graph
	d       *invoking
	source  string
	counts  map[string]int
	keys    map[string]json.RawMessage
	all     []graph.Input
	logged  []string
	open    []string // Refs of sends that have not come

	entered map[string]bool // "PATH STATE N" that were not left
	left    map[string]bool
	running map[string]bool // documents by path: they have begun, and not ended
	begun   map[string]int
	finals  map[string]int
	dones   map[string]int
	errors  map[string]int
	wrong   map[string]int // errors that are expected
	heard   map[string]int
	sent    map[string]int // "PATH N"
	told    map[string]int
	leaving map[string][]string // what was sent since a state was entered last, by path
}

var midday = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func event(name string) graph.Input { return graph.Input{Event: &graph.Event{Name: name}} }

func newWatched(t *rapid.T, d *invoking, source string, counts map[string]int) *watched {
	def, err := scxml.Load([]byte(source), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	g, err := graph.New(def, &graph.Options{Lax: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	var again graph.Definition
	if err := json.Unmarshal(g.Definition(), &again); err != nil {
		t.Fatal(err)
	}
	twin, err := graph.New(&again, &graph.Options{Lax: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, g: g, twin: twin, d: d, source: source, counts: counts, keys: map[string]json.RawMessage{}, entered: map[string]bool{}, left: map[string]bool{}, running: map[string]bool{}, leaving: map[string][]string{}}
	for _, m := range []*map[string]int{&w.begun, &w.finals, &w.dones, &w.errors, &w.wrong, &w.heard, &w.sent, &w.told} {
		*m = map[string]int{}
	}
	return w
}

func (w *watched) fatal(format string, args ...any) {
	w.t.Fatalf("%s\n%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.logged, "\n"), w.source)
}

// something is anything that may happen.
func (w *watched) something() graph.Input {
	if len(w.open) > 0 && upTo(w.t, 1, "lapses") == 1 {
		return w.lapses(upTo(w.t, len(w.open)-1, "which"))
	}
	return event([]string{"ping", "ping", "go", "go", "stop", "poke"}[upTo(w.t, 5, "event")])
}

// lapses has a send come whose delay has passed.
func (w *watched) lapses(i int) graph.Input {
	ref := w.open[i]
	w.open = slices.Delete(w.open, i, i+1)
	return graph.Input{Closed: &agent.Closed{Ref: ref, Outcome: agent.Returned}}
}

// next has the document react, restored from JSON, and looks at what it tells.
func (w *watched) next(in graph.Input) {
	raw, err := json.Marshal(w.keys)
	if err != nil {
		w.t.Fatal(err)
	}
	var saved map[string]json.RawMessage
	if err := json.Unmarshal(raw, &saved); err != nil {
		w.t.Fatal(err)
	}
	st, err := w.g.Next(w.keys, graph.Facts{Now: midday}, in)
	if err != nil {
		w.fatal("it cannot go on: %v", err)
	}
	again, err := w.twin.Next(saved, graph.Facts{Now: midday}, in)
	if err != nil || asJSON(again) != asJSON(st) {
		w.fatal("restored, it does something else: %v\n%s\n%s", err, asJSON(st), asJSON(again))
	}
	w.all = append(w.all, in)
	w.keys = changed(w.keys, st.Keys)
	w.open = slices.DeleteFunc(w.open, func(ref string) bool { return slices.Contains(st.Cancel, ref) })
	for _, a := range st.Actions {
		w.open = append(w.open, a.Ref)
	}
	reached := w.reached()
	w.logged = append(w.logged, "-- "+asJSON(in))
	for _, line := range st.Logged {
		w.logged = append(w.logged, line)
		w.tells(line)
	}
	if in.Event != nil && in.Event.Name == "ping" {
		w.checkHeard(st.Logged, reached)
	}
	w.check()
}

func asJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func changed(keys, patch map[string]json.RawMessage) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	maps.Copy(all, keys)
	maps.Copy(all, patch)
	maps.DeleteFunc(all, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	return all
}

// tells takes a line that a document has logged.
func (w *watched) tells(line string) {
	what, rest, _ := strings.Cut(line, ": ")
	f := strings.Fields(rest)
	switch path := f[0]; what {
	case "begin":
		w.begun[path]++
		w.running[path] = true
		if strings.Count(path, "/") > 1 {
			w.counts["nested"]++
		}
	case "end":
		if !w.running[path] {
			w.fatal("%s ends, and does not go on", path)
		}
		delete(w.running, path)
	case "final":
		w.finals[path]++
	case "enter":
		w.entered[rest] = true
		delete(w.leaving, path)
	case "exit":
		delete(w.entered, rest)
		w.left[rest] = true
	case "done":
		if parentOf(f[1]) != path {
			return // it was forwarded
		}
		if w.dones[f[1]]++; w.dones[f[1]] > 1 || w.finals[f[1]] != 1 || idOf(f[1]) != f[2] {
			w.fatal("%s hears that %s is done (as %s): %d times, and its end was reached %d times", path, f[1], f[2], w.dones[f[1]], w.finals[f[1]])
		}
		w.counts["done"]++
	case "error":
		if f[1] != "error.communication" {
			w.errors[path]++
		}
	case "send":
		w.sent[f[0]+" "+f[1]]++
		if strings.HasPrefix(f[1], "x.") {
			w.leaving[path] = append(w.leaving[path], f[0]+" "+f[1])
		}
	case "tell":
		w.hears(path, f)
	}
}

// hears takes what an invocation has sent. A document that is invoked with autoforward
// has it as well.
func (w *watched) hears(path string, f []string) {
	from := f[1]
	if parentOf(from) != path {
		return
	}
	w.told[from+" "+f[2]]++
	i := w.d.invocations[idOf(from)]
	_, n, _ := strings.Cut(from[strings.LastIndex(from, "/"):], "#")
	finalized := i.final && w.entered[path+" "+i.state+" "+n] // otherwise it was left before this came
	if f[3] != i.id || finalized && (len(f) < 5 || f[4] != from) {
		w.fatal("%s hears of %s: %v", path, from, f)
	}
	if w.counts["sent"]++; finalized {
		w.counts["finalized"]++
	}
}

// parentOf and idOf take the path of a document apart: PARENT/ID#N.
func parentOf(path string) string { return path[:max(strings.LastIndex(path, "/"), 0)] }

func idOf(path string) string {
	id, _, _ := strings.Cut(path[strings.LastIndex(path, "/")+1:], "#")
	return id
}

// reached are the documents to which an event comes from outside.
func (w *watched) reached() []string {
	var list []string
	for path := range w.running {
		comes := true
		for p := path; p != "r"; p = parentOf(p) {
			comes = comes && w.d.invocations[idOf(p)].forward
		}
		if comes {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

// checkHeard compares who has heard of an event with who should have.
func (w *watched) checkHeard(logged, reached []string) {
	var heard []string
	for _, line := range logged {
		rest, ok := strings.CutPrefix(line, "heard: ")
		if !ok {
			continue
		}
		path, n, _ := strings.Cut(rest, " ")
		if w.heard[path]++; fmt.Sprint(w.heard[path]) != n {
			w.fatal("%s has heard %s events, and there were %d", path, n, w.heard[path])
		}
		heard = append(heard, path)
	}
	slices.Sort(heard)
	if !slices.Equal(heard, reached) {
		w.fatal("the event was heard by %v, and should be by %v", heard, reached)
	}
	w.counts["forwarded"] += len(heard) - 1
}

// alive are the invoked documents of which something is saved.
func (w *watched) alive() []string {
	var list []string
	for k := range w.keys {
		id, ok := strings.CutSuffix(k, "/up")
		if !ok {
			continue
		}
		var path string
		if err := json.Unmarshal(w.keys[id+"/v/path"], &path); err != nil {
			w.fatal("%s has no path: %v", id, err)
		}
		list = append(list, path)
	}
	slices.Sort(list)
	return list
}

func (w *watched) check() {
	running := slices.Sorted(maps.Keys(w.running))
	if got := w.alive(); !slices.Equal(got, slices.DeleteFunc(running, func(p string) bool { return p == "r" })) {
		w.fatal("saved are %v, and these go on: %v", got, running)
	}
	wrong := map[string]int{}
	for key := range w.entered {
		if path, invokes := w.invocationsOf(key); w.running[path] {
			for p, i := range invokes {
				switch {
				case i.broken && w.begun[p] > 0:
					w.fatal("%s has begun, and is not of a kind that can", p)
				case i.broken:
					wrong[path]++
				case w.begun[p] != 1:
					w.fatal("%s was invoked, and has begun %d times", p, w.begun[p])
				case !w.running[p] && (w.finals[p] != 1 || w.dones[p] != 1):
					w.fatal("%s does not go on, has come to its end %d times, and %s has heard that %d times", p, w.finals[p], path, w.dones[p])
				}
			}
		}
	}
	for key := range w.left {
		path, invokes := w.invocationsOf(key)
		for p, i := range invokes {
			switch {
			case w.begun[p] > 1 || w.running[p]:
				w.fatal("%s was left, and %s goes on (%v), or has begun %d times", key, p, w.running[p], w.begun[p])
			case w.finals[p] == 0 && w.begun[p] == 1:
				w.counts["cancelled"]++
			case i.broken:
				w.wrong[path]++ // it is not known whether it was invoked
			}
		}
		delete(w.left, key)
	}
	for path, n := range w.errors {
		if n < wrong[path] || n > wrong[path]+w.wrong[path] {
			w.fatal("%s has had %d errors, and %d to %d are expected", path, n, wrong[path], wrong[path]+w.wrong[path])
		}
		w.counts["errors"]++
	}
	for path, n := range wrong {
		if w.errors[path] < n {
			w.fatal("%s has had %d errors, and %d or more are expected", path, w.errors[path], n)
		}
	}
	for path, keys := range w.leaving {
		if w.running[path] {
			continue
		}
		for _, key := range keys {
			if w.finals[path] == 0 && w.told[key] > 0 {
				w.fatal("%s was cancelled, and what it sent then is heard: %s", path, key)
			}
		}
		delete(w.leaving, path)
	}
	for key, n := range w.sent {
		path, _, _ := strings.Cut(key, " ")
		cancelled := !w.running[path] && w.finals[path] == 0
		if w.told[key] > n || w.told[key] < n && !cancelled && w.running[parentOf(path)] {
			w.fatal("%s was sent %d times, and heard %d times", key, n, w.told[key])
		}
		if !w.running[path] || !w.running[parentOf(path)] {
			delete(w.sent, key)
		}
	}
}

// invocationsOf are those of a state, by the paths that they have: "PATH STATE N".
func (w *watched) invocationsOf(key string) (string, map[string]*invocation) {
	f := strings.Fields(key)
	list := map[string]*invocation{}
	for _, i := range w.d.states[f[1]].invokes {
		list[f[0]+"/"+i.id+"#"+f[2]] = i
	}
	return f[0], list
}

// checkUnsaved has all happen at once, without anything saved in between.
func (w *watched) checkUnsaved() {
	st, err := w.g.Next(nil, graph.Facts{Now: midday}, w.all...)
	if err != nil {
		w.fatal("never saved, it cannot go on: %v", err)
	}
	if got, want := asJSON(changed(nil, st.Keys)), asJSON(w.keys); got != want {
		w.fatal("never saved, it stands elsewhere:\n%s\n%s", got, want)
	}
	var logged []string
	for _, line := range w.logged {
		if !strings.HasPrefix(line, "-- ") {
			logged = append(logged, line)
		}
	}
	if !slices.Equal(st.Logged, logged) {
		w.fatal("never saved, it tells something else:\n%s", strings.Join(st.Logged, "\n"))
	}
	var open []string
	for _, a := range st.Actions {
		if !slices.ContainsFunc(w.all, func(in graph.Input) bool { return in.Closed != nil && in.Closed.Ref == a.Ref }) {
			open = append(open, a.Ref)
		}
	}
	if got := slices.Sorted(slices.Values(w.open)); !slices.Equal(got, slices.Sorted(slices.Values(open))) {
		w.fatal("never saved, %v are open, and %v", open, got)
	}
}
