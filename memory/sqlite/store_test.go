package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	memorytest.Run(t, func(t *testing.T, clock *memorytest.Clock) memorytest.Fixture {
		path := filepath.Join(t.TempDir(), "test.db")
		return memorytest.Fixture{
			Open: func(t *testing.T) memory.Store { return open(t, path, &Options{Now: clock.Now}) },
			Kill: func(t *testing.T, s memory.Store) { s.(*Store).end(false) },
		}
	})
}

// open opens a store and closes it at the end of the test.
func open(t *testing.T, path string, o *Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func BenchmarkInbox(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "test.db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	memorytest.BenchmarkInbox(b, s)
}
