package app_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// The program itself, as a process.
func TestProgram(t *testing.T) {
	t.Parallel()
	bin := program(testkit.MustBuild(t, "../.."))
	t.Run("databases", func(t *testing.T) {
		t.Parallel()
		testkit.URLs(t, func(t *testing.T, url string) {
			t.Run("killed", func(t *testing.T) { bin.killed(t, url) })
			t.Run("tampered", func(t *testing.T) { bin.tampered(t, url) })
		})
	})
	t.Run("at work", func(t *testing.T) {
		t.Parallel()
		testkit.URLs(t, bin.killedAtWork)
	})
	t.Run("drained", func(t *testing.T) {
		t.Parallel()
		testkit.URLs(t, bin.drained)
	})
	t.Run("delayed", bin.delayed)
	t.Run("exports", bin.exports)
	t.Run("commands", bin.commands)
}

// program is the path of the binary.
type program string

// run runs a command to its end.
func (p program) run(tb testing.TB, environ []string, args ...string) (code int, stdout, stderr string) {
	tb.Helper()
	var out, problems strings.Builder
	cmd := exec.Command(string(p), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append([]string{"HOME=" + tb.TempDir()}, environ...), &out, &problems
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		tb.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), problems.String()
}

// on is the flags that name a database.
func on(url string) []string {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return []string{"--data", filepath.Dir(path)}
	}
	return []string{"--database-url", url}
}

// process is a running server.
type process struct {
	cmd  *exec.Cmd
	url  string
	done chan struct{} // closed when it has ended
}

// mustServe starts a server and waits until it is ready.
func (p program) mustServe(tb testing.TB, url string, settings ...string) *process {
	tb.Helper()
	cmd := exec.Command(string(p), append([]string{"serve", "--addr", "127.0.0.1:0", "--log-level", "error", "--secret", "a secret of the tests, and of them alone",
		"--sign-ins-per-user", "10000", "--sign-ins-per-addr", "10000", "--sends-per-second", "10000"}, append(on(url), settings...)...)...)
	cmd.Env, cmd.Stderr, cmd.Dir = []string{}, os.Stderr, tb.TempDir()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	s := &process{cmd: cmd, done: make(chan struct{})}
	ready := make(chan string, 1)
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if address, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "API:"); ok {
				ready <- strings.TrimSuffix(strings.TrimSpace(address), "/graphql")
			}
		}
		_ = cmd.Wait()
	}()
	tb.Cleanup(func() { s.signal(syscall.SIGKILL); <-s.done })
	select {
	case s.url = <-ready:
	case <-s.done:
		tb.Fatal("the server ended instead of serving")
	case <-time.After(patience):
		tb.Fatal("the server does not get ready")
	}
	return s
}

func (s *process) signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

// mustExit waits for the end and returns the exit code.
func (s *process) mustExit(tb testing.TB) int {
	tb.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		tb.Fatal("the server does not end")
	}
	return s.cmd.ProcessState.ExitCode()
}

// killed kills a server in the middle of a burst of sends, again and again. What it had acknowledged is there, once;
// what it had not can be sent again with the same key, and is there once then.
func (p program) killed(t *testing.T, url string) {
	const rounds, senders = 3, 30
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	acked := map[string]string{} // key → message
	var unacked []string
	var room string
	var people []*client.Account
	for round := range rounds + 1 {
		s := p.mustServe(t, url)
		if round == 0 {
			people = mustMeet(t, s.url, 2)
			room = mustCreateGroup(t, people[0], people[1])
		}
		h := mustHTTP(t)
		for _, a := range people {
			a.URL, a.HTTP = s.url, h
		}
		// Twice at once: what was lost on the way, and some of what was not.
		again := slices.Clone(unacked)
		for k := range acked {
			if len(again) < len(unacked)+20 {
				again = append(again, k)
			}
		}
		var mu sync.Mutex
		atOnce(2*len(again), func(i int) {
			key := again[i/2]
			m, err := send(ctx, people[sender(key)].Client, room, "text "+key, key)
			if err != nil {
				t.Errorf("retry of %s: %v", key, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if first, ok := acked[key]; ok && first != m.SendMessage.Message.ID {
				t.Errorf("%s was answered with %s and %s", key, first, m.SendMessage.Message.ID)
			}
			acked[key] = m.SendMessage.Message.ID
		})
		unacked = nil
		if round == rounds {
			p.recount(t, url, people[0].Client, room, acked)
			s.signal(syscall.SIGTERM)
			if code := s.mustExit(t); code != 0 {
				t.Errorf("exit code %d after SIGTERM", code)
			}
			break
		}
		var answers atomic.Int64
		atOnce(senders, func(w int) {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%d-%d-%d", w%2, round*senders+w, n)
				m, err := send(ctx, people[sender(key)].Client, room, "text "+key, key)
				mu.Lock()
				if err != nil {
					unacked = append(unacked, key)
				} else {
					acked[key] = m.SendMessage.Message.ID
				}
				mu.Unlock()
				if err != nil {
					return
				}
				if answers.Add(1) == int64(300+97*round) {
					s.signal(syscall.SIGKILL)
				}
			}
		})
		<-s.done
		if len(unacked) != senders {
			t.Errorf("%d sends were cut off, want one of each of %d senders", len(unacked), senders)
		}
	}
	if code, out, problems := p.run(t, nil, append([]string{"check"}, on(url)...)...); code != 0 || !strings.Contains(out, "contiguous") {
		t.Errorf("check: %d %s%s", code, out, problems)
	}
}

// sender is who sends the message with a key.
func sender(key string) int { return int(key[0] - '0') }

// recount compares what is stored with what was acknowledged.
func (p program) recount(t *testing.T, url string, c *client.Client, room string, acked map[string]string) {
	t.Helper()
	ids, bodies := mustHistory(t, c, room)
	stored := map[string]string{}
	for i, id := range ids {
		if first, twice := stored[bodies[i]]; twice {
			t.Errorf("%q is there as %s and %s", bodies[i], first, id)
		}
		stored[bodies[i]] = id
	}
	for key, id := range acked {
		if stored["text "+key] != id {
			t.Errorf("%s was acknowledged as %s, and is stored as %q", key, id, stored["text "+key])
		}
	}
	if len(stored) != len(acked) {
		t.Errorf("%d messages are stored, want %d", len(stored), len(acked))
	}
	t.Logf("%d messages", len(stored))
}

// tampered changes the database behind the program's back: check tells the first thing that is wrong.
func (p program) tampered(t *testing.T, url string) {
	for _, c := range []struct{ sql, want string }{
		{"UPDATE conversations SET member_count = member_count + 1 WHERE kind = 'GROUP'", "a member count is wrong"},
		{"UPDATE memberships SET read_seq = read_seq - 1 WHERE read_seq > 0", "a member count is wrong"}, // the first of two
		{"UPDATE conversations SET member_count = member_count - 1 WHERE kind = 'GROUP'", "a sender has not read their own message"},
		{"UPDATE messages SET sender_id = conversation_id WHERE seq = 1", "a message is not of somebody who was a member"},
		{"DELETE FROM events WHERE position = 4", "positions in the log have a gap: 5"},
	} {
		mustTamper(t, url, c.sql)
		if code, out, problems := p.run(t, nil, append([]string{"check"}, on(url)...)...); code != 1 || !strings.Contains(problems, "check: "+c.want) {
			t.Errorf("after %s: %d, %s%s; want %q", c.sql, code, out, problems, c.want)
		}
	}
}

func mustTamper(tb testing.TB, url, statement string) {
	tb.Helper()
	driver := "pgx"
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, url = "sqlite3", "file:"+path
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(tb.Context(), statement); err != nil {
		tb.Fatal(err)
	}
}

// drained stops a server with SIGTERM while mutations run and sockets are open.
func (p program) drained(t *testing.T, url string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s := p.mustServe(t, url)
	alice := testkit.MustSignUp(t, s.url, "Alice")
	alice.HTTP = mustHTTP(t)
	var me struct{ Me struct{ Username string } }
	testkit.MustDo(t, alice.Client, `{ me { username } }`, nil, &me)

	// One socket does not read, so that the drain has to wait for it: long enough to look at readiness.
	deaf, resp, err := (&websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}).DialContext(ctx, "ws"+strings.TrimPrefix(s.url, "http")+"/graphql", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	defer deaf.Close()
	sock, err := alice.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Cut()
	feed, err := sock.Subscribe(`subscription { events { __typename } }`, nil, 100)
	if err != nil {
		t.Fatal(err)
	}

	// Signing in takes 30 ms and more, and only a few at a time: the first answer comes while the others run.
	const signIn = `mutation($u: String!) { signIn(input: {username: $u, password: "correct horse battery"}) { accessToken } }`
	vars := client.Vars{"u": me.Me.Username}
	answers := make(chan error)
	const overHTTP, overSocket = 6, 6
	for range overHTTP {
		go func() { answers <- alice.Do(ctx, signIn, vars, nil) }()
	}
	for range overSocket {
		sub, err := sock.Subscribe(signIn, vars, 1)
		if err != nil {
			t.Fatal(err)
		}
		go func() { answers <- sub.Next(ctx, nil) }()
	}
	first := <-answers
	s.signal(syscall.SIGTERM)
	for i := range overHTTP + overSocket {
		if i > 0 {
			first = <-answers
		}
		if first != nil {
			t.Errorf("a mutation that was running: %v", first)
		}
	}
	eventually(t, func() error {
		resp, err := alice.HTTP.Get(s.url + "/readyz")
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			return fmt.Errorf("/readyz answers %s", resp.Status)
		}
		return nil
	})
	for err = nil; err == nil; err = feed.Next(ctx, nil) {
	}
	if client.CloseCode(err) != websocket.CloseServiceRestart {
		t.Errorf("the feed ended with %v, want close code 1012", err)
	}
	if _, _, err := deaf.ReadMessage(); client.CloseCode(err) != websocket.CloseServiceRestart {
		t.Errorf("the silent socket ended with %v, want close code 1012", err)
	}
	if code := s.mustExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := alice.Dial(ctx); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling after the end: %v", err)
	}
}

// delayed stops a server that balancers have to notice: it serves on, takes leave of whoever asks, and a second signal
// ends it at once.
func (p program) delayed(t *testing.T) {
	t.Parallel()
	s := p.mustServe(t, testkit.SQLiteURL(t), "--drain-delay", "1h")
	alice := testkit.MustSignUp(t, s.url, "Alice")
	h := mustHTTP(t)
	get := func(path string) (status int, last bool) {
		resp, err := h.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode, resp.Close
	}
	if status, last := get("/readyz"); status != http.StatusOK || last {
		t.Errorf("before: %d, the connection ends: %t", status, last)
	}
	s.signal(syscall.SIGTERM)
	eventually(t, func() error {
		if status, last := get("/readyz"); status != http.StatusServiceUnavailable || !last {
			return fmt.Errorf("/readyz: %d, the connection ends: %t", status, last)
		}
		return nil
	})
	if status, last := get("/schema.graphql"); status != http.StatusOK || !last {
		t.Errorf("meanwhile: %d, the connection ends: %t", status, last)
	}
	sock, err := alice.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Cut()
	sub, err := sock.Subscribe(`{ me { id } }`, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Next(t.Context(), nil); err != nil {
		t.Errorf("a socket that came meanwhile: %v", err)
	}
	s.signal(syscall.SIGTERM)
	s.mustExit(t)
	if st, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || st.Signal() != syscall.SIGTERM {
		t.Errorf("after the second signal: %v", s.cmd.ProcessState)
	}
}

// commands calls the others, well and badly.
func (p program) commands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		name         string
		environ      []string
		args         []string
		code         int
		says, reason string
	}{
		{"version", nil, []string{"version"}, 0, "parley ", ""},
		{"help", nil, []string{"--help"}, 0, "--retention, PARLEY_RETENTION (default 168h)", ""},
		{"help of a command", nil, []string{"migrate", "--help"}, 0, "parley migrate status", ""},
		{"migrations to be", nil, []string{"migrate", "status", "--data", dir}, 0, "pending", ""},
		{"migrate", nil, []string{"migrate", "up", "--data", dir}, 0, "migrations applied", ""},
		{"migrations", nil, []string{"migrate", "status", "--data", dir}, 0, "applied 20", ""},
		{"migrate again", nil, []string{"migrate", "up", "--data", dir}, 0, "0 migrations applied", ""},
		{"check of an empty database", nil, []string{"check", "--data", dir}, 0, "contiguous", ""},
		{"wrong flag", nil, []string{"--retention", "soon"}, 2, "", `--retention: "soon" is not a duration; write something like`},
		{"wrong variable", []string{"PARLEY_RETENTION=1s"}, nil, 2, "", "PARLEY_RETENTION: is too small; the least is 1m"},
		{"misspelt variable", []string{"PARLEY_RETENTOIN=1h"}, nil, 2, "", "did you mean PARLEY_RETENTION?"},
		{"unknown flag", nil, []string{"--nothing"}, 2, "", "--help lists"},
		{"unknown command", nil, []string{"sreve"}, 2, "", "there is no such command"},
		{"production without a secret", []string{"PARLEY_ENV=production"}, nil, 2, "", "PARLEY_SECRET: is missing; make one with"},
		{"production with a short secret", []string{"PARLEY_ENV=production", "PARLEY_SECRET=short"}, nil, 2, "", "PARLEY_SECRET: is shorter than 32 bytes"},
		{"production with a sample", []string{"PARLEY_ENV=production", "PARLEY_SECRET=changeme-changeme-changeme-changeme"}, nil, 2, "", "PARLEY_SECRET: looks like a sample"},
		{"a database that is not there", nil, []string{"--database-url", "postgres://nobody@127.0.0.1:1/none"}, 1, "", "parley: "},
	} {
		code, out, problems := p.run(t, c.environ, c.args...)
		if code != c.code || !strings.Contains(out, c.says) || !strings.Contains(problems, c.reason) || c.reason == "" && problems != "" || strings.Contains(problems, "goroutine ") {
			t.Errorf("%s: exit code %d, want %d; it says %q and %q, want %q and %q", c.name, code, c.code, out, problems, c.says, c.reason)
		}
	}
}
