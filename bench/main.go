// Command bench measures what Parley's live path and its sends cost, against a bare write(2) to each socket and against
// servers that people use, on this machine, over loopback. It talks to every server as clients do; Parley's users are
// written into its database, because each sign-up hashes a password. It runs on Linux and needs PostgreSQL's programs.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/parley-chat/parley/bench/cluster"
)

var columns = []string{bareName, "gorilla loop", "Socket.IO", "gqlgen", "Apollo", "pgbench", "Parley"}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "peer" {
		fail(servePeer(os.Args[2], os.Args[3]))
	}
	b := &bench{peers: map[string]bool{bareName: true, "gorilla loop": true, "gqlgen": true}}
	flag.BoolVar(&b.quick, "quick", false, "fewer peers and shorter: under two minutes")
	flag.IntVar(&b.pairs, "rounds", 3, "interleaved rounds")
	only := flag.String("rows", "", "letters of the rows to measure: c(alm) f(lat out) m(any) p(ublishers) r(esident) o(pen) s(ends) h(istory) g(rowth)")
	peers := flag.String("peers", "", "names of the peers to run, separated by commas; empty: all")
	parley := flag.String("parley", "", "a built server; empty: it is built")
	flag.StringVar(&b.into, "into", "", "a file whose part between "+begin+" and "+end+" the table replaces")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	b.only = *peers
	fail(b.run(ctx, *only, *parley))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(env []string, dir, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Dir = append(os.Environ(), env...), dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return nil
}

// prepare builds the servers. The working folder is the module's.
func (b *bench) prepare(parley string) (err error) {
	if b.root, err = filepath.Abs(".."); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "parley-bench-bin-"); err != nil {
		return err
	}
	if parley != "" {
		if parley, err = filepath.Abs(parley); err == nil {
			err = os.Symlink(parley, filepath.Join(b.dir, "parley"))
		}
	} else {
		err = run([]string{"GOFLAGS="}, b.root, "go", "build", "-o", filepath.Join(b.dir, "parley"), ".")
	}
	if err == nil {
		err = run(nil, ".", "go", "build", "-o", filepath.Join(b.dir, "gqlgenpeer"), "./gqlgenpeer")
	}
	if err != nil {
		return err
	}
	if b.quick {
		delete(b.peers, "gorilla loop")
		return nil
	}
	if _, e := exec.LookPath("npm"); e != nil {
		b.skipped = append(b.skipped, "Socket.IO and Apollo: npm is not installed")
	} else if e := run(nil, filepath.Join(b.root, "bench/node"), "npm", "ci", "--no-audit", "--no-fund"); e != nil {
		b.skipped = append(b.skipped, "Socket.IO and Apollo: "+e.Error())
	} else {
		b.peers["Socket.IO"], b.peers["Apollo"] = true, true
	}
	return nil
}

func (b *bench) run(ctx context.Context, only, parley string) (err error) {
	defer func() { _ = os.RemoveAll(b.dir) }()
	if err = b.prepare(parley); err != nil {
		return err
	}
	if b.pg, err = cluster.StartPostgres(filepath.Join(b.dir, "postgres.log")); err != nil {
		return err
	}
	defer b.pg.Stop()
	b.w = newWorld(many, 4)
	began := time.Now()
	short := func(full, quick time.Duration) time.Duration {
		if b.quick {
			return quick
		}
		return full
	}
	rows := []struct {
		letter, name string
		measure      func(name string) error
	}{
		{"c", "1,000 sockets, 20 events/s", func(n string) error {
			return b.fanOut(ctx, n, 1, few, traffic{1, 20, 1 << 20, short(6*time.Second, 3*time.Second)}, b.pairs)
		}},
		{"f", "1,000 sockets, flat out", func(n string) error {
			return b.fanOut(ctx, n, 1, few, traffic{8, 0, 16, short(3*time.Second, time.Second)}, b.pairs)
		}},
		{"m", "10,000 sockets, flat out", func(n string) error {
			return b.fanOut(ctx, n, 0, many, traffic{8, 0, 16, short(3*time.Second, 2*time.Second)}, b.pairs)
		}},
		{"p", "1,000 sockets, 32 publishers", func(n string) error {
			return b.fanOut(ctx, n, 1, few, traffic{32, 0, 64, short(3*time.Second, time.Second)}, b.pairs)
		}},
		{"r", "resident bytes per idle socket", func(n string) error {
			return b.memory(ctx, n, many, short(130*time.Second, 5*time.Second))
		}},
		{"o", "connect + init + subscribe, per second", func(n string) error {
			return b.connects(ctx, n, map[bool]int{false: 4000, true: 2000}[b.quick], b.pairs)
		}},
		{"s", "durable sends, 64 HTTP clients, against pgbench", func(n string) error {
			return b.sends(ctx, n, short(6*time.Second, time.Second), b.pairs)
		}},
		{"h", "a page of history", func(n string) error { return b.history(ctx, n, short(2*time.Second, time.Second), b.pairs) }},
		{"g", "growth", func(string) error { return b.growth(ctx, short(3*time.Second, 2*time.Second)) }},
	}
	letters := only
	if letters == "" {
		letters = "cfmproshg"
		if b.quick {
			letters = "cfpos"
		}
	}
	for _, r := range rows {
		if strings.Contains(letters, r.letter) && ctx.Err() == nil {
			fmt.Println(r.name)
			if err := r.measure(r.name); err != nil {
				fmt.Println("  failed:", err)
				b.skipped = append(b.skipped, r.name+": "+err.Error())
			}
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s, %d cores, %s, %s, %.0f s:\n\n%s\n", time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), cpuName(), runtime.Version(),
		time.Since(began).Seconds(), b.table.markdown(columns))
	out.WriteString(`The first rows are the server's CPU time for each delivery, the bare write(2) of the same bytes to each socket in the same
round being 1; medians of interleaved rounds, with their ranges. Messages are published by sendMessage over HTTP and stored
in PostgreSQL before they are delivered (Parley); the peers keep them in memory. Flat out: 8 publishers, at most 16 events
ahead of the sockets; 32 publishers: at most 64. Parley's figures at 20 events/s hold the mutation that publishes, run on cold
caches: see the last rows for what it costs with one listener, and what each more adds.
`)
	for _, s := range b.skipped {
		fmt.Fprintln(&out, "Not measured:", s)
	}
	fmt.Printf("\n%s", out.String())
	if b.into != "" && ctx.Err() == nil {
		return replace(b.into, out.String())
	}
	return ctx.Err()
}

const begin, end = "<!-- bench -->", "<!-- /bench -->"

// replace puts text between the marks of a file.
func replace(file, text string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the table: %s … %s", file, begin, end)
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+text+end+after), 0o644) //nolint:gosec // a document
}

func cpuName() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return runtime.GOARCH
}

func lockThread() (unlock func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
