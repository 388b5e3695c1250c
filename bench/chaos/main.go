// Command chaos proves what Parley promises of many nodes: it starts a cluster, lets load use it while nemesis does it harm,
// and has check judge what all of them have written down. None of them shares code with the server.
//
//	chaos [-quick] [-seed 1] [-duration 10m] [-mutant name] [-keep] [-- flags of load]
//	chaos -selftest
//
// Exit 0: every promise held; 1: one is broken; 2: inconclusive. The last line says so too: make and go run have exits of
// their own. What was written down stays in the folder that it names where the exit is not 0, or with -keep. Its working
// folder is the module's.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/parley-chat/parley/bench/cluster"
)

// The exits, check's among them.
const (
	passed = iota
	broken
	inconclusive
)

func outcome(exit int) string {
	switch exit {
	case passed:
		return "PASSED"
	case broken:
		return "BROKEN"
	}
	return "INCONCLUSIVE"
}

// settings make the nodes bear more than people would ask of them, and queue less, so that slow readers are soon behind.
var settings = []string{
	"--access-ttl", "2h", "--sends-per-second", "1000", "--sign-ins-per-user", "1000", "--sign-ins-per-addr", "100000",
	"--sockets-per-addr", "10000", "--sockets-per-user", "100", "--max-queue", "8KiB",
}

// quick are load's flags for a run that a build machine can afford.
var quick = []string{
	"-quick", "-users", "120", "-subscribers", "120", "-senders", "40", "-rooms", "12", "-room-size", "8", "-rate", "40",
	"-settle", "40s", "-quiet", "5s",
}

type options struct {
	quick  bool
	seed   uint64
	length time.Duration
	nodes  int
	mutant string
	load   []string
}

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "fewer clients and a minute of harm, for every commit")
	flag.Uint64Var(&o.seed, "seed", 1, "what happens follows from it")
	flag.DurationVar(&o.length, "duration", 10*time.Minute, "of load and harm")
	flag.IntVar(&o.nodes, "nodes", 3, "of the cluster")
	flag.StringVar(&o.mutant, "mutant", "", "a safety net to take away: "+strings.Join(mutantNames(), ", "))
	keep := flag.Bool("keep", false, "keep what was written down, whatever the exit")
	self := flag.Bool("selftest", false, "run every mutant, quickly, and fail unless each is caught")
	flag.Parse()
	o.load = flag.Args()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.quick && !given["duration"] {
		o.length = time.Minute
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *self {
		if !given["duration"] {
			o.length = 25 * time.Second
		}
		os.Exit(selftest(ctx, o))
	}
	os.Exit(chaos(ctx, o, *keep))
}

// chaos does one run in a folder of its own and says how it ended.
func chaos(ctx context.Context, o options, keep bool) int {
	dir, err := os.MkdirTemp("", "parley-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return inconclusive
	}
	exit, _, err := run(ctx, o, dir)
	report, _ := os.ReadFile(filepath.Join(dir, "report.md"))
	fmt.Printf("\n%s\n", report)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if exit == passed && !keep {
		_ = os.RemoveAll(dir)
		fmt.Println(outcome(exit))
	} else {
		_ = os.RemoveAll(filepath.Join(dir, "bin"))
		fmt.Printf("%s. What was written down: %s. The same again: make chaos ARGS='%s'\n", outcome(exit), dir, o)
	}
	return exit
}

// String are the flags of the same run.
func (o options) String() string {
	s := fmt.Sprintf("-seed %d -duration %v -nodes %d", o.seed, o.length, o.nodes)
	if o.quick {
		s += " -quick"
	}
	if o.mutant != "" {
		s += " -mutant " + o.mutant
	}
	if len(o.load) > 0 {
		s += " -- " + strings.Join(o.load, " ")
	}
	return s
}

// run builds everything, lets it happen and judges it. judged is check's exit, the outcome without what others have found.
func run(ctx context.Context, o options, dir string) (exit, judged int, err error) {
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil { //nolint:gosec // programs
		return inconclusive, inconclusive, err
	}
	fmt.Printf("chaos: %v with seed %d\n", o.length, o.seed)
	overlay, err := mutate(o.mutant, "..", dir)
	if err != nil {
		return inconclusive, inconclusive, err
	}
	if _, err := cluster.Build(ctx, "..", bin, overlay...); err != nil {
		return inconclusive, inconclusive, err
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin+"/", "./chaos/nemesis", "./chaos/load", "./chaos/check").CombinedOutput(); err != nil {
		return inconclusive, inconclusive, fmt.Errorf("%w: %s", err, out)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	at, stop, failed := happen(ctx, o, in)
	judged, counted := inconclusive, 0
	if at.Database == "" {
		err = stop()
	} else if judged, counted, err = judge(ctx, o, at, stop, in); counted != 0 {
		fmt.Println("The server's own recount finds the database wrong.")
	}
	exit, err = judged, errors.Join(failed, err)
	if err != nil && exit == passed {
		exit = inconclusive
	}
	if counted != 0 {
		exit = broken
	}
	for _, found := range crashes(dir) {
		exit = broken
		fmt.Println(found)
	}
	return exit, judged, err
}

// judge has check say what came of a run, even one that has failed on its way, and the server recount its database.
func judge(ctx context.Context, o options, at addresses, stop func() error, in func(string) string) (exit, counted int, err error) {
	// The servers are at rest, and PostgreSQL and NATS are needed a little longer.
	var said strings.Builder
	dump := command(ctx, os.Stdout, filepath.Join(in("bin"), "check"), "dump", "-url", at.Database, "-nats", at.NATS, "-out", in("dump.jsonl"))
	dump.Stderr = &said
	dumped, err := dump.run()
	if dumped != 0 {
		err = fmt.Errorf("the dump: exit %d: %s", dumped, strings.TrimSpace(said.String()))
	}
	if err == nil {
		counted, err = command(ctx, os.Stdout, filepath.Join(in("bin"), "parley"), "check", "--database-url", at.Database).run()
	}
	if err := errors.Join(err, stop()); err != nil {
		return inconclusive, counted, err
	}
	exit, err = command(ctx, os.Stdout, filepath.Join(in("bin"), "check"), "-dump", in("dump.jsonl"), "-commit", commit(ctx), "-again", o.String(),
		"-out", in("report.md"), in("load.jsonl"), in("nemesis.jsonl")).run()
	if err != nil {
		exit = inconclusive
	}
	return exit, counted, err
}

// addresses are what nemesis has started.
type addresses struct {
	Nodes          []string
	Database, NATS string
}

// happen has the cluster started, used and harmed. When it returns, all is mended and quiet, unless it failed; stop ends the
// cluster.
func happen(ctx context.Context, o options, in func(string) string) (at addresses, stop func() error, err error) {
	bin := in("bin")
	nemesis, err := start(ctx, filepath.Join(bin, "nemesis"), append([]string{"-programs", bin, "-dir", in(""), "-out", in("nemesis.jsonl"),
		"-seed", fmt.Sprint(o.seed), "-duration", o.length.String(), "-nodes", fmt.Sprint(o.nodes), "--"}, settings...)...)
	if err != nil {
		return at, func() error { return nil }, err
	}
	stop = nemesis.end
	line, err := nemesis.read()
	if err != nil {
		return at, stop, err
	}
	if err := json.Unmarshal([]byte(line), &at); err != nil {
		return at, stop, err
	}
	args := []string{"-nodes", strings.Join(at.Nodes, ","), "-out", in("load.jsonl"), "-seed", fmt.Sprint(o.seed), "-duration", o.length.String()}
	if o.quick {
		args = append(args, quick...)
	}
	load, err := start(ctx, filepath.Join(bin, "load"), append(args, o.load...)...)
	if err != nil {
		return at, stop, err
	}
	for _, step := range []func() error{
		func() error { return load.says("ready") },
		load.begin,
		func() error { return load.says("loading") },
		nemesis.begin,
		func() error { return nemesis.says("healed") },
		func() error { return load.says("settling") },
		func() error { return load.says("done") },
	} {
		if err := step(); err != nil {
			_ = load.cmd.Process.Signal(syscall.SIGTERM) // it ends with what it has written down
			return at, stop, errors.Join(err, load.end())
		}
	}
	return at, stop, load.end()
}

// program is one that is talked to line by line.
type program struct {
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
}

func start(ctx context.Context, path string, args ...string) (*program, error) {
	p := &program{name: filepath.Base(path), cmd: exec.CommandContext(ctx, path, args...)}
	p.cmd.Stderr = os.Stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = time.Minute
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lines = bufio.NewReader(out)
	return p, p.cmd.Start()
}

func (p *program) read() (string, error) {
	line, err := p.lines.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s ended early: %w", p.name, err)
	}
	return strings.TrimSpace(line), nil
}

// says waits for a word, and passes on what comes before it.
func (p *program) says(word string) error {
	for {
		line, err := p.read()
		if err != nil {
			return err
		}
		fmt.Printf("%s %s: %s\n", time.Now().Format(time.TimeOnly), p.name, line)
		if line == word {
			return nil
		}
	}
}

func (p *program) begin() error {
	_, err := fmt.Fprintln(p.in, "begin")
	return err
}

func (p *program) end() error {
	_ = p.in.Close()
	_, _ = io.Copy(os.Stdout, p.lines)
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

type commanded struct{ *exec.Cmd }

func command(ctx context.Context, out io.Writer, path string, args ...string) commanded {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	return commanded{cmd}
}

// run returns the program's exit; an error where it has none.
func (c commanded) run() (int, error) {
	err := c.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func commit(ctx context.Context) string {
	out, _ := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").Output()
	return strings.TrimSpace(string(out))
}

// crashes finds what a node says only when the program itself is wrong.
func crashes(dir string) (found []string) {
	logs, _ := filepath.Glob(filepath.Join(dir, "node*.log"))
	for _, name := range logs {
		text, _ := os.ReadFile(name)
		for line := range bytes.Lines(text) {
			for _, sign := range []string{"panic", "fatal error:", "DATA RACE"} {
				if bytes.Contains(line, []byte(sign)) {
					found = append(found, fmt.Sprintf("%s: %s", filepath.Base(name), bytes.TrimSpace(line)))
				}
			}
		}
	}
	return found
}
