package app_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// withAndWithoutNATS runs a test on nodes that hear each other at once, and on nodes that have to ask the database; within is
// how soon a revocation is known everywhere.
func withAndWithoutNATS(t *testing.T, nodes int, settings []string, test func(t *testing.T, c *testkit.Cluster, within time.Duration)) {
	t.Helper()
	t.Parallel()
	for _, up := range []bool{true, false} {
		t.Run(fmt.Sprintf("nats=%v", up), func(t *testing.T) {
			t.Parallel()
			c := testkit.MustCluster(t, testkit.MustNATS(t), nodes, settings...)
			within := time.Second
			if up {
				mustConnect(t, c.Nodes...)
			} else {
				c.NATS.Stop()
				within = 5 * time.Second
			}
			test(t, c, within)
		})
	}
}

// Passwords that are tried through all nodes at once: no more are looked at than one node would.
func TestSignInsAcrossNodes(t *testing.T) {
	withAndWithoutNATS(t, 3, []string{"--sign-ins-per-user", "5"}, func(t *testing.T, c *testkit.Cluster, _ time.Duration) {
		h := mustHTTP(t)
		testkit.MustDo(t, &client.Client{URL: c.Nodes[0].URL()}, `mutation { signUp(input: {username: "victim", password: "correct horse battery"}) { user { id } } }`, nil, nil)
		signIn := func(url, name, password string) error {
			return (&client.Client{URL: url, HTTP: h}).Do(t.Context(), `mutation($n: String!, $p: String!) { signIn(input: {username: $n, password: $p}) { user { id } } }`,
				client.Vars{"n": name, "p": password}, nil)
		}
		begin := time.Now()
		for _, name := range []string{"victim", "nobody"} {
			var wrong, limited atomic.Int64
			atOnce(50, func(i int) {
				err := signIn(c.Nodes[i%3].URL(), name, "wrong horse")
				switch client.Code(err) {
				case "UNAUTHENTICATED":
					wrong.Add(1)
				case "RATE_LIMITED":
					limited.Add(1)
					var told client.Errors
					if after, ok := 0.0, errors.As(err, &told); ok {
						if after, ok = told[0].Extensions["retryAfter"].(float64); !ok || after < 1 || after > 12 {
							t.Errorf("%+v", told)
						}
					}
				default:
					t.Error(err)
				}
			})
			most := 5 + int64(time.Since(begin)/(12*time.Second)) // the machine may be slow
			if n := wrong.Load(); n < 5 || n > most || limited.Load() != 50-n {
				t.Errorf("%s: %d passwords were looked at, want 5; %d were too often", name, n, limited.Load())
			}
		}
		late := testkit.MustRunApp(t, c.URL, "--nats-url", c.NATS.URL(), "--sign-ins-per-user", "5")
		for range 2 {
			if err := signIn(late.URL(), "victim", "correct horse battery"); client.Code(err) != "RATE_LIMITED" && time.Since(begin) < 12*time.Second {
				t.Errorf("a node that has just started: %v", err)
			}
		}
	})
}

// What nothing counts for any more does not stay, whatever names and addresses somebody makes up.
func TestLimitsAreForgotten(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		db := testkit.MustOpenStore(t, url)
		for i := range 100 {
			per := time.Microsecond
			if i == 0 {
				per = time.Hour
			}
			if wait, err := db.TakeLimit(t.Context(), [16]byte{byte(i)}, 1, per); wait != 0 || err != nil {
				t.Fatal(wait, err)
			}
		}
		testkit.MustRunApp(t, url)
		driver, source := "pgx", url
		if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
			driver, source = "sqlite3", "file:"+path
		}
		raw, err := sql.Open(driver, source)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		eventually(t, func() error {
			var n int
			if err := raw.QueryRowContext(t.Context(), "SELECT count(*) FROM limits").Scan(&n); err != nil {
				return err
			}
			if n != 1 {
				return fmt.Errorf("%d limits are kept, 1 of which counts", n)
			}
			return nil
		})
	})
}

// A user who sends through all nodes as fast as they let sends hardly more than through one.
func TestSendsAcrossNodes(t *testing.T) {
	const n, rate, length = 3, 10, 6 * time.Second
	withAndWithoutNATS(t, n, []string{"--sends-per-second", fmt.Sprint(rate)}, func(t *testing.T, c *testkit.Cluster, _ time.Duration) {
		people := mustMeet(t, c.Nodes[0].URL(), 1)
		room := mustCreateGroup(t, people[0])
		var through []*client.Client
		for _, node := range c.Nodes {
			through = append(through, &client.Client{URL: node.URL(), Token: people[0].Token, HTTP: people[0].HTTP})
		}
		for i := range rate - 1 {
			if _, err := send(t.Context(), through[i%n], room, "few", fmt.Sprint("few ", i)); err != nil {
				t.Errorf("message %d: %v", i+1, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		var stored, refused atomic.Int64
		begin := time.Now()
		var all sync.WaitGroup
		for i := range 2 * n {
			all.Go(func() {
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for k := 0; ; k++ {
					select {
					case <-tick.C:
					case <-ctx.Done():
						return
					}
					switch _, err := send(t.Context(), through[i%n], room, "many", fmt.Sprintf("%d %d", i, k)); {
					case err == nil:
						stored.Add(1)
					case client.Code(err) == "RATE_LIMITED":
						refused.Add(1)
					default:
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		took := time.Since(begin)
		// What they let through before they hear of each other, which takes them a second when they have to ask, and what
		// may be sent in the time.
		most := int64(n*rate + (took+n*time.Second).Seconds()*rate)
		t.Logf("%d sent and %d refused in %v; at most %d", stored.Load(), refused.Load(), took, most)
		if stored.Load() > most {
			t.Errorf("%d messages were sent in %v, at most %d may be", stored.Load(), took, most)
		}
		if refused.Load() == 0 {
			t.Error("nothing was put to the test")
		}
	})
}

// tokens are what a session is used with.
type tokens struct{ AccessToken, RefreshToken string }

func mustSignUpForTokens(t *testing.T, url, name string) tokens {
	t.Helper()
	var out struct{ SignUp tokens }
	testkit.MustDo(t, &client.Client{URL: url}, `mutation($n: String!) { signUp(input: {username: $n, password: "correct horse battery"}) { accessToken refreshToken } }`, client.Vars{"n": name}, &out)
	return out.SignUp
}

func refresh(ctx context.Context, url, token string) (tokens, error) {
	var out struct{ RefreshSession tokens }
	err := (&client.Client{URL: url}).Do(ctx, `mutation($t: String!) { refreshSession(input: {refreshToken: $t}) { accessToken refreshToken } }`, client.Vars{"t": token}, &out)
	return out.RefreshSession, err
}

// mustBeOver checks that a session is over on every node: its access token soon, its refresh token at once.
func mustBeOver(t *testing.T, c *testkit.Cluster, x tokens, within time.Duration) {
	t.Helper()
	begin := time.Now()
	for i, node := range c.Nodes {
		var took time.Duration
		eventually(t, func() error {
			err := (&client.Client{URL: node.URL(), Token: x.AccessToken}).Do(t.Context(), `{ sessions { nodes { id } } }`, nil, nil)
			if took = time.Since(begin); client.Code(err) != "UNAUTHENTICATED" {
				if err == nil {
					err = errors.New("it is taken")
				}
				return fmt.Errorf("the access token on node %d after %v: %w", i, took, err)
			}
			return nil
		})
		if took > within {
			t.Errorf("node %d takes the access token for %v", i, took)
		}
		if _, err := refresh(t.Context(), node.URL(), x.RefreshToken); client.Code(err) != "UNAUTHENTICATED" {
			t.Errorf("node %d takes the refresh token: %v", i, err)
		}
	}
}

// A refresh token that is used on two nodes at the same moment is honoured once, and then the session is over everywhere.
func TestRefreshOnTwoNodes(t *testing.T) {
	withAndWithoutNATS(t, 2, nil, func(t *testing.T, c *testkit.Cluster, within time.Duration) {
		for round := range 5 {
			x := mustSignUpForTokens(t, c.Nodes[0].URL(), fmt.Sprintf("twice-%d", round))
			var got [2]tokens
			var errs [2]error
			atOnce(2, func(i int) { got[i], errs[i] = refresh(t.Context(), c.Nodes[i].URL(), x.RefreshToken) })
			won := 0
			if errs[0] != nil {
				won = 1
			}
			if errs[won] != nil || client.Code(errs[1-won]) != "UNAUTHENTICATED" {
				t.Fatalf("honoured other than once: %v", errs)
			}
			mustBeOver(t, c, got[won], within)
		}
	})
}

// Whoever uses an old refresh token on another node ends the session, and no other.
func TestReuseOnAnotherNode(t *testing.T) {
	withAndWithoutNATS(t, 2, nil, func(t *testing.T, c *testkit.Cluster, within time.Duration) {
		one, two := c.Nodes[0].URL(), c.Nodes[1].URL()
		stolen, other := mustSignUpForTokens(t, one, "stolen"), mustSignUpForTokens(t, one, "other")
		next, err := refresh(t.Context(), one, stolen.RefreshToken)
		if err == nil {
			next, err = refresh(t.Context(), two, next.RefreshToken)
		}
		if err != nil || strings.Count(next.AccessToken, ".") != 2 {
			t.Fatal(next, err)
		}
		if _, err := refresh(t.Context(), two, stolen.RefreshToken); client.Code(err) != "UNAUTHENTICATED" {
			t.Fatal(err)
		}
		mustBeOver(t, c, next, within)
		if _, err := refresh(t.Context(), two, other.RefreshToken); err != nil {
			t.Error("another session is over too:", err)
		}
	})
}
