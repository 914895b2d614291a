package e2e

import "testing"

// Before runs are erased, a person at a terminal is asked; only a yes is one.
func TestPruneAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.env = append(w.env, "FERMATA_MODEL=offline")
	for range 2 {
		w.run(0, "chat", "hello")
		w.run(0, "runs", "cancel", w.firstRun())
	}
	const question = "Erase 2 runs from ~/test.db for good? [y/N] "
	for _, answer := range []string{enter, "n" + enter, "maybe" + enter, ctrlD} {
		s := w.terminal("store", "prune", "--older-than", "0s")
		s.waitFor(t, question)
		s.types(answer)
		s.waitFor(t, "fermata: nothing was erased")
		if code := s.ends(); code != 1 {
			t.Errorf("%q ended with code %d, want 1", answer, code)
		}
	}
	s := w.terminal("store", "prune", "--older-than", "0s")
	s.waitFor(t, question)
	s.types(ctrlC)
	if code := s.ends(); code != 130 {
		t.Errorf("Ctrl-C ended with code %d, want 130", code)
	}
	s = w.terminal("store", "prune", "--older-than", "0s")
	s.waitFor(t, question)
	s.types("Y" + enter)
	s.waitFor(t, "2 runs erased.")
	if code := s.ends(); code != 0 {
		t.Errorf("it ended with code %d", code)
	}
}
