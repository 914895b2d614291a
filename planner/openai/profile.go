package openai

import "strings"

// A profile is how an endpoint wants its requests. It begins with what OpenAI
// wants; what an endpoint refuses is learned from its error, once, and the
// request is sent again the other way.
type profile struct {
	quirks        quirks
	settings      []byte // the fields of the body that never change, from the first comma on
	conversations conversations
}

// quirks are ways in which an endpoint differs from OpenAI's.
type quirks uint8

const (
	noStreamOptions quirks = 1 << iota // it refuses stream_options: usage is not told
	oldMaxTokens                       // it knows max_tokens and not max_completion_tokens
	wantsReasoning                     // it wants its reasoning_content back
)

// lessons are the words in a refusal that give a quirk away.
var lessons = []struct {
	quirk quirks
	words []string
}{
	{noStreamOptions, []string{"stream_options", "include_usage"}},
	{oldMaxTokens, []string{"max_completion_tokens"}},
	{wantsReasoning, []string{"reasoning_content"}},
}

func (m *Model) newProfile(q quirks) (*profile, error) {
	settings, err := m.opts.settings(q)
	return &profile{quirks: q, settings: settings}, err
}

// learn reports whether the failure of a request made under p shows how the
// endpoint wants it, so that it is to be sent again.
func (m *Model) learn(p *profile, f *failure) bool {
	if f.status != 400 && f.status != 422 {
		return false
	}
	text := strings.ToLower(f.text)
	for _, l := range lessons {
		for _, w := range l.words {
			if p.quirks&l.quirk != 0 || !strings.Contains(text, w) {
				continue
			}
			next, err := m.newProfile(p.quirks | l.quirk)
			if err != nil {
				return false // cannot happen: the settings had a JSON form before
			}
			// Where another request has learned meanwhile, its lesson holds, and
			// this one's is learned again at the next refusal.
			m.profile.CompareAndSwap(p, next)
			return true
		}
	}
	return false
}
