package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
)

// What a run is to the model: the ids of its records, and its claim.
type linState struct {
	log   string // " id id…"
	token memory.Token
}

func (s linState) last() memory.Position {
	ids := strings.Fields(s.log)
	if len(ids) == 0 {
		return memory.Position{}
	}
	return memory.Position{Seq: int64(len(ids)), ID: agent.RecordID(ids[len(ids)-1])}
}

// linInput is a call, and linOutput what it gave.
type linInput struct {
	run   agent.RunID
	kind  string // commit, claim, renew, release, read
	base  memory.Position
	ids   string // of a commit's records, like linState.log
	token memory.Token
}

type linOutput struct {
	what  string // ok, conflict, lost, unknown; a claim: taken, none; a renewal: held, lost
	last  memory.Position
	token memory.Token
}

// linStep returns the states in which a call may have left the run; none if it
// cannot have given this.
func linStep(s linState, in linInput, out linOutput) []linState {
	exists := s.log != ""
	only := func(next linState, is bool) []linState {
		if !is {
			return nil
		}
		return []linState{next}
	}
	switch in.kind {
	case "commit":
		what, next := linCommit(s, in)
		if out.what != "unknown" {
			return only(next, what == out.what)
		}
		return []linState{s, next} // it may have taken place, or not
	case "claim":
		if free := exists && s.token == ""; out.what == "none" {
			return only(s, !free)
		} else {
			return only(linState{s.log, out.token}, free && out.last == s.last())
		}
	case "renew":
		return only(s, (out.what == "held") == (s.token == in.token) && out.last == s.last())
	case "release":
		if s.token == in.token {
			s.token = ""
		}
		return only(s, true)
	default:
		return only(s, out.last == s.last())
	}
}

// linCommit is what the contract says of a commit.
func linCommit(s linState, in linInput) (what string, next linState) {
	ids, own := strings.Fields(s.log), strings.Fields(in.ids)
	at := int(in.base.Seq)
	switch {
	case len(ids) >= at+len(own) && strings.Join(ids[at:at+len(own)], " ") == strings.Join(own, " "):
		return "ok", s // they are there already
	case s.last() != in.base:
		return "conflict", s
	case in.token != "" && in.token != s.token:
		return "lost", s
	}
	return "ok", linState{s.log + in.ids, s.token}
}

var linModel = (&porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		runs := map[agent.RunID][]porcupine.Operation{}
		for _, op := range history {
			run := op.Input.(linInput).run
			runs[run] = append(runs[run], op)
		}
		for _, part := range runs {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{linState{}} },
	Step: func(state, input, output any) (next []any) {
		for _, s := range linStep(state.(linState), input.(linInput), output.(linOutput)) {
			next = append(next, s)
		}
		return next
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}).ToModel()

func TestLinearizable(t *testing.T) {
	t.Parallel()
	t.Run("on one server", func(t *testing.T) {
		t.Parallel()
		linearizable(t, redisserver.Test(t, nil).URL(), nil)
	})
	t.Run("on a cluster", func(t *testing.T) {
		t.Parallel()
		linearizable(t, clusterURL(redisserver.TestCluster(t, 3, nil)), nil)
	})
	t.Run("with lost replies", func(t *testing.T) {
		t.Parallel()
		proxy := redisserver.TestProxy(t, redisserver.Test(t, nil).Addr())
		linearizable(t, "redis://"+proxy.Addr(), func(r *rand.Rand) {
			if r.IntN(8) == 0 {
				proxy.DropRepliesTo(redis.CommitSHA, 1+r.IntN(10))
			}
		})
		if proxy.Dropped() == 0 {
			t.Error("no reply was lost")
		}
	})
}

// linearizable has many goroutines, as workers and as people do it, work on a few
// runs over several handles, and checks that what they were told fits one order of
// all that they did. disturb is called before each call.
func linearizable(t *testing.T, url string, disturb func(*rand.Rand)) {
	const goroutines, calls, runs = 6, 80, 5
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var ids atomic.Int64
	players := make([]*player, goroutines)
	begun := time.Now()
	var all sync.WaitGroup
	for g := range players {
		p := &player{id: g, s: open(t, url, &redis.Options{Shards: 4}), begun: begun, ids: &ids, disturb: disturb,
			rand: rand.New(rand.NewPCG(seed, uint64(g))), last: map[agent.RunID]memory.Position{}, tokens: map[agent.RunID]memory.Token{}}
		players[g] = p
		all.Go(func() {
			for range calls {
				p.play(t.Context(), agent.RunID("r"+strconv.Itoa(p.rand.IntN(runs))))
			}
		})
	}
	all.Wait()
	var history []porcupine.Operation
	outcomes := map[string]int{}
	for _, p := range players {
		for _, err := range p.errs {
			t.Error(err)
		}
		for _, op := range p.history {
			outcomes[op.Input.(linInput).kind+" "+op.Output.(linOutput).what]++
		}
		history = append(history, p.history...)
	}
	t.Log(outcomes)
	if got := porcupine.CheckOperationsTimeout(linModel, history, time.Minute); got != porcupine.Ok {
		t.Errorf("the checker says %s: want %s. The history:", got, porcupine.Ok)
		for _, op := range history {
			t.Logf("%d %9d-%9d %s", op.ClientId, op.Call, op.Return, linModel.DescribeOperation(op.Input, op.Output))
		}
	}
}

// player is one goroutine, and what it knows.
type player struct {
	id      int
	s       memory.Store
	rand    *rand.Rand
	begun   time.Time
	ids     *atomic.Int64
	disturb func(*rand.Rand)
	last    map[agent.RunID]memory.Position
	tokens  map[agent.RunID]memory.Token
	history []porcupine.Operation
	errs    []error
}

// play makes one call.
func (p *player) play(ctx context.Context, run agent.RunID) {
	if p.disturb != nil {
		p.disturb(p.rand)
	}
	in := linInput{run: run, token: p.tokens[run]}
	var out linOutput
	begun := time.Since(p.begun).Nanoseconds()
	switch n := p.rand.IntN(20); {
	case n < 9:
		if p.rand.IntN(3) > 0 {
			p.read(ctx, run)
		}
		p.commit(ctx, in)
		return
	case n < 15 && in.token == "":
		in.kind = "claim"
		out = p.claim(ctx, run)
	case n < 11 && in.token != "":
		in.kind = "renew"
		got, err := p.s.Renew(ctx, time.Hour, []memory.Held{{Run: run, Token: in.token}})
		if p.failed(err) {
			return
		}
		out = linOutput{what: "lost", last: got[0].Last}
		if got[0].Held {
			out.what = "held"
		} else {
			delete(p.tokens, run)
		}
	case n < 15 && in.token != "":
		in.kind = "release"
		if p.failed(p.s.Release(ctx, memory.Held{Run: run, Token: in.token, Last: p.last[run]})) {
			return
		}
		if p.rand.IntN(2) == 0 { // and otherwise it goes on with it, as one that does not know
			delete(p.tokens, run)
		}
	default:
		p.read(ctx, run)
		return
	}
	p.told(in, out, begun)
}

func (p *player) failed(err error) bool {
	if err != nil {
		p.errs = append(p.errs, err)
	}
	return err != nil
}

func (p *player) told(in linInput, out linOutput, begun int64) {
	ended := time.Since(p.begun).Nanoseconds()
	if out.what == "unknown" {
		ended = int64(time.Hour) // it may take place whenever it likes
	}
	p.history = append(p.history, porcupine.Operation{ClientId: p.id, Input: in, Output: out, Call: begun, Return: ended})
}

// read reads where a run's log ends.
func (p *player) read(ctx context.Context, run agent.RunID) {
	begun := time.Since(p.begun).Nanoseconds()
	log, err := p.s.Read(ctx, run, memory.ReadOptions{After: 1 << 20})
	if errors.Is(err, memory.ErrNotFound) {
		log, err = &memory.Log{}, nil
	}
	if p.failed(err) {
		return
	}
	p.last[run] = log.Last
	p.told(linInput{run: run, kind: "read"}, linOutput{last: log.Last}, begun)
}

// claim claims a run.
func (p *player) claim(ctx context.Context, run agent.RunID) linOutput {
	got, err := p.s.Claim(ctx, &memory.ClaimRequest{Worker: "w", Run: run, Lease: time.Hour})
	if p.failed(err) || len(got) == 0 {
		return linOutput{what: "none"}
	}
	p.tokens[run], p.last[run] = got[0].Token, got[0].Last
	return linOutput{what: "taken", last: got[0].Last, token: got[0].Token}
}

// commit commits to a run, with its claim or without, on the end of the log that
// it knows or on an older one, and again as long as the outcome is not known.
func (p *player) commit(ctx context.Context, in linInput) {
	in.kind, in.base = "commit", p.last[in.run]
	if p.rand.IntN(3) == 0 {
		in.token = ""
	}
	c := step(p.s, in.run, in.base, 1+p.rand.IntN(2))
	c.Claim, c.Index.Wake = in.token, p.s.Now().Add(-time.Minute)
	for i := range c.Records {
		c.Records[i].ID = agent.RecordID(strconv.FormatInt(p.ids.Add(1), 36))
		in.ids += " " + string(c.Records[i].ID)
	}
	for {
		begun := time.Since(p.begun).Nanoseconds()
		out := linOutput{what: "unknown"}
		switch err := p.s.Commit(ctx, c); {
		case err == nil:
			out.what, p.last[in.run] = "ok", c.Last()
		case errors.Is(err, memory.ErrConflict):
			out.what = "conflict"
		case errors.Is(err, memory.ErrClaimLost):
			out.what = "lost"
		case ctx.Err() != nil:
			return
		}
		p.told(in, out, begun)
		if out.what != "unknown" {
			return
		}
	}
}
