package jsonl_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/internal/jsonl"
)

func TestWhatIsAppendedIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	if got, err := jsonl.Read[int](path); got != nil || err != nil {
		t.Errorf("without a file: %v, %v", got, err)
	}
	for n := range 3 {
		if err := jsonl.Append(path, n); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := jsonl.Read[int](path); !slices.Equal(got, []int{0, 1, 2}) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if err := jsonl.Append(path, func() {}); err == nil {
		t.Error("a function was appended")
	}
	if err := os.WriteFile(path, []byte("1\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := jsonl.Read[int](path); err == nil || !strings.Contains(err.Error(), "line 2 of "+path) {
		t.Errorf("a line that is no number: %v", err)
	}
}
