package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/internal/bench"
)

func benchCommand() *cobra.Command {
	var b bench.Bench
	cmd := &cobra.Command{
		Use:   "bench [" + strings.Join(bench.Figures(), "|") + "]…",
		Short: "Measure what Fermata costs, beside a loop written by hand",
		Long: `Measure what Fermata costs, beside what the same work costs without it: a loop
written by hand that asks the same model with go-openai, calls the same tool, and
makes one append to Redis per step. Both sides have their turns in one run, and
are compared as ratios.

  steps    CPU, time, round trips and bytes per step, in runs of 10 to 1,000 steps
  load     200 and 10,000 conversations at once
  parked   100,000 runs that wait for a person: bytes, and time from answer to planner
  workers  1 to 4 worker processes over one store

It starts a Redis server of its own (redis-server must be installed) and throws it
away. With --store it uses that Redis, whose database must be empty and is left
with the bench's runs, or that file, with a Redis of its own for the hand-written
loop. Results go to stdout, with the goals and whether they are met; what goes on
goes to stderr.`,
		Example: `  fermata bench steps
  fermata bench load workers --appendfsync none
  fermata bench parked --runs 10000 --json`,
		ValidArgs: bench.Figures(),
		Args:      cobra.OnlyValidArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("the bench cannot find its own program: %w", err)
			}
			b.Self, b.Out, b.Progress = []string{self, "bench", "child"}, cmd.OutOrStdout(), cmd.ErrOrStderr()
			if b.JSON, err = cmd.Flags().GetBool("json"); err != nil {
				return err
			}
			if b.Store, err = cmd.Flags().GetString("store"); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return b.Run(ctx, args...)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&b.Fsync, "appendfsync", "everysec", "of the bench's own Redis: none (it keeps no file), everysec or always")
	flags.BoolVar(&b.Stream, "stream", false, "have the model stream its answers, to both sides")
	flags.IntSliceVar(&b.Lengths, "lengths", nil, "steps: the lengths of the runs (default 10,50,200,1000)")
	flags.IntVar(&b.Rounds, "rounds", 0, "steps, load: rounds in which each side has its turn (default: more for shorter work)")
	flags.IntVar(&b.Small, "small", 0, "load: conversations at once at first (default 200)")
	flags.IntVar(&b.Large, "large", 0, "load: conversations at once then (default 10000)")
	flags.IntVar(&b.Jobs, "jobs", 0, "load: jobs at once in the worker (default: one for each conversation)")
	flags.IntVar(&b.Parked, "runs", 0, "parked: how many runs wait (default 100000)")
	flags.DurationVar(&b.Rest, "rest", 0, "parked: how long they rest before the worker's memory is looked at (default 15s)")
	flags.IntVar(&b.Answers, "answers", 0, "parked: how many of them are answered (default 400)")
	flags.IntVar(&b.Cold, "cold", 0, "parked: how many of them a new worker takes up (default 20)")
	flags.IntVar(&b.Workers, "workers", 0, "workers: up to how many (default 4)")
	flags.IntVar(&b.Conversations, "conversations", 0, "workers: the conversations of the load (default 1000)")
	cmd.AddCommand(benchChildCommand())
	return cmd
}

// benchChildCommand is what the processes of a bench run.
func benchChildCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "child",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return bench.Child(cmd.Context(), args, os.Stdin, os.Stdout)
		},
	}
}
