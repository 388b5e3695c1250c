// Command check judges a chaos run.
//
//	check dump -url postgres://… -out dump.jsonl
//	check -dump dump.jsonl [-commit hash] [-out report.md] load.jsonl nemesis.jsonl runner.jsonl …
//
// The dump is taken when the servers have stopped or are at rest. The report goes to -out and a summary to stdout. Exit 0:
// passed; 1: a promise is broken; 2: inconclusive, too little happened to say (or check could not read what it was given).
// Seed and whether the run was a quick one (lower thresholds against vacuity) stand in load's history.
package main

func main() {}
