package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	neturl "net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/obs"
	"github.com/parley-chat/parley/internal/testkit"
)

// postOffice is a real SMTP server that keeps what it is given.
type postOffice struct {
	url string
	mu  sync.Mutex
	got []letter
}

type mailman struct {
	office *postOffice
	tb     testing.TB
}

func (mailman) Reset()                               {}
func (mailman) Logout() error                        { return nil }
func (mailman) Mail(string, *smtp.MailOptions) error { return nil }
func (mailman) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (p mailman) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l := parseLetter(p.tb, bytes.NewReader(b))
	p.office.mu.Lock()
	defer p.office.mu.Unlock()
	p.office.got = append(p.office.got, l)
	return nil
}

func mustServeMail(tb testing.TB) *postOffice {
	tb.Helper()
	o := &postOffice{}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return mailman{o, tb}, nil }))
	s.Domain, s.ErrorLog = "localhost", log.New(io.Discard, "", 0)
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	o.url = "smtp://" + l.Addr().String() + "?tls=off"
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	tb.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return o
}

// to waits for n mails to an address.
func (o *postOffice) to(tb testing.TB, address string, n int) (got []letter) {
	tb.Helper()
	eventually(tb, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		got = nil
		for _, l := range o.got {
			if l.to == address {
				got = append(got, l)
			}
		}
		if len(got) < n {
			return fmt.Errorf("%d mails to %s, want %d", len(got), address, n)
		}
		return nil
	})
	return got
}

func signUpWith(tb testing.TB, url, name, email string) *client.Account {
	tb.Helper()
	c := &client.Client{URL: url}
	var out struct {
		SignUp struct {
			AccessToken string
			User        struct{ ID string }
		}
	}
	testkit.MustDo(tb, c, `mutation($n: String!, $e: String!) { signUp(input: {username: $n, password: "correct horse battery", email: $e}) { accessToken user { id } } }`,
		client.Vars{"n": name, "e": email}, &out)
	c.Token = out.SignUp.AccessToken
	return &client.Account{Client: c, ID: out.SignUp.User.ID}
}

// signInFrom signs in with a user agent.
func signInFrom(tb testing.TB, url, name, word, agent string) {
	tb.Helper()
	body := fmt.Sprintf(`{"query": "mutation { signIn(input: {username: \"%s\", password: \"%s\"}) { cursor } }"}`, name, word)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+"/graphql", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", agent)
	resp, err := mustHTTP(tb).Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); strings.Contains(string(b), "errors") {
		tb.Fatal(string(b))
	}
}

// TestMails is the life of an address with a real mail server: each mail that is due arrives once, and no other does.
func TestMails(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		office := mustServeMail(t)
		a := testkit.MustRunApp(t, url, "--smtp-url", office.url, "--public-url", "https://chat.example.org", "--mail-from", "Teapot <tea@example.org>")
		at := "http://" + a.Addr() // clients come here, and links lead there
		const adas, bobs, mozilla = "ada@example.org", "bob@example.org", "Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%[1]d.0"
		ada, bob := signUpWith(t, at, "ada", adas), signUpWith(t, at, "bob", bobs)
		ask := func(by *client.Account, mutation string, vars client.Vars) {
			t.Helper()
			testkit.MustDo(t, by.Client, mutation, vars, nil)
		}
		verify := func(l letter) {
			t.Helper()
			testkit.MustDo(t, &client.Client{URL: at}, `mutation($t: String!) { verifyEmail(input: {token: $t}) { email } }`, client.Vars{"t": l.token(t)}, nil)
		}
		request := func(from, to *client.Account) {
			ask(from, `mutation($u: ID!) { sendFriendRequest(input: {userId: $u}) { cursor } }`, client.Vars{"u": to.ID})
		}
		subjects := func(address string, want ...string) []letter {
			t.Helper()
			got := office.to(t, address, len(want))
			var have []string
			for _, l := range got {
				have = append(have, l.subject)
			}
			if !slices.Equal(have, want) {
				t.Fatalf("%s got %q, want %q", address, have, want)
			}
			return got
		}

		// A name that is taken: nothing is committed, and nobody gets a mail.
		err := (&client.Client{URL: at}).Do(t.Context(), `mutation { signUp(input: {username: "ada", password: "correct horse battery", email: "eve@example.org"}) { cursor } }`, nil, nil)
		if client.Code(err) != "CONFLICT" {
			t.Fatal(err)
		}

		welcome := subjects(adas, "Welcome to Teapot")[0]
		if !strings.Contains(welcome.text, "https://chat.example.org/verify?token=") || !strings.Contains(welcome.text, "3 days") {
			t.Error(welcome.text)
		}
		dan := signUpWith(t, at, "dan", "dan@example.org") // who never verifies it, and gets nothing else
		request(ada, dan)
		verify(welcome)
		verify(subjects(bobs, "Welcome to Teapot")[0])
		var me struct {
			Account struct{ Email, EmailVerifiedAt, UnverifiedEmail *string }
		}
		testkit.MustDo(t, ada.Client, `{ account { email emailVerifiedAt unverifiedEmail } }`, nil, &me)
		if me.Account.Email == nil || *me.Account.Email != adas || me.Account.EmailVerifiedAt == nil || me.Account.UnverifiedEmail != nil {
			t.Errorf("%+v", me)
		}

		// The device of the sign-up is known, and so is another version of one that was told of.
		signInFrom(t, at, "ada", password, "Go-http-client/1.1")
		signInFrom(t, at, "ada", password, "Go-http-client/2.0")
		signInFrom(t, at, "ada", password, fmt.Sprintf(mozilla, 144))
		signInFrom(t, at, "ada", password, fmt.Sprintf(mozilla, 145))
		device := subjects(adas, "Welcome to Teapot", "New sign-in to your account")[1]
		if !strings.Contains(device.text, "Firefox/144.0") || !strings.Contains(device.text, "127.0.0.1") {
			t.Error(device.text)
		}

		request(bob, ada)
		friend := subjects(adas, "Welcome to Teapot", "New sign-in to your account", "bob wants to be your friend")[2]
		if !strings.Contains(friend.text, "https://chat.example.org/mail/unsubscribe?token=friend.") {
			t.Error(friend.text)
		}

		ask(ada, `mutation { changeEmail(input: {email: "lovelace@example.org", currentPassword: "correct horse battery"}) { cursor } }`, nil)
		verify(subjects("lovelace@example.org", "Confirm your address")[0])
		subjects(adas, "Welcome to Teapot", "New sign-in to your account", "bob wants to be your friend", "Your account has another address")

		for _, login := range []string{"ada", "nobody", adas, "eve@example.org"} { // adas is hers no more
			testkit.MustDo(t, &client.Client{URL: at}, `mutation($l: String!) { requestPasswordReset(input: {login: $l}) { cursor } }`, client.Vars{"l": login}, nil)
		}
		reset := subjects("lovelace@example.org", "Confirm your address", "Choose a new password")[1]
		testkit.MustDo(t, &client.Client{URL: at}, `mutation($t: String!) { resetPassword(input: {token: $t, newPassword: "battery horse correct"}) { username } }`,
			client.Vars{"t": reset.token(t)}, nil)
		if err := ada.Do(t.Context(), `{ account { email } }`, nil, nil); client.Code(err) != "UNAUTHENTICATED" {
			t.Error("still signed in:", err)
		}
		signInFrom(t, at, "ada", "battery horse correct", "Go-http-client/1.1")

		// Whatever else was to come would have come: jobs are done in order, and this is the last.
		request(testkit.MustSignUp(t, at, "Gil"), bob)
		subjects(bobs, "Welcome to Teapot", "Gil wants to be your friend")
		office.mu.Lock()
		defer office.mu.Unlock()
		ids := map[string]bool{}
		for _, l := range office.got {
			ids[l.id] = true
		}
		if len(office.got) != 9 || len(ids) != 9 {
			t.Errorf("%d mails, %d different ones: %+v", len(office.got), len(ids), office.got)
		}
	})
}

// submit sends a form.
func submit(tb testing.TB, address string, fields neturl.Values) (int, string, http.Header) {
	tb.Helper()
	return visit(tb, http.MethodPost, address, fields.Encode())
}

func visit(tb testing.TB, method, address, body string) (int, string, http.Header) {
	tb.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		r.Header.Set("Accept", "text/html") // as a browser does
	}
	h := mustHTTP(tb)
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := h.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

var asksFor = regexp.MustCompile(`name="(\w+)"`)

// TestMailPages: the pages that mails lead to show a form, however often they are looked at, and act when it is sent. No
// log holds a token.
func TestMailPages(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		office, logged := mustServeMail(t), &loggedLines{}
		a, err := app.Start(context.Background(), testkit.MustConfig(t, url, "--smtp-url", office.url), obs.NewLogger(logged, "debug"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Stop)
		ada, bob := signUpWith(t, a.URL(), "ada", "ada@example.org"), testkit.MustSignUp(t, a.URL(), "Bob")
		expect := func(status int, body string, h http.Header, want int, says, form string) {
			t.Helper()
			var fields []string
			for _, m := range asksFor.FindAllStringSubmatch(body, -1) {
				if m[1] != "viewport" && m[1] != "robots" {
					fields = append(fields, m[1])
				}
			}
			if status != want || !strings.Contains(body, says) || strings.Join(fields, " ") != form {
				t.Fatalf("%d %q, want %d, %q, %q: %s", status, fields, want, says, form, body)
			}
			if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Content-Type-Options") != "nosniff" ||
				!strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
				t.Error(h)
			}
		}
		account := func() string {
			t.Helper()
			var me struct{ Account struct{ Email *string } }
			testkit.MustDo(t, ada.Client, `{ account { email } }`, nil, &me)
			if me.Account.Email == nil {
				return ""
			}
			return *me.Account.Email
		}
		get := func(path string) (int, string, http.Header) {
			t.Helper()
			return visit(t, http.MethodGet, a.URL()+path, "")
		}

		// arrive waits for the nth mail.
		arrive := func(subject string, n int) letter {
			t.Helper()
			l := office.to(t, "ada@example.org", n)[n-1]
			if l.subject != subject {
				t.Fatalf("%s, want %s", l.subject, subject)
			}
			return l
		}
		var tokens []string
		link := arrive("Welcome to Parley", 1).token(t)
		tokens = append(tokens, link)
		for range 3 {
			status, body, h := get("/verify?token=" + link)
			expect(status, body, h, 200, "Is ada@example.org your address?", "token")
			if status, _, _ := visit(t, http.MethodHead, a.URL()+"/verify?token="+link, ""); status != 200 {
				t.Error(status)
			}
		}
		if got := account(); got != "" {
			t.Fatalf("a look at the page has verified %s", got)
		}
		status, body, h := submit(t, a.URL()+"/verify", neturl.Values{"token": {link}})
		expect(status, body, h, 200, "Mails go to ada@example.org.", "")
		if got := account(); got != "ada@example.org" {
			t.Fatal(got)
		}
		status, body, h = submit(t, a.URL()+"/verify", neturl.Values{"token": {link}})
		expect(status, body, h, 400, "This link was used already", "")
		status, body, h = get("/verify?token=" + link)
		expect(status, body, h, 400, "This link was used already", "")
		for _, bad := range []string{"", "x", link + "x", "%00", "%ff", `"><script>alert(1)</script>`} {
			for _, path := range []string{"/verify", "/reset", "/mail/unsubscribe"} {
				status, body, h := submit(t, a.URL()+path, neturl.Values{"token": {bad}})
				expect(status, body, h, 400, "This link is not complete", "")
				if strings.Contains(body, "<script") {
					t.Error(body)
				}
			}
		}
		if status, _, _ := visit(t, http.MethodPut, a.URL()+"/verify", ""); status != 405 {
			t.Error(status)
		}
		if status, _, _ := visit(t, http.MethodPost, a.URL()+"/verify", "token="+strings.Repeat("x", 20<<10)); status != 400 {
			t.Error(status)
		}

		testkit.MustDo(t, &client.Client{URL: a.URL()}, `mutation { requestPasswordReset(input: {login: "ada@example.org"}) { cursor } }`, nil, nil)
		link = arrive("Choose a new password", 2).token(t)
		tokens = append(tokens, link)
		status, body, h = get("/reset?token=" + link)
		expect(status, body, h, 200, "It is for @ada.", "token username password again")
		for fields, says := range map[string]string{"password=battery+horse&again=battery+cow": "These two are not the same", "password=short&again=short": "A password has 8 to 256 characters", "": "A password has"} {
			status, body, h = visit(t, http.MethodPost, a.URL()+"/reset", fields+"&token="+link)
			expect(status, body, h, 400, says, "token username password again")
		}
		account() // still signed in
		status, body, h = visit(t, http.MethodPost, a.URL()+"/reset", "password=battery+horse&again=battery+horse&token="+link)
		expect(status, body, h, 200, "Sign in as @ada", "")
		status, body, h = get("/reset?token=" + link)
		expect(status, body, h, 400, "This link was used already", "")
		signInFrom(t, a.URL(), "ada", "battery horse", "another device")
		if code := refusal(t, a, ada.Token); code != "UNAUTHENTICATED" {
			t.Error("still signed in:", code)
		}

		// One click, by a program that sends neither cookies nor the form.
		arrive("New sign-in to your account", 3)
		testkit.MustDo(t, bob.Client, `mutation($u: ID!) { sendFriendRequest(input: {userId: $u}) { cursor } }`, client.Vars{"u": ada.ID}, nil)
		unsubscribe := linkToken.FindAllStringSubmatch(arrive("Bob wants to be your friend", 4).text, -1)[0][1]
		tokens = append(tokens, unsubscribe)
		status, body, h = get("/mail/unsubscribe?token=" + unsubscribe)
		expect(status, body, h, 200, "no more mails about friend requests?", "token")
		for range 2 {
			status, body, h = visit(t, http.MethodPost, a.URL()+"/mail/unsubscribe?token="+unsubscribe, "List-Unsubscribe=One-Click")
			expect(status, body, h, 200, "There will be no more mails about friend requests", "")
		}
		cat := testkit.MustSignUp(t, a.URL(), "Cat")
		testkit.MustDo(t, cat.Client, `mutation($u: ID!) { sendFriendRequest(input: {userId: $u}) { cursor } }`, client.Vars{"u": ada.ID}, nil)
		signInFrom(t, a.URL(), "ada", "battery horse", "a third device")
		arrive("New sign-in to your account", 5)

		for _, path := range []string{"/friends", "/conversations", "/conversations/cnv_01h455vb4pex5vsknk084sn02q", "/settings/sessions", "/settings/export"} {
			if status, body, _ := get(path); status != 200 || !strings.Contains(body, "<title>Parley</title>") {
				t.Errorf("%s: %d", path, status)
			}
		}
		for _, secret := range tokens {
			if strings.Contains(logged.String(), secret) || len(secret) < 64 {
				t.Errorf("the log holds a token: %s", secret)
			}
		}
		if !strings.Contains(logged.String(), `"path":"/verify"`) {
			t.Error("this log holds nothing")
		}
	})
}

// lines is a log that tests read.
type loggedLines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *loggedLines) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *loggedLines) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
