package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres is a server of our own that keeps what it has acknowledged: fsync is on.
type Postgres struct {
	Process
	Bin  string // folder of its programs
	addr string
	dir  string
}

// StartPostgres starts the newest installed server, with a folder of its own in the system's temporary one.
func StartPostgres(log string) (*Postgres, error) { return startPostgres(log, nil) }

func startPostgres(log string, died func(pid int, how string)) (*Postgres, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if p, err := exec.LookPath("postgres"); err == nil && len(found) == 0 {
		found = append(found, p)
	}
	if len(found) == 0 {
		return nil, errors.New("PostgreSQL is not installed (Debian, Ubuntu: apt-get install postgresql)")
	}
	p := &Postgres{Bin: filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) }))}
	var err error
	if p.dir, err = os.MkdirTemp("", "parley-cluster-"); err == nil {
		err = p.init(log)
		p.died = died
	}
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// version is that of /usr/lib/postgresql/17/bin/postgres; 0 where the path does not tell.
func version(program string) float64 {
	v, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(filepath.Dir(program))), 64)
	return v
}

func (p *Postgres) init(log string) (err error) {
	attr := syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() == 0 { // it refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids of the system
		if err := os.Chown(p.dir, uid, gid); err != nil {
			return err
		}
	}
	if p.addr, err = freeAddr(); err != nil {
		return err
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.Command(filepath.Join(p.Bin, "initdb"), "-D", data, "-U", "parley", "-A", "trust", "-E", "UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = &attr, p.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	_, port, _ := net.SplitHostPort(p.addr)
	args := []string{"-D", data, "-p", port, "-h", "127.0.0.1"}
	for _, s := range []string{"fsync=on", "synchronous_commit=on", "max_connections=200", "shared_buffers=256MB", "logging_collector=off",
		"unix_socket_directories=" /* their paths may have 103 bytes */, "commit_siblings=0" /* SlowCommits is for each */} {
		args = append(args, "-c", s)
	}
	p.Process = Process{Name: "PostgreSQL", Log: log, path: filepath.Join(p.Bin, "postgres"), args: args, attr: attr}
	return nil
}

// Start starts the server, again on what it has stored, and waits until it answers.
func (p *Postgres) Start() error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := p.start()
		if err == nil {
			err = p.until(time.Minute, func() error { return p.Exec("postgres") })
		}
		// After a crash it ends at once while what is left of the last one still holds the shared memory.
		if err == nil || p.Runs() || time.Now().After(end) {
			return err
		}
	}
}

// everybody is the server and its sessions. The server must not be making new ones.
func (p *Postgres) everybody(sig syscall.Signal) {
	if !p.Runs() {
		return
	}
	for _, pid := range children(p.PID()) {
		_ = syscall.Kill(pid, sig)
	}
}

// Kill ends the server and all its sessions as a crash does: a session that is busy would notice only later that the server
// is gone.
func (p *Postgres) Kill() {
	p.stays(false)
	p.Process.Pause()
	p.everybody(syscall.SIGKILL)
	p.Process.Kill()
}

// Pause keeps the server and its sessions from running until Resume.
func (p *Postgres) Pause() {
	p.Process.Pause()
	p.everybody(syscall.SIGSTOP)
}

// Resume ends a Pause.
func (p *Postgres) Resume() {
	p.everybody(syscall.SIGCONT)
	p.Process.Resume()
}

// Stop ends the server and removes what it has stored.
func (p *Postgres) Stop() {
	p.stays(false)
	p.Resume()
	p.Signal(syscall.SIGINT) // without waiting for its clients
	if !p.wait(10 * time.Second) {
		p.Kill()
	}
	_ = os.RemoveAll(p.dir)
}

// SlowCommits has each commit take as long as PostgreSQL can be told to wait, 0.1 s, after all the rest of a transaction is
// done; or no more.
func (p *Postgres) SlowCommits(slow bool) error {
	set := "ALTER SYSTEM RESET commit_delay"
	if slow {
		set = "ALTER SYSTEM SET commit_delay = 100000"
	}
	return p.Exec("postgres", set, "SELECT pg_reload_conf()")
}

// URL is the address of a database, whether the server runs or not.
func (p *Postgres) URL(database string) string {
	return fmt.Sprintf("postgres://parley@%s/%s?sslmode=disable", p.addr, database)
}

// Exec carries out statements in a database.
func (p *Postgres) Exec(database string, statements ...string) error {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, p.URL(database)+"&connect_timeout=5")
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for _, s := range statements {
		if _, err := c.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
