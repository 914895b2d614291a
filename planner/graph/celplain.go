package graph

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// plainOf returns the plain Go value of what an expression has given. Times and
// durations stay what they are, also in lists and maps.
func plainOf(v ref.Val) (any, error) {
	c := plainCopy{left: celMostValues, bytes: celMostText}
	return c.of(v, 0)
}

// What an expression may give. A list that holds another one a thousand times is
// small in memory, and large as JSON.
const (
	celMostValues = 1_000_000
	celMostText   = 16 << 20 // bytes
)

// plainCopy copies values, and counts them.
type plainCopy struct {
	left, bytes int
}

var errCELLarge = fmt.Errorf("the result is too large: an expression gives at most %d values and %d MiB of text", celMostValues, celMostText>>20)

func (c *plainCopy) of(v any, depth int) (any, error) {
	if c.left--; c.left < 0 || c.bytes < 0 {
		return nil, errCELLarge
	}
	if depth > deepestValue {
		return nil, errDeep
	}
	switch v := v.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		return normalise(uint64(v))
	case types.Double:
		return normalise(float64(v))
	case types.String:
		return c.text(string(v))
	case types.Bytes:
		return nil, errors.New("the result is bytes, which JSON does not have: make text of them with string(…)")
	case types.Timestamp:
		return v.Time, nil
	case types.Duration:
		return v.Duration, nil
	case traits.Lister:
		return c.list(v, depth)
	case traits.Mapper:
		return c.object(v, depth)
	case *types.Err:
		return nil, v
	case ref.Val:
		return nil, fmt.Errorf("the result is %s, which JSON does not have", describeCEL(v))
	}
	return nil, fmt.Errorf("the result is a %T, which JSON does not have", v)
}

func (c *plainCopy) text(s string) (any, error) {
	if c.bytes -= len(s); c.bytes < 0 {
		return nil, errCELLarge
	}
	return s, nil
}

func (c *plainCopy) list(l traits.Lister, depth int) (any, error) {
	n, ok := l.Size().(types.Int)
	if !ok || int(n) > c.left {
		return nil, errCELLarge
	}
	out := make([]any, 0, int(n))
	for i := range n {
		e, err := c.of(l.Get(i), depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func (c *plainCopy) object(m traits.Mapper, depth int) (any, error) {
	n, ok := m.Size().(types.Int)
	if !ok || int(n) > c.left {
		return nil, errCELLarge
	}
	out := make(map[string]any, int(n))
	for it := m.Iterator(); it.HasNext() == types.True; {
		k := it.Next()
		key, err := celKey(k)
		if err != nil {
			return nil, err
		}
		if c.bytes -= len(key); c.bytes < 0 {
			return nil, errCELLarge
		}
		if out[key], err = c.of(m.Get(k), depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// keyOf returns the text that a key is in JSON.
func celKey(k ref.Val) (string, error) {
	switch k := k.(type) {
	case types.String:
		return string(k), nil
	case types.Int:
		return strconv.FormatInt(int64(k), 10), nil
	case types.Uint:
		return strconv.FormatUint(uint64(k), 10), nil
	case types.Bool:
		return strconv.FormatBool(bool(k)), nil
	}
	return "", fmt.Errorf("the key of a map is %s: JSON's keys are text", describeCEL(k))
}

// describeCEL says what a value is, for messages.
func describeCEL(v ref.Val) string {
	switch v := v.(type) {
	case types.Null:
		return "null"
	case types.Bool:
		return strconv.FormatBool(bool(v))
	case types.Int, types.Uint, types.Double:
		return fmt.Sprintf("the number %v", v)
	case types.String:
		return describeValue(string(v))
	case types.Timestamp:
		return "the time " + v.Format(time.RFC3339)
	case types.Duration:
		return "the duration " + v.Duration.String()
	case traits.Lister:
		return "a list"
	case traits.Mapper:
		return "an object"
	}
	return "a " + celTypeWords(v.Type().TypeName())
}
