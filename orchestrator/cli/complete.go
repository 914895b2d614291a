package cli

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// existing opens the store for completion: nothing is made, and nothing said.
func (p *program) existing() (memory.Store, bool) {
	path, _ := p.storePath()
	if _, err := os.Stat(path); p.app.Open == nil && !isURL(path) && errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	store, err := p.open(true)
	return store, err == nil
}

// completeRuns completes the id of a run.
func (p *program) completeRuns(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	store, ok := p.existing()
	if !ok || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer store.Close()
	page, err := store.Runs(cmd.Context(), memory.RunQuery{Prefix: strings.ToLower(begun), Limit: 50})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, e := range page.Runs {
		out = append(out, string(e.Run)+"\t"+string(e.Index.Status)+": "+cleanLine(e.Index.Title))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeAsks completes the id of an open ask.
func (p *program) completeAsks(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	store, ok := p.existing()
	if !ok || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer store.Close()
	asks, err := allAsks(cmd.Context(), store, memory.AskQuery{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, a := range asks {
		if strings.HasPrefix(string(a.ID), begun) {
			out = append(out, string(a.ID)+"\t"+string(a.Kind)+": "+fit(cleanLine(a.Prompt), 60))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeChoices completes one of the choices of the ask that is answered.
func (p *program) completeChoices(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	store, ok := p.existing()
	if !ok || len(args) != 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer store.Close()
	ask, err := findAsk(cmd.Context(), store, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return ask.Choices, cobra.ShellCompDirectiveNoFileComp
}

// completeFields completes the name of a field of the form that is answered.
func (p *program) completeFields(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	store, ok := p.existing()
	if !ok || len(args) != 1 {
		return nil, directive
	}
	defer store.Close()
	ask, err := findAsk(cmd.Context(), store, args[0])
	if err != nil || ask.Kind != agent.AskForm {
		return nil, directive
	}
	fields, err := formFields(ask.Schema)
	if err != nil {
		return nil, directive
	}
	var out []string
	for i := range fields {
		out = append(out, fields[i].name+"=\t"+fields[i].kind())
	}
	return out, directive
}
