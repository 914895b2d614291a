// Package scxml reads State Chart XML, the W3C recommendation of 1 September 2015,
// into the form of package graph, and brings the language that such documents are
// written in: ECMAScript.
//
//	def, err := scxml.LoadFile("order.scxml", nil)
//	g, err := graph.New(def, &graph.Options{Lax: true})
//
// A document becomes one [graph.Definition]: states, parallels, finals and histories
// are its nodes, transitions its edges, and the documents that it invokes its Graphs.
// What it says of data stays as it is written, in expressions of the language
// "ecmascript", which this package registers with package graph. So importing it is
// enough to use the language in definitions of other origin, too.
//
// # What is taken, and what is refused
//
// All elements and attributes of the recommendation are known. The data models
// "ecmascript", which is also that of a document that names none, and "null" are.
// Other data models, other elements, other attributes, and other places of elements
// are refused, with the line. Elements and attributes of other namespaces are notes
// of editors and are left out – but not among actions, where leaving one out would
// change what the document does: there they are refused.
//
// A document is untrusted as far as reading goes: its size, depth and number of
// elements are bounded, a document type declaration is refused, and with it all
// entities but the five of XML; src attributes name files in the document's folder
// or below it, and nothing is fetched from a network. It is a program as far as
// running goes: see [Language].
package scxml
