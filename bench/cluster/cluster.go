package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Programs are the built servers.
type Programs struct{ Parley, NATS string }

// In are the servers that Build has left in a folder.
func In(dir string) Programs {
	return Programs{filepath.Join(dir, "parley"), filepath.Join(dir, "nats-server")}
}

// Build builds the servers into a folder. root is the repository's; flags are go build's, for Parley.
func Build(ctx context.Context, root, into string, flags ...string) (Programs, error) {
	p := In(into)
	err := build(ctx, root, p.Parley, ".", flags...)
	if err == nil {
		err = build(ctx, filepath.Join(root, "bench"), p.NATS, "github.com/nats-io/nats-server/v2")
	}
	return p, err
}

func build(ctx context.Context, dir, program, pkg string, flags ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", program}, flags...), pkg)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", filepath.Base(program), err, out)
	}
	return nil
}

// Config says what is started. Programs and Dir are required.
type Config struct {
	Programs Programs
	Dir      string   // for logs, and for what NATS stores
	Nodes    int      // 0 means 3
	Settings []string // further flags of the nodes
	Seed     uint64   // of the mischief with doorbells
	Front    []string // addresses that clients reach the nodes at; missing ones are chosen
	// Failed is told, by any goroutine, what a process did against its orders: it died, or it was undrained, which is ended
	// by force. node is from 1; 0 is PostgreSQL or NATS. May be nil.
	Failed func(what, process string, node, pid int, how string)
}

func (c Config) failed(what, process string, node int) func(pid int, how string) {
	return func(pid int, how string) {
		if c.Failed != nil {
			c.Failed(what, process, node, pid, how)
		}
	}
}

// Secret is the one that the nodes are started with.
const Secret = "a cluster on loopback, which protects nothing"

const (
	name       = "parley" // of the installation, and of the database
	doorbells  = "parley." + name + ".log"
	startsIn   = time.Minute
	drainsIn   = 15 * time.Second
	drainLimit = "10s"
	drainDelay = "1s" // twice as long as a balancer looks away
)

// Cluster is a PostgreSQL, a NATS server and nodes.
type Cluster struct {
	Postgres *Postgres
	NATS     *NATS
	Nodes    []*Node
}

// NATS is a server with JetStream.
type NATS struct {
	Process
	Addr string
}

// Node is a Parley server.
type Node struct {
	Process
	Addr      string     // where it listens itself
	Front     *Proxy     // where clients reach it
	Doorbells *Doorbells // its way to NATS
	undrained func(pid int, how string)
}

// Start starts everything and waits until it is ready.
func Start(ctx context.Context, c Config) (cl *Cluster, err error) {
	cl = &Cluster{}
	defer func() {
		if err != nil {
			cl.Stop()
			cl = nil
		}
	}()
	if cl.Postgres, err = startPostgres(filepath.Join(c.Dir, "postgres.log"), c.failed("died", "PostgreSQL", 0)); err != nil {
		return cl, err
	}
	if err = cl.Postgres.Exec("postgres", "CREATE DATABASE "+name); err != nil {
		return cl, err
	}
	if err = cl.startNATS(c); err != nil {
		return cl, err
	}
	if c.Nodes == 0 {
		c.Nodes = 3
	}
	for i := range c.Nodes {
		if ctx.Err() != nil {
			return cl, ctx.Err()
		}
		if err = cl.addNode(c, i); err != nil {
			return cl, err
		}
	}
	return cl, nil
}

func (cl *Cluster) startNATS(c Config) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(addr)
	cl.NATS = &NATS{Addr: addr, Process: Process{Name: "NATS", Log: filepath.Join(c.Dir, "nats.log"), path: c.Programs.NATS,
		args: []string{"-a", host, "-p", port, "-js", "-sd", filepath.Join(c.Dir, "nats")}}}
	cl.NATS.died = c.failed("died", cl.NATS.Name, 0)
	return cl.NATS.Start()
}

// Start starts the server, again at the same address, and waits until it listens.
func (n *NATS) Start() error {
	if err := n.start(); err != nil {
		return err
	}
	return n.until(startsIn, func() error {
		conn, err := net.DialTimeout("tcp", n.Addr, time.Second)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

func (cl *Cluster) addNode(c Config, i int) (err error) {
	n := &Node{}
	if n.Addr, err = freeAddr(); err != nil {
		return err
	}
	front, bus := "", ""
	if i < len(c.Front) {
		front = c.Front[i]
	} else if front, err = freeAddr(); err != nil {
		return err
	}
	if bus, err = freeAddr(); err != nil {
		return err
	}
	if n.Doorbells, err = ListenDoorbells(bus, cl.NATS.Addr, doorbells, rand.New(rand.NewPCG(c.Seed, uint64(i)))); err != nil { //nolint:gosec // not a secret
		return err
	}
	if n.Front, err = Listen(front, func() []string { return []string{n.Addr} }); err != nil {
		n.Doorbells.Close()
		return err
	}
	dir := filepath.Join(c.Dir, fmt.Sprintf("node%d", i+1))
	n.Process = Process{Name: fmt.Sprintf("node %d", i+1), Log: dir + ".log", path: c.Programs.Parley,
		args: append([]string{"--addr", n.Addr, "--data", dir, "--public-url", "http://" + front, "--cluster", name, "--drain-delay", drainDelay, "--drain-timeout", drainLimit}, c.Settings...),
		env:  []string{"PARLEY_SECRET=" + Secret, "DATABASE_URL=" + cl.Postgres.URL(name), "NATS_URL=nats://" + bus}}
	n.died, n.undrained = c.failed("died", n.Name, i+1), c.failed("undrained", n.Name, i+1)
	cl.Nodes = append(cl.Nodes, n)
	return n.Start()
}

// Start starts the node, again at the same address, and waits until it is ready.
func (n *Node) Start() error {
	if err := n.start(); err != nil {
		return err
	}
	return n.until(startsIn, n.Ready)
}

var probe = http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Ready is why the node should get no requests now.
func (n *Node) Ready() error {
	resp, err := probe.Get("http://" + n.Addr + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// Drain asks the node to end as a deployment does, and says whether it has.
func (n *Node) Drain() bool {
	if n.Terminate(drainsIn) {
		return true
	}
	n.undrained(n.PID(), fmt.Sprintf("killed after %v", drainsIn))
	return false
}

// URL is the address of the database.
func (cl *Cluster) URL() string { return cl.Postgres.URL(name) }

// Stop ends everything and removes what PostgreSQL and NATS have stored; the logs stay. It may be called twice.
func (cl *Cluster) Stop() {
	var nodes sync.WaitGroup
	for _, n := range cl.Nodes {
		nodes.Go(func() {
			n.Drain()
			n.Front.Close()
			n.Doorbells.Close()
			_ = os.RemoveAll(strings.TrimSuffix(n.Log, ".log"))
		})
	}
	nodes.Wait()
	if cl.NATS != nil {
		cl.NATS.Terminate(5 * time.Second)
		_ = os.RemoveAll(filepath.Join(filepath.Dir(cl.NATS.Log), "nats"))
	}
	if cl.Postgres != nil {
		cl.Postgres.Stop()
	}
}
