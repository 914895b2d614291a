package langchain

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

// secrets are what no error may show. The keys themselves are known to the
// providers only, so these are what the program names, what the environment has
// as keys, what was sent through [HTTPClient], and all that looks like a key.
type secrets struct{ list []string }

func newSecrets(given []string) secrets {
	s := secrets{}.with(given)
	for _, env := range os.Environ() {
		name, value, _ := strings.Cut(env, "=")
		if strings.HasSuffix(name, "_API_KEY") || strings.HasSuffix(name, "_API_TOKEN") {
			s = s.with([]string{value})
		}
	}
	return s
}

// with returns s with more secrets.
func (s secrets) with(more []string) secrets {
	if len(more) == 0 {
		return s
	}
	list := slices.Clone(s.list)
	for _, v := range more {
		v = strings.TrimSpace(v)
		for _, secret := range []string{v, url.QueryEscape(v)} {
			if len(secret) >= 4 && !slices.Contains(list, secret) { // a shorter one hides nothing, but would blot out words
				list = append(list, secret)
			}
		}
	}
	// The longest first, so that no part of one remains.
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	return secrets{list}
}

// What looks like a key: by itself, by what stands before it, as the password of
// a URL.
var (
	bareKey     = regexp.MustCompile(`\b(?:sk-[\w-]{6,}[\w*-]*|AIza[\w-]{20,}|gsk_\w{8,}|hf_\w{8,}|AKIA[0-9A-Z]{12,})`)
	namedKey    = regexp.MustCompile(`(?i)(\bbearer\s+|\b(?:api_?)?key=|\bapi[ _-]?key(?: provided)?["']?\s*[:=]\s*["']?)[^\s"'&,;)]{4,}`)
	urlPassword = regexp.MustCompile(`(://[^/\s:@]*:)[^\s/@]+@`)
)

func (s secrets) hide(text string) string {
	for _, secret := range s.list {
		text = strings.ReplaceAll(text, secret, "[key]")
	}
	text = bareKey.ReplaceAllString(text, "[key]")
	text = namedKey.ReplaceAllString(text, "${1}[key]")
	return urlPassword.ReplaceAllString(text, "${1}[key]@")
}
