package orchestrator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// FuzzAnswer has people answer, claim, release, delegate and list, as time passes,
// in a run that has an ask of each kind open, beside another run that is none of their
// business. Each step is four bytes: what is done, to which ask, by whom and how; the
// rest are words that nobody has thought of.
//
// A counter (below) judges each step by itself, by what is written about asks and not
// by what the program does.
func FuzzAnswer(f *testing.F) {
	for _, seed := range counterSeeds() {
		f.Add(seed.steps, seed.value, seed.text, seed.person, seed.group)
	}
	f.Fuzz(func(t *testing.T, steps, value []byte, text, person, group string) {
		c := newCounter(t, value, text, person, group)
		for ; len(steps) >= 4 && c.done < 12; steps = steps[4:] {
			c.step(steps[0], steps[1], steps[2], steps[3])
		}
		c.close()
	})
}

type counterSeed struct {
	steps, value        []byte
	text, person, group string
}

// counterSeeds are every answer to every ask by everybody, in chunks; and a few
// stories.
func counterSeeds() (seeds []counterSeed) {
	const asks, people, answers = 14, 10, 21
	values := []string{`3`, `"x"`, `{"sum":1}`, `{"street":"s","zip":1}`, `{`, `{"sum":1,"sum":2}`, "\"\xff\"", `1e400`, `null`, ``, `[[[[]]]]`, `{"Sum":1}`}
	texts := []string{"red", "", "x.y.z", "\xff\xfe", "групп🙂\u2028", "..", strings.Repeat("n", 3000), "@user", "group:board", "<b>&"}
	groups := []string{"board", "finance", "", "vault", "\xff", "group:board"}
	n := 0
	add := func(steps []byte) {
		seeds = append(seeds, counterSeed{steps, []byte(values[n%len(values)]), texts[n%len(texts)], texts[(n/3)%len(texts)], groups[n%len(groups)]})
		n++
	}
	for ask := range byte(asks) {
		for who := range byte(people) {
			var steps []byte
			for i := range byte(5) { // the rest comes with other people
				steps = append(steps, 0, ask, who, (who*5+i)%answers)
			}
			add(append(steps, doClaim, ask, who, 0, doDelegate, ask, who, who, doRelease, ask, who, 0, doList, 0, who, 0))
		}
	}
	for how := range byte(8) {
		add([]byte{doClaim, 1, 2, 0, doWait, 0, 0, how, 0, 2, 4, 11, 0, 3, 2, 2, 0, 0, 1, 10, doWait, 0, 0, how, 0, 2, 4, 11, 0, 0, 1, 10, 0, 3, 1, 2})
		add([]byte{doDelegate, 0, 1, how, 0, 0, 3, 10, doDelegate, 0, 3, how, 0, 0, 4, 10, 0, 0, 1, 10, 0, 0, 1, 10, 0, 0, 2, 10})
	}
	return seeds
}

// What a step may do; anything else is an answer.
const (
	doClaim = iota + 4
	doRelease
	doDelegate
	doWait
	doList
	doMost
)

// hush is what nobody may read who is not of the group "vault".
const hush = "hush7788"

// tooMuch is more than an answer may have.
var tooMuch = strings.Repeat("n", 1<<20+1)

// counted is the template of each counter's store: made once, as it takes a worker.
var counted = sync.OnceValues(func() (*template, error) {
	store := memorytest.NewStore(nil)
	fourEyes := func(these ...string) agent.Ask { return agent.Ask{For: these, Not: []string{agent.TheUser, "mal"}} }
	number := fourEyes("bob", "group:finance")
	number.Kind, number.Prompt, number.Schema, number.Within = agent.AskQuestion, "How many?", raw(`{"type":"integer","minimum":1}`), time.Hour
	colour := agent.Ask{Kind: agent.AskChoice, Prompt: "Which?", Choices: []string{"red", "blue"}, Not: []string{"mal"}}
	form := agent.Ask{Kind: agent.AskForm, Prompt: "Where?", Schema: raw(address), For: []string{"group:board"}, Within: time.Hour, Remind: 20 * time.Minute,
		Escalate: []agent.Escalation{{For: []string{"eve", agent.TheUser}, Within: 2 * time.Hour}}}
	pay := fourEyes("group:finance", "eve")
	pay.Prompt, pay.Within, pay.Default = "It is money.", 2*time.Hour, &agent.Answer{Choice: agent.Deny}
	free := agent.Ask{Kind: agent.AskQuestion, Prompt: "And?", For: []string{agent.TheUser}}
	passed := agent.Ask{Kind: agent.AskChoice, Prompt: "Which, then?", Choices: []string{"red", "blue"}, For: []string{"bob"}}
	desk := &agent.Agent{
		Name: "desk", Operators: []string{"group:board"}, Limits: agent.Limits{TurnSteps: 1},
		Tools: []*agent.Tool{
			{Name: "pay", Input: raw(`{"type":"object","properties":{"sum":{"type":"integer","maximum":500}},"required":["sum"]}`), Output: raw(`{"type":"string"}`), Call: newHand().call},
			{Name: "wire", Call: func(ctx, raw) (raw, error) { return nil, errors.New("no reply") }},
			{Name: "quick", Effect: agent.ReadOnly, Call: newHand().call},
		},
		Planner: plan(func(*agent.View) *agent.Move {
			call := func(name, args string, ask *agent.Ask) agent.Action {
				return agent.Action{Kind: agent.ActCall, Name: name, Args: raw(args), Ask: ask}
			}
			asks := func(a *agent.Ask) agent.Action { return agent.Action{Kind: agent.ActAsk, Ask: a} }
			return &agent.Move{Again: agent.AtEachClosing, Actions: []agent.Action{
				asks(&number), asks(&colour), asks(&form), call("pay", `{"sum":70}`, &pay), call("wire", `{}`, nil), asks(&free), asks(&passed),
				call("quick", `{}`, nil), {Kind: agent.ActWait, Name: "never"},
			}}
		}),
	}
	vault := questions(
		agent.Ask{Kind: agent.AskChoice, Prompt: "The code is " + hush, Choices: []string{hush, "red"}, For: []string{"group:vault"}, Within: time.Hour},
		agent.Ask{Kind: agent.AskQuestion, Prompt: hush, Schema: raw(`{"enum":["` + hush + `"]}`), Not: []string{"group:finance", "bob", "mal", "eve", "dan", "u1", "cid"}, For: []string{"group:vault"}},
	)
	vault.Name = "vault"
	o, err := orchestrator.New(store, []*agent.Agent{desk, vault}, nil)
	if err != nil {
		return nil, err
	}
	tm := &template{}
	for _, r := range []orchestrator.Request{
		{Agent: "desk", Message: agent.Text("go"), User: asker},
		{Agent: "vault", Message: agent.Text(hush), User: agent.User{ID: "vic", Groups: []string{"vault"}}, Meta: map[string]string{"code": hush}},
	} {
		res, err := o.Run(context.Background(), r)
		if err != nil {
			return nil, err
		}
		tm.asks = append(tm.asks, res.Asks...)
		tm.runs = append(tm.runs, res.Run)
	}
	if len(tm.asks) != 10 {
		return nil, fmt.Errorf("the template has %d asks", len(tm.asks))
	}
	if err := o.ClaimAsk(context.Background(), tm.asks[1].ID, cid); err != nil {
		return nil, err
	}
	if err := o.DelegateAsk(context.Background(), tm.asks[6].ID, bob, []string{"dan"}, ""); err != nil {
		return nil, err
	}
	return tm, tm.read(store)
})

// template is what a store has to begin with.
type template struct {
	runs    []agent.RunID
	asks    []*agent.Ask
	commits []*memory.Commit
	last    time.Time
}

func (tm *template) read(store memory.Store) error {
	for _, id := range tm.runs {
		log, err := store.Read(context.Background(), id, memory.ReadOptions{})
		if err != nil {
			return err
		}
		entries, err := store.Asks(context.Background(), memory.AskQuery{Run: id})
		if err != nil {
			return err
		}
		page, err := store.Runs(context.Background(), memory.RunQuery{Prefix: string(id)})
		if err != nil {
			return err
		}
		for _, e := range entries.Asks {
			now := new(agent.Ask)
			if err := json.Unmarshal(e.Data, now); err != nil {
				return err
			}
			i := slices.IndexFunc(tm.asks, func(a *agent.Ask) bool { return a.ID == e.ID })
			tm.asks[i] = now
		}
		tm.commits = append(tm.commits, &memory.Commit{Run: id, Records: log.Records, Index: page.Runs[0].Index, Opened: entries.Asks})
		if at := log.Records[len(log.Records)-1].Time; at.After(tm.last) {
			tm.last = at
		}
	}
	return nil
}

// counter is where people come, with a book about each ask.
type counter struct {
	*testing.T
	*template
	store  *memorytest.Store
	o      *orchestrator.Orchestrator
	clock  time.Time
	noted  time.Time // what the clock makes due by then is noted
	book   map[agent.AskID]*page
	value  []byte
	text   string
	people []agent.User
	own    string // what whoever acts has said themselves: that may be told to them again
	done   int
}

// page is what the counter knows of an ask.
type page struct {
	*agent.Ask           // as it was opened
	these, not []string  // who may answer by now, and who may not
	claimed    string    // "" nobody
	due        time.Time // zero never
	chain      []agent.Escalation
	ended      string // answered, expired; "" it is open
	by         string // who has answered, and what
	said       string
}

func newCounter(t *testing.T, value []byte, text, person, group string) *counter {
	t.Helper()
	tm, err := counted()
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{T: t, template: tm, clock: tm.last.Add(time.Second), value: value, text: text, book: map[agent.AskID]*page{}}
	c.people = []agent.User{
		asker, bob, cid, dan, eve, {ID: "mal", Groups: []string{"finance", "board"}}, nameless, nobody,
		{ID: person, Groups: []string{group}}, {ID: "vic", Groups: []string{"vault"}},
	}
	c.store = memorytest.NewStore(func() time.Time { return c.clock })
	for _, commit := range tm.commits {
		if err := c.store.Commit(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	if c.o, err = orchestrator.New(c.store, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, a := range tm.asks {
		c.book[a.ID] = &page{Ask: a, these: a.For, not: a.Not, claimed: a.Claimed.ID, due: a.Due, chain: a.Escalate}
	}
	return c
}

// isOne reports whether a list names somebody.
func isOne(u agent.User, list []string) bool {
	for _, name := range list {
		if rest, isGroup := strings.CutPrefix(name, "group:"); isGroup {
			for _, g := range u.Groups {
				if g == rest {
					return true
				}
			}
		} else if name == u.ID && name != "" {
			return true
		}
	}
	return false
}

// may reports whether somebody may answer.
func (p *page) may(u agent.User) bool {
	if len(p.not) > 0 && (u.ID == "" || isOne(u, p.not)) {
		return false
	}
	return len(p.these) == 0 || isOne(u, p.these)
}

// step does one thing, and judges what came of it.
func (c *counter) step(what, which, who, how byte) {
	c.done++
	by := c.people[int(who)%len(c.people)]
	id := c.ask(which)
	c.own = c.text + string(c.value) + by.ID
	switch int(what) % doMost {
	case doWait:
		c.clock = c.clock.Add([]time.Duration{
			time.Microsecond, time.Hour - 2*time.Second, time.Hour, 20 * time.Minute, 2 * time.Hour, 30 * time.Hour, 7 * 24 * time.Hour, time.Second,
		}[how%8])
	case doList:
		c.list(by)
	case doClaim:
		c.judge(id, by, func() error { return c.o.ClaimAsk(c.Context(), id, by) }, c.claims)
	case doRelease:
		c.judge(id, by, func() error { return c.o.ReleaseAsk(c.Context(), id, by) }, c.releases)
	case doDelegate:
		to := [][]string{
			{"dan"}, {"eve", "group:board"}, {agent.TheUser}, {"mal"}, nil, {c.text}, {"group:" + c.text, "cid"}, slices.Repeat([]string{"dan"}, 65),
		}[how%8]
		c.judge(id, by, func() error { return c.o.DelegateAsk(c.Context(), id, by, to, c.text) }, func(p *page, by agent.User) (agent.RefusalKind, func()) {
			return c.delegates(p, by, to)
		})
	default:
		a, sure := c.answer(how, by, c.book[id])
		c.own += string(a.Value)
		c.judge(id, by, func() error { return c.o.Answer(c.Context(), id, a) }, func(p *page, by agent.User) (agent.RefusalKind, func()) {
			return c.answers(p, a, sure)
		})
	}
}

// ask is the id of an ask of either run, or of none.
func (c *counter) ask(which byte) agent.AskID {
	none := []agent.AskID{agent.AskID(c.text), c.asks[0].ID + "0", "none.r.0", agent.AskID(string(c.runs[1]) + "." + c.text + ".")}
	if i := int(which) % (len(c.asks) + len(none)); i >= len(c.asks) {
		return none[i-len(c.asks)]
	} else {
		return c.asks[i].ID
	}
}

// answer is one of many answers. It is sure that what fits will be taken, unless the
// words are not this test's own.
func (c *counter) answer(how byte, by agent.User, p *page) (a agent.Answer, sure bool) {
	digest := ""
	if p != nil {
		digest = p.Digest
	}
	a = []agent.Answer{
		{Choice: "red"}, {Choice: "blue", Note: "sky"}, {Choice: agent.Approve}, {Choice: agent.Edit, Value: raw(`{"sum":7}`)}, {Choice: agent.Deny, Note: "no"},
		{Choice: agent.Instead, Value: raw(`"by hand"`)}, {Choice: agent.Happened}, {Choice: agent.Rerun}, {Choice: agent.Continue}, {Choice: agent.Stop},
		{Value: raw(`3`)}, {Value: raw(`{"street":"Main St","zip":1}`)}, {}, {Choice: agent.Approve, Digest: digest}, {Value: raw(`"` + hush + `"`)},
		{Value: c.value}, {Choice: c.text, Value: c.value, Note: c.text}, {Choice: agent.Approve, Digest: c.text}, {Choice: agent.Edit, Value: c.value}, {Choice: agent.Instead, Value: c.value},
		{Choice: "red", Note: tooMuch},
	}[how%21]
	a.By = by
	return a, how%21 < 15 && utf8.ValidString(by.ID)
}

// judge does something, and compares what comes of it with what the rule expects: the
// kind of the refusal, or "" and what then has changed; "?" leaves it open whether it is
// refused as invalid.
func (c *counter) judge(id agent.AskID, by agent.User, do func() error, rule func(*page, agent.User) (agent.RefusalKind, func())) {
	c.Helper()
	c.overdue()
	p := c.book[id]
	before := c.dump()
	err := do()
	grown := c.dump() != before
	var r *agent.Refusal
	if err != nil && !errors.As(err, &r) {
		c.Fatalf("on ask %q by %+v: %v is no refusal", id, by, err)
	}
	if err != nil && grown {
		c.Fatalf("refused (%v), and something has changed:\n%s\n%s", err, before, c.dump())
	}
	if err != nil {
		c.hushed(by, err.Error())
	}
	if p == nil {
		if r == nil || r.Kind != agent.RefusedUnknown {
			c.Fatalf("the ask %q is not one, and the answer is %v", id, err)
		}
		return
	}
	want, then := rule(p, by)
	got := agent.RefusalKind("")
	if r != nil {
		got = r.Kind
	}
	if got != want && (want != "?" || got != "" && got != agent.RefusedInvalid) {
		c.Fatalf("on the ask %+v for %q not %q claimed by %q, %s, by %+v: got %v, want %q", p.Ask, p.these, p.not, p.claimed, p.ended, by, err, want)
	}
	if got == "" && then != nil {
		then()
	}
}

// overdue has the log say what the clock does, and notes it.
func (c *counter) overdue() {
	if c.noted.Equal(c.clock) {
		return
	}
	c.noted = c.clock
	for _, id := range c.runs {
		_ = c.o.Answer(c.Context(), agent.AskID(string(id)+".x.x"), agent.Answer{})
	}
	for _, p := range c.book {
		switch {
		case p.ended != "" || p.due.IsZero() || p.due.After(c.clock):
		case len(p.chain) == 0:
			p.ended = "expired"
		default:
			p.these, p.claimed, p.due = nil, "", time.Time{}
			for _, name := range p.chain[0].For {
				if name == agent.TheUser {
					name = asker.ID
				}
				p.these = append(p.these, name)
			}
			if w := p.chain[0].Within; w > 0 {
				p.due = c.clock.Add(w)
			}
			p.chain = p.chain[1:]
		}
	}
}

// dump is all that is kept.
func (c *counter) dump() string {
	var b strings.Builder
	for _, id := range c.runs {
		log, err := c.store.Read(c.Context(), id, memory.ReadOptions{After: 4})
		if err != nil {
			c.Fatal(err)
		}
		page, err := c.store.Asks(c.Context(), memory.AskQuery{Run: id})
		if err != nil {
			c.Fatal(err)
		}
		fmt.Fprintln(&b, log.Last)
		for _, a := range page.Asks {
			fmt.Fprintf(&b, "%s %s %s\n", a.ID, a.People(), a.Data)
		}
	}
	return b.String()
}

// hushed checks that somebody does not read what is none of their business.
func (c *counter) hushed(by agent.User, text string) {
	c.Helper()
	if !strings.Contains(text, hush) || strings.Contains(c.own, hush) {
		return
	}
	for id, p := range c.book {
		if id.Run() == c.runs[1] && p.may(by) { // it was delegated to them, perhaps
			return
		}
	}
	c.Fatalf("%+v reads %q", by, text)
}

// list lists what somebody may answer: this, and nothing that others have claimed.
func (c *counter) list(u agent.User) {
	if u.IsZero() {
		return // which asks for all
	}
	c.overdue()
	asks, next, err := c.o.Asks(c.Context(), memory.AskQuery{For: u})
	if err != nil || next != "" {
		c.Fatal(next, err)
	}
	var got []agent.AskID
	for _, a := range asks {
		got = append(got, a.ID)
		text, err := json.Marshal(a)
		if err != nil {
			c.Fatal(err)
		}
		c.hushed(u, string(text))
	}
	for _, a := range c.asks {
		p := c.book[a.ID]
		if want := p.ended == "" && p.may(u) && (p.claimed == "" || p.claimed == u.ID); want != slices.Contains(got, a.ID) {
			c.Fatalf("the inbox of %+v has %q; that the ask %+v, for %q not %q, claimed by %q, %s, is in it should be %v", u, got, a, p.these, p.not, p.claimed, p.ended, want)
		}
	}
}

// open is what is the same for all that one can do to an ask.
func (p *page) open(by agent.User) agent.RefusalKind {
	switch {
	case p.ended == "expired":
		return agent.RefusedExpired
	case p.ended != "":
		return agent.RefusedConflict
	case !p.may(by):
		return agent.RefusedForbidden
	case p.claimed != "" && p.claimed != by.ID:
		return agent.RefusedConflict
	}
	return ""
}

// odd has those whose ids are no text be refused whenever that is seen.
func odd(by agent.User, kind agent.RefusalKind) agent.RefusalKind {
	if kind == "" && !utf8.ValidString(by.ID+strings.Join(by.Groups, "")) {
		return agent.RefusedInvalid
	}
	return kind
}

func (c *counter) claims(p *page, by agent.User) (agent.RefusalKind, func()) {
	kind := p.open(by)
	if kind == "" && by.ID == "" {
		kind = agent.RefusedInvalid
	}
	return odd(by, kind), func() { p.claimed = by.ID }
}

func (c *counter) releases(p *page, by agent.User) (agent.RefusalKind, func()) {
	kind := p.open(by)
	if kind == agent.RefusedConflict && p.ended == "" { // anybody may release for another
		kind = ""
	}
	if p.claimed == "" && kind == "" {
		return "?", nil
	}
	return odd(by, kind), func() { p.claimed = "" }
}

func (c *counter) delegates(p *page, by agent.User, to []string) (agent.RefusalKind, func()) {
	kind := p.open(by)
	var these []string
	user := asker.ID
	if p.ID.Run() == c.runs[1] {
		user = "vic"
	}
	bad := len(to) == 0 || len(to) > 64
	for _, name := range to {
		bad = bad || name == "" || name == "group:" || len(name) > 256 || !utf8.ValidString(name)
		if name == agent.TheUser {
			name = user
		}
		bad = bad || slices.Contains(p.not, name)
		these = append(these, name)
	}
	if kind == "" && (bad || !utf8.ValidString(c.text)) {
		kind = agent.RefusedInvalid
	}
	if by.ID != "" && !slices.Contains(these, by.ID) {
		these = append(these, by.ID)
	}
	return odd(by, kind), func() { p.these, p.claimed = these, "" }
}

func (c *counter) answers(p *page, a agent.Answer, sure bool) (agent.RefusalKind, func()) {
	said := a.Choice + "\x00" + canonical(a.Value) + "\x00" + a.Note
	if p.ended == "answered" && p.by == a.By.ID && p.said == said {
		return "", nil
	}
	kind := p.open(a.By)
	switch {
	case kind != "":
	case len(a.Note)+len(a.Value) > 1<<20:
		kind = agent.RefusedInvalid
	case a.Digest != "" && p.Digest != "" && a.Digest != p.Digest:
		kind = agent.RefusedConflict
	case !c.fits(p, &a):
		kind = agent.RefusedInvalid
	case !sure:
		kind = "?"
	}
	return odd(a.By, kind), func() {
		if p.ended != "" {
			c.Fatalf("a second answer was accepted: %+v", a)
		}
		p.ended, p.by, p.said = "answered", a.By.ID, said
		c.recorded(p, a)
	}
}

// recorded checks what the log has of an answer.
func (c *counter) recorded(p *page, a agent.Answer) {
	log, err := c.store.Read(c.Context(), p.ID.Run(), memory.ReadOptions{})
	if err != nil {
		c.Fatal(err)
	}
	r := log.Records[len(log.Records)-1]
	e, err := run.Decode(r.Data)
	answered, ok := e.(*run.Answered)
	if err != nil || !ok || answered.Ask != p.ID || answered.Answer.By.ID != a.By.ID || answered.Answer.Choice != a.Choice || canonical(answered.Answer.Value) != canonical(a.Value) || !r.Time.Equal(c.clock.Truncate(time.Microsecond)) {
		c.Fatalf("%+v was accepted at %s, and the log has %s %s, %v", a, c.clock, r.Time, r.Data, err)
	}
	if a.Choice == agent.Approve && answered.Digest != p.Digest || a.Choice == agent.Edit && answered.Digest == "" {
		c.Fatalf("the log does not say what was approved: %s", r.Data)
	}
}

// fits reports whether an answer is one to this ask, by this test's own light.
func (c *counter) fits(p *page, a *agent.Answer) bool {
	if len(p.Choices) > 0 && !slices.Contains(p.Choices, a.Choice) || len(p.Choices) == 0 && (a.Choice != "" || len(a.Value) == 0) {
		return false
	}
	if p.Kind == agent.AskApproval && (a.Choice == agent.Edit || a.Choice == agent.Instead) && len(a.Value) == 0 {
		return false
	}
	if len(a.Value) == 0 {
		return true
	}
	v, ok := single(a.Value)
	if !ok {
		return false
	}
	object, _ := v.(map[string]any)
	text, isText := v.(string)
	switch {
	case p.Kind == agent.AskForm:
		street, ok := object["street"].(string)
		return ok && street != "" && isInteger(object["zip"]) && len(object) == 2
	case p.Kind == agent.AskQuestion && p.Prompt == "How many?":
		return isInteger(v) && v.(json.Number).String()[0] != '-' && canonicalNumber(v) >= 1
	case p.Kind == agent.AskQuestion && p.Prompt == hush:
		return text == hush
	case p.Kind == agent.AskApproval && a.Choice == agent.Edit:
		return isInteger(object["sum"]) && canonicalNumber(object["sum"]) <= 500
	case p.Kind == agent.AskApproval && a.Choice == agent.Instead:
		return isText
	case p.Kind == agent.AskApproval, p.Kind == agent.AskOutcome && a.Choice != agent.Happened, p.Kind == agent.AskLimit:
		return v == nil
	}
	return true
}

// single reads JSON that all readers read alike: in UTF-8, with each field once.
func single(data []byte) (any, bool) {
	if !json.Valid(data) || !utf8.Valid(data) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	return v, fields(json.NewDecoder(bytes.NewReader(data))) == fieldsOf(v)
}

// fields counts the fields of all objects as they are written, and fieldsOf as they were
// read.
func fields(d *json.Decoder) (n int) {
	depth, names := []bool{}, false
	for {
		tok, err := d.Token()
		if err != nil {
			return n
		}
		if delim, ok := tok.(json.Delim); ok {
			switch delim {
			case '{', '[':
				depth = append(depth, delim == '{')
				names = delim == '{'
				continue
			default:
				depth = depth[:len(depth)-1]
			}
		} else if names {
			n++
			names = false
			continue
		}
		names = len(depth) > 0 && depth[len(depth)-1]
	}
}

func fieldsOf(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			n += 1 + fieldsOf(x)
		}
	case []any:
		for _, x := range v {
			n += fieldsOf(x)
		}
	}
	return n
}

func isInteger(v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	f, err := strconv.ParseFloat(string(n), 64)
	return err == nil && (f == float64(int64(f)) || f > 1e18 || f < -1e18)
}

func canonicalNumber(v any) float64 {
	f, _ := v.(json.Number).Float64()
	return f
}

// canonical is a value, however it is spelled.
func canonical(value []byte) string {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if len(value) == 0 || !json.Valid(value) || d.Decode(&v) != nil {
		return "\x00" + string(value)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// close looks at the whole: the logs are as every log must be, nothing is out of order,
// and the other run is as it was, unless its own people came.
func (c *counter) close() {
	for _, u := range c.people {
		c.list(u)
	}
	for _, id := range c.runs {
		if _, err := orchestratortest.CheckLog(c.Context(), c.store, id); err != nil {
			c.Fatal(err)
		}
	}
	for p, err := range c.o.Check(c.Context(), false) {
		c.Fatal(p, err)
	}
}
