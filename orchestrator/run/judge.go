package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// The bounds of inputs.
const (
	MaxMessage = 1 << 20             // bytes of a message's text and media, an answer's value or a signal's data
	MaxInput   = MaxMessage + 64<<10 // bytes of any input, as recorded
	MaxSignals = 1000                // signals kept for a wait that has not come yet
	MaxKept    = 4 << 20             // bytes of their data
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
			if before == keyOf(e) {
				return false, nil
			}
			return false, agent.Refuse(agent.RefusedConflict, "the idempotency key %q was used for another input of run %s; use a new key for a new input", key, s.Run)
		}
	}
	switch e := e.(type) {
	case *Messaged:
		err = s.judgeMessage(e)
	case *Answered:
		return s.judgeAnswer(e, valid)
	case *Signaled:
		err = s.judgeSignal(e)
	case *Cancelled:
		if s.Ending != nil && s.Ending.Status == agent.StatusCancelled {
			return false, nil
		}
		err = s.refuseEnded("be cancelled")
	case *Retried:
		err = s.judgeRetry()
	}
	if err != nil {
		return false, err
	}
	return true, nil
}

// judgeRetry lets a run be retried until it is over: one that ends may be stuck
// with a begun call.
func (s *State) judgeRetry() error {
	if s.Ended {
		return s.refuseEnded("be retried")
	}
	if s.Stuck == nil && !s.backingOff() {
		return agent.Refuse(agent.RefusedConflict, "run %s is %s, and only a stuck run, or one that waits for its next attempt, can be retried", s.Run, s.Status())
	}
	return nil
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
	if s.Terms.OnMessage == agent.Reject && (s.Turn.Open || s.wrote() && s.wantsPlan()) {
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
	if len(e.Data) > 0 && !json.Valid(e.Data) {
		return agent.Refuse(agent.RefusedInvalid, "the data of signal %q is not JSON", e.Name)
	}
	awaited := slices.ContainsFunc(s.Open, func(o *Open) bool { return o.Phase == Awaiting && o.Action.Name == e.Name })
	kept := len(e.Data)
	for _, k := range s.Signals {
		kept += len(k.Data)
	}
	if (len(s.Signals) >= MaxSignals || kept > MaxKept) && !awaited {
		return agent.Refuse(agent.RefusedConflict, "run %s keeps %d signals that nothing has waited for, and takes no more", s.Run, len(s.Signals))
	}
	return tooLarge("signal", len(e.Data))
}

func (s *State) judgeAnswer(e *Answered, valid Validate) (bool, error) {
	var ask *agent.Ask
	for _, a := range s.Asks() {
		if a.ID == e.Ask {
			ask = a
		}
	}
	if ask == nil {
		return false, s.refuseClosed(e)
	}
	if err := tooLarge("answer", len(e.Answer.Value)+len(e.Answer.Note)); err != nil {
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
	if (a.Choice == agent.Edit || a.Choice == agent.Instead) && ask.Kind == agent.AskApproval && len(a.Value) == 0 {
		return agent.Refuse(agent.RefusedInvalid, "the answer %q needs a value: %s", a.Choice, map[string]string{
			agent.Edit: "the arguments to use", agent.Instead: "the result to give"}[a.Choice])
	}
	return nil
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
	case ask.Kind == agent.AskApproval && a.Choice == agent.Instead:
		schema = ask.Output
	case ask.Kind == agent.AskApproval && a.Choice == agent.Edit:
		if !isObject(a.Value) {
			return agent.Refuse(agent.RefusedInvalid, "edited arguments are a JSON object, and %s came", cut(string(a.Value), 80))
		}
	case ask.Kind == agent.AskApproval:
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
	}
	return ""
}

// keyOf returns what an idempotency key stands for: the kind of input and a
// hash of its content. JSON in it counts as Marshal spells it, which is the same
// before it is stored and after. Who repeats a message does so in another span.
func keyOf(e Event) string {
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
