package memorytest

import (
	"fmt"
	"reflect"
	"time"
)

// difference says how two values of the contract differ; "" if they do not.
// Times must be equal and UTC, and nil and empty bytes are the same.
func difference(got, want any) string {
	g, w := show(reflect.ValueOf(got)), show(reflect.ValueOf(want))
	if g == w {
		return ""
	}
	return fmt.Sprintf("got\n\t%s\nwant\n\t%s", g, w)
}

// show writes a value out in full.
func show(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Invalid:
		return "nil"
	case reflect.Pointer:
		return "&" + show(v.Elem())
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return t.Format(time.RFC3339Nano)
		}
		s := ""
		for i := range v.NumField() {
			s += v.Type().Field(i).Name + ":" + show(v.Field(i)) + " "
		}
		return "{" + s + "}"
	case reflect.Slice:
		if b, ok := v.Interface().([]byte); ok {
			if len(b) > 100 {
				return fmt.Sprintf("%q… (%d bytes)", b[:100], len(b))
			}
			return fmt.Sprintf("%q", b)
		}
		s := ""
		for i := range v.Len() {
			s += show(v.Index(i)) + " "
		}
		return "[" + s + "]"
	default:
		return fmt.Sprintf("%v", v.Interface())
	}
}
