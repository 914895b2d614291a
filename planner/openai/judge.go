package openai

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/fermata-run/fermata/internal/adapter"
)

// problem is what an endpoint says went wrong.
type problem struct {
	message, typ, code string
	status             int // where the code is a status
}

// parseProblem finds the problem in what an endpoint sent. They come as
// {"error": {…}}, {"error": "…"}, [{"error": {…}}], {"object": "error", …} and
// {"detail": …}. ok says that there is one.
func parseProblem(raw []byte) (p problem, ok bool) {
	if !json.Valid(raw) {
		return p, false
	}
	eachItem(raw, func(item json.RawMessage) {
		if !ok {
			p, ok = problemIn(item)
		}
	})
	if !ok {
		p, ok = problemIn(raw)
	}
	return p, ok
}

// problemIn is parseProblem for a valid object.
func problemIn(raw json.RawMessage) (p problem, ok bool) {
	var outer problem
	bare := false
	eachField(raw, func(name string, v json.RawMessage) {
		switch {
		case name == "error" && said(v):
			p, ok = problem{message: text(v)}, true
			eachField(v, p.take)
			if p.message == "" {
				p.message = string(v)
			}
		case name == "detail" && said(v), name == "object" && text(v) == "error":
			bare = true
		}
		outer.take(name, v)
	})
	if !ok && (bare || outer.status != 0) {
		p, ok = outer, true
	}
	return p, ok
}

// take takes one field of an error object.
func (p *problem) take(name string, v json.RawMessage) {
	switch name {
	case "message", "detail":
		if p.message = text(v); p.message == "" && said(v) {
			p.message = string(v)
		}
	case "type":
		p.typ = text(v)
	case "code", "status":
		if n, ok := number(v); ok {
			if n >= 400 && n <= 599 {
				p.status = n
			}
		} else if s := text(v); s != "" {
			p.code = s
		}
	case "metadata": // OpenRouter puts here what the model's own provider said
		eachField(v, func(name string, v json.RawMessage) {
			if name == "raw" && said(v) {
				if p.message += ": "; v[0] == '"' {
					p.message += text(v)
				} else {
					p.message += string(v)
				}
			}
		})
	}
}

var (
	tooLongWords = regexp.MustCompile(`(?i)context.?length|context.?window|context size|maximum (context|prompt)|(prompt|input|conversation) (is |was )?too long|too many (input )?tokens|reduce the length`)
	quotaWords   = regexp.MustCompile(`(?i)insufficient.?(quota|balance|credit|funds)|billing.?(hard.?limit|not.?active)|payment.?required`)
	filterWords  = regexp.MustCompile(`(?i)content.?filter|content.?policy|safety`)
	badKeyWords  = regexp.MustCompile(`(?i)invalid.?api.?key|authentication|unauthorized|permission.?denied`)
	busyWords    = regexp.MustCompile(`(?i)rate.?limit|overloaded|resource.?exhausted`)
	noModelWords = regexp.MustCompile(`(?i)model.?not.?found|model_not_available|not_found_error`)
	badWords     = regexp.MustCompile(`(?i)invalid.?(request|argument|param)|bad.?request|unsupported`)
)

// judge decides what a bad status, or an error object in an answer whose status
// was 200, means: whether it may pass, and what to do about it.
func judge(status int, raw []byte, h http.Header) *failure {
	p, ok := parseProblem(raw)
	f := &failure{status: status, code: p.code, came: p.message, text: string(raw)}
	if f.code == "" {
		f.code = p.typ
	}
	switch {
	case ok && p.message == "" && said(raw):
		f.came = string(raw)
	case !ok && isPage(raw):
		f.came = "a web page" + titleOf(raw)
	case !ok && len(bytes.TrimSpace(raw)) > 0:
		f.came = string(raw)
	}
	if status >= 200 && status < 300 {
		f.status = p.status // the endpoint put it there, or nowhere
		f.came = "an error instead of an answer: " + f.came
	}
	// A few kilobytes are enough to know it by, however much was sent.
	f.classify(p.code[:min(len(p.code), 4<<10)]+" "+p.typ[:min(len(p.typ), 4<<10)], p.message[:min(len(p.message), 4<<10)], h)
	if f.transient {
		f.after = adapter.RetryAfter(h, time.Now())
	}
	return f
}

// classify sets the hint, and whether f may pass. Words of the endpoint's code
// count more than the status, which some endpoints and proxies choose freely.
func (f *failure) classify(code, message string, h http.Header) {
	switch status := f.status; {
	case status >= 300 && status <= 399:
		f.came = "a redirect to " + locationHost(h) + ", which was not followed"
		f.hint = "set Options.BaseURL or OPENAI_BASE_URL to where the endpoint is"
	case quotaWords.MatchString(code) || status == http.StatusPaymentRequired:
		f.hint = "the account has no credit left: check its plan and billing"
	case tooLongWords.MatchString(code) || status != http.StatusTooManyRequests && tooLongWords.MatchString(message):
		f.code = CodeContextLength
		f.hint = "the conversation is longer than the model takes: show it less, or choose a model that takes more"
	case status == http.StatusUnauthorized:
		f.hint = "check the key in OPENAI_API_KEY or Options.APIKey, and that it belongs to this host"
	case status == http.StatusForbidden:
		f.hint = "the key in OPENAI_API_KEY or Options.APIKey may not use this model or endpoint"
	case status == http.StatusNotFound:
		f.hint = "check the model's name, and that /chat/completions follows Options.BaseURL; it usually ends in /v1"
	case status == http.StatusTooManyRequests || busyWords.MatchString(code):
		f.transient = true
	case filterWords.MatchString(code):
		f.code = CodeFiltered
		f.hint = "the endpoint's content filter refuses the conversation"
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusTooEarly:
		f.transient = true
	case status >= 500 && status != http.StatusNotImplemented:
		f.transient = true
	case status != 0:
		f.hint = "the endpoint refuses the request as it is; it may not know a feature or an option that was used"
	case badKeyWords.MatchString(code):
		f.hint = "check the key in OPENAI_API_KEY or Options.APIKey, and that it belongs to this host"
	case noModelWords.MatchString(code):
		f.hint = "check the model's name"
	case badWords.MatchString(code):
		f.hint = "the endpoint refuses the request as it is; it may not know a feature or an option that was used"
	default:
		f.transient = true
	}
}

// locationHost names where a redirect leads without its path, which may hold
// anything.
func locationHost(h http.Header) string {
	u, err := url.Parse(h.Get("Location"))
	if err != nil || u.Host == "" {
		return "another path of the same host"
	}
	return u.Scheme + "://" + u.Host
}

var title = regexp.MustCompile(`(?is)<title[^>]*>(.{0,200}?)</title>`)

func isPage(b []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(b), []byte("<")) }

// titleOf is the title of a web page, for an error message.
func titleOf(page []byte) string {
	if t := title.FindSubmatch(page); t != nil {
		return " titled " + quote(string(t[1]))
	}
	return ""
}
