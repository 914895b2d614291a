package graph

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/internal/schema"
)

// join adds a field's name to a path: nodes[3], tool: nodes[3].tool. A name that is
// no plain word is quoted: events["order paid"].
func join(path, name string) string {
	switch {
	case !plainWord(name):
		return path + "[" + strconv.Quote(shorten(name)) + "]"
	case path == "":
		return name
	}
	return path + "." + name
}

func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func plainWord(s string) bool {
	return s != "" && len(s) <= 60 && strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && r != '$' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

// splitPath returns the names and numbers of a path.
func splitPath(path string) []string {
	var parts []string
	for path != "" {
		switch {
		case path[0] == '.':
			path = path[1:]
		case strings.HasPrefix(path, `["`):
			q, err := strconv.QuotedPrefix(path[1:])
			if err != nil {
				return append(parts, path)
			}
			name, _ := strconv.Unquote(q)
			parts = append(parts, name)
			path = strings.TrimPrefix(path[1+len(q):], "]")
		case path[0] == '[':
			number, rest, _ := strings.Cut(path[1:], "]")
			parts = append(parts, number)
			path = rest
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			parts = append(parts, path[:end])
			path = path[end:]
		}
	}
	return parts
}

// comparePaths orders paths as the definition's form does: by the order of its
// fields at the top, and by number within lists.
func comparePaths(a, b string) int {
	x, y := splitPath(a), splitPath(b)
	for len(x) > 2 && len(y) > 2 && x[0] == "graphs" && y[0] == "graphs" && x[1] == y[1] {
		x, y = x[2:], y[2:]
	}
	for i := range min(len(x), len(y)) {
		if x[i] == y[i] {
			continue
		}
		n, errN := strconv.Atoi(x[i])
		m, errM := strconv.Atoi(y[i])
		if errN == nil && errM == nil {
			return n - m
		}
		if i > 0 {
			return 0 // of one node or edge: as they were found
		}
		return fieldRank[x[i]] - fieldRank[y[i]]
	}
	return 0
}

// fieldRank is the place of each field of a Definition.
var fieldRank = func() map[string]int {
	rank := map[string]int{}
	for i := range reflect.TypeFor[Definition]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[Definition]().Field(i).Tag.Get("json"), ",")
		rank[name] = i + 1
	}
	rank["steps"], rank["nodes"], rank["edges"] = rank["nodes"], rank["edges"], rank["steps"] // as expand puts them
	return rank
}()

// shorten cuts a text to a length that a message can bear.
func shorten(s string) string { return schema.Cut(s) }
