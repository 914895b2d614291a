package memory

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// Errors that a Store's calls return, wrapped with what was found. Any other
// error means that the store could not be asked: for a Commit, that it is not
// known whether it took place (read the log to find out).
var (
	ErrConflict  = errors.New("the run's log has other records at its end than the ones that were read")
	ErrClaimLost = errors.New("the run is claimed by another worker, or by none")
	ErrNotFound  = errors.New("not in the store")
	ErrErased    = errors.New("the run was erased")
	ErrCorrupt   = errors.New("the store is damaged")
	ErrFull      = errors.New("the store has no room left")
)

// A Store keeps runs. It is safe for use by many goroutines, and any number of
// processes may share what it keeps.
type Store interface {
	// Now is the store's clock as far as this process knows it, in UTC and to the
	// microsecond; it does no I/O. Records carry its time.
	Now() time.Time

	// Commit appends the records if Base is still the position of the log's last
	// one, and puts the rest of c into effect, all or nothing, durably before it
	// returns. If the records of c are in the log already (the reply to an
	// earlier try was lost), it returns nil and does nothing. Otherwise, if the
	// log has another end, it returns ErrConflict; if c.Claim is set and is not
	// the run's claim, ErrClaimLost; if the run was erased, ErrErased. A claim
	// whose lease has ended is still the run's until somebody takes the run. A
	// commit that [Commit.Check] finds malformed is refused with what it found.
	// One without records puts the rest of c into effect if the log ends at Base.
	Commit(ctx context.Context, c *Commit) error

	// Read returns what a run's log holds; ErrNotFound or ErrErased if there is none.
	Read(ctx context.Context, run agent.RunID, o ReadOptions) (*Log, error)

	// Claim takes runs that want attention (Index.Wake has come) and that nobody
	// has claimed, the longest waiting first. If there are none, it waits up to
	// r.Wait for one and returns an empty list when that has passed. A claim ends
	// when it is released, when its lease ends, or, where the store can tell, when
	// its process is dead; a run whose claim ended otherwise than by release wants
	// attention from then on, whatever its Index.Wake.
	Claim(ctx context.Context, r *ClaimRequest) ([]Claim, error)

	// Renew extends claims by lease from now, also those whose lease has ended if
	// nobody took the run. It returns how each stands, in the order of held.
	Renew(ctx context.Context, lease time.Duration, held []Held) ([]Renewal, error)

	// Release gives a claim back and clears the run's strikes. If h.Last is not
	// the end of the log any more, the run wants attention now; otherwise at its
	// Index.Wake; but if h.NotBefore is set, then. Releasing a claim that is lost
	// does nothing.
	Release(ctx context.Context, h Held) error

	// Watch yields a hint at once and whenever the run may have changed, until ctx
	// ends (it then yields nothing more) or the store fails. Hints may be merged.
	// One that is lost may cost latency only: a Store yields at least one every
	// few seconds.
	Watch(ctx context.Context, run agent.RunID) iter.Seq2[Hint, error]

	// Speak adds to the sentence that the run's planner is saying. It is not
	// durable and may be lost; watchers see it in Hint.Words. For a run that does
	// not exist it does nothing.
	Speak(ctx context.Context, run agent.RunID, w Words) error

	// Runs lists runs, the last changed first.
	Runs(ctx context.Context, q RunQuery) (*RunPage, error)

	// Asks lists open asks, the oldest first.
	Asks(ctx context.Context, q AskQuery) (*AskPage, error)

	// Stats counts what is kept, and how long what wants attention has waited.
	Stats(ctx context.Context) (*Stats, error)

	// Check walks all that is kept and yields each thing that is wrong with it: a
	// record, an ask or a blob that is damaged or missing, an entry of a list that
	// does not belong there or is not there. With repair it puts the lists in order
	// again, which follow from what is kept of each run; it never changes a log.
	// Others may go on meanwhile. An error ends it: the store could not be asked.
	Check(ctx context.Context, repair bool) iter.Seq2[Problem, error]

	// PutBlob keeps a large value as part of the run and returns its name, the
	// SHA-256 of data in hexadecimal. The run need not exist yet.
	PutBlob(ctx context.Context, run agent.RunID, data []byte) (hash string, err error)

	// Blob returns a value that PutBlob kept for the run, or ErrNotFound.
	Blob(ctx context.Context, run agent.RunID, hash string) ([]byte, error)

	// Erase removes the run and all that is kept of it, and leaves a tombstone:
	// its id is never used again. It does so whether or not there is such a run,
	// so it may be repeated. PutBlob then returns ErrErased, Blob ErrNotFound.
	Erase(ctx context.Context, run agent.RunID) error

	// Close releases what the process holds. Its claims are void, as if the process
	// had died: give them back first with Release. Calls that wait return, and
	// later ones fail, with an error that is [io/fs.ErrClosed].
	Close() error
}

// Position is a place in a run's log: that of a record, or the zero Position
// before the first.
type Position struct {
	Seq int64          `json:"seq"` // of the record, from 1
	ID  agent.RecordID `json:"id"`
}

// Record is one record of a log.
type Record struct {
	Seq  int64
	ID   agent.RecordID
	Time time.Time // never before the time of the record before it; kept to the microsecond
	Data []byte
}

// Position returns the record's place.
func (r *Record) Position() Position { return Position{r.Seq, r.ID} }

// Token names one claim. It is random.
type Token string

// Commit is one atomic step of one run.
type Commit struct {
	Run     agent.RunID
	Base    Position // the end of the log that the step was decided on; zero creates the run
	Claim   Token    // empty: the step needs no claim
	Records []Record // Seq counting on from Base; none only corrects what is kept beside the log

	Snapshot []byte        // the folded state after Records, replacing the one before; nil leaves that
	Index    Index         // how the run stands now, replacing the one before
	Opened   []AskEntry    // now open; one with the id of an open ask replaces it
	Closed   []agent.AskID // no longer open, also when it stands in Opened too; one that is not open is ignored
	Progress bool          // something ended well: clears the run's strikes

	// Acts says that something happens on the strength of this commit which nobody
	// can take back: a call is made, an input is acknowledged. A store that can lose
	// what it has taken, and knows how to wait until it no longer can, waits.
	Acts bool
}

// Last returns the position that the log has after the commit.
func (c *Commit) Last() Position {
	if len(c.Records) == 0 {
		return c.Base
	}
	return c.Records[len(c.Records)-1].Position()
}

// Index is what lists and workers need to know of a run without its log.
type Index struct {
	Agent  string
	Status agent.Status
	Title  string      // how the run began, cut short
	Reason string      // why it is stuck, failed or cancelled
	Wake   time.Time   // when it next wants attention; zero: not by itself
	Parent agent.RunID // the run that started it as a delegate; "" for a root
}

// AskEntry is an open ask in the inbox.
type AskEntry struct {
	ID      agent.AskID
	Kind    agent.AskKind
	Opened  time.Time
	Due     time.Time // zero: none
	For     []string  // who may answer, as in agent.Ask; empty: anybody who is not in Not
	Not     []string  // who may not
	Claimed string    // id of the user who has claimed it; "" nobody
	Data    []byte    // the ask, encoded

	Run   agent.RunID // set by the store in lists
	Agent string      // likewise
}

// ReadOptions say which part of a log is wanted. The zero value reads all.
type ReadOptions struct {
	After    int64 // only records with a higher Seq
	Limit    int   // at most so many records; 0 means all
	Snapshot bool  // begin with the snapshot, if there is one at or after After
}

// Log is what Read returns.
type Log struct {
	Snapshot   []byte   // nil if there is none or it was not asked for
	SnapshotAt Position // the last record that Snapshot has folded
	Records    []Record // those after it, in order
	Last       Position // the end of the whole log
}

// ClaimRequest says what a worker wants.
type ClaimRequest struct {
	Worker string        // the worker's name, for people
	Agents []string      // runs of these agents only
	Run    agent.RunID   // if set, this run only, whatever its agent
	Max    int           // at most so many; 0 means one
	Lease  time.Duration // how long each is claimed without renewal; more than 0
	Wait   time.Duration // how long to wait for a first one; 0 does not wait

	// Suspects asks for one run that has [SuspectAfter] strikes or more and for
	// nothing else: it is to be driven alone. Without it such runs are left out,
	// unless Run is set.
	Suspects bool

	// NoTakeOver leaves out runs whose claim has lapsed, as its lease ended without
	// renewal: after an outage of the store those who hold them renew first.
	NoTakeOver bool

	// News, if not nil, is told from now on when somebody has appended to a run of
	// these claims without its claim: a person, or a call that ended late. It is
	// called on any goroutine, must not block, and may miss something: Renew tells it, too.
	News func(agent.RunID)
}

// SuspectAfter is the number of strikes from which a run is claimed only by a
// worker that drives nothing else.
const SuspectAfter = 2

// Claim is a run that a worker has taken.
type Claim struct {
	Run   agent.RunID
	Token Token
	Last  Position // the end of its log
	// Strikes is how many claims before this ended in the worker's death or
	// silence, in a row. Release and a Commit with Progress set it to 0.
	Strikes int
}

// Held names a claim that a worker holds.
type Held struct {
	Run   agent.RunID
	Token Token
	Last  Position // the last record that the worker has folded; only Release looks at it
	// NotBefore is when the run wants attention again after a Release by a worker
	// that can do nothing with it, such as one that cannot read its log; the strikes
	// stay. Zero: as Release says.
	NotBefore time.Time
}

// Renewal says how a claim stands.
type Renewal struct {
	Held bool     // false: it is lost, and the worker must begin nothing more for the run
	Last Position // the end of the run's log
}

// Hint says that a run may have changed.
type Hint struct {
	Last  Position // the end of its log; zero if there is no such run
	Words Words    // the whole sentence so far that is being said, From 0; empty if none
}

// Words are a piece of a sentence that is being said. A new Attempt drops the
// sentence before it; within an attempt a piece whose From is not the length of
// what was said is ignored.
type Words struct {
	Attempt string // names the attempt; "" ends the sentence
	From    int    // how many bytes of the attempt came before
	Data    []byte
}

// RunQuery selects runs. The zero value selects the newest hundred.
type RunQuery struct {
	Agent    string         // "" any
	Statuses []agent.Status // nil any
	Prefix   string         // of the run's id
	Parent   agent.RunID    // delegates of that run only; "" any
	Roots    bool           // only runs that no other has started; without those of agents whose name begins with @, which are Fermata's own, unless Agent names one
	Before   time.Time      // last changed before then; zero any
	After    string         // RunPage.Next of the page before
	Limit    int            // 0 means 100
}

// Selects reports whether the query selects a run. After and Limit do not matter
// here, and of the entry only Run, Index and Updated.
func (q *RunQuery) Selects(e *RunEntry) bool {
	switch {
	case q.Agent != "" && q.Agent != e.Index.Agent, q.Statuses != nil && !slices.Contains(q.Statuses, e.Index.Status):
	case !strings.HasPrefix(string(e.Run), q.Prefix):
	case q.Parent != "" && q.Parent != e.Index.Parent, q.Roots && e.Index.Parent != "":
	case q.Roots && q.Agent == "" && strings.HasPrefix(e.Index.Agent, "@"):
	case !q.Before.IsZero() && !e.Updated.Before(q.Before):
	default:
		return true
	}
	return false
}

// RunPage is a page of runs.
type RunPage struct {
	Runs []RunEntry
	Next string // for the next page; "" if there is none
}

// RunEntry is a run in a list.
type RunEntry struct {
	Run     agent.RunID
	Index   Index
	Created time.Time // of the first record
	Updated time.Time // of the last record
	Records int64
	Worker  string // who has claimed it; "" nobody
	// Late is how long the run has wanted attention without anybody claiming it:
	// after a while, probably no worker has its agent.
	Late time.Duration
}

// AskQuery selects open asks: those that fit all fields which are set. The zero
// value selects the oldest hundred.
type AskQuery struct {
	Run   agent.RunID
	Agent string
	Kind  agent.AskKind

	For     agent.User // only what this user may answer; what others have claimed is left out
	Group   string     // only what this group is asked by name, without its "group:"
	Claimed string     // only what the user with this id has claimed

	OpenedBefore time.Time // only what is older
	DueBefore    time.Time // only what has a due time before then

	After string
	Limit int // 0 means 100
}

// Selects reports whether the query selects an ask, whose Run and Agent are set.
// After and Limit do not matter here.
func (q *AskQuery) Selects(e *AskEntry) bool {
	may := agent.Ask{For: e.For, Not: e.Not}
	switch {
	case q.Run != "" && q.Run != e.Run, q.Agent != "" && q.Agent != e.Agent, q.Kind != "" && q.Kind != e.Kind:
	case !q.For.IsZero() && (!may.May(q.For) || e.Claimed != "" && e.Claimed != q.For.ID):
	case q.Group != "" && !slices.Contains(e.For, "group:"+q.Group):
	case q.Claimed != "" && q.Claimed != e.Claimed:
	case !q.OpenedBefore.IsZero() && !e.Opened.Before(q.OpenedBefore):
	case !q.DueBefore.IsZero() && (e.Due.IsZero() || !e.Due.Before(q.DueBefore)):
	default:
		return true
	}
	return false
}

// AskPage is a page of asks.
type AskPage struct {
	Asks []AskEntry
	Next string
}

// Stats are what a store counts.
type Stats struct {
	Runs  int64            `json:"runs"`
	Asks  int64            `json:"asks"`  // open ones
	Ready map[string]Ready `json:"ready"` // by agent: what wants attention and nobody has claimed; only agents that have some
}

// Ready is how much wants attention.
type Ready struct {
	Runs int64         `json:"runs"`
	Lag  time.Duration `json:"lag"` // how long the one that has waited longest has
}

// Problem is one thing that [Store.Check] found.
type Problem struct {
	Run      agent.RunID `json:"run,omitempty"` // "" if it is not of a single run
	What     string      `json:"what"`          // what was expected and what is there
	Repaired bool        `json:"repaired,omitempty"`
}
