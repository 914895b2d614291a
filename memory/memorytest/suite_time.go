package memorytest

import "time"

// The tests of the suite measure in minutes: what is to end soon takes one, and
// an hour is more than any test takes. On a store that runs on real time a
// minute of the suite lasts a second. There nothing is exact: the clock of a
// handle may be a little off the store's, and between two calls time passes. So
// tests take times from now, due, ago and in, lengths from d, and let time pass
// with pass or with nearly.

const (
	realPart   = 60                     // a minute lasts so many times less on real time
	realMargin = 200 * time.Millisecond // by how much clocks may differ there
)

// d is how long a time of the suite lasts on the store's clock.
func (l *lab) d(d time.Duration) time.Duration {
	if l.fixture.RealTime {
		return d / realPart
	}
	return d
}

// now is the time that a record may have: that of the store, and never before
// one that was given out.
func (l *lab) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.a.Now(); now.After(l.latest) {
		l.latest = now
	}
	return l.latest
}

// due is the latest time that has come by all clocks.
func (l *lab) due() time.Time {
	if l.fixture.RealTime {
		return l.now().Add(-realMargin)
	}
	return l.now()
}

// ago is a time that has come.
func (l *lab) ago(d time.Duration) time.Time { return l.due().Add(-l.d(d)) }

// in is a time that will have come when d has passed.
func (l *lab) in(d time.Duration) time.Time { return l.now().Add(l.d(d)) }

// pass lets d pass by the clocks of all handles: exactly on a clock that is
// moved by hand, and at least on real time.
func (l *lab) pass(d time.Duration) {
	l.Helper()
	if !l.fixture.RealTime {
		l.clock.Advance(d)
		return
	}
	end := l.now().Add(l.d(d) + realMargin/4)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l.a.Now().Before(end) || l.b.Now().Before(end) {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			l.Fatalf("the store's clock does not go on: it shows %v, and did not come to %v", l.a.Now(), end)
		}
	}
}

// nearly lets d pass and calls before when that is about to end: at the last
// microsecond, or on real time, where none can be caught, at the beginning.
func (l *lab) nearly(d time.Duration, before func()) {
	l.Helper()
	if l.fixture.RealTime {
		before()
		l.pass(d)
		return
	}
	l.pass(d - time.Microsecond)
	before()
	l.pass(time.Microsecond)
}

// about checks a length of time that the store has measured: on real time one
// that is not zero may be longer, by what the calls took.
func (l *lab) about(got, want time.Duration, what string) {
	l.Helper()
	if l.fixture.RealTime && want > 0 {
		if got < want-realMargin || got > want+patience {
			l.Fatalf("%s is %v, want about %v", what, got, want)
		}
		return
	}
	l.equal(got, want, what)
}
