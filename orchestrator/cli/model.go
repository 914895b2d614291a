package cli

import (
	"cmp"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/openai"
)

// offlineName is what --model takes for the program's built-in model.
const offlineName = "offline"

// chosen is the model that the user has chosen.
type chosen struct {
	model   agent.Model
	name    string // for people; "" of a program that asks none
	offline bool   // for want of an endpoint
}

// before is the name and what stands between it and what comes next; nothing without one.
func (c chosen) before(sep string) string {
	if c.name == "" {
		return ""
	}
	return c.name + sep
}

// after is what stands before the name, and it; nothing without one.
func (c chosen) after(sep string) string {
	if c.name == "" {
		return ""
	}
	return sep + c.name
}

// chooseModel finds out which model is to be asked: that of flag or
// FERMATA_MODEL at the endpoint of OPENAI_BASE_URL or OpenAI, or the built-in
// one where no endpoint is configured.
func (p *program) chooseModel(flag string) (chosen, error) {
	if p.app.NoModel {
		return chosen{}, nil
	}
	name := cmp.Or(flag, os.Getenv("FERMATA_MODEL"))
	base := os.Getenv("OPENAI_BASE_URL")
	endpoint := base != "" || os.Getenv("OPENAI_API_KEY") != ""
	switch {
	case name == offlineName && p.app.Offline != nil:
		return chosen{model: p.app.Offline, name: "the built-in offline model"}, nil
	case name == offlineName:
		return chosen{}, usage("%s has no built-in offline model; set OPENAI_API_KEY, or OPENAI_BASE_URL for an endpoint of your own", p.app.Name)
	case endpoint:
		name = cmp.Or(name, p.app.Model, "gpt-5-mini")
		where := ""
		if base != "" {
			u, err := url.Parse(base)
			if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return chosen{}, usage("OPENAI_BASE_URL is no address of an endpoint; it has the form https://host/v1")
			}
			where = " at " + u.Host
		}
		return chosen{model: openai.New(name, nil), name: name + where}, nil
	case name != "":
		return chosen{}, usage("there is no endpoint to ask for the model %s; set OPENAI_API_KEY, or OPENAI_BASE_URL for an endpoint of your own", name)
	case p.app.Offline != nil:
		return chosen{model: p.app.Offline, name: "the built-in offline model", offline: true}, nil
	}
	return chosen{}, usage("there is no model to ask; set OPENAI_API_KEY, or OPENAI_BASE_URL for an endpoint of your own")
}

// offlineNotice is the line that tells of the built-in model.
const offlineNotice = "Neither OPENAI_API_KEY nor OPENAI_BASE_URL is set, so the built-in offline model answers."

// configured says how the user chooses a model.
func (p *program) configured() string {
	if p.app.NoModel {
		return ""
	}
	return "Set OPENAI_API_KEY, or OPENAI_BASE_URL for an endpoint of your own, and --model\nor FERMATA_MODEL.\n\n"
}

// modelFlag adds the flag by which the user chooses a model.
func (p *program) modelFlag(cmd *cobra.Command, model *string) {
	if p.app.NoModel {
		return
	}
	what := "the `name` of the model (FERMATA_MODEL)"
	if p.app.Offline != nil {
		what += "; offline is the built-in one"
	}
	cmd.Flags().StringVar(model, "model", "", what)
}

// agents makes the program's agents.
func (p *program) agents(m chosen) ([]*agent.Agent, error) {
	path, _ := p.storePath()
	if isURL(path) { // what the agents keep is this machine's
		path = p.defaultStore()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); path == "" || err != nil {
			return nil, usage("there is no place for what the agents keep on this machine; set HOME or XDG_DATA_HOME to a directory that can be written")
		}
	}
	list, err := p.app.Agents(Setup{Model: m.model, Store: path})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, usage("%s has no agents", p.app.Name)
	}
	return list, nil
}
