package graph

import (
	"fmt"
	"sync"

	"github.com/fermata-run/fermata/agent"
)

// A Graph is a definition that is ready to run: an [agent.Planner] without state of
// its own, safe for use by many goroutines.
type Graph struct {
	name string
	data []byte // the definition as it was given
	hash string
	opts Options
	root *program

	mu    sync.Mutex
	older map[string]*Graph // by hash: what runs go by that began under another definition
}

// maxOlder is how many older definitions a graph keeps compiled.
const maxOlder = 32

// New checks a definition and makes it ready to run. The error is an *[Invalid] if
// it is refused. The definition is not to be changed any more.
func New(d *Definition, o *Options) (*Graph, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	data, err := d.encode()
	if err != nil {
		return nil, err
	}
	root, problems := ready(d, &opts)
	if len(problems) > 0 {
		return nil, &Invalid{Graph: d.Graph, Problems: problems}
	}
	return &Graph{name: d.Graph, data: data, hash: hashOf(data), opts: opts, root: root}, nil
}

// Name returns the graph's name.
func (g *Graph) Name() string { return g.name }

// Definition returns the definition's JSON, as it is kept with each run.
func (g *Graph) Definition() []byte { return g.data }

// Of returns the graph by which a run goes that began under this definition. Nil is
// g's own. It is held against no rules that Options.Lax leaves out.
func (g *Graph) Of(definition []byte) (*Graph, error) {
	if len(definition) == 0 {
		return g, nil
	}
	hash := hashOf(definition)
	if hash == g.hash {
		return g, nil
	}
	g.mu.Lock()
	old := g.older[hash]
	g.mu.Unlock()
	if old != nil {
		return old, nil
	}
	d, err := decodeDefinition(definition)
	if err != nil {
		return nil, fmt.Errorf("graph %s: the definition by which this run goes cannot be read: %w", g.name, err)
	}
	opts := g.opts
	opts.Lax = true
	if old, err = New(d, &opts); err != nil {
		return nil, fmt.Errorf("graph %s: the definition by which this run goes needs what this program does not have (use a program that has it; to migrate the run, that needs functions of these names, too, if only as stand-ins): %w", g.name, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.older == nil || len(g.older) >= maxOlder {
		g.older = map[string]*Graph{}
	}
	g.older[hash] = old
	return old, nil
}

// Vet says what of an agent's a graph names and the agent does not have, and refuses
// one that is interrupted by a message: that would cancel what the graph has going on,
// behind its back.
func (g *Graph) Vet(a *agent.Agent) error {
	if a.OnMessage == agent.Interrupt {
		return fmt.Errorf("its OnMessage is agent.Interrupt, and graph %s says by edges on the event message what becomes of one; leave OnMessage out", g.name)
	}
	tools, delegates := map[string]bool{}, map[string]bool{}
	for _, t := range a.Tools {
		if t != nil {
			tools[t.Name] = true
		}
	}
	for _, d := range a.Delegates {
		if d != nil {
			delegates[d.Name] = true
		}
	}
	var err error
	miss := func(n *node, what, name string, has map[string]bool) {
		if err == nil && name != "" && !has[name] {
			err = fmt.Errorf("the node %q of graph %s names the %s %q, which the agent does not have; it has: %v", n.ID, n.prog.def.Graph, what, name, sortedKeys(has))
		}
	}
	g.root.walk(func(p *program) {
		for i := range p.def.Nodes {
			n := p.nodes[p.def.Nodes[i].ID]
			miss(n, "tool", n.Tool, tools)
			miss(n, "delegate", n.Agent, delegates)
			if n.Undo != nil {
				miss(n, "tool", n.Undo.Tool, tools)
			}
		}
	})
	return err
}
