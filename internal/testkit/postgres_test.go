package testkit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley/internal/testkit"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func count(t *testing.T, conn *pgx.Conn) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM thing").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	var migrated atomic.Int32
	migrate := func(url string) error {
		migrated.Add(1)
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return err
		}
		_, err = conn.Exec(t.Context(), "CREATE TABLE thing (id int); INSERT INTO thing VALUES (1)")
		return err // and forgets to close the connection
	}
	for range 4 {
		t.Run("copy", func(t *testing.T) {
			t.Parallel()
			conn := connect(t, testkit.PostgresURL(t, "thing", migrate))
			if _, err := conn.Exec(t.Context(), "INSERT INTO thing VALUES (2)"); err != nil {
				t.Fatal(err)
			}
			if n := count(t, conn); n != 2 {
				t.Errorf("%d rows, want 2: somebody else writes here", n)
			}
			if n := migrated.Load(); n != 1 {
				t.Errorf("migrated %d times, want once", n)
			}
		})
	}
}

func TestDatabaseIsDroppedAtTheEnd(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("use", func(t *testing.T) { url = testkit.PostgresURL(t, "empty", nil) })
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		_ = conn.Close(t.Context())
		t.Errorf("%s still exists", url)
	}
}

// TestServerEndsWithItsProcess runs this test binary again, kills it while its server is up, and expects the server
// and its folder to go.
func TestServerEndsWithItsProcess(t *testing.T) {
	const folder = "TESTKIT_FOLDER"
	if file := os.Getenv(folder); file != "" {
		conn := connect(t, testkit.PostgresURL(t, "empty", nil))
		if err := os.WriteFile(file, []byte(conn.Config().Host), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := exec.CommandContext(t.Context(), "kill", "-KILL", strconv.Itoa(os.Getpid())).Run(); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	t.Parallel()
	file := filepath.Join(t.TempDir(), "folder")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServerEndsWithItsProcess$")
	cmd.Env = append(os.Environ(), folder+"="+file, "TEST_DATABASE_URL=")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Fatalf("the test was not killed:\n%s", out)
	}
	dir, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err := os.Stat(string(dir)); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", dir)
		}
		time.Sleep(10 * time.Millisecond) // polls another process
	}
}

// A server of one's own can be killed, and comes back with what it had acknowledged.
func TestPostgresIsKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	p := testkit.MustStartPostgres(t)
	if _, err := connect(t, p.URL).Exec(t.Context(), "CREATE TABLE thing AS SELECT 1"); err != nil {
		t.Fatal(err)
	}
	for i, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGQUIT} {
		p.MustKill(sig)
		if _, err := pgx.Connect(t.Context(), p.URL); err == nil {
			t.Fatalf("%v: it is still there", sig)
		}
		p.MustStart()
		conn := connect(t, p.URL)
		if n := count(t, conn); n != i+1 {
			t.Errorf("%v: %d rows, want %d", sig, n, i+1)
		}
		if _, err := conn.Exec(t.Context(), "INSERT INTO thing VALUES (1)"); err != nil {
			t.Fatal(err)
		}
	}
}
