package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// fail gives an error of the client or the server its meaning in the contract,
// and says what was being done.
func (s *Store) fail(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case s.life.Err() != nil:
		return s.closed()
	case ctx.Err() != nil:
		return fmt.Errorf("redis: %s: %w", what, ctx.Err())
	case says(err, "OOM"):
		return fmt.Errorf("redis: %s: the server has no memory left; nothing was changed, raise its maxmemory and try again: %w (%v)", what, memory.ErrFull, err)
	case says(err, "WRONGTYPE"):
		return fmt.Errorf("redis: %s: a key of ours holds something else; fermata store check finds it: %w (%v)", what, memory.ErrCorrupt, err)
	case says(err, "READONLY"):
		return fmt.Errorf("redis: %s: the server is a replica, which takes no writes; nothing was changed, use the address of its primary: %w", what, err)
	case says(err, "WRONGPASS"), says(err, "NOAUTH"):
		return fmt.Errorf("redis: %s: the server does not take the user and password of the address: %w", what, err)
	case says(err, "NOPERM"):
		return fmt.Errorf("redis: %s: the user may not do this; docs/redis.md lists the commands and keys that are needed: %w", what, err)
	}
	return fmt.Errorf("redis: %s: %w", what, err)
}

// says reports whether an error of the server, or of a command in a script, has
// this code. Servers before Redis 7 put the latter into a text of their own.
func says(err error, code string) bool {
	var e goredis.Error
	return goredis.HasErrorPrefix(err, code) || errors.As(err, &e) && strings.Contains(e.Error(), ": -"+code+" ")
}

// damaged is the error of something that is not as it was written.
func damaged(run agent.RunID, format string, args ...any) error {
	return fmt.Errorf("redis: run %s: %s: %w", run, fmt.Sprintf(format, args...), memory.ErrCorrupt)
}

var errReply = errors.New("redis: a script gave a reply of another form; is there another program's script, or a proxy that changes replies?")
