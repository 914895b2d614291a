// Command chatserver serves chat completions from a script, for tests, demos
// and benchmarks. It prints its base URL on a line of its own and serves until
// it is interrupted.
//
//	chatserver -script refund.json
//	chatserver -say "Hello." -fault drip
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/fermata-run/fermata/internal/chatserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("chatserver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:0", "`address` to listen on; port 0 takes a free one")
	path := flags.String("script", "", "JSON `file` with the script: a list of replies, or {\"scenes\": […]}")
	say := flags.String("say", "Hello.", "without -script: the `words` of every reply")
	fault := flags.String("fault", "", "without -script: how every reply goes wrong, one of "+strings.Join(chatserver.Faults(), ", "))
	log := flags.String("log", "", "append each request as a line of JSON to this `file`")
	key := flags.String("key", "", "refuse requests without this API `key`")
	lax := flags.Bool("lax", false, "answer malformed requests too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	script, err := chooseScript(*path, *say, *fault)
	if err != nil {
		return err
	}
	o := &chatserver.Options{Key: *key, Lax: *lax, Keep: -1}
	if *log != "" {
		f, err := os.OpenFile(*log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("chatserver: %w", err)
		}
		defer f.Close()
		o.Log = f
	}
	return serve(ctx, *addr, chatserver.New(script, o), stdout)
}

func chooseScript(path, say, fault string) (chatserver.Script, error) {
	if path != "" {
		return chatserver.ReadScript(path)
	}
	reply := chatserver.Reply{Text: say, Fault: chatserver.Fault(fault), Repeat: -1}
	return chatserver.Replies(reply).Checked()
}

// serve serves until ctx ends. Requests that hang then are cut off.
func serve(ctx context.Context, addr string, h http.Handler, stdout io.Writer) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("chatserver: %w", err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	fmt.Fprintf(stdout, "http://%s/v1\n", l.Addr())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("chatserver: %w", err)
	}
	return nil
}
