package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// news are the claims of this process whose owners want to be told when somebody
// appends to the run without the claim. What this process does is told at once;
// what others do, when the hub looks.
type news struct {
	mu     sync.Mutex
	claims map[agent.RunID]*listener
	fresh  bool // a claim has come since the hub last looked
}

// listener is one claim whose news are told.
type listener struct {
	run    agent.RunID
	token  memory.Token
	tell   func(agent.RunID)
	known  memory.Position // the end of the log of which nothing is to be told any more
	coming memory.Position // the end that a commit of this process is about to make
}

func newNews() *news { return &news{claims: map[agent.RunID]*listener{}} }

// listen begins to tell the news of claims, or with nil ends what was told of
// claims before that had the same runs.
func (n *news) listen(claims []memory.Claim, tell func(agent.RunID)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range claims {
		delete(n.claims, c.Run)
		if tell != nil {
			n.claims[c.Run] = &listener{run: c.Run, token: c.Token, tell: tell, known: c.Last}
			n.fresh = true
		}
	}
}

// end ends the news of a claim.
func (n *news) end(run agent.RunID, token memory.Token) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.claims[run]; l != nil && l.token == token {
		delete(n.claims, run)
	}
}

// commits is told before a commit of this process, so that the hub knows it when
// it sees it in the file.
func (n *news) commits(c *memory.Commit) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.claims[c.Run]; l != nil && len(c.Records) > 0 {
		l.coming = c.Last()
	}
}

// committed is told after it, and tells the news if it is some.
func (n *news) committed(c *memory.Commit) {
	if tell := n.learn(c); tell != nil {
		tell(c.Run)
	}
}

// learn notes a commit and returns whom to tell of it; nil: nobody.
func (n *news) learn(c *memory.Commit) (tell func(agent.RunID)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.claims[c.Run]
	if l == nil || len(c.Records) == 0 {
		return nil
	}
	if last := c.Last(); last.Seq > l.known.Seq {
		l.known = last
	}
	if c.Claim == "" {
		return l.tell
	}
	return nil
}

// any reports whether somebody wants to be told of something.
func (n *news) any() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.claims) > 0
}

// listeners returns those who are there, and whether there are new ones.
func (n *news) listeners() (all []*listener, fresh bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.claims {
		all = append(all, l)
	}
	fresh, n.fresh = n.fresh, false
	return all, fresh
}

// claimEnd is how a claim of this process stands in the file.
type claimEnd struct {
	token memory.Token
	last  memory.Position
}

// seen compares those who listened before the file was read with what it says of
// the claims of this process, and tells them what they do not know.
func (n *news) seen(before []*listener, now map[agent.RunID]claimEnd) {
	for _, l := range before {
		if end := now[l.run]; n.isNews(l, end) {
			l.tell(l.run)
		}
	}
}

// isNews reports whether there is news of a claim, and notes it. It forgets a
// claim that is lost.
func (n *news) isNews(l *listener, end claimEnd) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.claims[l.run] != l {
		return false
	}
	if end.token != l.token {
		delete(n.claims, l.run)
		return false
	}
	if end.last.Seq <= l.known.Seq {
		return false
	}
	l.known = end.last
	return end.last != l.coming
}

// claimsOf reads the claims of a process.
func (c *conn) claimsOf(process string) (map[agent.RunID]claimEnd, error) {
	ends := map[agent.RunID]claimEnd{}
	err := c.each(context.Background(), func(rows *sql.Rows) error {
		var run agent.RunID
		var end claimEnd
		err := rows.Scan(&run, &end.token, &end.last.Seq, &end.last.ID)
		ends[run] = end
		return err
	}, "SELECT run, token, last_seq, last_id FROM runs WHERE process = ?", process)
	return ends, err
}
