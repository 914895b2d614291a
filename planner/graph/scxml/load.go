package scxml

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/planner/graph"
)

// LoadOptions say how a document is read. A nil *LoadOptions and the zero value of
// each field are the defaults.
type LoadOptions struct {
	Name  string // of the document in Files, for messages and for src attributes, which are relative to it; "" is "document"
	Files fs.FS  // the folder that src attributes may name files of; nil: src attributes are refused

	// Lax takes what the recommendation lets fail when it is reached: expressions that
	// cannot be parsed, files that are not there, actions of other namespaces. Each
	// raises error.execution then. Otherwise they are refused.
	Lax bool
}

// maxProblems is how many problems are told at once.
const maxProblems = 50

// LoadFile reads a document from a file. Its src attributes may name files of the
// same folder and of those below it. LoadOptions.Name and Files are not looked at.
func LoadFile(name string, o *LoadOptions) (*graph.Definition, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	with := LoadOptions{Name: filepath.Base(name), Files: root.FS()}
	if o != nil {
		with.Lax = o.Lax
	}
	return Load(data, &with)
}

// Load reads a document. The error is a *[graph.Invalid] that says all that is wrong
// with it; the path of each problem is NAME:LINE. What it returns is still to be
// checked by [graph.New], with [graph.Options].Lax if the document may have states
// that cannot be reached, as machines of other tools may.
func Load(data []byte, o *LoadOptions) (*graph.Definition, error) {
	if o == nil {
		o = &LoadOptions{}
	}
	name := o.Name
	if name == "" {
		name = "document"
	}
	l := &loader{files: o.Files, lax: o.Lax, budget: newBudget(), file: name, problems: &[]graph.Problem{}}
	l.outer = []string{path.Clean(name)}
	def := l.document(data)
	if len(*l.problems) > 0 {
		return nil, &graph.Invalid{Graph: graphName(strings.TrimSuffix(path.Base(name), ".scxml")), Problems: *l.problems}
	}
	return def, nil
}

// loader reads one document. A document that it invokes is read by a loader of its
// own, which shares what is counted.
type loader struct {
	files    fs.FS
	lax      bool
	budget   *budget
	problems *[]graph.Problem
	file     string   // the document's name in files
	outer    []string // the files of this document and those around it

	def    *graph.Definition
	null   bool                // its data model is null
	ids    map[string]*element // of its states, and of what else has a place among them
	named  map[*element]string // their ids, given or made
	data   map[string]bool     // ids of its variables
	graphs map[string]string   // names of its Graphs, by file
	last   map[string]int      // by the name of a graph that is there: the last number that one like it was given
	texts  map[string]bool     // that name documents in its expressions, for srcexpr
	known  map[string]string   // names of the graphs that those documents are; nil as long as nobody has looked
	late   []func()            // what is done when all has been read
	count  int                 // of names that were made
}

// child returns a loader for a document that this one invokes.
func (l *loader) child(file string) *loader {
	return &loader{
		files: l.files, lax: l.lax, budget: l.budget, problems: l.problems,
		file: file, outer: append(slices.Clone(l.outer), path.Clean(file)),
	}
}

// refuse notes a problem.
func (l *loader) refuse(at, rule, format string, args ...any) {
	if len(*l.problems) < maxProblems {
		*l.problems = append(*l.problems, graph.Problem{Path: at, Rule: rule, Message: fmt.Sprintf(format, args...)})
	}
}

// document reads a whole document from its text. Without a problem it returns its
// definition.
func (l *loader) document(data []byte) *graph.Definition {
	err := l.budget.spend(data)
	if err != nil {
		l.refuse(l.file, "size", "the document cannot be read: %v", err)
		return nil
	}
	root, err := parseXML(data, l.file, l.budget)
	var s *syntax
	if errors.As(err, &s) {
		l.refuse(fmt.Sprintf("%s:%d", l.file, s.line), s.rule, "%v", s.err)
		return nil
	}
	return l.machine(root)
}

// read returns a file that a src attribute names, relative to the document.
func (l *loader) read(src string) (data []byte, name string, err error) {
	name, err = l.locate(src)
	if err != nil {
		return nil, "", err
	}
	info, err := fs.Stat(l.files, name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", name)
	}
	if err == nil && info.Size() > maxBytes {
		err = fmt.Errorf("%s is longer than %d bytes, which is the most that is read", name, maxBytes)
	}
	if err == nil {
		data, err = fs.ReadFile(l.files, name)
	}
	if err == nil {
		err = l.budget.spend(data)
	}
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		err = failed.Err // whose words name neither a system call nor the file once more
	}
	return data, name, err
}

// locate returns the name of a file in the loader's folder.
func (l *loader) locate(src string) (string, error) {
	if l.files == nil {
		return "", errors.New("this document has no folder to look for files in; load it from a file")
	}
	src = strings.TrimPrefix(strings.TrimSpace(src), "file:")
	name := path.Join(path.Dir(l.file), src)
	if strings.Contains(src, "://") || strings.HasPrefix(src, "/") || !fs.ValidPath(name) || name == "." {
		return "", fmt.Errorf("%q is not a file in the document's folder or below it, and others are not read", src)
	}
	return name, nil
}

// graphName makes a name that a definition may have.
func graphName(s string) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, s)
	if name = strings.Trim(name, "-"); name == "" {
		return "machine"
	}
	if len(name) > 64 {
		name = name[:64]
	}
	return name
}
