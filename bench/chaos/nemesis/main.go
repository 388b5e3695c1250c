// Command nemesis starts a cluster and does it harm: it kills, stops and restarts nodes, PostgreSQL and NATS, cuts sockets,
// and loses, doubles, delays and reorders doorbells, as a seed says. It writes down what it does, and each second how the
// nodes are.
//
//	nemesis -programs folder -dir folder -out nemesis.jsonl [-seed 1] [-duration 10m] [-nodes 3] [node settings …]
//
// Once the cluster is ready it prints the addresses as a line of JSON. It begins when it reads a line on stdin, and prints
// "healed" when all is mended, before -duration is over. The end of stdin ends the cluster.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/parley-chat/parley/bench/chaos/history"
	"github.com/parley-chat/parley/bench/cluster"
)

// ready is what is printed when the cluster is.
type ready struct {
	Nodes    []string `json:"nodes"`    // where clients reach them
	Database string   `json:"database"` // its address
	NATS     string   `json:"nats"`
}

func main() {
	programs := flag.String("programs", "", "folder of the built parley and nats-server")
	dir := flag.String("dir", "", "folder for logs")
	out := flag.String("out", "nemesis.jsonl", "history file")
	seed := flag.Uint64("seed", 1, "of the faults")
	length := flag.Duration("duration", 10*time.Minute, "of the harm")
	nodes := flag.Int("nodes", 3, "of the cluster")
	flag.Parse()
	c := cluster.Config{Programs: cluster.In(absolute(*programs)), Dir: absolute(*dir), Nodes: *nodes, Seed: *seed, Settings: flag.Args()}
	if err := run(c, *out, *length); err != nil {
		fmt.Fprintln(os.Stderr, "nemesis:", err)
		os.Exit(1)
	}
}

// absolute is for processes, which work in another folder.
func absolute(path string) string {
	a, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return a
}

func run(cfg cluster.Config, out string, length time.Duration) (err error) {
	// Ctrl-C is for who started this, and ends it by closing stdin.
	signal.Ignore(os.Interrupt)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	w, err := history.Create(out)
	if err != nil {
		return err
	}
	defer func() {
		if e := w.Close(); err == nil {
			err = e
		}
	}()
	cfg.Failed = func(what, process string, node, pid int, how string) {
		w.Write(history.Record{K: what, Name: process, Node: node, PID: pid, Text: how})
	}
	c, err := cluster.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer c.Stop()
	var sampling sync.WaitGroup
	sctx, enough := context.WithCancel(ctx)
	for i := range c.Nodes {
		sampling.Go(func() { sample(sctx, w, c.Nodes[i], i+1) })
	}
	sampling.Go(func() { tick(sctx, w) })
	defer sampling.Wait()
	defer enough()

	at := ready{Database: c.URL(), NATS: c.NATS.Addr}
	for _, n := range c.Nodes {
		at.Nodes = append(at.Nodes, "http://"+n.Front.Addr())
	}
	line, _ := json.Marshal(at)
	fmt.Println(string(line))

	lines := bufio.NewReader(os.Stdin)
	if _, err := lines.ReadString('\n'); err != nil {
		return nil // ended before it began
	}
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		close(gone)
	}()
	fctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-gone
		cancel()
	}()
	harm(fctx, c, w, schedule(cfg.Seed, length, cfg.Nodes), cfg.Seed)
	w.Flush()
	fmt.Println("healed")
	select {
	case <-gone:
	case <-ctx.Done():
	}
	return nil
}
