package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
	"github.com/fermata-run/fermata/memory/sqlite"
)

// storePath returns where the store is, a file or the URL of a Redis, and whether
// the user said so.
func (p *program) storePath() (path string, chosen bool) {
	if p.storeFlag != "" {
		return p.storeFlag, true
	}
	if path := os.Getenv("FERMATA_STORE"); path != "" {
		return path, true
	}
	return p.defaultStore(), false
}

func isURL(path string) bool { return strings.Contains(path, "://") }

// defaultStore is a file in the user's data directory; "" if there is none.
func (p *program) defaultStore() string {
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, p.app.Name, p.app.Name+".db")
}

// dialTimeout is how long a store on a server may take to answer at first.
const dialTimeout = 10 * time.Second

// open opens the store. One that is missing is made, unless it must be there:
// who mistypes a path is not to see an empty list.
func (p *program) open(mustExist bool) (memory.Store, error) {
	path, chosen := p.storePath()
	if path == "" {
		return nil, usage("there is no home directory for a store; give --store FILE")
	}
	if p.app.Open != nil {
		return p.app.Open(path)
	}
	if isURL(path) {
		return dial(path)
	}
	if _, err := os.Stat(path); mustExist && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no store at %s; %s chat makes one", path, p.app.Name)
	}
	if !chosen {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("the directory of the store cannot be made: %w; give --store FILE", err)
		}
	}
	return sqlite.Open(path, nil)
}

// dial opens a store on a server.
func dial(address string) (memory.Store, error) {
	if !redis.IsURL(address) {
		scheme, _, _ := strings.Cut(address, "://")
		return nil, usage("there are no stores at addresses that begin with %s://; give redis://host:port, or a file", cleanLine(scheme))
	}
	redis.Quiet()
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	store, err := redis.Open(ctx, address, nil)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("the store at %s has not answered within %v; is the address right, and does the server speak TLS (rediss://) or not (redis://)?", shown(address), dialTimeout)
	case err != nil:
		return nil, &unopened{address, err}
	}
	return store, nil
}

// unopened is the error of a server's store that cannot be opened.
type unopened struct {
	address string
	err     error
}

func (e *unopened) Error() string {
	return fmt.Sprintf("the store at %s cannot be used: %s", shown(e.address), strings.TrimPrefix(unprefixed(e.err.Error()), "open: "))
}

func (e *unopened) Unwrap() error { return e.err }

// tilde shortens a path below the home directory.
func tilde(path string) string {
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return path
	}
	if rest, ok := strings.CutPrefix(path, home+string(filepath.Separator)); ok {
		return "~" + string(filepath.Separator) + rest
	}
	return path
}

// shown returns a store's path as it may be shown: without the passwords of a URL.
func shown(path string) string {
	if !isURL(path) {
		return path
	}
	u, err := url.Parse(path)
	if err != nil || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") { // which is the end of a password
		scheme, _, _ := strings.Cut(path, "://")
		return scheme + "://…"
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(name, "password") {
			q.Set(name, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}

// storeName is the store's path as it is shown.
func (p *program) storeName() string {
	path, _ := p.storePath()
	return tilde(shown(path))
}

// line is a command line of this program, with the store if it was named by
// flag, for the user to copy.
func (p *program) line(args ...string) string {
	words := append([]string{p.app.Name}, args...)
	if p.storeFlag != "" {
		words = append(words, "--store", shown(p.storeFlag))
	}
	for i, w := range words {
		if strings.ContainsAny(w, " \t\n'\"$&|;<>()*?[]#~`\\") && !strings.HasPrefix(w, "~/") {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// findRun returns the one run whose id begins with prefix. The id of an ask
// will do as well: it begins with its run's.
func findRun(ctx context.Context, store memory.Store, prefix string) (*memory.RunEntry, error) {
	asked := prefix
	prefix, _, _ = strings.Cut(prefix, ".")
	page := &memory.RunPage{}
	if memory.CheckRun(agent.RunID(prefix)) == nil {
		var err error
		if page, err = store.Runs(ctx, memory.RunQuery{Prefix: prefix, Limit: 3}); err != nil {
			return nil, err
		}
	}
	for i := range page.Runs {
		if string(page.Runs[i].Run) == prefix {
			return &page.Runs[i], nil
		}
	}
	switch len(page.Runs) {
	case 0:
		return nil, fmt.Errorf("there is no run %q", cleanLine(asked[:min(len(asked), 80)]))
	case 1:
		return &page.Runs[0], nil
	}
	return nil, fmt.Errorf("%q is the beginning of several runs' ids, %s and %s among them; write more of it", prefix, page.Runs[0].Run, page.Runs[1].Run)
}
