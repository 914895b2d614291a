package memorytest

import (
	"context"
	"iter"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

var watchTests = map[string]func(*lab){
	"hints at once and at changes in any handle": func(l *lab) {
		w := l.watch(l.b, "r1")
		w.until("no run yet", func(h memory.Hint) bool { return h.Last == memory.Position{} })
		p := l.begin("r1")
		w.until("the first commit", func(h memory.Hint) bool { return h.Last == p })
		own := l.step("r1", p, 1)
		l.must(l.b.Commit(l.ctx, own))
		w.until("a commit of its own handle", func(h memory.Hint) bool { return h.Last == own.Last() })
		l.begin("r2") // another run
		p = l.commit(l.step("r1", own.Last(), 2))
		w.until("one more", func(h memory.Hint) bool { return h.Last == p })
		l.must(l.a.Erase(l.ctx, "r1"))
		w.until("the erasure", func(h memory.Hint) bool { return h.Last == memory.Position{} })
	},
	"hints soon": func(l *lab) { // so many changes would take a Watch that waits for its turn too long
		w, p := l.watch(l.b, "r1"), memory.Position{}
		for range 30 {
			p = l.commit(l.step("r1", p, 1))
			w.until("a commit", func(h memory.Hint) bool { return h.Last == p })
			l.speak("one", int(p.Seq-1), "x")
			w.until("a word", func(h memory.Hint) bool { return len(h.Words.Data) == int(p.Seq) })
		}
	},
	"hints now and then without a cause": func(l *lab) {
		p := l.begin("r1")
		w := l.watch(l.a, "r1")
		for range 2 {
			w.until("the end", func(h memory.Hint) bool { return h.Last == p })
		}
	},
	"ends with its context": func(l *lab) {
		l.begin("r1")
		ctx, cancel := context.WithCancel(l.ctx)
		for _, err := range l.a.Watch(ctx, "r1") {
			l.must(err)
			if ctx.Err() != nil {
				l.Fatal("a hint came after the end of the context")
			}
			cancel()
		}
		cancel()
	},
	"shows the whole sentence": func(l *lab) {
		p := l.begin("r1")
		l.speak("one", 0, "Good ")
		l.speak("one", 5, "mor")
		w := l.watch(l.b, "r1") // a watcher who comes in the middle
		w.says("one", "Good mor")
		l.speak("one", 8, "ning")
		w.says("one", "Good morning")
		p = l.commit(l.step("r1", p, 1))
		w.until("the commit, and still the sentence", func(h memory.Hint) bool {
			return h.Last == p && string(h.Words.Data) == "Good morning"
		})
		l.speak("two", 0, "Hello") // drops the one before
		w.says("two", "Hello")
		l.speak("", 0, "")
		w.says("", "")
	},
	"ignores pieces out of place": func(l *lab) {
		l.begin("r1")
		w := l.watch(l.b, "r1")
		l.speak("one", 3, "lost its beginning")
		l.says("one", "")
		l.speak("one", 0, "abc")
		l.speak("one", 0, "abc") // twice
		l.speak("one", 4, "gap")
		l.speak("one", 2, "overlap")
		l.says("one", "abc")
		l.speak("one", 3, "")
		l.speak("one", 3, "def")
		l.says("one", "abcdef")
		w.says("one", "abcdef")
		l.speak("two", 6, "continues nothing")
		l.says("two", "")
		l.speak("", 7, "ends, whatever it holds")
		l.says("", "")
		w.says("", "")
	},
	"knows no words of runs that are not there": func(l *lab) {
		l.speakIn("r1", "one", 0, "early")
		l.begin("r1")
		l.says("", "")
		l.speak("one", 0, "abc")
		l.must(l.a.Erase(l.ctx, "r1"))
		l.speakIn("r1", "one", 3, "def")
		l.says("", "")
	},
	"fails when the store is closed": func(l *lab) {
		s := l.open()
		l.begin("r1")
		count := 0
		for _, err := range s.Watch(l.soon(), "r1") {
			if count++; count == 1 {
				l.must(err)
				l.must(s.Close())
			} else if err == nil {
				l.Fatal("a hint came from a store that is closed")
			}
		}
		l.equal(count, 2, "how often it yielded")
	},
}

func (l *lab) speak(attempt string, from int, data string) {
	l.Helper()
	l.speakIn("r1", attempt, from, data)
}

func (l *lab) speakIn(run agent.RunID, attempt string, from int, data string) {
	l.Helper()
	l.must(l.a.Speak(l.ctx, run, memory.Words{Attempt: attempt, From: from, Data: []byte(data)}))
}

// says checks what a watcher of r1 who comes now is shown.
func (l *lab) says(attempt, data string) {
	l.Helper()
	for h, err := range l.b.Watch(l.soon(), "r1") {
		l.must(err)
		l.equal(h.Words, memory.Words{Attempt: attempt, Data: []byte(data)}, "the sentence")
		return
	}
	l.Fatal("Watch did not yield")
}

// watcher pulls hints.
type watcher struct {
	*lab
	next func() (memory.Hint, error, bool)
}

func (l *lab) watch(s memory.Store, run agent.RunID) *watcher {
	next, stop := iter.Pull2(s.Watch(l.soon(), run))
	l.Cleanup(stop)
	return &watcher{l, next}
}

// until waits for a hint that fits.
func (w *watcher) until(what string, fits func(memory.Hint) bool) {
	w.Helper()
	for {
		h, err, ok := w.next()
		if !ok || err != nil {
			w.Fatalf("waiting for a hint of %s: %v", what, err)
		}
		if fits(h) {
			return
		}
	}
}

func (w *watcher) says(attempt, data string) {
	w.Helper()
	w.until("the sentence "+data, func(h memory.Hint) bool {
		return h.Words.Attempt == attempt && string(h.Words.Data) == data && h.Words.From == 0
	})
}
