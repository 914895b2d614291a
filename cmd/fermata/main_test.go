package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fermata-run/fermata/internal/chatserver"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"fermata": main})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("USER", "ann")
			env.Setenv("FERMATA_BANK_PAUSE", "0s")
			for name, data := range map[string][]byte{
				"empty.txt": nil, "spaces.txt": []byte(" \n\n"), "nul.bin": []byte("a\x00b"), "latin1.txt": []byte("caf\xe9"),
				"big.txt": bytes.Repeat([]byte("0123456789\n"), 1<<20),
			} {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), data, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "get": get, "serve": serve, "newer": newer, "jsonlines": jsonLines, "oneline": oneLine,
			"stranger": stranger, "unreadable": unreadable, "disturb": disturb, "gone": gone,
		},
	})
}

// code runs a command that has to end with a code: code 3 fermata chat …
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code n command [args]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s ended with code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// get sets a variable to a field of the last line of JSON on stdout: get ASK id
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: get VAR field")
	}
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	var fields map[string]any
	ts.Check(json.Unmarshal([]byte(lines[len(lines)-1]), &fields))
	v, ok := fields[args[1]].(string)
	if !ok {
		ts.Fatalf("there is no text in the field %s of %s", args[1], lines[len(lines)-1])
	}
	ts.Setenv(args[0], v)
}

// serve starts an endpoint that plays a script: serve script.json [key]
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: serve script.json [key]")
	}
	script, err := chatserver.ParseScript([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	opts := &chatserver.Options{}
	if len(args) == 2 {
		opts.Key = args[1]
	}
	handler := chatserver.New(script, opts)
	server := httptest.NewServer(handler)
	ts.Defer(func() {
		server.Close()
		if err := handler.Err(); err != nil {
			ts.Fatalf("the endpoint was sent nonsense: %v", err)
		}
	})
	ts.Setenv("OPENAI_BASE_URL", server.URL+"/v1")
}

// newer makes a store one of a version that does not exist yet: newer file
func newer(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	_, err = f.WriteAt([]byte{0, 0, 0x7f, 0xff}, 60) // the place of the version in the header
	ts.Check(err)
}

// jsonlines says that stdout is lines of JSON and nothing else.
func jsonLines(ts *testscript.TestScript, neg bool, _ []string) {
	out := strings.TrimSpace(ts.ReadFile("stdout"))
	if out == "" {
		ts.Fatalf("stdout is empty")
	}
	for _, line := range strings.Split(out, "\n") {
		if !json.Valid([]byte(line)) {
			ts.Fatalf("this line is not JSON: %s", line)
		}
	}
}

// oneline says that stderr is one line that begins with fermata: and is no
// stack, and that stdout is empty.
func oneLine(ts *testscript.TestScript, neg bool, _ []string) {
	complaint := ts.ReadFile("stderr")
	if !strings.HasPrefix(complaint, "fermata: ") || strings.Count(complaint, "\n") != 1 || strings.Contains(complaint, "goroutine ") {
		ts.Fatalf("stderr is not one line of fermata's: %s", complaint)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("stdout is not empty: %s", out)
	}
}
