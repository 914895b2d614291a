package chatserver

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Fault is a way in which an endpoint misbehaves. Those that end in the
// middle send a part of the reply that they are set on.
type Fault string

const (
	FaultHangHeader Fault = "hang-before-header" // nothing comes, not even a status
	FaultHangBody   Fault = "hang-after-header"  // a status, and nothing more
	FaultHangMiddle Fault = "hang-mid-stream"    // half of the reply, and nothing more
	FaultHangEnd    Fault = "hang-before-done"   // the whole reply but [DONE], and the connection stays open
	FaultDrip       Fault = "drip"               // the reply byte by byte, each after 20 ms
	FaultCut        Fault = "cut-mid-stream"     // half of the events, and the connection is cut
	FaultCutJSON    Fault = "cut-mid-json"       // as FaultCut, and the last event is half
	FaultEmpty      Fault = "empty"              // 200 and a clean end before any event
	FaultNoDone     Fault = "no-done"            // the whole reply, and a clean end without [DONE]
	FaultNoFinish   Fault = "no-finish"          // half of the reply, and a clean end
	FaultNoChoices  Fault = "no-choices"         // an empty list of choices
	FaultNoContent  Fault = "no-content"         // an answer with neither words nor calls
	FaultBroken     Fault = "broken-json"        // an event, or an answer, that is not JSON
	FaultHuge       Fault = "huge"               // ten megabytes of words
	FaultGzip       Fault = "gzip"               // says it is compressed, and is not
	FaultHTML       Fault = "html"               // a web page with 200
	FaultErrorOK    Fault = "error-with-200"     // an error object with 200
	FaultErrorMid   Fault = "error-mid-stream"   // half of the reply, then an error object
	FaultGateway    Fault = "bad-gateway"        // 502 with a web page
	FaultServer     Fault = "server-error"       // 500
	FaultUnavail    Fault = "unavailable"        // 503
	FaultOverloaded Fault = "overloaded"         // 529
	FaultRateLimit  Fault = "rate-limit"         // 429 with Retry-After: 1
	FaultRateLong   Fault = "rate-limit-long"    // 429 with Retry-After: 3600
	FaultQuota      Fault = "quota"              // 429 insufficient_quota
	FaultKey        Fault = "wrong-key"          // 401, with the key in its message
	FaultForbidden  Fault = "forbidden"          // 403
	FaultNoModel    Fault = "no-model"           // 404 model_not_found
	FaultTooLong    Fault = "context-length"     // 400 context_length_exceeded
	FaultLength     Fault = "finish-length"      // half of the reply with finish_reason length
	FaultFilter     Fault = "finish-filter"      // half of the reply with finish_reason content_filter
)

// Faults lists the names of all faults.
func Faults() []string {
	var names []string
	for f := range middles {
		names = append(names, string(f))
	}
	for f := range statuses {
		names = append(names, string(f))
	}
	slices.Sort(names)
	return names
}

func (f Fault) known() bool { return slices.Contains(Faults(), string(f)) }

// play makes what the fault sends instead of the reply.
func (f Fault) play(r Reply, req *request, h *http.Request) play {
	if s, ok := statuses[f]; ok {
		key := strings.TrimPrefix(h.Header.Get("Authorization"), "Bearer ")
		p := errorPlay(s.status, s.typ, s.code, strings.NewReplacer("{key}", key, "{model}", req.Model).Replace(s.message))
		if s.retryAfter != "" {
			p.header["Retry-After"] = s.retryAfter
		}
		p.delay = time.Duration(r.Delay)
		return p
	}
	p := r.play(req)
	if middle, ok := middles[f]; ok {
		middle(&p, r, req)
		return p
	}
	return errorPlay(http.StatusInternalServerError, "server_error", "script", "chatserver: there is no fault "+string(f))
}

// middles change the well-behaved answer.
var middles = map[Fault]func(p *play, r Reply, req *request){
	FaultHangHeader: func(p *play, _ Reply, _ *request) { p.status, p.end = -1, EndHang },
	FaultHangBody:   func(p *play, _ Reply, _ *request) { p.pieces, p.end = nil, EndHang },
	FaultHangMiddle: func(p *play, _ Reply, _ *request) { p.half(); p.end = EndHang },
	FaultHangEnd:    func(p *play, _ Reply, req *request) { p.undone(req); p.end = EndHang },
	FaultDrip: func(p *play, _ Reply, _ *request) {
		all := strings.Join(p.pieces, "")
		*p = (&Raw{Header: p.header, Body: all, Drip: Duration(20 * time.Millisecond)}).play()
	},
	FaultCut:     func(p *play, _ Reply, _ *request) { p.half(); p.end = EndCut },
	FaultCutJSON: func(p *play, _ Reply, _ *request) { p.half(); p.halfPiece(); p.end = EndCut },
	FaultEmpty:   func(p *play, _ Reply, _ *request) { p.pieces = nil },
	FaultNoDone:  func(p *play, _ Reply, req *request) { p.undone(req) },
	FaultNoFinish: func(p *play, _ Reply, _ *request) {
		p.half()
	},
	FaultNoChoices: func(p *play, _ Reply, req *request) {
		p.payload(req, `{"id":"x","object":"chat.completion","model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":1}}`)
	},
	FaultNoContent: func(p *play, r Reply, req *request) {
		*p = Reply{Delay: r.Delay}.play(req)
	},
	FaultBroken: func(p *play, _ Reply, req *request) {
		p.payload(req, `{"id":"x","choices":[{"delta":{"content":nope}}]}`)
	},
	FaultHuge: func(p *play, r Reply, req *request) {
		line := strings.Repeat("fermata ", 8192) // 64 KiB, one word for the stream
		r.Text, r.Calls = strings.Repeat(strings.ReplaceAll(line, " ", "_")+" ", 160), nil
		*p = r.play(req)
	},
	FaultGzip: func(p *play, _ Reply, _ *request) { p.header["Content-Encoding"] = "gzip" },
	FaultHTML: func(p *play, _ Reply, _ *request) {
		p.header, p.pieces = map[string]string{"Content-Type": "text/html"}, []string{page}
	},
	FaultGateway: func(p *play, _ Reply, _ *request) {
		p.status, p.header, p.pieces = http.StatusBadGateway, map[string]string{"Content-Type": "text/html"}, []string{page}
	},
	FaultErrorOK: func(p *play, _ Reply, req *request) {
		p.payload(req, errorBody("server_error", "server_error", "The server had an error."))
	},
	FaultErrorMid: func(p *play, _ Reply, req *request) {
		p.half()
		if !req.Stream {
			p.pieces = nil
		}
		p.pieces = append(p.pieces, framed(req, errorBody("server_error", "server_error", "The server had an error.")))
	},
	FaultLength: func(p *play, r Reply, req *request) { r.Finish = "length"; *p = r.play(req) },
	FaultFilter: func(p *play, r Reply, req *request) { r.Finish = "content_filter"; *p = r.play(req) },
}

const page = "<!DOCTYPE html>\n<html><head><title>Welcome to the gateway</title></head>\n<body><h1>It works</h1></body></html>\n"

// half keeps half of the pieces, but at least one: of a whole answer, half of
// its bytes.
func (p *play) half() {
	if len(p.pieces) == 1 {
		p.halfPiece()
		return
	}
	p.pieces = p.pieces[:max(1, len(p.pieces)/2)]
}

func (p *play) halfPiece() {
	last := len(p.pieces) - 1
	p.pieces[last] = p.pieces[last][:len(p.pieces[last])/2]
}

// undone takes away the end of a stream.
func (p *play) undone(req *request) {
	if req.Stream {
		p.pieces = p.pieces[:len(p.pieces)-1]
	}
}

// payload makes s the only thing that is sent.
func (p *play) payload(req *request, s string) { p.pieces = []string{framed(req, s)} }

func framed(req *request, s string) string {
	if req.Stream {
		return event(s)
	}
	return s
}

type statusFault struct {
	status                         int
	typ, code, message, retryAfter string
}

// statuses are the faults that a status tells.
var statuses = map[Fault]statusFault{
	FaultServer:     {500, "server_error", "server_error", "The server had an error while processing your request.", ""},
	FaultUnavail:    {503, "service_unavailable", "service_unavailable", "The engine is currently overloaded.", ""},
	FaultOverloaded: {529, "overloaded_error", "overloaded", "Overloaded.", ""},
	FaultRateLimit:  {429, "requests", "rate_limit_exceeded", "Rate limit reached for {model}.", "1"},
	FaultRateLong:   {429, "requests", "rate_limit_exceeded", "Rate limit reached for {model}.", "3600"},
	FaultQuota:      {429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota.", ""},
	FaultKey:        {401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: {key}.", ""},
	FaultForbidden:  {403, "invalid_request_error", "forbidden", "Country, region, or territory not supported.", ""},
	FaultNoModel:    {404, "invalid_request_error", "model_not_found", "The model {model} does not exist or you do not have access to it.", ""},
	FaultTooLong:    {400, "invalid_request_error", "context_length_exceeded", "This model's maximum context length is 8192 tokens.", ""},
}
