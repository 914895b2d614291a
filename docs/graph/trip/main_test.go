package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/cli"
)

// Trips come to the ends of which docs/graph.md tells.
func TestTrips(t *testing.T) {
	list, err := agents(cli.Setup{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(filepath.Join(t.TempDir(), "trip.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	o, err := orchestrator.New(store, list, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, trip := range []struct {
		city, choice string
		status       agent.Status
		text         string
	}{
		{"Bern", "approve", agent.StatusDone, `{"euros":80,"ticket":"T-1"}`},
		{"Bern", "deny", agent.StatusFailed, "refused: nobody has approved the trip to Bern"},
		{"Basel", "approve", agent.StatusFailed, "every train to Basel is full"},
		{"Atlantis", "approve", agent.StatusStuck, "unknown-city: no train goes there"},
	} {
		res, err := o.Run(t.Context(), orchestrator.Request{Agent: "trip", User: agent.User{ID: "ann"}, Message: agent.Text(`{"city": "` + trip.city + `", "manager": "mia"}`)})
		if err != nil || len(res.Asks) != 1 {
			t.Fatalf("%+v, %v", res, err)
		}
		if err := o.Answer(t.Context(), res.Asks[0].ID, agent.Answer{By: agent.User{ID: "mia"}, Choice: trip.choice}); err != nil {
			t.Fatal(err)
		}
		if res, err = o.Await(t.Context(), res.Run); err != nil {
			t.Fatal(err)
		}
		if got := string(res.JSON) + res.Reason; res.Status != trip.status || !strings.Contains(got, trip.text) {
			t.Errorf("to %s, %s: %s: %s, and %s with %s is expected", trip.city, trip.choice, res.Status, got, trip.status, trip.text)
		}
	}
}
