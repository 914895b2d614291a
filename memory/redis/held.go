package redis

import (
	"sync"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// claims are those that this process has, as far as it knows.
type claims struct {
	mu   sync.Mutex
	runs map[agent.RunID]*heldClaim
}

// heldClaim is one of them.
type heldClaim struct {
	token memory.Token
	agent string // that the run has
	news  func(agent.RunID)
}

func newClaims() *claims { return &claims{runs: map[agent.RunID]*heldClaim{}} }

func (c *claims) add(run agent.RunID, h *heldClaim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs[run] = h
}

// forget drops a claim; an empty token is any.
func (c *claims) forget(run agent.RunID, token memory.Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.runs[run]; h != nil && (token == "" || h.token == token) {
		delete(c.runs, run)
	}
}

func (c *claims) agentOf(run agent.RunID) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.runs[run]; h != nil {
		return h.agent
	}
	return ""
}

func (c *claims) moved(run agent.RunID, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.runs[run]; h != nil {
		h.agent = name
	}
}

// committed notes the agent that a run has after a commit of this process.
func (c *claims) committed(m *memory.Commit) {
	if m.Claim != "" {
		c.moved(m.Run, m.Index.Agent)
	}
}

// news tells whoever holds the run.
func (c *claims) news(run agent.RunID) {
	c.mu.Lock()
	h := c.runs[run]
	c.mu.Unlock()
	if h != nil && h.news != nil {
		h.news(run)
	}
}

// newsAll tells of all runs, after messages may have been lost.
func (c *claims) newsAll() {
	for _, h := range c.all() {
		c.news(h.Run)
	}
}

func (c *claims) all() []memory.Held {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := make([]memory.Held, 0, len(c.runs))
	for run, h := range c.runs {
		held = append(held, memory.Held{Run: run, Token: h.token})
	}
	return held
}
