package redisserver

import (
	"fmt"
	"sync"
	"syscall"
)

// reservePort binds a socket to a free port and never listens on it. With
// SO_REUSEADDR on both sides, Linux lets redis-server listen on such a port, but
// gives it to no one who asks for any port, nor to a connection that goes out.
func reservePort() (port, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return port{}, fmt.Errorf("redisserver: a socket to reserve a port: %w", err)
	}
	number, err := bindAny(fd)
	if err != nil {
		syscall.Close(fd)
		return port{}, fmt.Errorf("redisserver: a free port on %s: %w", loopback, err)
	}
	return port{number, sync.OnceFunc(func() { syscall.Close(fd) })}, nil
}

func bindAny(fd int) (int, error) {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return name.(*syscall.SockaddrInet4).Port, nil
}
