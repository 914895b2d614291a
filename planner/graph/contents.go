package graph

import (
	"fmt"
	"slices"
)

// content is a list of things done one after the other: an error ends it.
type content struct {
	dos []do
}

// do is a Do with its expressions.
type do struct {
	*Do
	set             []setting
	expr            Expr  // of If or Script
	value           value // of Cancel, Say, Log, Each, Assign
	data            value
	loc             Expr // of Assign, and of As
	indexLoc        Expr
	then, otherwise []do
	send            *send
	as, index       string
}

type send struct {
	*Send
	event, data, delay, id, to, kind value
	payload                          *payload
	idLoc                            Expr
}

// blocks compiles what is done on entry or exit. A Do that is nothing but a Then is a
// block of its own: an error in it does not keep what follows from being done.
func (c *compiler) blocks(list []Do, path string) []any {
	var blocks []any
	var rest []do
	flush := func() {
		if len(rest) > 0 {
			blocks = append(blocks, &content{dos: rest})
			rest = nil
		}
	}
	for i := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if isBlock(&list[i]) {
			flush()
			blocks = append(blocks, &content{dos: c.dos(list[i].Then, at+".then")})
			continue
		}
		rest = append(rest, c.do(&list[i], at))
	}
	flush()
	return blocks
}

func isBlock(d *Do) bool {
	return d.Then != nil && d.If == "" && d.Each == nil
}

func (c *compiler) dos(list []Do, path string) []do {
	var out []do
	for i := range list {
		out = append(out, c.do(&list[i], fmt.Sprintf("%s[%d]", path, i)))
	}
	return out
}

func (c *compiler) do(d *Do, path string) do {
	x := do{Do: d, data: c.value(d.Data, path+".data"), as: d.As, index: d.Index}
	switch {
	case d.Set != nil:
		x.set = c.settings(d.Set, path+".set")
	case d.Send != nil:
		x.send = c.send(d.Send, path+".send.")
	case d.Cancel != nil:
		x.value = c.value(d.Cancel, path+".cancel")
	case d.Say != nil:
		x.value = c.value(d.Say, path+".say")
	case d.If != "":
		x.expr = c.expr(d.If, path+".if", Guards)
	case d.Each != nil:
		x.value = c.list(d.Each, path+".each", "do")
		c.loop(&x)
	case d.Script != "":
		x.expr = c.expr(d.Script, path+".script", Executes)
	case d.Assign != nil:
		x.value = c.value(d.Assign.Value, path+".assign.value")
		x.loc = c.expr(d.Assign.Location, path+".assign.location", Locates)
	case d.Log != nil:
		x.value = c.value(d.Log, path+".log")
	}
	if d.Each != nil {
		before := c.more
		c.more = append(slices.Clone(before), x.as, x.index)
		defer func() { c.more = before }()
	}
	x.then, x.otherwise = c.dos(d.Then, path+".then"), c.dos(d.Else, path+".else")
	return x
}

// loop readies an Each: its item and index are variables where the language has
// locations, and else locals.
func (c *compiler) loop(x *do) {
	if x.as == "" {
		x.as = "item"
	}
	x.loc = c.location(x.as)
	if x.index == "" {
		x.index = "index"
	} else {
		x.indexLoc = c.location(x.index)
	}
}

func (c *compiler) send(s *Send, path string) *send {
	x := &send{
		Send: s, event: c.value(s.Event, path+"event"), data: c.value(s.Data, path+"data"), delay: c.span(s.Delay, path+"delay"),
		id: c.value(s.ID, path+"id"), to: c.value(s.To, path+"to"), kind: c.value(s.Type, path+"type"), payload: c.payload(s.Payload, path+"payload."),
	}
	if s.IDLocation != "" {
		x.idLoc = c.expr(s.IDLocation, path+"id_location", Locates)
	}
	return x
}

func (c *compiler) payload(p *Payload, path string) *payload {
	if p == nil {
		return nil
	}
	x := &payload{names: p.Names, body: c.value(p.Content, path+"content"), given: p.Content != nil}
	for i, n := range p.Names {
		x.locs = append(x.locs, c.expr(n, fmt.Sprintf("%snames[%d]", path, i), Yields))
	}
	for i, param := range p.Params {
		x.params = append(x.params, setting{name: param.Name, value: c.value(param.Value, fmt.Sprintf("%sparams[%d].value", path, i))})
	}
	return x
}

// extra compiles what only other languages' machines need.
func (c *compiler) extra(n *node, path string) {
	n.done = c.payload(n.Extra.Done, path+"done.")
	for i := range n.Extra.Invokes {
		v := &n.Extra.Invokes[i]
		at := fmt.Sprintf("%sinvokes[%d].", path, i)
		x := &invoke{Invoke: v, graph: c.value(v.Graph, at+"graph"), kind: c.value(v.Type, at+"type"), payload: c.payload(v.Payload, at+"payload.")}
		if v.Finalize != nil {
			x.finalize = &content{dos: c.dos(v.Finalize, at+"finalize")}
		}
		if v.IDLocation != "" {
			x.idLoc = c.expr(v.IDLocation, at+"id_location", Locates)
		}
		n.invokes = append(n.invokes, x)
		c.p.forwards = c.p.forwards || v.Forward
	}
}
