package redisserver

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNotInstalled is in the chain of the error that says that there is no
// redis-server in the PATH.
var ErrNotInstalled = errors.New("redis-server is not installed")

// Options says how a server runs. The zero value and nil are a server that keeps
// nothing on disk, knows no password and speaks plain TCP.
type Options struct {
	// Dir is where the server keeps its data. It is made when missing and stays
	// after Close. Empty means a directory of its own that Close removes.
	Dir string

	// Appendfsync switches the append-only file on: "always", "everysec" or
	// "no", in Redis's meaning. Empty means no file.
	Appendfsync string

	MaxMemory int64    // in bytes; 0 means no limit. Redis refuses writes beyond it unless Config sets a maxmemory-policy
	Password  string   // of the default user; empty means none
	ACL       []string // further users, each as after ACL SETUSER: "alice on >secret ~app:* +@all"
	TLS       bool     // speak TLS only, see [Server.TLS]
	Config    []string // further lines of redis.conf; they win over those that the other options make
}

// check returns a copy of o that can be run.
func (o *Options) check() (Options, error) {
	if o == nil {
		return Options{}, nil
	}
	c := *o
	switch c.Appendfsync {
	case "", "always", "everysec", "no":
	default:
		return c, fmt.Errorf("redisserver: Appendfsync is %q; it may be \"always\", \"everysec\", \"no\", or empty for no append-only file", c.Appendfsync)
	}
	if c.Dir != "" {
		abs, err := filepath.Abs(c.Dir)
		if err != nil {
			return c, fmt.Errorf("redisserver: directory %q: %w", c.Dir, err)
		}
		c.Dir = abs
	}
	return c, nil
}

// lines returns what o says in redis.conf. A server without AOF and RDB loses
// everything when it ends; the append-only file is never rewritten on its own, so
// that no child process outlives a killed server.
func (o *Options) lines() []string {
	lines := []string{
		`save ""`,
		"auto-aof-rewrite-percentage 0",
		"repl-diskless-sync-delay 0",
	}
	if o.Appendfsync != "" {
		lines = append(lines, "appendonly yes", "appendfsync "+o.Appendfsync)
	}
	if o.MaxMemory > 0 {
		lines = append(lines, "maxmemory "+strconv.FormatInt(o.MaxMemory, 10))
	}
	if o.Password != "" {
		lines = append(lines, "requirepass "+quote(o.Password), "masterauth "+quote(o.Password))
	}
	for _, user := range o.ACL {
		lines = append(lines, "user "+user)
	}
	return append(lines, o.Config...)
}

// quote makes one argument of a line of redis.conf.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
