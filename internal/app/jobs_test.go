package app_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	neturl "net/url"
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
		username := func(who *client.Account) string {
			var me struct{ Me struct{ Username string } }
			testkit.MustDo(t, who.Client, `{ me { username } }`, nil, &me)
			return me.Me.Username
		}
		command := func(name string, who *client.Account) {
			t.Helper()
			args := []string{name, username(who), "--database-url", url}
			if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
				args = []string{name, username(who), "--data", strings.TrimSuffix(path, "/parley.db")}
			}
			var out bytes.Buffer
			if code := app.Run(args, nil, &out, &out); code != 0 {
				t.Fatal(out.String())
			}
		}
		token := func(who *client.Account) string { return "Authorization: Bearer " + who.Token }
		door := func(path, name, secret string, headers ...string) (*http.Response, string) {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL()+path, strings.NewReader(neturl.Values{"username": {name}, "password": {secret}}.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			for _, h := range headers {
				name, value, _ := strings.Cut(h, ": ")
				r.Header.Set(name, value)
			}
			resp, err := (&http.Client{Transport: mustHTTP(t).Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp, string(body)
		}
		enter := func(who *client.Account) string {
			t.Helper()
			resp, body := door("/admin/jobs/", username(who), password)
			if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/admin/jobs/" || len(resp.Cookies()) != 1 {
				t.Fatal(resp.Status, resp.Header, body)
			}
			k := resp.Cookies()[0]
			if k.Path != "/admin" || !k.HttpOnly || k.SameSite != http.SameSiteLaxMode {
				t.Errorf("the cookie is %v", k)
			}
			return "Cookie: " + k.Name + "=" + k.Value
		}
		expect := func(what string, want int, method, path string, headers ...string) {
			t.Helper()
			if got, body := askPage(t, method, a.URL()+path, headers...); got != want {
				t.Errorf("%s: %d, want %d: %s", what, got, want, body)
			}
		}
		const states = "/admin/jobs/api/states"
		command("admin", ada)
		session := enter(ada)
		for _, path := range []string{"/admin/jobs/", states} {
			expect("nobody", 401, "GET", path)
			expect("a made-up token", 401, "GET", path, "Authorization: Bearer x")
			expect("another user", 403, "GET", path, token(bob))
			expect("an administrator", 200, "GET", path, token(ada))
			expect("an administrator's cookie", 200, "GET", path, session)
			expect("an administrator's cookie, again", 200, "GET", path, session)
			expect("a made-up cookie", 401, "GET", path, "Cookie: parley_admin=x")
		}
		expect("a page elsewhere", 403, "POST", "/admin/jobs/api/jobs/cancel", session, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Content-Type: text/plain")
		if _, body := askPage(t, "GET", a.URL()+"/admin/jobs/", token(ada)); !strings.Contains(body, "River") {
			t.Errorf("not the page: %s", body)
		}
		if _, body := askPage(t, "GET", a.URL()+"/admin/jobs/api/queues?limit=10", token(ada)); !strings.Contains(body, "maintenance") {
			t.Errorf("the queues are not shown: %s", body)
		}
		for _, c := range []struct {
			what, name, secret string
			status             int
			says               string
			headers            []string
		}{
			{"a wrong password", username(ada), "not that one", 401, "wrong username or password", nil},
			{"nobody", "no-such-user", password, 401, "wrong username or password", nil},
			{"another user", username(bob), password, 401, "this is for administrators", nil},
			{"a page elsewhere", username(ada), password, 403, "", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}},
		} {
			if resp, body := door(states, c.name, c.secret, c.headers...); resp.StatusCode != c.status || !strings.Contains(body, c.says) || len(resp.Cookies()) > 0 {
				t.Errorf("%s signs in: %s %v %s", c.what, resp.Status, resp.Cookies(), body)
			}
		}
		sessions := func(who *client.Account) (ids []string) {
			var out struct {
				Sessions struct{ Nodes []struct{ ID string } }
			}
			testkit.MustDo(t, who.Client, `{ sessions { nodes { id } } }`, nil, &out)
			for _, n := range out.Sessions.Nodes {
				ids = append(ids, n.ID)
			}
			return ids
		}
		if n := len(sessions(bob)); n != 1 {
			t.Errorf("%d sessions of one who was refused", n)
		}
		other := enter(ada)
		testkit.MustDo(t, ada.Client, `mutation($s: ID!) { revokeSession(input: {sessionId: $s}) { cursor } }`, client.Vars{"s": sessions(ada)[0]}, nil)
		expect("a session that was revoked", 401, "GET", states, other)
		expect("another one", 200, "GET", states, session)
		command("revoke-admin", ada)
		expect("one who is no administrator any more", 403, "GET", states, session)
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
