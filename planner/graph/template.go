package graph

import (
	"errors"
	"fmt"
	"strings"
)

// textPiece is a part of a text: plain text, or the source of an expression.
type textPiece struct {
	text string
	expr bool
}

// splitText takes a text with ${…} apart. $${ stands for ${. Neighbouring plain parts are
// one piece.
func splitText(s string) ([]textPiece, error) {
	var pieces []textPiece
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			pieces = append(pieces, textPiece{text: plain.String()})
			plain.Reset()
		}
	}
	for {
		at := strings.Index(s, "${")
		if at < 0 {
			plain.WriteString(s)
			flush()
			return pieces, nil
		}
		if at > 0 && s[at-1] == '$' {
			plain.WriteString(s[:at-1])
			plain.WriteString("${")
			s = s[at+2:]
			continue
		}
		plain.WriteString(s[:at])
		flush()
		end, err := closingBrace(s[at+2:], 0)
		if err != nil {
			return nil, fmt.Errorf("%w in %s", err, excerptOf(s[at:]))
		}
		source := strings.TrimSpace(s[at+2 : at+2+end])
		if source == "" {
			return nil, errors.New("${} holds no expression: put one between the braces, or write $${} for the text itself")
		}
		pieces = append(pieces, textPiece{text: source, expr: true})
		s = s[at+2+end+1:]
	}
}

// closingBrace returns where the } is that belongs to the { before s. Braces within it and
// in quotes do not count: of CEL's strings, also triple and raw ones, and of backticks.
func closingBrace(s string, depth int) (int, error) {
	if depth > 50 {
		return 0, errors.New("the quotes and braces nest too deeply")
	}
	braces := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			braces++
		case '}':
			if braces == 0 {
				return i, nil
			}
			braces--
		case '\'', '"':
			n, err := quotedLen(s[i:], rawPrefix(s[:i]))
			if err != nil {
				return 0, err
			}
			i += n - 1
		case '`':
			n, err := backtickLen(s[i:], depth)
			if err != nil {
				return 0, err
			}
			i += n - 1
		}
	}
	return 0, errors.New("a ${ has no } that ends it: add one, or write $${ for the text itself")
}

// quotedLen returns the length of the string that s begins with.
func quotedLen(s string, raw bool) (int, error) {
	quote := s[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s, triple) {
		quote = triple
	}
	for i := len(quote); i < len(s); i++ {
		switch {
		case s[i] == '\\' && !raw:
			i++
		case s[i] == '\n' && len(quote) == 1:
			return 0, errors.New("a quote does not end on its line")
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote), nil
		}
	}
	return 0, errors.New("a quote " + quote + " does not end")
}

// rawPrefix reports whether a quote that follows before begins one of CEL's raw strings.
func rawPrefix(before string) bool {
	prefix := before[len(strings.TrimRight(before, "rRbB")):]
	if prefix == "" || len(prefix) > 2 || !strings.ContainsAny(prefix, "rR") {
		return false
	}
	rest := before[:len(before)-len(prefix)]
	return rest == "" || !isWordByte(rest[len(rest)-1])
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// backtickLen returns the length of the template, or the quoted name, that s begins with.
func backtickLen(s string, depth int) (int, error) {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '`':
			return i + 1, nil
		case strings.HasPrefix(s[i:], "${"):
			end, err := closingBrace(s[i+2:], depth+1)
			if err != nil {
				return 0, err
			}
			i += 2 + end
		}
	}
	return 0, errors.New("a backtick ` does not end")
}

// excerptOf shows the beginning of a text in a message.
func excerptOf(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
