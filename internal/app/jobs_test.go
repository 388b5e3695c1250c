package app_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// askPage gets a page and says its status and content.
func askPage(tb testing.TB, method, url string, headers ...string) (int, string) {
	tb.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(`{"ids": ["1"]}`))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Accept", "text/html, application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := mustHTTP(tb).Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// The queues are for administrators, and for as long as they are that.
func TestQueuesAreForAdministrators(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a := testkit.MustRunApp(t, url)
		ada, bob := testkit.MustSignUp(t, a.URL(), "Ada"), testkit.MustSignUp(t, a.URL(), "Bob")
		command := func(name string, who *client.Account) {
			t.Helper()
			var me struct{ Me struct{ Username string } }
			testkit.MustDo(t, who.Client, `{ me { username } }`, nil, &me)
			args := []string{name, me.Me.Username, "--database-url", url}
			if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
				args = []string{name, me.Me.Username, "--data", strings.TrimSuffix(path, "/parley.db")}
			}
			var out bytes.Buffer
			if code := app.Run(args, nil, &out, &out); code != 0 {
				t.Fatal(out.String())
			}
		}
		token := func(who *client.Account) string { return "Authorization: Bearer " + who.Token }
		cookie := func(who *client.Account) string { return "Cookie: parley_access=" + who.Token }
		expect := func(what string, want int, method, path string, headers ...string) {
			t.Helper()
			if got, body := askPage(t, method, a.URL()+path, headers...); got != want {
				t.Errorf("%s: %d, want %d: %s", what, got, want, body)
			}
		}
		const states = "/admin/jobs/api/states"
		command("admin", ada)
		for _, path := range []string{"/admin/jobs/", states} {
			expect("nobody", 401, "GET", path)
			expect("a made-up token", 401, "GET", path, "Authorization: Bearer x")
			expect("another user", 403, "GET", path, token(bob))
			expect("another user's cookie", 403, "GET", path, cookie(bob))
			expect("an administrator", 200, "GET", path, token(ada))
			expect("an administrator's cookie", 200, "GET", path, cookie(ada))
		}
		expect("a page elsewhere", 403, "POST", "/admin/jobs/api/jobs/cancel", cookie(ada), "Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Content-Type: text/plain")
		if _, body := askPage(t, "GET", a.URL()+"/admin/jobs/", token(ada)); !strings.Contains(body, "River") {
			t.Errorf("not the page: %s", body)
		}
		if _, body := askPage(t, "GET", a.URL()+"/admin/jobs/api/queues?limit=10", token(ada)); !strings.Contains(body, "maintenance") {
			t.Errorf("the queues are not shown: %s", body)
		}
		command("revoke-admin", ada)
		expect("one who is no administrator any more", 403, "GET", states, token(ada))
		command("admin", ada)
		command("suspend", ada)
		eventually(t, func() error {
			if got, _ := askPage(t, "GET", a.URL()+states, token(ada)); got != 401 {
				return io.ErrNoProgress
			}
			return nil
		})
	})
}

// The queues are watched.
func TestMetricsOfJobs(t *testing.T) {
	t.Parallel()
	testkit.Apps(t, func(t *testing.T, a *app.App) {
		_, body := askPage(t, "GET", a.URL()+"/metrics")
		for _, want := range []string{`parley_jobs{queue="mail",state="waiting"} 0`, `parley_jobs{queue="maintenance",state="failed"} 0`,
			`parley_jobs_oldest_seconds{queue="webhooks"} 0`, "parley_check_failed 0"} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s", want)
			}
		}
	})
}
