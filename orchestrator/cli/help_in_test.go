package cli

import (
	"strings"
	"testing"

	"github.com/fermata-run/fermata/planner/scripted"
)

// The help of --model speaks of a built-in model where the program has one, and that of
// --map of no default, as there is none.
func TestHelpOfFlags(t *testing.T) {
	for _, app := range []*App{{Name: "desk"}, {Name: "desk", Offline: scripted.New()}} {
		p := &program{app: app}
		help := p.chatCommand().UsageString()
		if has := strings.Contains(help, "offline is the built-in one"); has != (app.Offline != nil) {
			t.Errorf("of a program whose Offline is %v, the help of chat is\n%s", app.Offline, help)
		}
		if help := p.graphMigrateCommand().UsageString(); !strings.Contains(help, "--map") || strings.Contains(help, "(default") {
			t.Errorf("the help of graph migrate is\n%s", help)
		}
	}
}
