package bench

import (
	"context"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"
)

// spent is what some work has taken.
type spent struct {
	CPU, Wall time.Duration // CPU is that of this process, user and system
	Server    counters      // of Redis
}

// measure measures what f takes. Garbage of what came before is collected first.
func (d *bed) measure(f func() error) (s spent, err error) {
	runtime.GC()
	before, err := d.server.counters(d.ctx)
	if err != nil {
		return s, err
	}
	cpu, began := cpuTime(), time.Now()
	err = f()
	s.Wall, s.CPU = time.Since(began), cpuTime()-cpu
	if err != nil {
		return s, err
	}
	after, err := d.server.counters(d.ctx)
	s.Server = after.minus(before)
	return s, err
}

// peaks are the most that this process has taken during some work.
type peaks struct {
	RSS, Heap  int64 // bytes; RSS is 0 where the system does not tell
	Goroutines int
}

// watchPeaks looks every few milliseconds until the function that it returns is
// called.
func watchPeaks(ctx context.Context) (end func() peaks) {
	ctx, cancel := context.WithCancel(ctx)
	var p peaks
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			p.RSS, p.Heap, p.Goroutines = max(p.RSS, rss()), max(p.Heap, heapObjects()), max(p.Goroutines, runtime.NumGoroutine())
			if sleep(ctx, 20*time.Millisecond) != nil {
				return
			}
		}
	})
	return func() peaks {
		cancel()
		wg.Wait()
		return p
	}
}

// heapObjects returns how many bytes the objects of the heap take, dead ones
// that were not collected yet included.
func heapObjects() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

// live returns the live heap and the goroutines of this process, after a
// thorough collection.
func live() (heap int64, goroutines int) {
	for range 3 {
		runtime.GC() // pools give up what they hold at the second
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), runtime.NumGoroutine()
}

// rss returns the resident memory of this process in bytes, 0 if the system does
// not tell.
func rss() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
