// Command check judges a chaos run.
//
//	check dump -url postgres://… -nats address -out dump.jsonl
//	check -dump dump.jsonl [-commit hash] [-again flags] [-out report.md] load.jsonl nemesis.jsonl runner.jsonl …
//
// The dump is taken when the servers have stopped or are at rest. The report goes to -out and a summary to stdout. Exit 0:
// passed; 1: a promise is broken; 2: inconclusive, too little happened to say (or check could not read what it was given).
// Seed and whether the run was a quick one (lower thresholds against vacuity) stand in load's history.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/parley-chat/parley/bench/chaos/check/verdict"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "dump" {
		flags := flag.NewFlagSet("dump", flag.ExitOnError)
		url := flags.String("url", "", "the database: postgres://…")
		bus := flags.String("nats", "", "the NATS server with the stream of events: host:port")
		out := flags.String("out", "dump.jsonl", "where to")
		_ = flags.Parse(os.Args[2:]) // it exits itself
		ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer cancel()
		if err := dump(ctx, *url, *bus, *out); err != nil {
			fmt.Fprintln(os.Stderr, "check:", err)
			os.Exit(2) //nolint:gocritic // nothing is left to do
		}
		return
	}
	dumped := flag.String("dump", "dump.jsonl", "the database at the end")
	commit := flag.String("commit", "", "what was tried, for the report")
	again := flag.String("again", "", "flags of chaos that replay the run, for the report")
	out := flag.String("out", "", "where the report goes; empty: stdout")
	flag.Parse()
	code, err := check(*dumped, *commit, *again, *out, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		code = 2
	}
	os.Exit(code)
}

func check(dumped, commit, again, out string, histories []string) (int, error) {
	run := verdict.NewRun()
	for _, name := range histories {
		f, err := os.Open(name) //nolint:gosec // the operator names it
		if err != nil {
			return 0, err
		}
		err = run.Read(f)
		_ = f.Close()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
	}
	f, err := os.Open(dumped) //nolint:gosec // the operator names it
	if err != nil {
		return 0, err
	}
	defer f.Close()
	db, err := verdict.ReadDatabase(f)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", dumped, err)
	}
	report := verdict.Report{Verdict: verdict.Judge(run, db), Commit: commit, Again: again}
	report.Seed, report.Quick = run.Seed()
	if out == "" {
		_, err = report.WriteTo(os.Stdout)
		return report.Exit(), err
	}
	to, err := os.Create(out) //nolint:gosec // the operator names it
	if err != nil {
		return 0, err
	}
	if _, err := report.WriteTo(to); err != nil {
		return 0, err
	}
	fmt.Println(report.Summary())
	return report.Exit(), to.Close()
}
