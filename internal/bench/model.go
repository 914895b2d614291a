package bench

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// serveModel is the process of the scripted model: it prints its base URL and
// serves until stdin ends.
func serveModel(stdin io.Reader, stdout io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("the model finds no port: %w", err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(answer), ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // whatever ends it, the parent is gone
		_ = srv.Close()
	}()
	if _, err := fmt.Fprintf(stdout, "http://%s/v1\n", l.Addr()); err != nil {
		return err
	}
	if err := srv.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// What the model looks for in a request. A quotation mark within a text is
// escaped, so that none of it can stand in what somebody says; go-openai and
// planner/openai both encode without spaces.
var (
	assistantMark = []byte(`"role":"assistant"`)
	streamMark    = []byte(`"stream":true`)
	modelMark     = []byte(`"model":"loop-`)
)

// asked is what the model has to know of a request.
type asked struct {
	steps  int // how many calls the conversation is to have
	step   int // how many there are already
	stream bool
}

// understand finds out what is asked without decoding the body.
func understand(body []byte) (asked, error) {
	_, name, found := bytes.Cut(body, modelMark)
	end := bytes.IndexByte(name, '"')
	if !found || end < 0 {
		return asked{}, fmt.Errorf("the model of the request is not named loop-N")
	}
	steps, err := strconv.Atoi(string(name[:end]))
	if err != nil {
		return asked{}, fmt.Errorf("the model of the request is named loop-%s; N must be a number", name[:end])
	}
	return asked{steps, bytes.Count(body, assistantMark), bytes.Contains(body, streamMark)}, nil
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// answer answers one request for a completion.
func answer(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/chat/completions" {
		http.NotFound(w, r)
		return
	}
	body := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(body)
	body.Reset()
	if n := r.ContentLength; n > 0 && n < 64<<20 {
		body.Grow(int(n) + bytes.MinRead)
	}
	_, err := body.ReadFrom(r.Body)
	a, wrong := understand(body.Bytes())
	if err == nil {
		err = wrong
	}
	if err != nil {
		http.Error(w, `{"error":{"message":`+strconv.Quote(err.Error())+`}}`, http.StatusBadRequest)
		return
	}
	kind := "application/json"
	if a.stream {
		kind = "text/event-stream"
	}
	reply := a.reply(body.Len())
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(reply)))
	_, _ = w.Write(reply) // a client that has gone does not want it
}

// quotedArgs are the arguments as they stand in a call: a string.
var quotedArgs = string(mustJSON(string(theArgs)))

// reply is the answer to a request whose body has size bytes.
func (a asked) reply(size int) []byte {
	said, finish := `"content":"`+farewell+`"`, "stop"
	if a.step < a.steps {
		index := ""
		if a.stream {
			index = `"index":0,`
		}
		said = `"content":null,"tool_calls":[{` + index + `"id":"call_` + fmt.Sprintf("%06d", a.step) +
			`","type":"function","function":{"name":"` + toolName + `","arguments":` + quotedArgs + `}}]`
		finish = "tool_calls"
	}
	in, out := size/4, len(said)/4
	usage := fmt.Sprintf(`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, in, out, in+out)
	head := `{"id":"chatcmpl-1","created":1700000000,"model":"` + loopName(a.steps) + `","object":"chat.completion`
	var b strings.Builder
	if !a.stream {
		b.WriteString(head + `","choices":[{"index":0,"message":{"role":"assistant",` + said + `},"finish_reason":"` + finish + `"}],` + usage + `}`)
		return []byte(b.String())
	}
	b.WriteString("data: " + head + `.chunk","choices":[{"index":0,"delta":{"role":"assistant",` + said + `},"finish_reason":null}]}` + "\n\n")
	b.WriteString("data: " + head + `.chunk","choices":[{"index":0,"delta":{},"finish_reason":"` + finish + `"}]}` + "\n\n")
	b.WriteString("data: " + head + `.chunk","choices":[],` + usage + "}\n\ndata: [DONE]\n\n")
	return []byte(b.String())
}
