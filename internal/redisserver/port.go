package redisserver

import (
	"net"
	"strconv"
)

// A port is a free TCP port of the loopback interface, reserved where the system
// can do that: nobody else is given it until it is released, and redis-server
// can listen on it again and again.
type port struct {
	number  int
	release func()
}

func (p port) addr() string { return net.JoinHostPort(loopback, strconv.Itoa(p.number)) }

const loopback = "127.0.0.1"
