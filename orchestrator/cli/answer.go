package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

// answering is one invocation of asks answer.
type answering struct {
	*program
	approve             bool
	edit, deny, instead string
	choice, value, text string
	note, by            string
}

func (p *program) asksAnswerCommand() *cobra.Command {
	a := &answering{program: p}
	cmd := &cobra.Command{
		Use:   "answer ASK",
		Short: "Answer what is asked",
		Long: `Answer what is asked. An ask takes one answer: the same again does no harm, another
is refused. The answer is durable when the command ends; if nobody drives the run,
it says how to go on.`,
		Example: p.example(
			"asks answer 7k2m --approve", "let the call be made",
			`asks answer 7k2m --edit '{"order":1042}'`, "with other arguments",
			`asks answer 7k2m --deny "too late"`, "the agent is told why",
			`asks answer 7k2m --instead '"a voucher"'`, "give the result in the tool's stead",
			"asks answer 7k2m --choice happened", "one of the choices",
			`asks answer 7k2m --text "Bremen"`, "the answer to a question"),
		Args:              exactly(1, "the id of an ask"),
		ValidArgsFunction: p.completeAsks,
		RunE:              a.main,
	}
	f := cmd.Flags()
	f.BoolVar(&a.approve, "approve", false, "make the call with the arguments shown")
	f.StringVar(&a.edit, "edit", "", "make the call with these arguments, a `JSON` object")
	f.StringVar(&a.deny, "deny", "", "do not make the call, for this `reason`")
	f.StringVar(&a.instead, "instead", "", "do not make the call, and take this `JSON` as its result")
	f.StringVar(&a.choice, "choice", "", "one of the ask's `choices`")
	f.StringVar(&a.value, "value", "", "the answer as `JSON`")
	f.StringVar(&a.text, "text", "", "the answer as `text`")
	f.StringVar(&a.note, "note", "", "a `note` for the agent and the log")
	f.StringVar(&a.by, "by", "", "`who` answers; default is who is logged in")
	_ = cmd.RegisterFlagCompletionFunc("choice", a.completeChoices)
	return cmd
}

func (a *answering) main(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	answer, err := a.answer(cmd)
	if err != nil {
		return err
	}
	store, err := a.open(true)
	if err != nil {
		return err
	}
	defer store.Close()
	ask, err := findAsk(ctx, store, args[0])
	if err != nil {
		return err
	}
	if answer.Choice == agent.Approve {
		answer.Digest = ask.Digest
	}
	return a.give(ctx, store, ask, answer)
}

// answer makes the answer of the flags.
func (a *answering) answer(cmd *cobra.Command) (agent.Answer, error) {
	answer := agent.Answer{By: agent.User{ID: orLogin(a.by)}, Note: a.note, Choice: a.choice}
	hows := []string{"approve", "edit", "deny", "instead", "choice"}
	values := []string{"edit", "instead", "value", "text"}
	set := cmd.Flags().Changed
	how, value := "", ""
	for _, name := range hows {
		if set(name) && how != "" {
			return answer, usage("--%s and --%s cannot both be the answer", how, name)
		} else if set(name) {
			how = name
		}
	}
	for _, name := range values {
		if set(name) && value != "" {
			return answer, usage("--%s and --%s cannot both be the answer", value, name)
		} else if set(name) {
			value = name
		}
	}
	if how == "" && value == "" {
		return answer, usage("give an answer: --approve, --edit, --deny, --instead, --choice, --value or --text; %s shows what is asked", a.line("asks", "show", cmd.Flags().Arg(0)))
	}
	switch how {
	case "approve":
		answer.Choice = agent.Approve
	case "edit":
		answer.Choice = agent.Edit
	case "deny":
		answer.Choice, answer.Note = agent.Deny, strings.TrimSpace(strings.Join([]string{a.deny, a.note}, " "))
	case "instead":
		answer.Choice = agent.Instead
	}
	var err error
	switch value {
	case "text":
		answer.Value = agent.JSONText(a.text)
	case "edit":
		answer.Value, err = jsonFlag("edit", a.edit)
	case "instead":
		answer.Value, err = jsonFlag("instead", a.instead)
	case "value":
		answer.Value, err = jsonFlag("value", a.value)
	}
	return answer, err
}

func jsonFlag(name, text string) (json.RawMessage, error) {
	if !json.Valid([]byte(text)) {
		return nil, usage("the value of --%s is not JSON: %s; quote it for the shell, and text within it by double quotes", name, fit(cleanLine(text), 60))
	}
	return json.RawMessage(text), nil
}

// give gives the answer, and tells what becomes of the run.
func (a *answering) give(ctx context.Context, store memory.Store, ask *agent.Ask, answer agent.Answer) error {
	o, err := orchestrator.New(store, nil, nil)
	if err != nil {
		return err
	}
	if err := o.Answer(ctx, ask.ID, answer); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(struct {
			Ask    agent.AskID `json:"ask"`
			Run    agent.RunID `json:"run"`
			Choice string      `json:"choice,omitempty"`
			By     string      `json:"by,omitempty"`
		}{ask.ID, ask.ID.Run(), answer.Choice, answer.By.ID})
	}
	fmt.Fprintf(a.out, "Accepted%s.\n", because(strings.TrimSpace(answer.Choice+" "+brief(answer.Value))))
	state, err := o.State(ctx, ask.ID.Run())
	if err != nil {
		return err
	}
	return a.whoDrives(ctx, store, state)
}
