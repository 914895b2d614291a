package langchain

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tmc/langchaingo/llms"

	"github.com/fermata-run/fermata/internal/adapter"
)

// What an error means is decided in this order; the first that knows it counts:
//
//  1. a panic, which will happen again
//  2. words that say more than a status does: the conversation is too long, the
//     account has no credit
//  3. an llms.Error's code, where it has one
//  4. the status, as it was seen on the wire, or as the error tells it
//  5. the error of a connection, of a stream that broke off, or of its JSON
//  6. words that promise that it passes
//
// What none of these knows is taken for one that does not pass, so that a person
// looks at it.
func judge(err error, s *seen, now time.Time) *failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &failure{came: textOf(err), cause: err, keys: s.keys}
	if s.err != nil && !strings.Contains(f.came, s.err.Error()) {
		f.came += ": " + s.err.Error() // which openai, for one, keeps to itself
	}
	f.status = statusOf(err, f.came, s.status)
	f.classify(err, s.err)
	if f.transient {
		f.after = max(s.after, askedWait(f.came))
	}
	return f
}

// textOf is all that the error says. An llms.Error does not say its cause.
func textOf(err error) string {
	var e *llms.Error
	if errors.As(err, &e) && e.Cause != nil && e.Cause.Error() != e.Message {
		return err.Error() + ": " + e.Cause.Error()
	}
	return err.Error()
}

var statusText = regexp.MustCompile(`(?i)\b(?:status(?:[ _-]?code)?|error|http)[\s:="]*([345]\d\d)\b`)

// statusOf is the status of a refusal: as it was seen, as the error has it, or
// as its text says; 0 if nobody tells.
func statusOf(err error, text string, seen int) int {
	var has interface{ HTTPStatusCode() int }
	switch {
	case seen >= 300:
		return seen
	case errors.As(err, &has) && has.HTTPStatusCode() >= 300:
		return has.HTTPStatusCode()
	}
	if m := statusText.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // three digits
		return n
	}
	return 0
}

var (
	tooLongWords = regexp.MustCompile(`(?i)context.?length|context.?window|context size|maximum context|(prompt|input|conversation) (is |was )?too long|too many (input )?tokens|reduce the length`)
	cutOffWords  = regexp.MustCompile(`(?i)completed due to (max_tokens|length)`) // bedrock
	quotaWords   = regexp.MustCompile(`(?i)insufficient.?(quota|balance|credit|funds)|credit balance|exceeded your current quota|billing.?(hard.?limit|not.?active)|payment.?required`)
	filterWords  = regexp.MustCompile(`(?i)content.?filter|content.?policy|blocked by safety|safety violation`)
	passingWords = regexp.MustCompile(`(?i)overloaded|rate.?limit|too many requests|resource.?exhausted|unavailable|temporar|try again|server busy|` +
		`time(d)?[- ]?out|deadline|connection (refused|reset)|broken pipe|network error|unexpected eof|internal server error|server had an error|` +
		`(empty|no) (response|results)|no content in generation|runner process|while running the model|model not yet loaded`)
)

const checkKey = "check the provider's API key, and what it may be used for"

func (f *failure) classify(err, wire error) {
	var p panicked
	var coded *llms.Error
	switch {
	case errors.As(err, &p):
		f.hint = "this is a bug of the program, or of langchaingo"
	case tooLongWords.MatchString(f.came) && f.status != http.StatusTooManyRequests:
		f.code = CodeContextLength
		f.hint = "the conversation is longer than the model takes: show it less, or choose a model that takes more"
	case cutOffWords.MatchString(f.came):
		f.code = CodeCutOff
		f.hint = "raise llms.WithMaxTokens in Options.CallOptions, choose a model with a larger context, or ask for less"
	case f.status == http.StatusPaymentRequired, quotaWords.MatchString(f.came) && askedWait(f.came) == 0:
		f.hint = "the account has no credit left: check its plan and billing"
	case errors.As(err, &coded) && f.byCode(coded.Code):
	case f.status != 0:
		f.byStatus()
	case f.byConnection(err), wire != nil && f.byConnection(wire):
	case f.byStream(err):
	case filterWords.MatchString(f.came):
		f.code, f.hint = CodeFiltered, "the content filter refuses the conversation: it has to be changed"
	default:
		f.transient = passingWords.MatchString(f.came) || askedWait(f.came) > 0
	}
}

// byCode reports whether langchaingo's own code says what it is.
func (f *failure) byCode(code llms.ErrorCode) bool {
	switch code {
	case llms.ErrCodeRateLimit, llms.ErrCodeTimeout, llms.ErrCodeProviderUnavailable, llms.ErrCodeCanceled:
		f.transient = true
	case llms.ErrCodeAuthentication:
		f.hint = checkKey
	case llms.ErrCodeQuotaExceeded:
		f.hint = "the account has no credit left: check its plan and billing"
	case llms.ErrCodeResourceNotFound:
		f.hint = "check the model's name"
	case llms.ErrCodeTokenLimit:
		f.code = CodeContextLength
		return true
	case llms.ErrCodeContentFilter:
		f.code = CodeFiltered
		return true
	case llms.ErrCodeInvalidRequest, llms.ErrCodeNotImplemented:
	default:
		return false
	}
	f.code = string(code)
	return true
}

func (f *failure) byStatus() {
	switch s := f.status; {
	case s <= 399:
		f.hint = "a redirect is not followed: give the provider the URL where the endpoint is"
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		f.hint = checkKey
	case s == http.StatusNotFound:
		f.hint = "check the model's name, and the base URL that the provider was given"
	case s == http.StatusRequestTimeout, s == http.StatusConflict, s == http.StatusTooEarly, s == http.StatusTooManyRequests:
		f.transient = true
	case s >= 500 && s != http.StatusNotImplemented:
		f.transient = true
	case filterWords.MatchString(f.came):
		f.code, f.hint = CodeFiltered, "the content filter refuses the conversation: it has to be changed"
	default:
		f.hint = "the provider refuses the request as it is; it may not know a feature or an option that was used"
	}
}

// byConnection reports whether err is that of a connection. What the network does
// may pass; what is wrong with a certificate or a URL does not.
func (f *failure) byConnection(err error) bool {
	var (
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		wrong   x509.HostnameError
		record  tls.RecordHeaderError
		network net.Error
		at      *url.Error
	)
	switch {
	case errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &wrong):
		f.hint = "the endpoint's certificate is not trusted: check the base URL that the provider was given"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		f.hint = "the endpoint does not speak TLS: its URL may have to begin with http://"
	case errors.As(err, &at) && (at.Op == "parse" || strings.Contains(at.Error(), "unsupported protocol scheme") || strings.Contains(at.Error(), "no Host in")):
		f.hint = "check the base URL that the provider was given"
	case errors.As(err, &network), errors.Is(err, net.ErrClosed), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		f.transient = true
	default:
		return false
	}
	return true
}

// byStream reports whether err is that of a stream or an answer which was not
// what it should be.
func (f *failure) byStream(err error) bool {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.transient = true
	case errors.Is(err, bufio.ErrTooLong):
		f.unsaid = true
		f.hint = "the provider reads lines of up to 64 KiB from a stream: set Options.NoStream"
	case errors.As(err, &syntax):
		f.transient = syntax.Error() != "invalid character '<' looking for beginning of value"
		if !f.transient {
			f.hint = "a web page came instead of an answer: check the base URL that the provider was given"
		}
	default:
		return false
	}
	return true
}

var waitText = regexp.MustCompile(`(?i)\b(?:try again|retry)(?: again)? (?:in|after) (?:about )?((?:\d+(?:\.\d+)?(?:ms|s|m|h))+)\b`)

// askedWait is how long an error asks for in words, such as "Please try again in
// 1.5s"; 0 if it does not.
func askedWait(text string) time.Duration {
	m := waitText.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		return 0
	}
	return min(d, adapter.LongestWait)
}
