package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/chatserver"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A pace is how often people race each other, and the due time; how many runs go on
// at once meanwhile; and how long people have, which is long enough to answer in time
// however busy the machine is.
type pace struct {
	races, atATime int
	within         time.Duration
}

var (
	overRedis = pace{1000, 25, 60 * time.Millisecond}
	overAFile = pace{100, 10, 900 * time.Millisecond} // where each commit waits for the disk, and for the others
)

// teamScript is what the three agents' models say.
var teamScript = chatserver.Script{Scenes: []chatserver.Scene{
	{System: "You are billing.", Replies: []chatserver.Reply{
		{Calls: []chatserver.Call{{Name: "pay", Args: json.RawMessage(`{"euros":7}`)}}},
		{Text: "That is what became of it."},
	}},
	{System: "You are the desk.", Replies: []chatserver.Reply{
		{Calls: []chatserver.Call{{Name: "delegate_to_billing", Args: json.RawMessage(`{"task":"pay 7 euros"}`)}}},
		{Calls: []chatserver.Call{{Name: "hand_off_to_returns"}}},
	}},
	{System: "You are returns.", Replies: []chatserver.Reply{{}, {}, {Text: "Send it back."}}},
}}

// Two people, three agents and three workers on one store, each in a process of its
// own: the people race each other and the due time of what they are asked. In each
// race one answer wins, or none as it came too late; everybody else is told why not;
// and the log, the inbox and the ledger agree.
func TestPeopleRace(t *testing.T) {
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server := redisserver.Test(t, nil)
		store, err := redis.Open(t.Context(), server.URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		newTeam(t, server.URL(), store, overRedis).race()
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "team.db")
		store, err := sqlite.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		newTeam(t, path, store, overAFile).race()
	})
}

// A team is a store and the processes that share it.
type team struct {
	*testing.T
	pace
	store  memory.Store
	o      *orchestrator.Orchestrator
	env    []string
	ledger string
	people []*member
	works  []*member
}

// member is a process of the team.
type member struct {
	cmd *exec.Cmd
	out bytes.Buffer
	err bytes.Buffer
}

func newTeam(t *testing.T, address string, store memory.Store, p pace) *team {
	t.Cleanup(func() { store.Close() })
	endpoint := chatserver.New(teamScript, &chatserver.Options{Key: "sk-e2e", Keep: 1})
	srv := httptest.NewServer(endpoint)
	t.Cleanup(func() {
		srv.Close()
		if err := endpoint.Err(); err != nil {
			t.Errorf("a request to the model was malformed: %v", err)
		}
	})
	o, err := orchestrator.New(store, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &team{T: t, pace: p, store: store, o: o, ledger: filepath.Join(t.TempDir(), "ledger")}
	m.env = []string{"OPENAI_BASE_URL=" + srv.URL + "/v1", "OPENAI_API_KEY=sk-e2e", "FERMATA_STORE=" + address,
		"TEAM_LEDGER=" + m.ledger, "TEAM_WITHIN=" + p.within.String(), "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	for range 3 {
		m.works = append(m.works, m.begin("work"))
	}
	for _, name := range []string{"ann", "bob"} {
		m.people = append(m.people, m.begin("answer", name))
	}
	return m
}

func (m *team) begin(args ...string) *member {
	p := &member{cmd: exec.Command(teamfermata, args...)}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = m.env, &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	return p
}

// end has processes end by themselves.
func (m *team) end(all []*member) {
	for _, p := range all {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			m.Error(err)
		}
	}
	for _, p := range all {
		if err := p.cmd.Wait(); err != nil {
			m.Errorf("%s: %v\n%s", p.cmd, err, p.err.String())
		}
	}
}

// race has all runs end, some at a time, and looks at what came of them.
func (m *team) race() {
	n := m.races
	roots := make(chan agent.RunID)
	slots := make(chan struct{}, m.atATime)
	go func() {
		defer close(roots)
		for range n {
			slots <- struct{}{}
			id, err := m.o.Start(m.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("my money, please"), User: agent.User{ID: "cat"}})
			if err != nil {
				m.Error(err)
				return
			}
			roots <- id
		}
	}()
	var all []agent.RunID
	ended := make(chan error, n)
	for id := range roots {
		all = append(all, id)
		go func() {
			ended <- m.rests(id)
			<-slots
		}()
	}
	for range all {
		if err := <-ended; err != nil {
			m.Error(err)
		}
	}
	m.end(m.people)
	m.end(m.works)
	if len(all) == n && !m.Failed() {
		m.judge(all)
	}
}

// rests waits until a run's turn is over.
func (m *team) rests(id agent.RunID) error {
	var last orchestrator.Event
	for ev, err := range m.o.Watch(m.Context(), id, nil) {
		if err != nil {
			return err
		}
		if last = ev; ev.Status == agent.StatusIdle && ev.State.Turn.N > 0 || ev.Status == agent.StatusStuck || ev.Status.Ended() {
			break
		}
	}
	if s := last.State; s.Status() != agent.StatusIdle || s.Agent != "returns" {
		return fmt.Errorf("run %s is %s with %s: %s", id, s.Status(), s.Agent, s.Reason())
	}
	return nil
}

// told is a line of what a person prints.
type told struct {
	Ask     agent.AskID
	By      string
	Choice  string
	Refused agent.RefusalKind
	Error   string
}

// judge holds the log, the inbox, the ledger and what people were told against each
// other.
func (m *team) judge(roots []agent.RunID) {
	answers := map[agent.RunID][]told{} // by the delegate's run
	for _, p := range m.people {
		for _, line := range lines[told](m.T, p.out.String()) {
			answers[line.Ask.Run()] = append(answers[line.Ask.Run()], line)
		}
	}
	paid := map[string]int{}
	ledger, err := os.ReadFile(m.ledger)
	if err != nil {
		m.Fatal(err)
	}
	for line := range strings.Lines(string(ledger)) {
		root, _, _ := strings.Cut(line, " ")
		paid[root]++
	}
	count := map[string]int{}
	for _, id := range roots {
		m.judgeOne(id, answers, paid[string(id)], count)
	}
	m.Logf("%d races: %v", len(roots), count)
	if count["expired"] == 0 || count["approve"] == 0 || count["deny"] == 0 || count["late"] == 0 || count["second"] == 0 {
		m.Errorf("not every kind of race took place: %v", count)
	}
	asks, _, err := m.o.Asks(m.Context(), memory.AskQuery{})
	if err != nil || len(asks) > 0 {
		m.Errorf("%d asks are open at the end (%v)", len(asks), err)
	}
	for p, err := range m.o.Check(m.Context(), false) {
		m.Errorf("run %s: %s (%v)", p.Run, p.What, err)
	}
}

// judgeOne holds one race against what everybody was told.
func (m *team) judgeOne(id agent.RunID, answers map[agent.RunID][]told, paid int, count map[string]int) {
	tree, err := m.o.Tree(m.Context(), id)
	if err != nil || len(tree.Children) != 1 {
		m.Errorf("run %s has %d delegates (%v)", id, len(tree.Children), err)
		return
	}
	child := tree.Children[0].Run
	won, expired, digest := m.decided(child)
	if (won == nil) != expired {
		m.Errorf("run %s: the log has the answer %+v, and expired is %t", child, won, expired)
		return
	}
	approved := won != nil && won.Choice == agent.Approve
	if wants := map[bool]int{true: 1}[approved]; paid != wants || approved && digest == "" {
		m.Errorf("run %s: %+v (digest %q), and the ledger has %d payments", child, won, digest, paid)
	}
	if won == nil {
		count["expired"]++
	} else {
		count[won.Choice]++
	}
	for _, a := range answers[child] {
		var want agent.RefusalKind
		switch {
		case won == nil:
			want = agent.RefusedExpired
			count["late"]++
		case a.By != won.By.ID || a.Choice != won.Choice:
			want = agent.RefusedConflict
			count["second"]++
		}
		if a.Refused != want || (want == "") != (a.Error == "") {
			m.Errorf("run %s: %s was told %q (%s), want %q; the log has %+v", child, a.By, a.Refused, a.Error, want, won)
		}
	}
	if won != nil && len(answers[child]) == 0 {
		m.Errorf("run %s has the answer %+v, and nobody gave it", child, won)
	}
}

// decided returns what the log of a run says of its one ask.
func (m *team) decided(id agent.RunID) (won *agent.Answer, expired bool, digest string) {
	log, err := m.store.Read(m.Context(), id, memory.ReadOptions{})
	if err != nil {
		m.Fatal(err)
	}
	state := run.New(id)
	for _, r := range log.Records {
		e, err := run.Decode(r.Data)
		if err != nil {
			m.Fatal(err)
		}
		var due time.Time
		for _, a := range state.Asks() {
			due = a.Due
		}
		state.Apply(&run.Record{Seq: r.Seq, ID: r.ID, Time: r.Time, Event: e})
		switch e := e.(type) {
		case *run.Answered:
			if !r.Time.Before(due) {
				m.Errorf("run %s: an answer came %s after the due time, and was taken", id, r.Time.Sub(due))
			}
			if won != nil || expired {
				m.Errorf("run %s has a second decision: %+v", id, e)
			}
			won, digest = &e.Answer, e.Digest
		case *run.Lapsed:
			if won != nil || expired {
				m.Errorf("run %s has a second decision: %+v", id, e)
			}
			expired = true
		}
	}
	return won, expired, digest
}
