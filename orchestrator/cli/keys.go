package cli

import (
	"bufio"
	"io"
	"strings"
	"unicode"
)

// A key is what a person pressed.
type key struct {
	kind keyKind
	text string // of keyText: what was typed or pasted
}

type keyKind int

const (
	keyNone keyKind = iota
	keyText
	keyEnter
	keyBackspace
	keyDelete
	keyLeft
	keyRight
	keyWordLeft
	keyWordRight
	keyHome
	keyEnd
	keyUp
	keyDown
	keyCutToEnd
	keyCutToStart
	keyCutWord
	keyClear
	keyInterrupt // Ctrl-C
	keyLeave     // Ctrl-D
)

// controls are the keys that are one byte.
var controls = map[rune]keyKind{
	1: keyHome, 2: keyLeft, 3: keyInterrupt, 4: keyLeave, 5: keyEnd, 6: keyRight, 8: keyBackspace, '\r': keyEnter,
	11: keyCutToEnd, 12: keyClear, 14: keyDown, 16: keyUp, 21: keyCutToStart, 23: keyCutWord, 127: keyBackspace,
}

// sequences are what follows ESC.
var sequences = map[string]keyKind{
	"[A": keyUp, "[B": keyDown, "[C": keyRight, "[D": keyLeft, "[H": keyHome, "[F": keyEnd,
	"OA": keyUp, "OB": keyDown, "OC": keyRight, "OD": keyLeft, "OH": keyHome, "OF": keyEnd,
	"[1~": keyHome, "[7~": keyHome, "[4~": keyEnd, "[8~": keyEnd, "[3~": keyDelete,
	"[1;5C": keyWordRight, "[1;5D": keyWordLeft, "[1;3C": keyWordRight, "[1;3D": keyWordLeft,
	"f": keyWordRight, "b": keyWordLeft, "\x7f": keyCutWord,
}

// readKey reads the next key from a terminal in raw mode.
func readKey(in *bufio.Reader) (key, error) {
	r, _, err := in.ReadRune()
	switch {
	case err != nil:
		return key{}, err
	case r == 0x1b:
		return readEscape(in)
	case r == '\t':
		return key{keyText, "    "}, nil
	case r == '\n':
		return key{keyText, "\n"}, nil // Ctrl-J
	case unicode.IsControl(r):
		return key{kind: controls[r]}, nil
	case steers(r):
		return key{}, nil
	}
	return key{keyText, string(r)}, nil
}

// readEscape reads what follows ESC. A lone ESC is no key.
func readEscape(in *bufio.Reader) (key, error) {
	if in.Buffered() == 0 {
		return key{}, nil
	}
	var seq strings.Builder
	for {
		b, err := in.ReadByte()
		if err != nil {
			return key{}, err
		}
		seq.WriteByte(b)
		switch s := seq.String(); {
		case s == "\r":
			return key{keyText, "\n"}, nil // Alt-Enter
		case s == "[200~":
			return readPaste(in)
		case s == "[" || s == "O":
		case s[0] == '[' && (b < 0x40 || b > 0x7e) && len(s) < 16:
		default:
			return key{kind: sequences[s]}, nil
		}
	}
}

// pasteEnd is what a terminal sends after pasted text.
const pasteEnd = "\x1b[201~"

// maxPaste is more than a message may have.
const maxPaste = 2 << 20

// readPaste reads pasted text, in which newlines are not the Enter key.
func readPaste(in *bufio.Reader) (key, error) {
	var b strings.Builder
	for !strings.HasSuffix(b.String(), pasteEnd) && b.Len() < maxPaste {
		chunk, err := in.ReadString('~')
		b.WriteString(chunk)
		if err != nil {
			return key{}, err
		}
	}
	text := strings.TrimSuffix(b.String(), pasteEnd)
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	return key{keyText, clean(text)}, nil
}

// readKeys sends keys until the input ends, which it reports as keyLeave.
func readKeys(in io.Reader, keys chan<- key) {
	buffered := bufio.NewReaderSize(in, 4096)
	for {
		k, err := readKey(buffered)
		if err != nil {
			keys <- key{kind: keyLeave}
			return
		}
		keys <- k
	}
}
