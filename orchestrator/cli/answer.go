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
	fields              []string
	note                string
	by                  person
}

func (p *program) asksAnswerCommand() *cobra.Command {
	a := &answering{program: p}
	cmd := &cobra.Command{
		Use:   "answer ASK",
		Short: "Answer what is asked",
		Long: `Answer what is asked. An ask takes one answer: the same again does no harm, another
is refused. The answer is durable when the command ends; if nobody drives the run,
it says how to go on. A form takes --field for each of its fields, or --value; on a
terminal, without either, it is filled in field by field.

` + vouched,
		Example: p.example(
			"asks answer 7k2m --approve", "let the call be made",
			`asks answer 7k2m --edit '{"order":1042}'`, "with other arguments",
			`asks answer 7k2m --deny "too late"`, "the agent is told why",
			`asks answer 7k2m --instead '"a voucher"'`, "give the result in the tool's stead",
			"asks answer 7k2m --choice happened", "one of the choices",
			`asks answer 7k2m --choice skip --value '{"sum":3}'`, "a choice, and what is said beside it",
			`asks answer 7k2m --text "Bremen"`, "the answer to a question",
			`asks answer 7k2m --field city=Bremen --field floor=2`, "a form",
			"asks answer 7k2m --approve --user bob --group supervisors", "as bob of the supervisors"),
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
	f.StringArrayVar(&a.fields, "field", nil, "a field of a form, as `name=value`; repeatable")
	f.StringVar(&a.note, "note", "", "a `note` for the log, and beside a choice other than an approval for the agent")
	a.by.flags(cmd, "answers")
	_ = cmd.RegisterFlagCompletionFunc("choice", a.completeChoices)
	_ = cmd.RegisterFlagCompletionFunc("field", a.completeFields)
	return cmd
}

func (a *answering) main(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	answer, err := a.answer(cmd.Flags().Changed)
	if err != nil {
		return err
	}
	said := answer.Choice != "" || len(answer.Value) > 0 || len(a.fields) > 0
	if !said && !isTerminal(a.in) {
		return a.unsaid(args[0])
	}
	return a.withAsk(ctx, args[0], func(store memory.Store, o *orchestrator.Orchestrator, ask *agent.Ask) error {
		switch {
		case !said && ask.Kind == "":
			return a.notOpen(ask.ID)
		case !said && ask.Kind == agent.AskForm && isTerminal(a.out) && !a.json:
			return a.fillIn(ctx, store, o, ask, answer)
		case !said:
			return a.unsaid(args[0])
		case len(a.fields) > 0 && ask.Kind == "":
			return a.notOpen(ask.ID)
		case len(a.fields) > 0:
			if answer.Value, err = filled(ask, a.fields); err != nil {
				return err
			}
		}
		if answer.Choice == agent.Approve {
			answer.Digest = ask.Digest
		}
		if err := o.Answer(ctx, ask.ID, answer); err != nil {
			return hinted(err)
		}
		return a.accepted(ctx, store, o, ask, answer)
	})
}

// unsaid is the error of an answer that says nothing.
func (a *answering) unsaid(id string) error {
	return usage("give an answer: --approve, --edit, --deny, --instead, --choice, --value, --text or --field; %s shows what is asked", a.line("asks", "show", id))
}

// answer makes the answer of the flags, but for the fields of a form.
func (a *answering) answer(set func(flag string) bool) (agent.Answer, error) {
	answer := agent.Answer{By: a.by.as(), Note: a.note, Choice: a.choice}
	if err := a.by.bad(); err != nil {
		return answer, err
	}
	how, err := oneOf(set, "approve", "edit", "deny", "instead", "choice", "field")
	if err != nil {
		return answer, err
	}
	value, err := oneOf(set, "edit", "instead", "value", "text", "field")
	if err != nil {
		return answer, err
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
	switch value {
	case "text":
		if strings.TrimSpace(a.text) == "" {
			return answer, usage(`--text has no words in it; if that is to be the answer: --value '""'`)
		}
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

// oneOf returns which of the flags is set; two of them cannot be.
func oneOf(set func(flag string) bool, flags ...string) (one string, err error) {
	for _, name := range flags {
		if !set(name) {
			continue
		}
		if one != "" {
			return "", usage("--%s and --%s cannot both be the answer", one, name)
		}
		one = name
	}
	return one, nil
}

func jsonFlag(name, text string) (json.RawMessage, error) {
	if !json.Valid([]byte(text)) {
		return nil, usage("the value of --%s is not JSON: %s; quote it for the shell, and text within it by double quotes", name, fit(cleanLine(text), 60))
	}
	return json.RawMessage(text), nil
}

// accepted tells what becomes of the run.
func (a *answering) accepted(ctx context.Context, store memory.Store, o *orchestrator.Orchestrator, ask *agent.Ask, answer agent.Answer) error {
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
