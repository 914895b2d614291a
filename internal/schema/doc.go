// Package schema is the one place that knows JSON Schema: how a Go type becomes
// one, and how a value is held against one.
//
// [For] and [Of] make the schema of what a program takes in, [ForResult] that of
// what it gives out. [Validate] says whether a value fits, in words that a
// language model or a person can act on:
//
//	type Refund struct {
//		OrderID int    `json:"order_id"`
//		Amount  int    `json:"amount" jsonschema:"maximum=500"`
//		Reason  string `json:"reason"`
//	}
//
//	s, err := schema.Of[Refund]()
//	err = schema.Validate(s, json.RawMessage(`{"order_id": "A-17", "amount": 900}`))
//	// missing required field "reason"; amount: must be ≤ 500, got 900;
//	// order_id: expected an integer, got string "A-17"
//
// Schemas and values may come from strangers. Nothing is ever loaded from the
// network or from a file, and no value makes validation panic, or take more time
// and memory than its size and its schema warrant. A schema of which thousands
// of parts apply to one value is refused. One that refers to itself from several
// branches of a choice is not, and takes its time with values that nest deeply.
package schema
