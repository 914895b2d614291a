package schema

import "strings"

// Nearest returns the one of from that word was most likely meant to be, or ""
// when none is close. Of two that are equally close it takes the first.
func Nearest(word string, from []string) string {
	const longest = 64 // bytes; longer words are not compared
	if word == "" || len(word) > longest {
		return ""
	}
	best, bestDist := "", len(word)/3+1 // a third of it may be wrong
	meant := plain(word)
	for _, c := range from {
		if len(c) > longest {
			continue
		}
		known := plain(c)
		if known == meant {
			return c
		}
		if d := distance(meant, known); d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// plain drops what spellings of one name differ in.
func plain(s string) string { return separators.Replace(strings.ToLower(s)) }

var separators = strings.NewReplacer("_", "", "-", "", " ", "", ".", "")

// distance is the number of bytes to insert, drop, change or swap with their
// neighbour to get from a to b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
