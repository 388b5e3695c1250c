package testkit

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/obs"
)

// Secret is that of every server here.
const Secret = "a secret of the tests, and of them alone"

// Apps runs a test against a server on each database, side by side.
func Apps(t *testing.T, test func(t *testing.T, a *app.App)) {
	t.Helper()
	URLs(t, func(t *testing.T, url string) { test(t, MustRunApp(t, url)) })
}

// MustBuild compiles a program, which is a folder or a file, and returns its path. It is gone after the test.
func MustBuild(tb testing.TB, what string) string {
	tb.Helper()
	bin := filepath.Join(tb.TempDir(), "program")
	if out, err := exec.CommandContext(tb.Context(), "go", "build", "-o", bin, what).CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// MustRunApp starts a server on a database and stops it with the test. The limits on how often are out of the way;
// settings are flags that come after those.
func MustRunApp(tb testing.TB, url string, settings ...string) *app.App {
	tb.Helper()
	a, err := app.Start(context.Background(), MustConfig(tb, url, settings...), obs.NewLogger(io.Discard, "error"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(a.Stop)
	return a
}

// MustConfig is the configuration that MustRunApp starts with. Servers with the same database are nodes of one system.
func MustConfig(tb testing.TB, url string, settings ...string) config.Config {
	tb.Helper()
	const plenty = "1000000"
	args := []string{
		"--addr", "127.0.0.1:0", "--data", tb.TempDir(), "--secret", Secret,
		"--sign-ins-per-user", plenty, "--sign-ins-per-addr", plenty, "--mails-per-hour", plenty, "--sends-per-second", plenty, "--sockets-per-addr", plenty,
		"--sqlite-sync", "NORMAL", "--log-level", "error",
	}
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		args = append(args, "--data", strings.TrimSuffix(path, "/parley.db"))
	} else {
		args = append(args, "--database-url", url)
	}
	_, c, err := config.Parse(append(args, settings...), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

var people atomic.Int64

// MustSignUp makes an account with a username of its own.
func MustSignUp(tb testing.TB, url, displayName string) *client.Account {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := client.SignUp(ctx, url, fmt.Sprintf("%s-%d", strings.ToLower(strings.ReplaceAll(displayName, " ", "-")), people.Add(1)), displayName)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// MustDo runs an operation that must succeed.
func MustDo(tb testing.TB, c *client.Client, query string, vars client.Vars, to any) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Do(ctx, query, vars, to); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
}

// MustBefriend makes two people friends and returns their direct conversation.
func MustBefriend(tb testing.TB, a, b *client.Account) string {
	tb.Helper()
	var asked struct {
		SendFriendRequest struct{ Request struct{ ID string } }
	}
	MustDo(tb, a.Client, `mutation($u: ID!) { sendFriendRequest(input: {userId: $u}) { request { id } } }`, client.Vars{"u": b.ID}, &asked)
	var accepted struct {
		AcceptFriendRequest struct {
			Friendship struct{ Conversation struct{ ID string } }
		}
	}
	MustDo(tb, b.Client, `mutation($r: ID!) { acceptFriendRequest(input: {requestId: $r}) { friendship { conversation { id } } } }`,
		client.Vars{"r": asked.SendFriendRequest.Request.ID}, &accepted)
	return accepted.AcceptFriendRequest.Friendship.Conversation.ID
}

// MustDirect returns the direct conversation with a friend.
func MustDirect(tb testing.TB, c *client.Client, friend string) string {
	tb.Helper()
	var out struct {
		Friends struct {
			Nodes []struct {
				User         struct{ ID string }
				Conversation struct{ ID string }
			}
		}
	}
	MustDo(tb, c, `{ friends(first: 100) { nodes { user { id } conversation { id } } } }`, nil, &out)
	for _, f := range out.Friends.Nodes {
		if f.User.ID == friend {
			return f.Conversation.ID
		}
	}
	tb.Fatalf("%s is no friend", friend)
	return ""
}
