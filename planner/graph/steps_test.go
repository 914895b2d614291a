package graph

import (
	"fmt"
	"strings"
	"testing"
)

// What is left to be understood in a definition is written out.
func TestExpand(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"a straight line": {
			"steps: [{tool: a}, {agent: b}, {ask: {prompt: x}}, {timer: 3s}, {wait: {signal: paid}}, {graph: sub}, {compensate: '*'}, {id: last}]",
			`
a steps[0]
b steps[1]
ask steps[2]
timer steps[3]
paid steps[4]
sub steps[5]
compensate steps[6]
last steps[7]
done steps[7] final
a>b: a [done] b
b>ask: b [done] ask
ask>timer: ask [done] timer
timer>paid: timer [done] paid
paid>sub: paid [done] sub
sub>compensate: sub [done] compensate
compensate>last: compensate [done] last
last>done: last [always] done`,
		},
		"edges that are written down go first": {
			"steps: [{tool: a}, {tool: b}, {id: c}, {id: d}]\nnodes: [{id: f, final: failed}]\nedges: [{from: a, if: x, to: f}, {from: b, to: f}, {from: b, on: error, to: f}, {id: 'b>f', from: c, on: go, to: f}, {from: d, if: x, to: f}, {from: d, after: 1h}]",
			`
a steps[0]
b steps[1]
c steps[2]
d steps[3]
f nodes[0] final
a>f: a [done] f
b>f#2: b [done] f
b>f#3: b [error] f
b>f: c [go] f
d>f: d [always] f
d>: d [] 
a>b: a [done] b`,
		},
		"an end that is there": {
			"steps: [{tool: a}, {id: end, final: true}]",
			`
a steps[0]
end steps[1] final
a>end: a [done] end`,
		},
		"what can be done": {
			"nodes: [{id: c}, {id: k, in: c, final: true}, {id: s}, {id: p, parallel: true}, {id: r, in: p}, {id: t, in: p, tool: t}, {id: m, plan: {}}]\nedges: [{from: c, to: s}, {from: s, to: [p]}, {from: p, to: m}, {from: m, to: done}]",
			`
c nodes[0]
k nodes[1] in c final
s nodes[2]
p nodes[3]
r nodes[4] in p
t:region nodes[5] in p
t nodes[5] in t:region
t:done nodes[5] in t:region final
m nodes[6]
done edges[3] final
c>s: c [done] s
s>p: s [always] p
p>m: p [done] m
m>done: m [done] done
t>t:done: t [done] t:done`,
		},
		"graphs": {
			"steps: [{graph: i}]\ngraphs: [{graph: i, steps: [{tool: a}]}]",
			`
i steps[0]
done steps[0] final
i>done: i [done] done
 a graphs[0].steps[0]
 done graphs[0].steps[0] final
 a>done: a [done] done`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := Parse([]byte("graph: g\n" + tt.text))
			if err != nil {
				t.Fatal(err)
			}
			before, _ := d.encode()
			x, problems := d.expand()
			if len(problems) > 0 {
				t.Error(problems)
			}
			if after, _ := d.encode(); string(after) != string(before) {
				t.Errorf("the definition itself is changed:\n%s\n%s", before, after)
			}
			var b strings.Builder
			listing(&b, x, "")
			if b.String() != tt.want {
				t.Errorf("got%s\nwant%s", b.String(), tt.want)
			}
			again, _ := x.expand()
			var b2 strings.Builder
			listing(&b2, again, "")
			if len(b2.String()) < len(b.String()) || len(again.Nodes) != len(x.Nodes) || len(again.Edges) != len(x.Edges) {
				t.Errorf("expanded twice it is%s", b2.String())
			}
		})
	}
}

func listing(b *strings.Builder, d *Definition, indent string) {
	for _, n := range d.Nodes {
		fmt.Fprintf(b, "\n%s%s %s", indent, n.ID, n.at)
		if n.In != "" {
			fmt.Fprintf(b, " in %s", n.In)
		}
		if n.Final != "" {
			b.WriteString(" final")
		}
	}
	for _, e := range d.Edges {
		fmt.Fprintf(b, "\n%s%s: %s %v %s", indent, e.ID, e.From, e.On, strings.Join(e.To, " "))
	}
	for _, g := range d.Graphs {
		listing(b, g, indent+" ")
	}
}
