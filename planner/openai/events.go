package openai

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
)

// events is the body of an answer made into a clean event stream for
// go-openai's reader: one line "data: <JSON>" per event and nothing else. It takes
// an event stream or an answer in one piece, whatever was asked for and whatever
// the content type says. Anything else, and a connection that breaks, is a
// *failure. An end is io.EOF; exchange.done tells whether the answer itself has
// said that it is complete.
type events struct {
	x      *exchange
	closer io.Closer
	src    *bufio.Reader
	typ    string // content type

	began bool   // what kind of answer it is, is known
	whole bool   // it is in one piece
	some  bool   // an event has come
	line  []byte // what is still to be handed out
	err   error  // what comes behind it
}

const (
	lineRoom = 64 << 10 // for what surrounds the words of one event
	wireRoom = 16       // how many times the words the whole of a stream may be
)

func newEvents(x *exchange, resp *http.Response) *events {
	e := &events{x: x, closer: resp.Body, typ: resp.Header.Get("Content-Type")}
	e.src = readers.Get().(*bufio.Reader)
	e.src.Reset(&meter{src: resp.Body, left: wireRoom*x.m.opts.MaxAnswer + lineRoom, max: x.m.opts.MaxAnswer})
	return e
}

// readers are those of answers that have been read.
var readers = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

func (e *events) Close() error {
	if e.src != nil {
		e.src.Reset(nil)
		readers.Put(e.src)
		e.src, e.err = nil, http.ErrBodyReadAfterClose
	}
	return e.closer.Close()
}

// Read hands out one line at a time.
func (e *events) Read(p []byte) (int, error) {
	for len(e.line) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		if err := e.fill(); err != nil {
			e.err = err
			if !errors.Is(err, io.EOF) {
				e.err = e.x.failure(err)
			}
		}
	}
	n := copy(p, e.line)
	e.line = e.line[n:]
	return n, nil
}

// fill reads the next event, if there is one in what comes next.
func (e *events) fill() error {
	if !e.began {
		if err := e.begin(); err != nil {
			return err
		}
		e.began = true
	}
	if e.whole {
		return e.document()
	}
	line, err := e.readLine()
	if len(line) > 0 && (err == nil || errors.Is(err, io.EOF)) {
		if done := e.take(line); done {
			return io.EOF
		}
	}
	return err
}

// begin finds out what kind of answer it is by its first bytes. Blank lines
// before them are signs of life of a slow endpoint.
func (e *events) begin() error {
	for {
		first, err := e.src.Peek(1)
		if err != nil {
			if errors.Is(err, io.EOF) {
				return &failure{came: "an empty answer", transient: true}
			}
			return err
		}
		switch c := first[0]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0xEF || c == 0xBB || c == 0xBF: // or the byte order mark
			_, _ = e.src.Discard(1) // it was peeked
		case c == '{' || c == '[':
			e.whole = true
			e.progress()
			return nil
		case e.isStream():
			return nil
		default:
			return e.foreign()
		}
	}
}

// isStream reports whether an event stream begins here.
func (e *events) isStream() bool {
	if strings.HasPrefix(e.typ, "text/event-stream") {
		return true
	}
	head, _ := e.src.Peek(1) // it was peeked before
	if head[0] == ':' {
		return true
	}
	head, _ = e.src.Peek(5) // fewer are no field
	for _, field := range []string{"data:", "event", "id:", "retry"} {
		if bytes.HasPrefix(head, []byte(field)) {
			return true
		}
	}
	return false
}

// foreign tells of an answer that is neither a stream nor JSON.
func (e *events) foreign() error {
	b, _ := io.ReadAll(io.LimitReader(e.src, 1024)) // what came is enough
	if isPage(b) {
		return &failure{came: "a web page instead of an answer" + titleOf(b),
			hint: "check that /chat/completions follows Options.BaseURL; it usually ends in /v1"}
	}
	return &failure{came: "neither JSON nor an event stream but " + quote(e.typ) + ", which begins with " + quote(string(b)), transient: true}
}

// document reads an answer in one piece. It does not wait for the connection's
// end behind it.
func (e *events) document() error {
	var raw json.RawMessage
	limited := &meter{src: e.src, left: e.x.m.opts.MaxAnswer*2 + lineRoom, max: e.x.m.opts.MaxAnswer, each: 4 << 10, tick: e.progress}
	err := json.NewDecoder(limited).Decode(&raw)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return &failure{came: "an answer that is not JSON: " + syntax.Error(), transient: true}
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return &failure{came: "an answer that ends in the middle", transient: true, cause: err}
	case err != nil:
		return err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return &failure{came: "an answer that is not JSON", transient: true}
	}
	e.event(line.Bytes())
	e.complete()
	return io.EOF
}

// take makes an event of a line of the stream, if it holds one, and reports
// whether it says that the answer is complete. Event names, ids and comments
// carry nothing in this protocol, but they are signs of life.
func (e *events) take(line []byte) (done bool) {
	line = bytes.TrimSpace(line)
	payload, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok && bytes.HasPrefix(line, []byte("{")) {
		payload, ok = line, true // an error object that was not wrapped
	}
	payload = bytes.TrimSpace(payload)
	switch {
	case len(line) == 0:
	case !ok || len(payload) == 0:
		if e.some {
			e.progress()
		}
	case string(payload) == "[DONE]":
		e.complete()
		return true
	default:
		e.some = true
		e.progress()
		e.event(payload)
	}
	return false
}

func (e *events) progress() {
	e.x.watch.expect(e.x.m.opts.IdleTimeout, "nothing more of the answer came")
}

// event hands a payload out. go-openai would take one that begins with {"error":
// for an error and lose what it does not know of it; a space hides it, and
// answer.go reads it.
func (e *events) event(payload []byte) {
	out := append(make([]byte, 0, len(payload)+8), "data: "...)
	if rest, ok := bytes.CutPrefix(payload, []byte(`{"error"`)); ok {
		out = append(append(out, `{ "error"`...), rest...)
	} else {
		out = append(out, payload...)
	}
	e.line = append(out, '\n')
}

// complete notes that the answer is complete, and reads the end of the
// connection's answer, which is due now, so that the connection can be used
// again.
func (e *events) complete() {
	e.x.done = true
	e.x.watch.expect(e.x.m.drain, "the end of the answer did not come")
	_, _ = io.Copy(io.Discard, io.LimitReader(e.src, lineRoom)) // the answer is complete, whatever comes
}

// readLine reads up to a line's end, within limits.
func (e *events) readLine() ([]byte, error) {
	line, err := e.src.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := append([]byte(nil), line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if line, err = e.src.ReadSlice('\n'); len(long) > 2*e.x.m.opts.MaxAnswer+lineRoom {
			return nil, tooLarge(e.x.m.opts.MaxAnswer)
		}
		long = append(long, line...)
	}
	return long, err
}

// meter reads no more than left bytes, and ticks for each so many.
type meter struct {
	src  io.Reader
	left int
	max  int // for the error
	each int
	tick func()
	n    int
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.src.Read(p)
	if m.left -= n; m.left < 0 {
		return 0, tooLarge(m.max)
	}
	if m.n += n; m.each > 0 && m.n >= m.each {
		m.n = 0
		m.tick()
	}
	return n, err
}

func tooLarge(limit int) *failure {
	return &failure{came: "an answer larger than " + bytesText(limit), hint: "raise Options.MaxAnswer if that is wanted"}
}
