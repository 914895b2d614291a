package redis

import (
	"context"
	"crypto/sha1"
	_ "embed" // of the scripts
	"encoding/hex"

	goredis "github.com/redis/go-redis/v9"
)

// script is one of the files in lua/, with lib.lua before it.
type script struct{ source, sha string }

var (
	//go:embed lua/lib.lua
	lib string

	//go:embed lua/commit.lua
	commitSource string
	//go:embed lua/claim.lua
	claimSource string
	//go:embed lua/renew.lua
	renewSource string
	//go:embed lua/release.lua
	releaseSource string
	//go:embed lua/read.lua
	readSource string
	//go:embed lua/heads.lua
	headsSource string
	//go:embed lua/speak.lua
	speakSource string
	//go:embed lua/blob.lua
	blobSource string
	//go:embed lua/erase.lua
	eraseSource string
	//go:embed lua/mend.lua
	mendSource string
	//go:embed lua/adopt.lua
	adoptSource string
	//go:embed lua/stray.lua
	straySource string

	commitScript  = newScript(commitSource)
	claimScript   = newScript(claimSource)
	renewScript   = newScript(renewSource)
	releaseScript = newScript(releaseSource)
	readScript    = newScript(readSource)
	headsScript   = newScript(headsSource)
	speakScript   = newScript(speakSource)
	blobScript    = newScript(blobSource)
	eraseScript   = newScript(eraseSource)
	mendScript    = newScript(mendSource)
	adoptScript   = newScript(adoptSource)
	strayScript   = newScript(straySource)
)

func newScript(body string) *script {
	source := lib + body
	sum := sha1.Sum([]byte(source))
	return &script{source: source, sha: hex.EncodeToString(sum[:])}
}

// call is one run of a script.
type call struct {
	script *script
	keys   []string
	args   []any
}

// urgent reports whether a call must not wait behind others for a connection:
// those that hold runs, and those that take them, have only so much time.
func (c *call) urgent() bool { return c.script == claimScript || c.script == renewScript }

// way returns the client that a call goes by.
func (s *Store) way(c *call) goredis.UniversalClient {
	if c.urgent() {
		return s.control
	}
	return s.client
}

// eval runs a script, by its hash if the server knows it.
func (s *Store) eval(ctx context.Context, c *call) (any, error) {
	client := s.way(c)
	v, err := client.EvalSha(ctx, c.script.sha, c.keys, c.args...).Result()
	if err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") {
		v, err = client.Eval(ctx, c.script.source, c.keys, c.args...).Result()
	}
	return v, err
}

// evalAll runs scripts in one round trip, which all go the same way. Each has a
// reply or an error of its own.
func (s *Store) evalAll(ctx context.Context, calls []*call) ([]any, []error) {
	replies, errs := make([]any, len(calls)), make([]error, len(calls))
	switch len(calls) {
	case 0:
		return replies, errs
	case 1:
		replies[0], errs[0] = s.eval(ctx, calls[0])
		return replies, errs
	}
	client := s.way(calls[0])
	cmds := make([]*goredis.Cmd, len(calls))
	pipe := client.Pipeline()
	for i, c := range calls {
		cmds[i] = pipe.EvalSha(ctx, c.script.sha, c.keys, c.args...)
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	for i, c := range calls {
		if replies[i], errs[i] = cmds[i].Result(); errs[i] != nil && goredis.HasErrorPrefix(errs[i], "NOSCRIPT") {
			replies[i], errs[i] = client.Eval(ctx, c.script.source, c.keys, c.args...).Result()
		}
	}
	return replies, errs
}
