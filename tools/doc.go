// Package tools has ways to make an [agent.Tool].
//
// [Func] makes one from a typed Go function. The schemas of its arguments and
// of its result come from the Go types, so that what a model is told, what is
// checked and what the function gets are one and the same:
//
//	type Refund struct {
//		Order  int     `json:"order" jsonschema:"description=Order number,minimum=1"`
//		Amount float64 `json:"amount" jsonschema:"exclusiveMinimum=0,maximum=500"`
//		Reason string  `json:"reason,omitempty"`
//	}
//
//	func (s *Shop) Refund(ctx context.Context, r Refund) (Payment, error) {
//		c := agent.CallFrom(ctx)
//		return s.pay(ctx, c.Key, r.Order, r.Amount)
//	}
//
//	refund := tools.Func("refund", "Pay an order back.", shop.Refund, &tools.Options{
//		Approve: tools.ApproveIf(func(ctx context.Context, r Refund) *agent.Ask {
//			if r.Amount <= 100 {
//				return nil
//			}
//			return &agent.Ask{Prompt: "more than 100 is paid back"}
//		}),
//	})
//
// # Struct tags
//
// A field's json tag gives its name. A field is required unless it is a
// pointer or its json tag has omitempty or omitzero. Its jsonschema tag holds
// any of these, with commas between them:
//
//	description=…                          what it is, for the model
//	title=…  example=…  default=…          said to the model, not enforced
//	required                               even if it is a pointer or omitempty
//	nullable                               null is taken too, as it is for a pointer
//	enum=a,enum=b                          one of these; for a slice, each item
//	minimum= maximum= multipleOf=          numbers
//	exclusiveMinimum= exclusiveMaximum=
//	minLength= maxLength= pattern= format= strings, in characters; formats such as date, date-time, email, uri, uuid
//	minItems= maxItems= uniqueItems=true   slices
//
// A comma within a text is written \\, – or the text stands in a tag of its own:
//
//	Reason string `json:"reason" jsonschema_description:"Why, in the customer's own words"`
//
// A keyword that does not fit its field is refused when the tool is made. A
// type may also say itself what its schema is, by a method JSONSchema or
// JSONSchemaExtend as package github.com/invopop/jsonschema describes them.
//
// # More than a function
//
// A tool is plain data: where there is no Go type for its arguments, write an
// agent.Tool literal. [Wrap] puts [Middleware] around any tool.
package tools
