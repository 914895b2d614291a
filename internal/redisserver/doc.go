// Package redisserver runs real redis-server processes for tests, chaos runs
// and benchmarks: a single server with [Start], a primary that sentinels watch
// with [StartSentinel], a cluster with [StartCluster], and between any of them
// and a client a [Proxy] that loses what a network loses.
//
//	srv, err := redisserver.Start(&redisserver.Options{Appendfsync: "always"})
//	if err != nil { ... }
//	defer srv.Close()
//	srv.Kill()    // as if the machine had lost its power, but for the disk's cache
//	srv.Restart() // the same address, the same directory: the log is loaded
//
// In a test, [Test], [TestSentinel], [TestCluster] and [TestProxy] do the same
// and clean up.
//
// Every server listens on the loopback interface only, on a port that the kernel
// gave. On Linux the port stays reserved until Close, also while the server is
// down, and the servers die with the program that started them. A redis-server of
// version 7.0 or later must be in the PATH; an error that is [ErrNotInstalled]
// says how it gets there.
package redisserver
