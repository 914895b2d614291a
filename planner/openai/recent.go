package openai

import "sync"

// recent keeps the encodings of the few values that were used last, such as
// the tool lists of the agents that share a model. The zero value is ready.
type recent[T any] struct {
	mu   sync.Mutex
	kept []encoding[T] // the latest last
}

type encoding[T any] struct {
	value T
	bytes []byte
}

const keepRecent = 16

// get returns the encoding of v, from what it kept or made anew; it is not to be
// changed. encode also returns v as it may be kept: a copy, if it can change.
func (r *recent[T]) get(v T, same func(a, b T) bool, encode func(T) (T, []byte, error)) ([]byte, error) {
	r.mu.Lock()
	for i, k := range r.kept {
		if same(k.value, v) {
			last := len(r.kept) - 1
			copy(r.kept[i:], r.kept[i+1:])
			r.kept[last] = k
			r.mu.Unlock()
			return k.bytes, nil
		}
	}
	r.mu.Unlock()

	v, b, err := encode(v)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) >= keepRecent {
		r.kept = append(r.kept[:0], r.kept[1:]...)
	}
	r.kept = append(r.kept, encoding[T]{v, b})
	return b, nil
}
