// Command up runs a cluster on loopback for a person to try: PostgreSQL, NATS, three nodes and a balancer before them. It
// says where everything is and what to try, and ends with Ctrl-C. Its working folder is the module's: see make cluster.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/parley-chat/parley/bench/cluster"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "of the balancer")
	nodes := flag.Int("nodes", 3, "behind it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *nodes, flag.Args()); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr string, nodes int, settings []string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil { // said before the long part
		return fmt.Errorf("%w; choose another address with -addr", err)
	}
	_ = l.Close()
	dir, err := os.MkdirTemp("", "parley-cluster-logs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("Building Parley and NATS, and starting them …")
	programs, err := cluster.Build(ctx, "..", dir)
	if err != nil {
		return err
	}
	c, err := cluster.Start(ctx, cluster.Config{Programs: programs, Dir: dir, Nodes: nodes, Settings: append([]string{"--public-url", "http://" + addr}, settings...)})
	if err != nil {
		return err
	}
	defer c.Stop()
	b, err := cluster.Balance(addr, c.Nodes)
	if err != nil {
		return err
	}
	defer b.Close()
	welcome(c, b.Addr())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer c.Stop() // what is watched has to end
	watching.Go(func() { supervise(ctx, &c.Postgres.Process, c.Postgres.Start) })
	watching.Go(func() { supervise(ctx, &c.NATS.Process, c.NATS.Start) })
	for _, n := range c.Nodes {
		watching.Go(func() { supervise(ctx, &n.Process, n.Start) })
	}
	<-ctx.Done()
	fmt.Println("\nStopping.")
	return nil
}

const restartAfter = 5 * time.Second

// supervise starts again what has ended, after a time in which its absence can be seen.
func supervise(ctx context.Context, p *cluster.Process, start func() error) {
	for {
		p.Wait()
		if ctx.Err() != nil {
			return
		}
		fmt.Printf("%s has ended; it is started again in %v.\n", p.Name, restartAfter)
		select {
		case <-time.After(restartAfter):
		case <-ctx.Done():
			return
		}
		if err := start(); err != nil {
			fmt.Printf("%v\n", err)
			continue
		}
		fmt.Printf("%s is back, as pid %d.\n", p.Name, p.PID())
	}
}

func welcome(c *cluster.Cluster, addr string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nParley is ready: %d nodes behind a balancer.\n\n", len(c.Nodes))
	fmt.Fprintf(w, "  Try it\thttp://%s/\n  API\thttp://%s/graphql\n\n", addr, addr)
	for _, n := range c.Nodes {
		fmt.Fprintf(w, "  %s\tpid %d\thttp://%s/\t%s\n", n.Name, n.PID(), n.Addr, n.Log)
	}
	fmt.Fprintf(w, "  NATS\tpid %d\tnats://%s\t%s\n", c.NATS.PID(), c.NATS.Addr, c.NATS.Log)
	fmt.Fprintf(w, "  PostgreSQL\tpid %d\t%s\t%s\n", c.Postgres.PID(), c.URL(), c.Postgres.Log)
	_ = w.Flush()
	node := c.Nodes[0]
	fmt.Printf(`
What to try, while a client listens as "Five minutes" in README.md shows, with the same addresses:

  curl -s http://%s/metrics | grep ^parley_sockets   which node has its socket?
  kill -9 %d      a node crashes: the client comes back on another and goes on where it was
  kill -TERM %d   a node is replaced: its sockets are told to come back
  kill -STOP %d   a node hangs, until kill -CONT
  kill -9 %d      NATS is away: messages arrive all the same, a moment later
  kill -9 %d      PostgreSQL is away: sends are refused as UNAVAILABLE, sockets stay

What has ended is started again after %v. Stop everything with Ctrl-C; nothing is kept.

`, node.Addr, node.PID(), node.PID(), node.PID(), c.NATS.PID(), c.Postgres.PID(), restartAfter)
}
