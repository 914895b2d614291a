package perform

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/fermata-run/fermata/agent"
)

// definitions are what a performer knows of definitions: the planner's own, and
// some of those by which runs go that began under another.
type definitions struct {
	mu      sync.Mutex
	own     []byte
	ownHash string
	kept    map[string][]byte // by hash
	size    int               // of kept, in bytes
}

// maxKept is how many bytes of other definitions a performer remembers.
const maxKept = 8 << 20

// errNoBlobs is the error of a program whose store keeps no blobs.
var errNoBlobs = errors.New("there is no store for it")

// define returns the definition by which a run goes, where the planner goes by one.
// A run that has none yet gets the program's own, which is kept with it under the
// name that is returned.
func (p *Performer) define(ctx context.Context, id agent.RunID, hash string) (definition []byte, name string, err error) {
	if hash != "" {
		definition, err = p.definition(ctx, id, hash)
		return definition, "", err
	}
	own, _ := p.own()
	if own == nil {
		return nil, "", nil
	}
	err = errNoBlobs
	if p.PutBlob != nil {
		name, err = p.PutBlob(ctx, id, own)
	}
	if err != nil {
		return nil, "", agent.Transient(fmt.Errorf("the definition of agent %s cannot be kept with the run: %w", p.Agent.Name, err), 0)
	}
	return own, name, nil
}

// definition returns the definition with this hash; nil where the planner goes by
// none, or the run does not. It reads none that is the program's own, or that it has
// read lately.
func (p *Performer) definition(ctx context.Context, id agent.RunID, hash string) ([]byte, error) {
	if _, defines := p.Agent.Planner.(agent.Definer); !defines || hash == "" {
		return nil, nil
	}
	if own, ownHash := p.own(); hash == ownHash {
		return own, nil
	}
	if known := p.definitions.known(hash); known != nil {
		return known, nil
	}
	data, err := []byte(nil), errNoBlobs
	if p.Blob != nil {
		data, err = p.Blob(ctx, id, hash)
	}
	if err != nil {
		what := ""
		if _, passes := agent.IsTransient(err); !passes {
			what = "; it was kept with the run as it began under it: bring it back, give the run another one, or cancel the run"
		}
		return nil, fmt.Errorf("the definition by which agent %s goes in this run (%.12s…) cannot be read: %w%s", p.Agent.Name, hash, err, what)
	}
	p.definitions.remember(hash, data)
	return data, nil
}

// own returns the program's own definition and its hash; nil and "" if there is none.
func (p *Performer) own() (definition []byte, hash string) {
	d, defines := p.Agent.Planner.(agent.Definer)
	if !defines {
		return nil, ""
	}
	now := d.Definition()
	if len(now) == 0 {
		return nil, ""
	}
	c := &p.definitions
	c.mu.Lock()
	defer c.mu.Unlock()
	if !bytes.Equal(now, c.own) {
		sum := sha256.Sum256(now)
		c.own, c.ownHash = bytes.Clone(now), hex.EncodeToString(sum[:])
	}
	return c.own, c.ownHash
}

func (c *definitions) known(hash string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept[hash]
}

// remember keeps a definition, and forgets others if it gets too much.
func (c *definitions) remember(hash string, data []byte) {
	if len(data) == 0 || len(data) > maxKept {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept[hash] != nil {
		return
	}
	for other, old := range c.kept {
		if c.size+len(data) <= maxKept {
			break
		}
		delete(c.kept, other)
		c.size -= len(old)
	}
	if c.kept == nil {
		c.kept = map[string][]byte{}
	}
	c.kept[hash] = data
	c.size += len(data)
}
