package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
)

// decode reads args to the letter: a field that In does not have is an error.
// Empty args are {}.
func decode[In any](args json.RawMessage) (In, error) {
	var in In
	text := bytes.TrimSpace(args)
	if len(text) == 0 {
		text = []byte("{}")
	}
	if text[0] != '{' {
		return in, fmt.Errorf("the arguments must be a JSON object, got %s", cut(string(text)))
	}
	err := decodeStrictly(text, &in)
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) && strings.HasPrefix(typ.Value, "number") {
		// JSON Schema, and so the model, takes 3.0 and 3e2 for integers; Go does not.
		if plain, ok := plainIntegers(text); ok {
			in = *new(In)
			err = decodeStrictly(plain, &in)
		}
	}
	return in, decodeError(err)
}

func decodeStrictly(text []byte, in any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(in); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is more after the JSON object")
	}
	return nil
}

// decodeError says what does not fit in words that a model understands.
func decodeError(err error) error {
	var typ *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typ) && typ.Field != "":
		return fmt.Errorf("the arguments do not fit: %s: expected a value of type %s, got %s", typ.Field, typ.Type, cut(typ.Value))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the arguments are not valid JSON: they end in the middle")
	}
	return fmt.Errorf("the arguments do not fit: %s", strings.TrimPrefix(err.Error(), "json: "))
}

// plainIntegers rewrites each number of text that is an integer without point
// and exponent. ok says whether there was one to rewrite.
func plainIntegers(text []byte) (plain []byte, ok bool) {
	var b bytes.Buffer
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			end := stringEnd(text, i)
			b.Write(text[i:end])
			i = end
		case c == '-' || c >= '0' && c <= '9':
			end := i
			for end < len(text) && strings.IndexByte("+-.eE0123456789", text[end]) >= 0 {
				end++
			}
			n := plainInteger(string(text[i:end]))
			ok = ok || n != string(text[i:end])
			b.WriteString(n)
			i = end
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.Bytes(), ok
}

// stringEnd returns the index after the string that begins at text[i].
func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// plainInteger returns n without point and exponent if it is an integer that
// may fit into 64 bits, and n itself otherwise.
func plainInteger(n string) string {
	const longest = 40 // bytes
	if len(n) > longest || !strings.ContainsAny(n, ".eE") {
		return n
	}
	f, _, err := big.ParseFloat(n, 10, 256, big.ToNearestEven)
	if err != nil || !f.IsInt() || f.MantExp(nil) > 64 {
		return n
	}
	i, _ := f.Int(nil)
	return i.String()
}

// encode writes *out as JSON. out is a pointer so that methods of *Out count.
// <, > and & stay as they are: it is models and people who read it.
func encode(out any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// cut shortens s to a length that a message can bear.
func cut(s string) string {
	const most = 80 // bytes
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
