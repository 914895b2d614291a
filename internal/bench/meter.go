package bench

import (
	"slices"
	"sync"
	"time"
)

// A meter notes how long steps and appends take. It is safe for use by many
// goroutines; a nil one notes nothing.
type meter struct {
	mu      sync.Mutex
	began   map[string]time.Time // the step that goes on, by conversation
	steps   []time.Duration
	appends []time.Duration
}

func newMeter() *meter { return &meter{began: map[string]time.Time{}} }

// step notes that a conversation asks its model: the step before is over.
func (m *meter) step(conversation string, now time.Time) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if began, ok := m.began[conversation]; ok {
		m.steps = append(m.steps, now.Sub(began))
	}
	m.began[conversation] = now
}

// append notes an append.
func (m *meter) append(d time.Duration) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.appends = append(m.appends, d)
}

// quantile returns the value below which the share q of values lies; 0 if there
// are none. It sorts them.
func quantile[T ~int64 | ~float64](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	at := q * float64(len(values)-1)
	low := int(at)
	high := min(low+1, len(values)-1)
	return values[low] + T(float64(values[high]-values[low])*(at-float64(low)))
}

func median[T ~int64 | ~float64](values []T) T { return quantile(values, 0.5) }

// spread is how values lie.
type spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"q1"`
	High   float64 `json:"q3"`
	N      int     `json:"n"`
}

func spreadOf(values []float64) spread {
	return spread{median(values), quantile(values, 0.25), quantile(values, 0.75), len(values)}
}

// micros is a duration in microseconds.
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
