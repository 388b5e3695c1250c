package testkit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	serverDirs = "parley-postgres-*"
	// ownerFile is locked by the test process that uses the directory.
	ownerFile = "owner"
)

var errNoPostgres = errors.New("found no PostgreSQL server to test with. Install one " +
	"(Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql), " +
	"or set TEST_DATABASE_URL to the postgres:// address of one whose user may create databases")

// throwaway are the settings of a server whose data nobody will miss.
var throwaway = []string{
	"listen_addresses=", "max_connections=300", "shared_buffers=32MB", "fsync=off", "synchronous_commit=off",
	"full_page_writes=off", "wal_level=minimal", "max_wal_senders=0", "max_wal_size=1GB", "autovacuum=off", "jit=off",
	"timezone=UTC", "log_min_messages=error",
}

// binaryFolders are where systems keep the server's programs, besides $PATH.
var binaryFolders = []string{
	"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*",
	"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin", "/Applications/Postgres.app/Contents/Versions/*/bin",
}

// startServer starts a PostgreSQL server that only this process can find and that keeps nothing: its data goes with it.
func startServer(settings []string) (*server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	base := os.TempDir()
	if os.Getuid() == 0 || len(base) > 40 {
		base = "/tmp" // readable for the user we become, and short enough for a Unix socket's path (103 bytes)
	}
	sweepServers(base)
	dir, err := os.MkdirTemp(base, serverDirs)
	if err != nil {
		return nil, err
	}
	as, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin, dir: dir, data: filepath.Join(dir, "data"), as: as}
	if err = s.init(); err == nil {
		err = s.start(settings)
	}
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL of %s in %s: %w", bin, dir, err)
	}
	return s, nil
}

// findBinaries returns the folder of initdb, pg_ctl and postgres.
func findBinaries() (string, error) {
	var folders []string
	if p, err := exec.LookPath("initdb"); err == nil {
		folders = append(folders, filepath.Dir(p))
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	for _, pattern := range binaryFolders {
		found, _ := filepath.Glob(pattern)
		folders = append(folders, found...)
	}
	for _, folder := range folders {
		complete := true
		for _, program := range []string{"initdb", "pg_ctl", "postgres"} {
			if _, err := os.Stat(filepath.Join(folder, program)); err != nil {
				complete = false
			}
		}
		if complete {
			return folder, nil
		}
	}
	return "", errNoPostgres
}

// unprivileged says whom to run the server as: PostgreSQL refuses to be root. It hands dir over to that user.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	// A process group of its own, so that Ctrl-C reaches the tests and not what cleans up behind them.
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() != 0 {
		return attr, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 != nil || err2 != nil {
			continue
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attr, os.Chown(dir, int(uid), int(gid))
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody")
}

type server struct {
	bin, dir, data string
	as             *syscall.SysProcAttr
	main           *exec.Cmd // the postmaster, as it was started last
	janitor        *exec.Cmd
	// Held open until the end: a file that nothing refers to is closed by the collector.
	owner, alive *os.File
}

// admin is the address of the maintenance database.
func (s *server) admin() string {
	return "postgres://postgres@/postgres?" + url.Values{"host": {s.dir}}.Encode()
}

func (s *server) init() error {
	if err := s.own(); err != nil {
		return err
	}
	return s.run("initdb", "-D", s.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
		"--wal-segsize=1", "--no-sync", "--no-instructions")
}

const startTimeout = 30 * time.Second

// start starts the server and waits until it answers. It is a child of this process, so that nothing is left of one that
// was killed: the next would take a process that nobody has waited for to be alive.
func (s *server) start(settings []string) error {
	name := filepath.Join(s.dir, "log")
	log, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	for end := time.Now().Add(startTimeout); ; {
		args := []string{"-D", s.data, "-k", s.dir}
		for _, x := range settings {
			args = append(args, "-c", x)
		}
		s.main = s.command(filepath.Join(s.bin, "postgres"), args...)
		s.main.Stdout, s.main.Stderr = log, log
		if err := s.main.Start(); err != nil {
			return err
		}
		if err = s.ready(end); err == nil {
			return nil
		}
		_ = s.main.Process.Kill()
		_ = s.main.Wait()
		if time.Now().After(end) {
			said, _ := os.ReadFile(name)
			return fmt.Errorf("%w\n%s", err, said)
		}
	}
}

// ready waits until the server answers. One that was killed may have left processes that keep the next from starting for a
// moment: what has ended is started again.
func (s *server) ready(end time.Time) error {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, s.admin())
		if err == nil {
			err = conn.Close(ctx)
			cancel()
			return err
		}
		cancel()
		if time.Now().After(end) || s.ended() {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ended says, without waiting, that the server has ended.
func (s *server) ended() bool {
	pid, err := syscall.Wait4(s.main.Process.Pid, nil, syscall.WNOHANG, nil)
	return err != nil || pid != 0
}

// kill ends the server and waits for its end. SIGKILL is for all of its processes: a session that is busy would notice only
// later that the first is gone.
func (s *server) kill(sig syscall.Signal) error {
	pids, err := []int(nil), error(nil)
	if sig == syscall.SIGKILL {
		pids, err = s.sessions()
	}
	_ = s.main.Process.Signal(sig)
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
	_ = s.main.Wait()
	return err
}

// sessions stops the server from making new ones, and lists those it has.
func (s *server) sessions() ([]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.admin())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	_ = s.main.Process.Signal(syscall.SIGSTOP)
	rows, err := conn.Query(ctx, "SELECT pid FROM pg_stat_activity")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

// remove stops the server and removes all of it.
func (s *server) remove() error {
	return errors.Join(s.kill(syscall.SIGQUIT), s.alive.Close(), s.janitor.Wait(), s.owner.Close())
}

// own marks dir as used by this process, and leaves a shell behind that waits for the end of this process (the end of
// its standard input), and then stops the server and removes dir.
func (s *server) own() (err error) {
	if s.owner, err = os.Create(filepath.Join(s.dir, ownerFile)); err != nil {
		return err
	}
	if err := syscall.Flock(int(s.owner.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	ended, alive, err := os.Pipe()
	if err != nil {
		return err
	}
	s.alive = alive
	s.janitor = s.command("/bin/sh", "-c", `cat >/dev/null; "$0/pg_ctl" stop -s -D "$1/data" -m immediate 2>/dev/null; rm -rf "$1"`, s.bin, s.dir)
	s.janitor.Stdin = ended
	return errors.Join(s.janitor.Start(), ended.Close())
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.SysProcAttr = "/", s.as
	cmd.Env = []string{"PATH=" + s.bin + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	return cmd
}

func (s *server) run(program string, args ...string) error {
	out, err := s.command(filepath.Join(s.bin, program), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

// sweepServers removes what is left of servers whose test process and janitor were killed together, as when a machine
// goes down. A server that still runs without its data ends by itself.
func sweepServers(base string) {
	dirs, _ := filepath.Glob(filepath.Join(base, serverDirs))
	for _, dir := range dirs {
		if st, err := os.Stat(dir); err != nil || time.Since(st.ModTime()) < time.Minute {
			continue // perhaps just made, and not locked yet
		}
		f, err := os.Open(filepath.Join(dir, ownerFile))
		if err != nil {
			continue // another user's
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
		}
		_ = f.Close()
	}
}
