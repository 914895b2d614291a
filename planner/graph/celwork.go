package graph

import (
	"strings"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// A celWork is what an evaluation may still do of work that grows with more than what
// CEL counts beforehand: to go through a value that holds another one many times, to
// hold each item of a list against each other one, to multiply text. What is too much
// ends the whole evaluation; an error would not, as exists and all pass over errors.
type celWork struct{ left int }

// workOf returns the work that is left to the evaluation of a frame.
func workOf(frame *interpreter.ExecutionFrame) *celWork {
	if v, ok := frame.ResolveName("@work"); ok {
		if w, ok := v.(*celWork); ok {
			return w
		}
	}
	return &celWork{left: celMostWork}
}

// do takes n off what is left.
func (w *celWork) do(n int) {
	if w.left -= n; n < 0 || w.left < 0 {
		panic(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "too much work"})
	}
}

// product takes n times m off what is left.
func (w *celWork) product(n, m int) {
	if n > 0 && m > w.left/n {
		w.do(w.left + 1)
	}
	w.do(n * m)
}

// weigh returns the number of values in v, one more for every ten bytes of text, and
// counts going through them.
func (w *celWork) weigh(v ref.Val) int {
	before := w.left
	w.walk(v, 0)
	return before - w.left
}

func (w *celWork) walk(v ref.Val, depth int) {
	if depth > deepestValue {
		w.do(w.left + 1)
	}
	w.do(1)
	switch v := v.(type) {
	case types.String:
		w.do(len(v) / 10)
	case traits.Lister:
		for it := v.Iterator(); it.HasNext() == types.True; {
			w.walk(it.Next(), depth+1)
		}
	case traits.Mapper:
		for it := v.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			w.do(3) // maps are slow
			w.walk(k, depth+1)
			w.walk(v.Get(k), depth+1)
		}
	}
}

// equal reports whether two values are equal, as CEL says it, and counts how far it
// has to go.
func (w *celWork) equal(a, b ref.Val) bool { return w.equalAt(a, b, 0) }

func (w *celWork) equalAt(a, b ref.Val, depth int) bool {
	if depth > deepestValue {
		w.do(w.left + 1)
	}
	w.do(1)
	switch a := a.(type) {
	case traits.Lister:
		b, ok := b.(traits.Lister)
		if !ok || a.Size() != b.Size() {
			return false
		}
		for x, y := a.Iterator(), b.Iterator(); x.HasNext() == types.True; {
			if !w.equalAt(x.Next(), y.Next(), depth+1) {
				return false
			}
		}
		return true
	case traits.Mapper:
		b, ok := b.(traits.Mapper)
		if !ok || a.Size() != b.Size() {
			return false
		}
		for it := a.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			w.do(3)
			other, ok := b.Find(k)
			if !ok || !w.equalAt(a.Get(k), other, depth+1) {
				return false
			}
		}
		return true
	}
	return types.Equal(a, b) == types.True
}

// celBounded are the functions whose work is counted before it is done.
var celBounded = map[string]func(w *celWork, args []ref.Val){
	operators.In:            boundIn,
	overloads.Contains:      boundScan,
	"indexOf":               boundPairs,
	"lastIndexOf":           boundPairs,
	"replace":               boundReplace,
	"join":                  boundJoin,
	"format":                boundAll,
	"flatten":               boundAll,
	"split":                 boundAll,
	"distinct":              boundPairs,
	"hasOnly":               boundPairs,
	"hasAny":                boundPairs,
	"hasAll":                boundPairs,
	"hasExactly":            boundPairs,
	"sets.contains":         boundPairs,
	"sets.equivalent":       boundPairs,
	"sets.intersects":       boundPairs,
	"sort":                  boundAll,
	"@sortByAssociatedKeys": boundAll,
}

// boundAll counts going through all arguments once.
func boundAll(w *celWork, args []ref.Val) {
	for _, a := range args {
		w.weigh(a)
	}
}

// boundScan counts going through the texts that are arguments once.
func boundScan(w *celWork, args []ref.Val) {
	for _, a := range args {
		w.do(celLength(a)/10 + 1)
	}
}

// boundPairs counts holding all of the first two arguments, or of the only one,
// against each other.
func boundPairs(w *celWork, args []ref.Val) {
	if _, ok := args[0].(types.String); ok && len(args) > 1 {
		w.product(celLength(args[0]), celLength(args[1]))
		return
	}
	a := w.weigh(args[0])
	b := a
	if len(args) > 1 {
		b = w.weigh(args[1])
	}
	w.product(a, b)
}

// boundIn counts looking for an item of a list that is a list or a map itself.
func boundIn(w *celWork, args []ref.Val) {
	switch args[0].(type) {
	case traits.Lister, traits.Mapper:
		if _, ok := args[1].(traits.Lister); ok {
			w.weigh(args[1])
		}
	}
}

// boundReplace counts the text that it makes.
func boundReplace(w *celWork, args []ref.Val) {
	s, ok1 := args[0].(types.String)
	from, ok2 := args[1].(types.String)
	to, ok3 := args[2].(types.String)
	if ok1 && ok2 && ok3 {
		w.do(len(s) / 10)
		w.product(strings.Count(string(s), string(from)), len(to)/10+1)
	}
}

// boundJoin counts the text that it makes.
func boundJoin(w *celWork, args []ref.Val) {
	w.weigh(args[0])
	if len(args) > 1 {
		w.product(celLength(args[0]), celLength(args[1])/10+1)
	}
}

func celLength(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case traits.Sizer:
		if n, ok := v.Size().(types.Int); ok {
			return int(n)
		}
	}
	return 0
}
