//go:build !linux

package redisserver

import (
	"fmt"
	"net"
)

// reservePort finds a free port. It cannot hold it: whoever is faster gets it,
// and then another one is tried.
func reservePort() (port, error) {
	l, err := net.Listen("tcp4", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return port{}, fmt.Errorf("redisserver: a free port on %s: %w", loopback, err)
	}
	defer l.Close()
	return port{l.Addr().(*net.TCPAddr).Port, func() {}}, nil
}
