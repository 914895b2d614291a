package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestServesAScript(t *testing.T) {
	dir := t.TempDir()
	script, log := filepath.Join(dir, "s.json"), filepath.Join(dir, "log.jsonl")
	if err := os.WriteFile(script, []byte(`[{"text":"from the file"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-script", script, "-log", log, "-key", "k"}, w, io.Discard) }()
	line := make([]byte, 100)
	n, err := r.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(string(line[:n]))
	req, err := http.NewRequest("POST", url+"/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer k")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(string(body), "from the file") {
		t.Fatalf("got %s", body)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(log); err != nil || strings.Count(string(b), "\n") != 1 {
		t.Fatalf("log %q, %v", b, err)
	}
}

func TestRefusesBadFlags(t *testing.T) {
	for _, args := range [][]string{{"-fault", "nope"}, {"-script", "/nonexistent.json"}, {"-nope"}, {"-addr", "nowhere:x"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
