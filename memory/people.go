package memory

import (
	"fmt"
	"net/url"
	"strings"
)

// People returns For, Not and Claimed in one text, in which a store may keep them:
// each id behind a sign ("+" may answer, "-" may not, "=" has claimed it) and with
// commas between. Spaces, commas, percent signs and control characters in an id are
// escaped as in a URL. "" is nobody in particular.
func (e *AskEntry) People() string {
	var b strings.Builder
	for _, id := range e.For {
		addPerson(&b, '+', id)
	}
	for _, id := range e.Not {
		addPerson(&b, '-', id)
	}
	if e.Claimed != "" {
		addPerson(&b, '=', e.Claimed)
	}
	return b.String()
}

func addPerson(b *strings.Builder, sign byte, id string) {
	if b.Len() > 0 {
		b.WriteByte(',')
	}
	b.WriteByte(sign)
	for i := 0; i < len(id); i++ {
		if c := id[i]; c <= ' ' || c == ',' || c == '%' || c == 0x7f {
			fmt.Fprintf(b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
}

// SetPeople sets For, Not and Claimed to what People has returned. An error says
// that text is nothing of the kind.
func (e *AskEntry) SetPeople(text string) error {
	e.For, e.Not, e.Claimed = nil, nil, ""
	for rest, more := text, text != ""; more; {
		var item string
		item, rest, more = strings.Cut(rest, ",")
		if item == "" {
			return fmt.Errorf("memory: %q names no people", text)
		}
		id := item[1:]
		if strings.IndexByte(id, '%') >= 0 {
			var err error
			if id, err = url.PathUnescape(id); err != nil {
				return fmt.Errorf("memory: %q names no people: %w", text, err)
			}
		}
		switch item[0] {
		case '+':
			e.For = append(e.For, id)
		case '-':
			e.Not = append(e.Not, id)
		case '=':
			e.Claimed = id
		default:
			return fmt.Errorf("memory: %q names no people: one has no sign of what they are", text)
		}
	}
	return nil
}
