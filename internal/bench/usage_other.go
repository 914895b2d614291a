//go:build !unix

package bench

import "time"

// cpuTime returns 0: the system does not tell in a way that is known here, and
// ratios of CPU then are not numbers.
func cpuTime() time.Duration { return 0 }

// maxFiles returns how many files and connections this process may have open.
func maxFiles() int { return 1 << 20 }
