// Package sqlite is a [memory.Store] in one file, which the processes of one
// machine share.
//
//	store, err := sqlite.Open("fermata.db", nil)
//	if err != nil { … }
//	defer store.Close()
//
// A commit is durable before it returns: the file is in SQLite's WAL mode with
// synchronous=FULL, so kill -9 and a power cut lose nothing that was
// acknowledged, as far as the disk keeps its word on fsync. Beside the file lie
// path-wal and path-shm, which belong to it while it is open, and the directory
// path.procs, in which each process that has claims holds a lock on one small
// file. The kernel gives the lock back when the process dies, and then its
// claims are void at once.
//
// Do not put the file on a network file system, do not reach it by two paths
// at once (hard links), and copy it only while no process has it open.
package sqlite
