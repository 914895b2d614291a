package schema

import (
	"encoding/json"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/invopop/jsonschema"
)

type color string

type base struct {
	ID int `json:"id" jsonschema:"description=Order number,minimum=1"`
}

type everything struct {
	base
	Name    string            `json:"name" jsonschema:"minLength=1,maxLength=80"`
	Note    string            `json:"note,omitempty" jsonschema_description:"Why, in a few words"`
	Color   color             `json:"color,omitzero" jsonschema:"enum=red,enum=green"`
	Price   *float64          `json:"price" jsonschema:"exclusiveMinimum=0"`
	Must    *int              `json:"must" jsonschema:"required,enum=0,enum=2"`
	Tags    []string          `json:"tags" jsonschema:"minItems=1,uniqueItems=true,pattern=^[a-z]+$"`
	Meta    map[string]string `json:"meta,omitempty"`
	ByYear  map[int]int       `json:"by_year,omitempty"`
	At      time.Time         `json:"at"`
	For     time.Duration     `json:"for"`
	Blob    []byte            `json:"blob"`
	Any     any               `json:"any"`
	Raw     json.RawMessage   `json:"raw"`
	Count   uint8             `json:"count"`
	Addr    netip.Addr        `json:"addr"`
	IP      net.IP            `json:"ip"`
	Big     big.Int           `json:"big"`
	Big64   int64             `json:"big64,string"`
	Pair    [2]bool           `json:"pair"`
	Sub     *sub              `json:"sub,omitempty"`
	Subs    []*sub            `json:"subs"`
	Skipped chan int          `json:"-"`
	_       func()
}

type sub struct {
	X int `jsonschema:"description=How far\\, in metres"`
}

func TestFor(t *testing.T) {
	got, err := Of[everything]()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"object","properties":{
		"id":{"type":"integer","minimum":1,"description":"Order number"},
		"name":{"type":"string","minLength":1,"maxLength":80},
		"note":{"type":"string","description":"Why, in a few words"},
		"color":{"type":"string","enum":["red","green"]},
		"price":{"type":["number","null"],"exclusiveMinimum":0},
		"must":{"type":["integer","null"],"enum":[0,2,null]},
		"tags":{"type":"array","items":{"type":"string","pattern":"^[a-z]+$"},"minItems":1,"uniqueItems":true},
		"meta":{"type":"object","additionalProperties":{"type":"string"}},
		"by_year":{"type":"object","patternProperties":{"^-?[0-9]+$":{"type":"integer"}},"additionalProperties":false},
		"at":{"type":"string","format":"date-time"},
		"for":{"type":"integer","description":"nanoseconds"},
		"blob":{"type":"string","contentEncoding":"base64"},
		"any":{}, "raw":{},
		"count":{"type":"integer","minimum":0},
		"addr":{"type":"string"}, "ip":{"type":"string"}, "big":{"type":"integer"}, "big64":{"type":"string"},
		"pair":{"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":2},
		"sub":{"type":["object","null"],"properties":{"X":{"type":"integer","description":"How far, in metres"}},"required":["X"],"additionalProperties":false},
		"subs":{"type":"array","items":{"type":["object","null"],"properties":{"X":{"type":"integer","description":"How far, in metres"}},"required":["X"],"additionalProperties":false}}
		},"additionalProperties":false,
		"required":["id","name","must","tags","at","for","blob","any","raw","count","addr","ip","big","big64","pair","subs"]}`
	if !sameJSON(t, got, want) {
		t.Errorf("got %s", got)
	}
	// The order of the fields is the order in which a model writes them.
	if i, j := strings.Index(string(got), `"name"`), strings.Index(string(got), `"note"`); i > j {
		t.Errorf("the fields are out of order: %s", got)
	}
}

// What goes out with its zero value must fit the schema of what goes out.
func TestForResultFitsWhatIsEncoded(t *testing.T) {
	for _, v := range []any{
		everything{base: base{ID: 1}, Name: "a", Must: new(int), Raw: json.RawMessage("1")}, (*everything)(nil), []string(nil), []string{"a"}, map[string][]int(nil), map[string][]int{"a": nil},
		map[string]*sub{"a": nil}, [][]int{nil}, "x", 1, nil2{}, struct{}{}, tree{}, tree{Kids: []tree{{}}}, list{}, list{Next: &list{}},
		map[int8]int{-3: 1}, map[netip.Addr]int{netip.MustParseAddr("::1"): 1}, net.IP{1, 2, 3, 4}, net.ParseIP("::1"),
		time.Unix(0, 0).UTC(), big.NewInt(7), json.Number("1.5"),
	} {
		s, err := ForResult(reflect.TypeOf(v))
		if err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		p := reflect.New(reflect.TypeOf(v))
		p.Elem().Set(reflect.ValueOf(v))
		b, err := json.Marshal(p.Interface())
		if err != nil {
			t.Fatalf("%T: %v", v, err)
		}
		if err := Validate(s, b); err != nil {
			t.Errorf("%T: %s\n%v\n%s", v, b, err, s)
		}
	}
}

type nil2 struct {
	A []int          `json:"a"`
	B map[string]int `json:"b"`
	C *sub           `json:"c"`
	D []int          `json:"d,omitempty"`
	E any            `json:"e"`
	F *color         `json:"f" jsonschema:"enum=x"`
	G *tree          `json:"g"`
}

type tree struct {
	Name string `json:"name"`
	Kids []tree `json:"kids,omitempty"`
}

type list struct {
	Next *list `json:"next" jsonschema:"description=The rest"`
}

type ping struct {
	Pong *pong `json:"pong,omitempty"`
}
type pong struct {
	Ping map[string]ping `json:"ping,omitempty"`
}

type twice struct {
	A, B sub
	C    *sub
}

func TestTypesThatContainThemselves(t *testing.T) {
	for _, tt := range []struct {
		t         reflect.Type
		fit, wild string
	}{
		{reflect.TypeFor[tree](), `{"name": "a", "kids": [{"name": "b", "kids": []}]}`, `{"name": "a", "kids": [{"name": "b", "kids": [{}]}]}`},
		{reflect.TypeFor[list](), `{"next": {"next": null}}`, `{"next": {"next": {"nxt": 1}}}`},
		{reflect.TypeFor[ping](), `{"pong": {"ping": {"a": {"pong": {}}}}}`, `{"pong": {"ping": {"a": {"pong": {"ping": 1}}}}}`},
	} {
		s, err := For(tt.t)
		if err != nil {
			t.Errorf("%s: %v", tt.t, err)
			continue
		}
		if !strings.HasPrefix(string(s), `{`) || !strings.Contains(string(s), `"type":"object"`) {
			t.Errorf("%s: the root is not an object: %s", tt.t, s)
		}
		if err := Validate(s, []byte(tt.fit)); err != nil {
			t.Errorf("%s: %v\n%s", tt.t, err, s)
		}
		if err := Validate(s, []byte(tt.wild)); err == nil {
			t.Errorf("%s: %s was let pass by %s", tt.t, tt.wild, s)
		}
	}
	s, err := Of[twice]()
	if err != nil || strings.Contains(string(s), "$ref") || strings.Contains(string(s), "$defs") {
		t.Errorf("a type that is merely used twice is not in place: %s, %v", s, err)
	}
}

type temperature float64

func (temperature) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "number", Minimum: "-273.15"}
}

func TestTypesMaySayTheirSchema(t *testing.T) {
	s, err := Of[struct {
		T temperature `json:"t"`
	}]()
	if err != nil {
		t.Fatal(err)
	}
	if err := Validate(s, []byte(`{"t": -300}`)); err == nil {
		t.Errorf("-300 was let pass by %s", s)
	}
}

type knot struct{ *knot }

func TestForRefuses(t *testing.T) {
	type P *P
	for _, tt := range []struct {
		t    reflect.Type
		want string
	}{
		{nil, "no type given"},
		{reflect.TypeFor[chan int](), "chan int has no JSON form"},
		{reflect.TypeFor[struct{ F func() }](), "F: func() has no JSON form"},
		{reflect.TypeFor[struct{ C complex64 }](), "complex64 has no JSON form"},
		{reflect.TypeFor[map[float64]int](), "keys of type float64"},
		{reflect.TypeFor[struct{ U *url.URL }](), "url.URL has no JSON form of its own: take a string"},
		{reflect.TypeFor[P](), "pointer to itself"},
		{reflect.TypeFor[knot](), "embeds itself"},
		{reflect.TypeFor[struct {
			A string `jsonschema:"description=The id, as printed"`
		}](), `" as printed" is not a keyword: a comma within a text is written \\,`},
		{reflect.TypeFor[struct {
			A string `jsonschema:"minimum=1"`
		}](), `the keyword "minimum" does not fit a field of JSON type "string"`},
		{reflect.TypeFor[struct {
			A int `jsonschema:"minimum=one"`
		}](), `minimum must be a number, got "one"`},
		{reflect.TypeFor[struct {
			A *[]int `jsonschema:"minItem=1"`
		}](), `the keyword "minItem" does not fit`},
		{reflect.TypeFor[struct {
			A int `jsonschema:"enum=a"`
		}](), `enum must be a number, got "a"`},
		{reflect.TypeFor[struct {
			A string `jsonschema:"pattern=("`
		}](), `expected a regular expression`},
	} {
		if s, err := For(tt.t); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: got %s, %v, want %s", tt.t, s, err, tt.want)
		}
	}
}

func sameJSON(t *testing.T, a []byte, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}
