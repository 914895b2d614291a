package cli

import (
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
)

// groupsVar names the environment variable with the groups of who is logged in.
const groupsVar = "FERMATA_GROUPS"

// vouched is the sentence of each command that acts for a person.
const vouched = `Who you are is taken on trust: whoever calls this command has made sure that the
user is who --user says, and belongs to the groups of --group.`

// A person is who acts, as the flags say.
type person struct {
	user   string
	groups []string
}

// flags adds --user and --group. Does says what the person does here.
func (p *person) flags(cmd *cobra.Command, does string) {
	cmd.Flags().StringVar(&p.user, "user", "", "the `id` of who "+does+"; default is who is logged in")
	cmd.Flags().StringSliceVar(&p.groups, "group", nil, "a `group` that the user belongs to; repeatable ("+groupsVar+", with commas between)")
}

// as returns the person. Nobody else's groups are those of the environment.
func (p *person) as() agent.User {
	u := agent.User{ID: orLogin(p.user), Groups: p.groups}
	if p.hasLoginGroups() {
		u.Groups = loginGroups()
	}
	return u
}

// hasLoginGroups reports whether the groups of the person are those of who is logged in.
func (p *person) hasLoginGroups() bool {
	return len(p.groups) == 0 && (p.user == "" || p.user == login())
}

// bad says what is wrong with the person's groups; nil if nothing is.
func (p *person) bad() error {
	if !p.hasLoginGroups() {
		return badGroup(p.groups)
	}
	for _, g := range loginGroups() {
		if name, ok := strings.CutPrefix(g, "group:"); ok {
			return usage("%s takes the names of groups, with commas between, and %q came; leave out what stands before it: %s", groupsVar, g, name)
		}
	}
	return nil
}

// loginGroups returns the groups of who is logged in.
func loginGroups() (groups []string) {
	for _, g := range strings.Split(os.Getenv(groupsVar), ",") {
		if g = strings.TrimSpace(g); g != "" {
			groups = append(groups, g)
		}
	}
	return groups
}

// badGroup says what is wrong with the groups of a flag; nil if nothing is.
func badGroup(groups []string) error {
	for _, g := range groups {
		if name, ok := strings.CutPrefix(g, "group:"); ok || strings.TrimSpace(g) == "" {
			return usage("--group takes the name of a group, and %q came; leave out what stands before it: --group %s", g, name)
		}
	}
	return nil
}

// people shows who may answer: ids of users, and groups.
func people(list []string) string {
	var words []string
	for _, p := range list {
		if group, ok := strings.CutPrefix(p, "group:"); ok {
			p = "the group " + group
		}
		words = append(words, cleanLine(p))
	}
	return joined(words, "or")
}

// joined lists words as a sentence does: a, b or c.
func joined(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}

// askedFor says in words whom an ask is for.
func askedFor(a *agent.Ask) string {
	who := "anybody"
	if len(a.For) > 0 {
		who = people(a.For)
	}
	if len(a.Not) > 0 {
		who += ", but not " + people(a.Not)
	}
	return who
}

// pathOf shows where a delegate's ask comes from, such as desk › billing; "" in a
// root.
func pathOf(path []agent.Place) string {
	var names []string
	for _, p := range path {
		names = append(names, cleanLine(p.Agent))
	}
	return strings.Join(names, " › ")
}

// mayNow says why u may not answer an ask now; "" if they may.
func mayNow(a *agent.Ask, u agent.User) string {
	switch {
	case !a.May(u):
		return "it waits for " + askedFor(a)
	case a.Claimed.ID != "" && a.Claimed.ID != u.ID:
		return cleanLine(nameOf(a.Claimed)) + " has claimed it"
	}
	return ""
}

// dueIn shows how long an ask may still stay open.
func dueIn(due, now time.Time) string {
	switch left := due.Sub(now); {
	case due.IsZero():
		return ""
	case left < time.Second/2:
		return "a moment"
	case left > 10*time.Minute:
		return ago(left.Round(time.Minute))
	default:
		return ago(left.Round(time.Second))
	}
}
