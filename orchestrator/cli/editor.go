package cli

import (
	"slices"
	"strings"
)

// An editor is the line that a person is writing. It may hold newlines.
type editor struct {
	text []rune
	at   int // where the cursor is

	history []string
	back    int // how far back in the history; 0 is what is being written
	draft   []rune
}

// set replaces the line.
func (e *editor) set(s string) {
	e.text = []rune(s)
	e.at = len(e.text)
	e.back = 0
}

// take returns the line, remembers it if it is to be, and empties the editor.
func (e *editor) take(remember bool) string {
	s := string(e.text)
	if remember && strings.TrimSpace(s) != "" && (len(e.history) == 0 || e.history[len(e.history)-1] != s) {
		e.history = append(e.history, s)
	}
	e.set("")
	return s
}

// press does what a key is for, other than Enter, Ctrl-C and Ctrl-D.
func (e *editor) press(k key) {
	switch k.kind {
	case keyText:
		e.text = slices.Insert(e.text, e.at, []rune(k.text)...)
		e.at += len([]rune(k.text))
	case keyBackspace:
		e.cut(e.left(e.at), e.at)
	case keyDelete, keyLeave:
		e.cut(e.at, e.right(e.at))
	case keyCutWord:
		e.cut(e.wordLeft(), e.at)
	case keyCutToEnd:
		e.cut(e.at, len(e.text))
	case keyCutToStart:
		e.cut(0, e.at)
	case keyUp:
		e.recall(1)
	case keyDown:
		e.recall(-1)
	default:
		e.move(k.kind)
	}
}

func (e *editor) move(k keyKind) {
	switch k {
	case keyLeft:
		e.at = e.left(e.at)
	case keyRight:
		e.at = e.right(e.at)
	case keyWordLeft:
		e.at = e.wordLeft()
	case keyWordRight:
		e.at = e.wordRight()
	case keyHome:
		e.at = 0
	case keyEnd:
		e.at = len(e.text)
	}
}

func (e *editor) cut(from, to int) {
	e.text = slices.Delete(e.text, from, to)
	e.at = from
}

// left and right step over a character and the marks that belong to it.
func (e *editor) left(i int) int {
	for i > 0 {
		i--
		if e.text[i] == '\n' || cells(e.text[i]) > 0 {
			break
		}
	}
	return i
}

func (e *editor) right(i int) int {
	for i < len(e.text) {
		i++
		if i == len(e.text) || e.text[i] == '\n' || cells(e.text[i]) > 0 {
			break
		}
	}
	return i
}

func (e *editor) wordLeft() int {
	i := e.at
	for i > 0 && e.text[i-1] == ' ' {
		i--
	}
	for i > 0 && e.text[i-1] != ' ' {
		i--
	}
	return i
}

func (e *editor) wordRight() int {
	i := e.at
	for i < len(e.text) && e.text[i] == ' ' {
		i++
	}
	for i < len(e.text) && e.text[i] != ' ' {
		i++
	}
	return i
}

// recall goes back in the history, or forth.
func (e *editor) recall(by int) {
	back := e.back + by
	if back < 0 || back > len(e.history) {
		return
	}
	if e.back == 0 {
		e.draft = e.text
	}
	if back == 0 {
		e.set(string(e.draft))
		return
	}
	e.set(e.history[len(e.history)-back])
	e.back = back
}
