package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fermata-run/fermata/agent"
)

// The bounds of inputs.
const (
	MaxMessage = 1 << 20             // bytes of a message's text and media, an answer's value or a signal's data
	MaxInput   = MaxMessage + 64<<10 // bytes of any input, as recorded
	MaxSignals = 1000                // signals kept for a wait that has not come yet
	MaxKept    = 4 << 20             // bytes of their data, names and senders
	MaxKey     = 1 << 10             // bytes of an idempotency key
)

// Validate says what is wrong with a JSON value under a JSON Schema; nil if
// nothing is. It must be a pure function.
type Validate func(schema, value json.RawMessage) error

// Judge says whether an input may be appended now: ok is true if it may;
// otherwise a nil error says that the same input was accepted before, so that
// nothing is left to do, and any other error is an *agent.Refusal. The caller
// has appended what is Overdue.
func (s *State) Judge(e Event, valid Validate) (ok bool, err error) {
	if ok, err = s.judge(e, valid); !ok || err != nil {
		return false, err
	}
	if err := JudgeForm(e); err != nil {
		return false, err
	}
	return true, nil
}

func (s *State) judge(e Event, valid Validate) (ok bool, err error) {
	if key := inputKey(e); key != "" {
		if err := JudgeKey(key); err != nil {
			return false, err
		}
		if before, seen := s.Seen[key]; seen {
			if before == keyOf(asRead(e)) {
				return false, nil
			}
			return false, agent.Refuse(agent.RefusedConflict, "the idempotency key %q was used for another input of run %s; use a new key for a new input", key, s.Run)
		}
	}
	if s.Mailbox != nil || isMail(e) {
		return s.judgeMail(e)
	}
	switch e := e.(type) {
	case *Messaged:
		err = s.judgeMessage(e)
	case *Answered:
		return s.judgeAnswer(e, valid)
	case *Assigned:
		return s.judgeAssigned(e)
	case *Reported:
		return s.judgeReport(e), nil
	case *Signaled:
		err = s.judgeSignal(e)
	case *Cancelled:
		if s.Ending != nil && s.Ending.Status == agent.StatusCancelled {
			return false, nil
		}
		err = s.refuseEnded("be cancelled")
	case *Retried:
		err = s.judgeRetry(e)
	case *Redefined:
		err = s.judgeRedefined(e)
	}
	if err != nil {
		return false, err
	}
	return true, nil
}

// judgeRetry lets a run be retried until it is over: one that ends may be stuck
// with a begun call. To retry one that is stuck as it is asked what is to be done is
// to answer that, for who may.
func (s *State) judgeRetry(e *Retried) error {
	if s.Ended {
		return s.refuseEnded("be retried")
	}
	if s.Stuck != nil || s.backingOff() {
		return nil
	}
	var refusal error
	for _, o := range s.retriable() {
		err := mayAct(o.Ask, e.By)
		if err == nil {
			return judgeWords(e.By, e.Note)
		}
		if refusal == nil {
			refusal = err
		}
	}
	if refusal != nil {
		return refusal
	}
	if ask := s.repair(); ask != nil {
		return agent.Refuse(agent.RefusedConflict, "run %s is stuck, and to try again is not among the choices; answer ask %s with one of %q", s.Run, ask.ID, ask.Choices)
	}
	if o := s.stuckTask(); o != nil {
		return agent.Refuse(agent.RefusedConflict, "run %s is not stuck itself: %s; retry that run, %s", s.Run, s.stuckDelegate(), o.Child)
	}
	return agent.Refuse(agent.RefusedConflict, "run %s is %s, and only a stuck run, or one that waits for its next attempt, can be retried", s.Run, s.Status())
}

func (s *State) judgeRedefined(e *Redefined) error {
	if err := s.refuseEnded("be redefined"); err != nil {
		return err
	}
	if s.Definition == "" {
		return agent.Refuse(agent.RefusedConflict, "run %s goes by no definition, so there is none to be replaced: the planner of agent %s has none, or has yet to begin", s.Run, s.Agent)
	}
	if e.Definition == "" {
		return agent.Refuse(agent.RefusedInvalid, "the new definition of run %s is not named", s.Run)
	}
	for k, v := range e.Keys {
		if !json.Valid(v) || !utf8.ValidString(k) {
			return agent.Refuse(agent.RefusedInvalid, "what the saved key %q is to be is not JSON: %s", cut(k, 80), cut(string(v), 80))
		}
	}
	return judgeWords(e.By, e.Note)
}

func (s *State) backingOff() bool {
	return s.Plan.NotBefore.After(s.Time) || slices.ContainsFunc(s.Open, func(o *Open) bool { return o.NotBefore.After(s.Time) })
}

func (s *State) refuseEnded(what string) error {
	if s.Ending == nil {
		return nil
	}
	return agent.Refuse(agent.RefusedConflict, "run %s has ended (%s) and cannot %s", s.Run, s.Ending.Status, what)
}

func (s *State) judgeMessage(e *Messaged) error {
	if err := s.refuseEnded("take a message; start a new run"); err != nil {
		return err
	}
	if err := JudgeText(&e.Message); err != nil {
		return err
	}
	if s.Terms.OnMessage == agent.Reject && (s.Turn.Open || s.wantsPlan()) {
		return agent.Refuse(agent.RefusedConflict, "run %s is %s, and its agent takes no message in the middle of a turn; write again when the turn is over", s.Run, s.Status())
	}
	return nil
}

// JudgeForm says what is wrong with an input whatever the run: it has no stored
// form, or a too large one; nil if nothing is.
func JudgeForm(e Event) error {
	data, err := Encode(e)
	if err == nil {
		_, err = Decode(data)
	}
	if err != nil {
		return agent.Refuse(agent.RefusedInvalid, "this cannot be recorded: %v", err)
	}
	if len(data) > MaxInput {
		return agent.Refuse(agent.RefusedInvalid, "the input has %d bytes as it would be recorded, and at most %d are taken; put large content where a tool can read it, and send a reference", len(data), MaxInput)
	}
	return nil
}

// JudgeKey says what is wrong with an idempotency key; nil if nothing is.
func JudgeKey(key string) error {
	if len(key) > MaxKey {
		return agent.Refuse(agent.RefusedInvalid, "the idempotency key has %d bytes, and at most %d are taken", len(key), MaxKey)
	}
	return nil
}

// JudgeText says what is wrong with a user's message; nil if nothing is.
func JudgeText(m *agent.Message) error {
	size := 0
	for _, p := range m.Parts {
		if p.Call != nil || p.Result != nil || p.Reasoning != "" || p.Opaque != nil || m.Opaque != nil {
			return agent.Refuse(agent.RefusedInvalid, "a user's message may hold text and media, and this one holds a call, a result, reasoning or a provider's fields")
		}
		size += len(p.Text)
		if p.Media != nil {
			size += len(p.Media.URL) + len(p.Media.Name)
		}
	}
	if size == 0 {
		return agent.Refuse(agent.RefusedInvalid, "the message is empty; write something")
	}
	return tooLarge("message", size)
}

func tooLarge(what string, size int) error {
	if size <= MaxMessage {
		return nil
	}
	return agent.Refuse(agent.RefusedInvalid, "the %s has %d bytes, and at most %d are taken; put large content where a tool can read it, and send a reference", what, size, MaxMessage)
}

func (s *State) judgeSignal(e *Signaled) error {
	if err := s.refuseEnded("take a signal"); err != nil {
		return err
	}
	if e.Name == "" {
		return agent.Refuse(agent.RefusedInvalid, "a signal needs a name")
	}
	if e.Name == agent.AnySignal {
		return agent.Refuse(agent.RefusedInvalid, "%q stands for any signal where one is awaited, and is the name of none; give the signal a name", e.Name)
	}
	if len(e.Data) > 0 && !json.Valid(e.Data) {
		return agent.Refuse(agent.RefusedInvalid, "the data of signal %q is not JSON", e.Name)
	}
	awaited := s.awaits(e.Name) != nil
	kept := (&Kept{Name: e.Name, Data: e.Data, By: e.By, Key: e.Key}).size()
	for i := range s.Signals {
		kept += s.Signals[i].size()
	}
	if (len(s.Signals) >= MaxSignals || kept > MaxKept) && !awaited {
		return agent.Refuse(agent.RefusedConflict, "run %s keeps %d signals that nothing has waited for, and takes no more", s.Run, len(s.Signals))
	}
	return tooLarge("signal", len(e.Data))
}

// size is how many bytes the state keeps of a signal.
func (k *Kept) size() int { return len(k.Name) + len(k.Data) + len(k.Key) + sizeOf(k.By) }

func sizeOf(u agent.User) int {
	size := len(u.ID) + len(u.Name)
	for _, g := range u.Groups {
		size += len(g)
	}
	return size
}

func (s *State) judgeAnswer(e *Answered, valid Validate) (bool, error) {
	held := s.openedAsk(e.Ask)
	if held == nil {
		return false, s.refuseClosed(e)
	}
	ask := *held
	if err := mayAct(ask, e.Answer.By); err != nil {
		return false, err
	}
	if err := tooLarge("answer", len(e.Answer.Value)+len(e.Answer.Note)); err != nil {
		return false, err
	}
	if err := judgeWords(e.Answer.By, e.Answer.Note); err != nil {
		return false, err
	}
	if a := &e.Answer; a.Digest != "" && ask.Digest != "" && a.Digest != ask.Digest {
		return false, agent.Refuse(agent.RefusedConflict, "the arguments are not the ones that were shown (digest %s, shown %s); look at the ask again", ask.Digest, a.Digest)
	}
	if err := judgeChoice(ask, &e.Answer); err != nil {
		return false, err
	}
	if err := judgeValue(ask, &e.Answer, valid); err != nil {
		return false, err
	}
	return true, nil
}

// mayAct says why somebody may not answer an open ask, or have a say in who does;
// nil if they may.
func mayAct(ask *agent.Ask, by agent.User) error {
	switch {
	case !ask.May(by):
		return agent.Refuse(agent.RefusedForbidden, "ask %s is %s", ask.ID, meantFor(ask, by))
	case ask.Claimed.ID != "" && ask.Claimed.ID != by.ID:
		return agent.Refuse(agent.RefusedConflict, "ask %s is claimed by %s; it can be answered by others when it was released", ask.ID, ask.Claimed.ID)
	}
	return nil
}

// judgeWords refuses what is not text: the log would give it back as something else,
// by which nobody knows the same person, or the same words, again.
func judgeWords(by agent.User, note string) error {
	for _, words := range append([]string{by.ID, by.Name, note}, by.Groups...) {
		if !utf8.ValidString(words) {
			return agent.Refuse(agent.RefusedInvalid, "%q is not UTF-8 text; send text", cut(words, 80))
		}
	}
	return nil
}

// JudgeUser says what is wrong with somebody who is going to be named in lists of people;
// nil if nothing is. An id there that is spelled like a group's would let that answer, and
// in Ask.Not it would keep nobody from it.
func JudgeUser(u agent.User) error {
	if strings.HasPrefix(u.ID, "group:") || u.ID == agent.TheUser {
		return agent.Refuse(agent.RefusedInvalid, "%q is not the id of a user: so groups are named, and whoever the user of a run is; give users other ids", cut(u.ID, 80))
	}
	return judgeWords(u, "")
}

// meantFor says for whom an ask is that is not for by.
func meantFor(ask *agent.Ask, by agent.User) string {
	if by.ID == "" && len(by.Groups) == 0 {
		return "not for everybody; say who you are"
	}
	if by.ID == "" || by.Among(ask.Not) {
		return "not for " + who(by) + ", who may not decide it"
	}
	return fmt.Sprintf("for %s, and not for %s", strings.Join(ask.For, ", "), who(by))
}

func who(u agent.User) string {
	if u.ID == "" {
		return "somebody without an id"
	}
	return cut(u.ID, 80)
}

func (s *State) judgeAssigned(e *Assigned) (bool, error) {
	held := s.openedAsk(e.Ask)
	if held == nil {
		return false, s.refuseClosed(&Answered{Ask: e.Ask, Answer: agent.Answer{By: e.By}})
	}
	ask := *held
	if e.How == Release && ask.May(e.By) { // also that of somebody else, who has left it lying
		return ask.Claimed.ID != "", judgeWords(e.By, e.Note)
	}
	if err := mayAct(ask, e.By); err != nil {
		return false, err
	}
	if err := judgeWords(e.By, e.Note); err != nil {
		return false, err
	}
	switch e.How {
	case Claim:
		if e.By.ID == "" {
			return false, agent.Refuse(agent.RefusedInvalid, "ask %s is claimed by somebody, and who that is was not said", ask.ID)
		}
		return ask.Claimed.ID == "", nil
	case Delegate:
		return s.judgeDelegated(ask, e)
	}
	return false, agent.Refuse(agent.RefusedInvalid, "an ask can be claimed, released and delegated, and %q came", cut(string(e.How), 40))
}

func (s *State) judgeDelegated(ask *agent.Ask, e *Assigned) (bool, error) {
	if err := JudgeUser(e.By); err != nil { // who may answer then, too
		return false, err
	}
	if len(e.To) == 0 {
		return false, agent.Refuse(agent.RefusedInvalid, "say to whom ask %s is delegated: ids of users, or groups as group:name", ask.ID)
	}
	if bad := BadPeople(e.To); bad != "" {
		return false, agent.Refuse(agent.RefusedInvalid, "ask %s cannot be delegated: %s", ask.ID, bad)
	}
	to := s.resolved(e.To)
	if i := slices.IndexFunc(to, func(p string) bool { return p == "" || slices.Contains(ask.Not, p) }); i >= 0 {
		return false, agent.Refuse(agent.RefusedInvalid, "ask %s cannot be delegated to %s, who may not decide it", ask.ID, e.To[i])
	}
	same := ask.Delegated.ID == e.By.ID && ask.Note == e.Note && slices.Equal(ask.For, s.delegatedTo(e)) && ask.Claimed.ID == ""
	return !same, nil
}

// judgeReport reports whether what a delegate says is new.
func (s *State) judgeReport(e *Reported) bool {
	if s.Ended {
		return false
	}
	if o := s.Action(e.Action); o != nil && o.Phase == Afield && o.Child == e.Run {
		return e.N > o.Heard
	}
	return slices.ContainsFunc(s.Left, func(l Left) bool { return l.Action == e.Action && l.Run == e.Run && e.N > l.Heard })
}

// refuseClosed says why an ask that is not open takes no answer; nil if the
// same answer was accepted before.
func (s *State) refuseClosed(e *Answered) error {
	end, ok := s.Asked[e.Ask]
	switch {
	case !ok:
		return agent.Refuse(agent.RefusedUnknown, "run %s has no ask %s", s.Run, e.Ask)
	case end.How == "answered" && end.Digest == answerDigest(&e.Answer) && end.By == e.Answer.By.ID:
		return nil
	case end.How == "answered":
		return agent.Refuse(agent.RefusedConflict, "ask %s was answered already%s at %s", e.Ask, byWhom(end.By), end.At.Format(time.RFC3339))
	case end.How == "expired":
		return agent.Refuse(agent.RefusedExpired, "ask %s expired at %s", e.Ask, end.At.Format(time.RFC3339))
	}
	return agent.Refuse(agent.RefusedConflict, "ask %s was withdrawn at %s; nobody needs the answer any more", e.Ask, end.At.Format(time.RFC3339))
}

func byWhom(id string) string {
	if id == "" {
		return ""
	}
	return " by " + id
}

func judgeChoice(ask *agent.Ask, a *agent.Answer) error {
	if len(ask.Choices) == 0 {
		if a.Choice != "" {
			return agent.Refuse(agent.RefusedInvalid, "ask %s has no choices, and the choice %q came; give a value", ask.ID, cut(a.Choice, 80))
		}
		if len(a.Value) == 0 {
			return agent.Refuse(agent.RefusedInvalid, "the answer is empty; ask %s takes a value", ask.ID)
		}
		return nil
	}
	if !slices.Contains(ask.Choices, a.Choice) {
		return agent.Refuse(agent.RefusedInvalid, "ask %s takes one of %q, and %q came", ask.ID, ask.Choices, cut(a.Choice, 80))
	}
	if beside := besideChoice(ask, a.Choice); beside != "" && saysSomething(a.Value) {
		return agent.Refuse(agent.RefusedInvalid, "the answer %q takes no value, and %s came; %s", a.Choice, cut(string(a.Value), 80), beside)
	}
	if (a.Choice == agent.Edit || a.Choice == agent.Instead) && ask.Kind == agent.AskApproval && len(a.Value) == 0 {
		return agent.Refuse(agent.RefusedInvalid, "the answer %q needs a value: %s", a.Choice, map[string]string{
			agent.Edit: "the arguments to use", agent.Instead: "the result to give"}[a.Choice])
	}
	return nil
}

// besideChoice says what to answer instead of a choice with a value of which nothing
// would come, such as the arguments of a call that is made with others; "" if the choice
// takes one.
func besideChoice(ask *agent.Ask, choice string) string {
	switch {
	case ask.Kind == agent.AskApproval && choice != agent.Edit && choice != agent.Instead:
		return fmt.Sprintf("other arguments are given with %q, and a result with %q", agent.Edit, agent.Instead)
	case ask.Kind == agent.AskOutcome && choice != agent.Happened:
		return fmt.Sprintf("a result is given with %q; the call has the arguments that it was begun with", agent.Happened)
	case ask.Kind == agent.AskLimit:
		return "leave it out"
	}
	return ""
}

// saysSomething reports whether there is a value: a null is none.
func saysSomething(v json.RawMessage) bool {
	return len(v) > 0 && string(bytes.TrimSpace(v)) != "null"
}

func judgeValue(ask *agent.Ask, a *agent.Answer, valid Validate) error {
	if len(a.Value) == 0 {
		return nil
	}
	if !json.Valid(a.Value) {
		return agent.Refuse(agent.RefusedInvalid, "the answer's value is not JSON: %s", cut(string(a.Value), 80))
	}
	schema := ask.Schema
	switch {
	case ask.Kind == agent.AskApproval && a.Choice == agent.Instead, ask.Kind == agent.AskOutcome:
		schema = ask.Output
	case ask.Kind == agent.AskApproval && a.Choice == agent.Edit:
		if !isObject(a.Value) {
			return agent.Refuse(agent.RefusedInvalid, "edited arguments are a JSON object, and %s came", cut(string(a.Value), 80))
		}
	case ask.Kind == agent.AskApproval: // a null
		schema = nil
	}
	if valid == nil {
		return nil
	}
	if err := valid(orAny(schema), a.Value); err != nil {
		return agent.Refuse(agent.RefusedInvalid, "the answer's value does not fit: %v", err)
	}
	return nil
}

// isObject reports whether a valid JSON value is an object.
func isObject(v json.RawMessage) bool {
	v = bytes.TrimLeft(v, " \t\r\n")
	return len(v) > 0 && v[0] == '{'
}

// orAny returns the schema, or the one that takes any value: also without a
// schema a value is held to be one that every reader reads alike.
func orAny(schema json.RawMessage) json.RawMessage {
	if len(schema) == 0 {
		return json.RawMessage("{}")
	}
	return schema
}

// Digest is the SHA-256 of a JSON value, cut to 128 bits, in hexadecimal. It is
// that of the value and not of its spelling: white space, the order of keys and
// the way characters are escaped do not matter, while every digit of a number
// does.
func Digest(v json.RawMessage) string {
	var value any
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	if json.Valid(v) && d.Decode(&value) == nil {
		if b, err := json.Marshal(value); err == nil {
			v = b
		}
	}
	return hash(v)
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// answerDigest tells answers apart. It is the same for one that was stored and
// read again, whatever the spelling of its value.
func answerDigest(a *agent.Answer) string {
	return hash(fmt.Appendf(nil, "%s\x00%s\x00%s", a.Choice, Digest(a.Value), a.Note))
}

// inputKey returns an input's idempotency key, or "".
func inputKey(e Event) string {
	switch e := e.(type) {
	case *Messaged:
		return e.Key
	case *Signaled:
		return e.Key
	case *Cancelled:
		return e.Key
	case *Retried:
		return e.Key
	case *Redefined:
		return e.Key
	}
	return ""
}

// asRead returns an event as the log gives it back, where bytes that are no UTF-8 text
// are others, for one; and one that has no stored form as it is.
func asRead(e Event) Event {
	if _, read, err := Store(e); err == nil {
		return read
	}
	return e
}

// keyOf returns what an idempotency key stands for: the kind of input and a
// hash of its content, as the log gives it back. Who repeats a message does so in
// another span, and who repeats a definition may find the saved keys changed.
func keyOf(e Event) string {
	if d, ok := e.(*Redefined); ok && d.Keys != nil {
		bare := *d
		bare.Keys = nil
		e = &bare
	}
	if m, ok := e.(*Messaged); ok && m.Trace != "" {
		untraced := *m
		untraced.Trace = ""
		e = &untraced
	}
	b, err := json.Marshal(e)
	if err != nil {
		return e.kind()
	}
	return e.kind() + " " + hash(b)[:16]
}
