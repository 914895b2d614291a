package scxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// namespace is that of SCXML's elements.
const namespace = "http://www.w3.org/2005/07/scxml"

// The bounds of what is read. They hold for a document with all that its src
// attributes name.
const (
	maxBytes    = 1 << 20 // of one file; four times that in all
	maxElements = 50_000
	maxDepth    = 200
	maxFiles    = 200
)

// element is one of a document, with all that it holds.
type element struct {
	name  xml.Name
	attrs []xml.Attr
	kids  []*element
	text  []byte // the text directly in it
	inner []byte // all that it holds, as it is written
	outer []byte // the same with its own tags
	file  string
	line  int
}

// attr returns an attribute of no namespace.
func (e *element) attr(name string) (string, bool) {
	for _, a := range e.attrs {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value, true
		}
	}
	return "", false
}

// get is attr for attributes where "" means the same as none.
func (e *element) get(name string) string {
	v, _ := e.attr(name)
	return v
}

// words are those of an attribute that is a list.
func (e *element) words(name string) []string { return strings.Fields(e.get(name)) }

func (e *element) at() string { return fmt.Sprintf("%s:%d", e.file, e.line) }

// budget is what may still be read.
type budget struct{ bytes, elements, files int }

func newBudget() *budget { return &budget{4 * maxBytes, maxElements, maxFiles} }

// spend counts one more file.
func (b *budget) spend(data []byte) error {
	if len(data) > maxBytes {
		return fmt.Errorf("it is longer than %d bytes, which is the most that is read", maxBytes)
	}
	b.bytes -= len(data)
	b.files--
	if b.bytes < 0 || b.files < 0 {
		return fmt.Errorf("with what its src attributes name it is more than %d bytes or %d files, which is the most that is read", 4*maxBytes, maxFiles)
	}
	return nil
}

// syntax is an error of the XML at a line.
type syntax struct {
	line int
	rule string
	err  error
}

func (s *syntax) Error() string { return s.err.Error() }
func (s *syntax) Unwrap() error { return s.err }

// parseXML reads one XML document.
func parseXML(data []byte, file string, b *budget) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("the encoding is %s, and UTF-8 is read; convert the file", charset)
	}
	var root *element
	var open []*element
	var starts [][2]int64 // where each of them begins, and where what it holds begins
	for {
		begins := d.InputOffset()
		t, err := d.Token()
		line, _ := d.InputPos()
		if err == io.EOF {
			break
		}
		if err != nil {
			var se *xml.SyntaxError
			if errors.As(err, &se) {
				err = fmt.Errorf("this is not well-formed XML: %s", se.Msg)
			}
			return nil, &syntax{line, "xml", err}
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, &syntax{line, "doctype", errors.New("a document type declaration (DOCTYPE) is not taken, and neither are entities that it declares; delete it")}
		case xml.StartElement:
			if b.elements--; b.elements < 0 {
				return nil, &syntax{line, "size", fmt.Errorf("there are more than %d elements, which is the most that is read", maxElements)}
			}
			if len(open) == maxDepth {
				return nil, &syntax{line, "depth", fmt.Errorf("elements stand deeper than %d in each other, which is the most that is read", maxDepth)}
			}
			e := &element{name: t.Name, attrs: t.Attr, file: file, line: line}
			switch {
			case len(open) > 0:
				in := open[len(open)-1]
				in.kids = append(in.kids, e)
			case root != nil:
				return nil, &syntax{line, "xml", errors.New("there are two outermost elements, and a document has one")}
			default:
				root = e
			}
			open, starts = append(open, e), append(starts, [2]int64{begins, d.InputOffset()})
		case xml.EndElement:
			e := open[len(open)-1]
			start, end := starts[len(starts)-1], d.InputOffset()
			e.outer = data[start[0]:end]
			if end > start[1] { // not <e/>
				raw := data[start[1]:end]
				e.inner = raw[:bytes.LastIndex(raw, []byte("</"))]
			}
			open, starts = open[:len(open)-1], starts[:len(starts)-1]
		case xml.CharData:
			if len(open) > 0 {
				e := open[len(open)-1]
				e.text = append(e.text, t...)
			}
		}
	}
	if root == nil {
		return nil, &syntax{1, "xml", errors.New("this is not XML: there is no element")}
	}
	return root, nil
}
