package redis

import "github.com/redis/go-redis/v9/logging"

// Quiet stops what the client library prints to stderr by itself, in the whole
// process: a line for each connection that cannot be made. It is for programs
// that show the store's errors, which say the same once.
func Quiet() { logging.Disable() }
