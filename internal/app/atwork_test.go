package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	_ "image/jpeg"
	"image/png"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

var killJobs = flag.Bool("kill-jobs", false, "kill servers a hundred times while there is much to do, for minutes; without -race")

// atWork is how often servers are killed, and what they have to do meanwhile.
type atWork struct{ kills, mails, calls, thumbnails int }

// rescued is how soon the work of a server that was killed must be done by others.
const rescued = 3 * time.Minute

// killedAtWork kills servers again and again while there are mails to be sent, webhooks to be told and thumbnails to be made:
// with all settings as they are by default, but for fewer workers, so that the work lasts. In the end all of it has happened, and nothing twice that must not.
func (p program) killedAtWork(t *testing.T, url string) {
	size, servers := atWork{kills: 10, mails: 50, calls: 20, thumbnails: 20}, 2
	if *killJobs {
		size = atWork{kills: 100, mails: 500, calls: 200, thumbnails: 200}
	}
	if strings.HasPrefix(url, "sqlite:") {
		servers = 1
	}
	post, ears := mustReceiveMail(t), mustLendEars(t)
	serve := func() *process {
		return p.mustServe(t, url, "--access-ttl", "1h", "--mail-workers", "2", "--mail-from", "Parley <parley@example.org>", "--smtp-url", "smtp://"+post.address+"?tls=off",
			"--file-workers", "1", "--outbound-allow", "127.0.0.1")
	}
	running := []*process{serve()}
	queue := mustOpenQueue(t, url)

	type action = func(ctx context.Context, url string) error
	var todo []action
	var people [10]*client.Account
	for i := range people {
		people[i] = testkit.MustSignUp(t, running[0].url, fmt.Sprintf("Asked %d", i))
		address := strings.ReplaceAll(fmt.Sprintf("asked %d@example.org", i), " ", "-")
		testkit.MustDo(t, people[i].Client, `mutation($e: String!, $p: String!) { changeEmail(input: {email: $e, currentPassword: $p}) { cursor } }`,
			client.Vars{"e": address, "p": password}, nil)
		testkit.MustDo(t, people[i].Client, `mutation($t: String!) { verifyEmail(input: {token: $t}) { cursor } }`, client.Vars{"t": post.mustArrive(t, address).token(t)}, nil)
	}
	for i := range size.mails / len(people) {
		from := testkit.MustSignUp(t, running[0].url, fmt.Sprintf("Asker %d", i))
		for _, to := range people {
			todo = append(todo, func(ctx context.Context, url string) error {
				c := client.Client{URL: url, Token: from.Token, HTTP: from.HTTP}
				err := c.Do(ctx, `mutation($u: ID!) { sendFriendRequest(input: {userId: $u}) { cursor } }`, client.Vars{"u": to.ID}, nil)
				if client.Code(err) == "CONFLICT" { // it was committed, but not answered
					return nil
				}
				return err
			})
		}
	}
	const hooks = 10
	room := mustCreateGroup(t, people[0])
	for i := range hooks {
		testkit.MustDo(t, people[0].Client, `mutation($c: ID!, $u: String!) { createWebhook(input: {conversationId: $c, url: $u, types: [MESSAGE_ADDED]}) { cursor } }`,
			client.Vars{"c": room, "u": fmt.Sprintf("%s/%d", ears.URL, i)}, nil)
	}
	for i := range size.calls / hooks {
		key := fmt.Sprint("message ", i)
		todo = append(todo, func(ctx context.Context, url string) error {
			_, err := send(ctx, &client.Client{URL: url, Token: people[0].Token}, room, key, key)
			return err
		})
	}
	groups := map[string]*client.Account{}
	picture := mustDraw(t)
	for i := range size.thumbnails / 2 {
		owner := people[i%len(people)]
		group := mustCreateGroup(t, owner)
		groups[group] = owner
		var uploaded, tried string
		todo = append(todo, func(ctx context.Context, url string) (err error) {
			c := client.Client{URL: url, Token: owner.Token}
			if uploaded == "" {
				if uploaded, err = uploadTo(ctx, c, picture); err != nil {
					return err
				}
			}
			err = c.Do(ctx, `mutation($c: ID!, $f: ID!) { setGroupAvatar(input: {conversationId: $c, fileId: $f}) { cursor } }`, client.Vars{"c": group, "f": uploaded}, nil)
			if client.Code(err) == "NOT_FOUND" && tried == uploaded { // it is used: that was committed, but not answered
				return nil
			}
			tried = uploaded
			return err
		})
	}
	rand.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	for len(running) < servers {
		running = append(running, serve())
	}

	perKill := (len(todo)*3/2 + size.kills - 1) / size.kills // so that all is there after two thirds of the kills
	var again []action
	var mu sync.Mutex // guards again
	var begun map[string]string
	cut := map[string]string{} // attempts that had been begun at a kill and had not ended at the next
	began := time.Now()
	for kill := range size.kills {
		n := min(len(todo), perKill)
		doing := append(again, todo[:n]...)
		todo, again = todo[n:], nil
		victim, uptime := kill%servers, time.Duration(300+rand.IntN(900))*time.Millisecond
		var wg sync.WaitGroup
		for i, do := range doing {
			after := rand.N(uptime)
			wg.Go(func() {
				time.Sleep(after) // so that the kill comes in the midst of it
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if err := do(ctx, running[i%servers].url); err != nil {
					if code := client.Code(err); code != "" && code != "UNAVAILABLE" {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					again = append(again, do)
				}
			})
		}
		time.Sleep(uptime) // when it is killed depends on nothing it does
		running[victim].signal(syscall.SIGKILL)
		<-running[victim].done
		wg.Wait()
		before := begun
		begun = queue.mustList(t, "state = 'running'")
		for attempt, kind := range begun {
			if _, ok := before[attempt]; ok {
				cut[attempt] = kind
			}
		}
		running[victim] = serve()
	}
	for _, do := range append(again, todo...) {
		if err := do(t.Context(), running[0].url); err != nil {
			t.Error(err)
		}
	}

	killed := time.Now()
	const undone = "state NOT IN ('completed', 'cancelled') AND (queue <> 'maintenance' OR state = 'discarded')"
	for left := queue.mustList(t, undone); len(left) > 0; left = queue.mustList(t, undone) {
		if time.Since(killed) > rescued {
			t.Errorf("%v after the last kill there is still to do: %v", time.Since(killed), left)
			break
		}
		time.Sleep(100 * time.Millisecond) // polls what other processes do
	}
	kinds := map[string]int{}
	for _, kind := range cut {
		kinds[kind]++
	}
	t.Logf("%d kills in %v, which cut off %v; everything was done %v after the last",
		size.kills, killed.Sub(began).Round(time.Second), kinds, time.Since(killed).Round(time.Second))
	if len(cut) < size.kills/2 {
		t.Errorf("%d jobs were cut off by %d kills: this shows little", len(cut), size.kills)
	}

	o := outcome{heard: ears.calls(), pictures: map[string][]int{}}
	at := func(a *client.Account) *client.Client { return &client.Client{URL: running[0].url, Token: a.Token} }
	o.said, _ = mustHistory(t, at(people[0]), room)
	if len(o.said) != size.calls/hooks || len(o.heard) != hooks {
		t.Errorf("%d messages were told to %d webhooks, want %d to %d", len(o.said), len(o.heard), size.calls/hooks, hooks)
	}
	for group, owner := range groups {
		var out struct {
			Conversation struct{ Small, Medium string }
		}
		testkit.MustDo(t, at(owner), `query($c: ID!) { conversation(id: $c) { small: avatarUrl(size: SMALL) medium: avatarUrl(size: MEDIUM) } }`, client.Vars{"c": group}, &out)
		o.pictures[group] = []int{mustMeasure(t, running[0].url, out.Conversation.Small), mustMeasure(t, running[0].url, out.Conversation.Medium)}
	}
	if err := queue.QueryRowContext(t.Context(), "SELECT count(*) FROM files WHERE parent_id IS NOT NULL").Scan(&o.thumbnails); err != nil {
		t.Fatal(err)
	}
	for i, to := range people {
		var out struct {
			FriendRequests struct {
				Nodes []struct{ From struct{ DisplayName string } }
			}
		}
		testkit.MustDo(t, at(to), `{ friendRequests(direction: INCOMING, first: 100) { nodes { from { displayName } } } }`, nil, &out)
		for _, f := range out.FriendRequests.Nodes {
			o.asked = append(o.asked, fmt.Sprintf("asked-%d@example.org %s", i, f.From.DisplayName))
		}
	}
	if len(o.asked) != size.mails {
		t.Errorf("%d friend requests are stored, want %d", len(o.asked), size.mails)
	}
	for _, l := range post.letters(t) {
		if from := regexp.MustCompile(`Asker \d+`).FindString(l.subject); from != "" {
			o.mails = append(o.mails, mailing{l.to + " " + from, l.id})
		}
	}
	calls := 0
	for _, c := range o.heard {
		calls += len(c)
	}
	t.Logf("%d mails about %d requests, %d calls of %d deliveries, %d thumbnails of %d pictures",
		len(o.mails), len(o.asked), calls, hooks*len(o.said), o.thumbnails, len(o.pictures))
	for _, problem := range o.problems() {
		t.Error(problem)
	}
}

// queue is what River keeps.
type queue struct{ *sql.DB }

func mustOpenQueue(tb testing.TB, url string) queue {
	tb.Helper()
	driver := "pgx"
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, url = "sqlite3", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return queue{db}
}

// mustList are the kinds of jobs of which something holds, by id and attempt.
func (q queue) mustList(tb testing.TB, condition string) map[string]string {
	tb.Helper()
	rows, err := q.QueryContext(tb.Context(), "SELECT id, attempt, kind FROM river_job WHERE "+condition)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	found := map[string]string{}
	for rows.Next() {
		var id, attempt int64
		var kind string
		if err := rows.Scan(&id, &attempt, &kind); err != nil {
			tb.Fatal(err)
		}
		found[fmt.Sprint(id, "/", attempt)] = kind
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return found
}

// postbox is an SMTP server that takes its time.
type postbox struct {
	address string

	mu  sync.Mutex // guards what follows
	got [][]byte
}

func mustReceiveMail(tb testing.TB) *postbox {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &postbox{address: l.Addr().String()}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return postman{p}, nil }))
	s.Domain, s.ErrorLog = "localhost", log.New(io.Discard, "", 0)
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	tb.Cleanup(func() { _ = s.Close(); <-done })
	return p
}

type postman struct{ *postbox }

func (postman) Reset()                               {}
func (postman) Logout() error                        { return nil }
func (postman) Mail(string, *smtp.MailOptions) error { return nil }
func (postman) Rcpt(string, *smtp.RcptOptions) error { return nil }

// Data takes a mail before it says so: whoever is killed meanwhile has to send it once more.
func (p postman) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.got = append(p.got, data)
	p.mu.Unlock()
	time.Sleep(rand.N(300 * time.Millisecond)) // so that some are killed meanwhile
	return nil
}

func (p *postbox) letters(tb testing.TB) (l []letter) {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, data := range p.got {
		l = append(l, parseLetter(tb, bytes.NewReader(data)))
	}
	return l
}

// mustArrive waits for a mail to an address.
func (p *postbox) mustArrive(tb testing.TB, to string) (found letter) {
	tb.Helper()
	eventually(tb, func() error {
		for _, l := range p.letters(tb) {
			if l.to == to {
				found = l
				return nil
			}
		}
		return fmt.Errorf("no mail to %s", to)
	})
	return found
}

// ears are endpoints of webhooks that take their time.
type ears struct {
	*httptest.Server

	mu    sync.Mutex // guards what follows
	heard map[string][]call
}

func mustLendEars(tb testing.TB) *ears {
	tb.Helper()
	e := &ears{heard: map[string][]call{}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var told struct {
			ID   string
			Data struct{ Message struct{ ID string } }
		}
		if err := json.NewDecoder(r.Body).Decode(&told); err != nil || told.ID != r.Header.Get("Webhook-Id") {
			http.Error(w, "this is no message", http.StatusBadRequest)
			return
		}
		e.mu.Lock()
		e.heard[r.URL.Path] = append(e.heard[r.URL.Path], call{told.ID, told.Data.Message.ID})
		e.mu.Unlock()
		time.Sleep(rand.N(300 * time.Millisecond)) // whoever is killed meanwhile has to say it once more
	}))
	tb.Cleanup(e.Close)
	return e
}

func (e *ears) calls() map[string][]call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.heard)
}

func mustDraw(tb testing.TB) []byte {
	tb.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 900, 600))
	for i := range m.Pix {
		m.Pix[i] = byte(i / 7)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// uploadTo uploads a picture.
func uploadTo(ctx context.Context, c client.Client, picture []byte) (id string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/files", bytes.NewReader(picture))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+c.Token)
	r.Header.Set("Content-Type", "image/png")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var out struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return "", err
	}
	if out.ID == "" {
		return "", errors.New("upload: " + resp.Status)
	}
	return out.ID, nil
}

// mustMeasure says how wide the picture is that a link leads to.
func mustMeasure(tb testing.TB, url, link string) int {
	tb.Helper()
	_, content := askPage(tb, http.MethodGet, url+link)
	c, _, err := image.DecodeConfig(strings.NewReader(content))
	if err != nil {
		tb.Fatal(link, err)
	}
	return c.Width
}
