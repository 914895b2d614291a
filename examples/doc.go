// Package examples holds one short program per idea. Each runs offline, and its
// output is held against output.txt beside it:
//
//	go run ./examples/hello
package examples
