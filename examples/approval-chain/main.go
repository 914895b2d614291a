// Command approval-chain has purchases approved, as approval-chain.yaml says: by more
// people the higher the price is, by nobody for herself, and by nobody twice.
//
//	approval-chain                     plays six purchases, and tells of them
//	approval-chain chat --user ann '{"what": "a chair", "euros": 300}'
//	approval-chain asks answer ASK --choice approve --user leo --group leads
//	approval-chain work                drives what others have started; see approval-chain --help
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/orchestrator/cli"
	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/tools"
)

//go:embed approval-chain.yaml
var definition []byte

type purchase struct {
	What      string   `json:"what"`
	Euros     int      `json:"euros"`
	Approvers []string `json:"approvers"`
}

type bought struct {
	Bill string `json:"bill"`
}

// shop is a pretend one, which sells as often as it is asked to.
type shop struct{ ledger *story.Ledger }

func (s *shop) Buy(ctx context.Context, p purchase) (bought, error) {
	bill := fmt.Sprintf("%s, %d euros, approved by %s", p.What, p.Euros, strings.Join(p.Approvers, ", "))
	return bought{"bill for " + p.What}, s.ledger.Do(ctx, "buy", bill)
}

// Bought looks up what became of a purchase whose worker was lost.
func (s *shop) Bought(ctx context.Context, p purchase) (bought, error) {
	done, err := s.ledger.Done(ctx, "buy")
	if err == nil && !done {
		err = agent.NotDone(errors.New("nothing was bought"))
	}
	return bought{"bill for " + p.What}, err
}

func agents(ledger *story.Ledger) ([]*agent.Agent, error) {
	d, err := graph.Parse(definition)
	if err != nil {
		return nil, err
	}
	g, err := graph.New(d, nil)
	if err != nil {
		return nil, err
	}
	s := &shop{ledger}
	return []*agent.Agent{{
		Name: "approval-chain", Description: "Has purchases approved.", Planner: g,
		Tools: []*agent.Tool{tools.Func("buy", "Buy something.", s.Buy, &tools.Options{Reconcile: tools.Reconcile(s.Bought), Timeout: 3 * time.Second})},
	}}, nil
}

func main() {
	if len(os.Args) == 1 {
		story.Play("approval-chain", agents, scenes)
		return
	}
	os.Exit(cli.Main(&cli.App{
		Name: "approval-chain", Short: "Purchases are approved by as many people as their price asks for",
		Agents:  func(s cli.Setup) ([]*agent.Agent, error) { return agents(story.OpenLedger(s.Store + ".ledger")) },
		NoModel: true, // the graph decides
	}))
}
