package graph

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
)

// doing names what is done, in a few words.
func doing(list []Do) string {
	var words []string
	for _, d := range list {
		switch {
		case d.Set != nil:
			words = append(words, setNames(d.Set)...)
		case d.Raise != "":
			words = append(words, "raise "+line(d.Raise))
		case d.Send != nil:
			words = append(words, "send "+short(d.Send.Event))
		case d.Cancel != nil:
			words = append(words, "cancel "+short(d.Cancel))
		case d.Emit != "":
			words = append(words, "emit "+line(d.Emit))
		case d.Say != nil:
			words = append(words, "say")
		case d.Log != nil:
			words = append(words, "log")
		case d.If != "":
			words = append(words, "if …")
		case d.Each != nil:
			words = append(words, "for each …")
		case d.Script != "":
			words = append(words, "script")
		case d.Assign != nil:
			words = append(words, "set "+line(d.Assign.Location))
		}
	}
	return cut(strings.Join(words, ", "), 40)
}

// setNames names the variables that are set.
func setNames(v any) []string {
	m, ok := v.(map[string]any)
	if !ok {
		if v == nil {
			return nil
		}
		return []string{"set …"}
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, line(name))
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return []string{"set " + strings.Join(names, ", ")}
}

// short is a value as people read it, in one line.
func short(v any) string {
	if s, ok := v.(string); ok {
		return cut(line(s), 60)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return "…"
	}
	return cut(line(string(data)), 60)
}

// line is a text in one line, without what is not printed.
func line(s string) string {
	s = strings.ToValidUTF8(s, "�")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return strings.TrimRight(string(r[:n-1]), " ") + "…"
}

// wrap breaks a line between words, where it is longer than width.
func wrap(s string, width int) []string {
	var lines []string
	var current string
	for _, word := range strings.Fields(s) {
		switch {
		case current == "":
			current = word
		case len([]rune(current))+1+len([]rune(word)) <= width:
			current += " " + word
		default:
			lines, current = append(lines, current), word
		}
	}
	if current != "" {
		lines = append(lines, current)
	}
	return lines
}
