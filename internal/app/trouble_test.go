package app_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/obs"
	"github.com/parley-chat/parley/internal/testkit"
)

// recovery is how long everything may take to go on after the trouble.
const recovery = 10 * time.Second

// answerWithin is how soon whoever asks must be told that the database is away.
const answerWithin = 5 * time.Second

// refusedForNow says what is wrong with an error that should tell a client to try again.
func refusedForNow(err error) error {
	var told client.Errors
	if !errors.As(err, &told) {
		return fmt.Errorf("not an answer: %w", err)
	}
	for _, e := range told {
		if after, ok := e.Extensions["retryAfter"].(float64); e.Extensions["code"] != "UNAVAILABLE" || !ok || after < 1 {
			return fmt.Errorf("not UNAVAILABLE with retryAfter: %+v", e)
		}
	}
	return nil
}

// ask runs an operation on a socket.
func ask(ctx context.Context, s *client.Socket, text string, vars client.Vars) error {
	sub, err := s.Subscribe(text, vars, 1)
	if err != nil {
		return err
	}
	if err := sub.Next(ctx, nil); err != nil {
		return err
	}
	if err := sub.Next(ctx, nil); !errors.Is(err, client.ErrComplete) {
		return fmt.Errorf("after the answer: %w", err)
	}
	return nil
}

// PostgreSQL is killed under load, twice, and comes back on its own data.
func TestPostgresIsKilled(t *testing.T) {
	t.Parallel()
	const senders = 6
	db := testkit.MustStartPostgres(t)
	a := testkit.MustRunApp(t, db.URL, "--database-conns", "6")
	people := mustMeet(t, a.URL(), 4)
	room := mustCreateGroup(t, people[0], people[1:]...)
	begin := mustSend(t, people[0].Client, room, "the first").SendMessage.Cursor
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	var sockets []*client.Socket
	var subs []*client.Subscription
	var all []*subscriber
	var listening sync.WaitGroup
	follow := func(p *client.Account, room string) {
		s := &subscriber{who: p, room: room, cursor: begin, urls: []string{a.URL()}, random: rand.New(rand.NewPCG(1, uint64(len(all))))}
		sock, sub, err := s.subscribe(ctx, 1<<14) // read at the end
		if err != nil {
			t.Fatal(err)
		}
		all, sockets, subs = append(all, s), append(sockets, sock), append(subs, sub)
	}
	for _, p := range people {
		follow(p, "")
		follow(p, room)
	}

	// Whoever is told to try again does so, with the same key; whoever is told anything else has found a bug.
	var mu sync.Mutex
	acked := map[string]sent{}
	var cut atomic.Int64
	written := make(chan struct{})
	var sending sync.WaitGroup
	for w := range senders {
		p := people[w%len(people)]
		sock := sockets[w]
		sending.Go(func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%d-%d", w, n)
				for {
					asked := time.Now()
					var s sent
					var err error
					if w < senders/2 {
						s, err = send(ctx, p.Client, room, "text "+key, key)
					} else {
						s, err = sendBySocket(ctx, sock, room, "text "+key, key)
					}
					if took := time.Since(asked); took > answerWithin {
						t.Errorf("a send was answered after %v", took)
					}
					if err == nil {
						mu.Lock()
						acked[key] = s
						mu.Unlock()
						break
					}
					if cut.Add(1); refusedForNow(err) != nil {
						t.Errorf("a send: %v", refusedForNow(err))
						return
					}
					select {
					case <-time.After(20 * time.Millisecond):
					case <-written: // what was not acknowledged may be there or not
						return
					}
				}
				select {
				case <-written:
					return
				default:
				}
			}
		})
	}
	sends := func() int { mu.Lock(); defer mu.Unlock(); return len(acked) }
	more := func(n int) {
		want := sends() + n
		eventually(t, func() error {
			if got := sends(); got < want {
				return fmt.Errorf("%d sends, want %d", got, want)
			}
			return nil
		})
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGQUIT} {
		more(100)
		db.MustKill(sig)
		// Everything answers, and soon, over HTTP and on the sockets that stay.
		for _, c := range outageOperations(people[1].ID, room) {
			for name, do := range map[string]func(context.Context) error{
				"HTTP":   func(ctx context.Context) error { return people[0].Do(ctx, c, nil, nil) },
				"socket": func(ctx context.Context) error { return ask(ctx, sockets[0], c, nil) },
			} {
				soon, cancel := context.WithTimeout(ctx, answerWithin)
				if err := refusedForNow(do(soon)); err != nil {
					t.Errorf("%v, %s over %s: %v", sig, c, name, err)
				}
				cancel()
			}
		}
		// Who subscribes now waits, as those do who have subscribed.
		retries := a.Retries()
		waiting, err := sockets[1].Subscribe(`subscription($c: ID!) { messageAdded(conversationId: $c) { __typename } }`, client.Vars{"c": room}, 1<<14)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if a.Retries() == retries {
				return errors.New("nobody waits for the database")
			}
			return nil
		})
		db.MustStart()
		back := time.Now()
		for _, want := range []string{"CaughtUp", "MessageAdded"} {
			var got struct {
				MessageAdded struct {
					Typename string `json:"__typename"`
				}
			}
			soon, cancel := context.WithTimeout(ctx, recovery)
			if err := waiting.Next(soon, &got); err != nil || got.MessageAdded.Typename != want {
				t.Errorf("%v: who subscribed meanwhile got %+v, %v; want %s", sig, got, err, want)
			}
			cancel()
		}
		_ = waiting.Complete()
		more(50)
		if took := time.Since(back); took > recovery {
			t.Errorf("%v: sends go on after %v", sig, took)
		} else {
			t.Logf("%v: sends go on after %v", sig, took)
		}
		for _, c := range outageOperations(people[1].ID, room) {
			if !strings.HasPrefix(c, "mutation") {
				if err := people[0].Do(ctx, c, nil, nil); err != nil {
					t.Errorf("%v, afterwards, %s: %v", sig, c, err)
				}
			}
		}
	}
	close(written)
	sending.Wait()
	if cut.Load() < senders {
		t.Errorf("the outages hit %d sends", cut.Load())
	}

	// Each listener is still on its socket, and has seen everything.
	s := testkit.MustOpenStore(t, db.URL)
	log := mustEvents(t, s)
	for i, x := range all {
		want := expected(x, entitled(t, s, log, mustID(t, x.who.ID), position(t, begin)))
		listening.Go(func() {
			soon, cancel := context.WithTimeout(ctx, recovery)
			defer cancel()
			var err error
			caught := 0
			for err == nil && (caught == 0 || len(x.seen) < len(want)) {
				var now bool
				if now, err = x.take(soon, subs[i]); now {
					caught++
				}
			}
			if err != nil || caught != 1 || len(subs[i].C) > 0 {
				t.Errorf("listener %d: %v, %d CaughtUp, %d events too many", i, err, caught, len(subs[i].C))
			}
			same(t, x.seen, want)
		})
	}
	listening.Wait()
	for _, sock := range sockets {
		sock.Close()
	}
	ids, bodies := mustHistory(t, people[0].Client, room)
	stored := map[string]string{}
	for i, id := range ids {
		if first, twice := stored[bodies[i]]; twice {
			t.Errorf("%q is there as %s and %s", bodies[i], first, id)
		}
		stored[bodies[i]] = id
	}
	for key, x := range acked {
		if stored["text "+key] != x.SendMessage.Message.ID {
			t.Errorf("%s was acknowledged as %s, and is stored as %q", key, x.SendMessage.Message.ID, stored["text "+key])
		}
	}
	t.Logf("%d sends acknowledged, %d told to try again", len(acked), cut.Load())
	mustCheck(t, s)
}

// outageOperations is one of each way to the database.
func outageOperations(other, room string) []string {
	return []string{
		`{ me { displayName } }`,
		`{ sessions(first: 1) { nodes { id } } }`,
		fmt.Sprintf(`{ conversation(id: %q) { title messages(last: 5) { nodes { body sender { username } } } } }`, room),
		`{ conversations(first: 5) { nodes { id unreadCount lastMessage { body } } } }`,
		`{ friends { nodes { user { id } } } }`,
		fmt.Sprintf(`{ user(id: %q) { displayName } }`, other),
		fmt.Sprintf(`mutation { createGroup(input: {title: "away", memberIds: [%q]}) { conversation { id } } }`, other),
		`mutation { updateProfile(input: {bio: "away"}) { cursor } }`,
		fmt.Sprintf(`mutation { sendMessage(input: {conversationId: %q, body: "away", clientKey: "away"}) { cursor } }`, room),
		fmt.Sprintf(`mutation { markRead(input: {conversationId: %q, seq: 1}) { cursor } }`, room),
		`mutation { signIn(input: {username: "somebody-else", password: "correct horse battery"}) { accessToken } }`,
		`mutation { signUp(input: {username: "somebody-new", displayName: "New", password: "correct horse battery"}) { accessToken } }`,
	}
}

func sendBySocket(ctx context.Context, s *client.Socket, conversation, body, key string) (x sent, err error) {
	sub, err := s.Subscribe(`mutation($c: ID!, $b: String!, $k: String!) {
		sendMessage(input: {conversationId: $c, body: $b, clientKey: $k}) { cursor message { id seq body } }
	}`, client.Vars{"c": conversation, "b": body, "k": key}, 1)
	if err == nil {
		err = sub.Next(ctx, &x)
	}
	return x, err
}

func same(t *testing.T, got, want []seen) {
	t.Helper()
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || got[i] != want[i] {
			t.Errorf("%d events, want %d; they differ from number %d on: %v, want %v", len(got), len(want), i, got[i:min(i+3, len(got))], want[i:min(i+3, len(want))])
			return
		}
	}
}

// In production a server that may take back what it has acknowledged is refused, with what to do.
func TestProductionWantsADurablePostgres(t *testing.T) {
	t.Parallel()
	db := testkit.MustStartPostgres(t, "fsync=off")
	start := func(environment string) error {
		a, err := app.Start(t.Context(), testkit.MustConfig(t, db.URL, "--env", environment, "--admin-addr", "127.0.0.1:0", "--secret", "7d0c3bb19f4d4c0f9e6a52f8cc1d70b5e1"), obs.NewLogger(io.Discard, "error"))
		if err == nil {
			a.Stop()
		}
		return err
	}
	if err := start("development"); err != nil {
		t.Errorf("development: %v", err)
	}
	for _, c := range []struct{ setting, refusal string }{
		{"fsync=off", "ALTER SYSTEM SET fsync = on"},
		{"synchronous_commit=off", "ALTER SYSTEM SET synchronous_commit = on"},
		{"full_page_writes=off", ""}, // only warned of
		{"fsync=on", ""},
	} {
		db.MustKill(syscall.SIGQUIT)
		db.MustStart(c.setting)
		if err := start("production"); c.refusal == "" && err != nil || c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)) {
			t.Errorf("%s: %v, want %q", c.setting, err, c.refusal)
		}
	}
}

// All connections are held: by 200 at once that take turns, and by some that wait for a lock that nobody gives up.
func TestPoolIsDry(t *testing.T) {
	t.Parallel()
	db := testkit.MustStartPostgres(t)
	a := testkit.MustRunApp(t, db.URL, "--database-conns", "2")
	people := mustMeet(t, a.URL(), 5)
	room := mustCreateGroup(t, people[0], people[1:]...)
	mustSend(t, people[0].Client, room, "the first")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sock, err := people[1].Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	sub, err := sock.Subscribe(`subscription($c: ID!, $after: Cursor) { messageAdded(conversationId: $c, after: $after) { __typename ... on MessageAdded { message { body } } } }`,
		client.Vars{"c": room, "after": people[1].Cursor}, 1<<14)
	if err != nil {
		t.Fatal(err)
	}

	atOnce(200, func(i int) {
		other := people[1+i%4]
		err := people[(2+i%4+(i/7)%4)%5].Do(ctx, busyOperation(i, other.ID, room), nil, nil)
		if err != nil && !slices.Contains([]string{"CONFLICT", "FORBIDDEN", "NOT_FOUND"}, client.Code(err)) {
			t.Errorf("%s: %v", busyOperation(i, other.ID, room), err)
		}
	})

	lock, err := pgx.Connect(ctx, db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close(context.WithoutCancel(ctx)) }()
	if _, err := lock.Exec(ctx, "BEGIN; UPDATE event_head SET position = position"); err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	check := func(what string, asked time.Time, err error) {
		if took := time.Since(asked); took > 2*recovery+2*time.Second {
			t.Errorf("%s was answered after %v", what, took)
		}
		if err == nil {
			return
		}
		if refused.Add(1); refusedForNow(err) != nil {
			t.Errorf("%s: %v", what, refusedForNow(err))
		}
	}
	var sends sync.WaitGroup
	sends.Go(func() {
		atOnce(20, func(i int) {
			asked := time.Now()
			_, err := send(ctx, people[i%5].Client, room, "while it is dry", fmt.Sprint("dry ", i))
			check("a send", asked, err)
		})
	})
	atOnce(40, func(i int) {
		text, asked := outageOperations(people[1].ID, room)[i%5], time.Now()
		if i%4 == 0 {
			text = fmt.Sprintf(`mutation { createGroup(input: {title: "dry", memberIds: [%q]}) { cursor } }`, people[1].ID)
		}
		check(text, asked, people[0].Do(ctx, text, nil, nil))
	})
	if refused.Load() < 10 {
		t.Errorf("%d were refused, want all the mutations at least", refused.Load())
	}
	if _, err := lock.Exec(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	sends.Wait()
	for i := range 20 {
		if _, err := send(ctx, people[i%5].Client, room, "while it is dry", fmt.Sprint("dry ", i)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
	_, bodies := mustHistory(t, people[0].Client, room)
	if took := time.Since(back); took > recovery {
		t.Errorf("everything goes on after %v", took)
	}
	for n := 0; n < len(bodies); {
		var got struct {
			MessageAdded struct {
				Typename string `json:"__typename"`
				Message  struct{ Body string }
			}
		}
		if err := sub.Next(ctx, &got); err != nil {
			t.Fatalf("after %d of %d messages: %v", n, len(bodies), err)
		}
		if got.MessageAdded.Typename == "MessageAdded" {
			if got.MessageAdded.Message.Body != bodies[n] {
				t.Fatalf("message %d is %q, want %q", n, got.MessageAdded.Message.Body, bodies[n])
			}
			n++
		}
	}
	mustCheck(t, testkit.MustOpenStore(t, db.URL))
}

// busyOperation is one of all kinds of change.
func busyOperation(i int, other, room string) string {
	switch i % 12 {
	case 0:
		return fmt.Sprintf(`mutation { createGroup(input: {title: "busy", memberIds: [%q]}) { conversation { id members(first: 5) { nodes { user { username } } } } } }`, other)
	case 1:
		return fmt.Sprintf(`mutation { updateGroup(input: {conversationId: %q, title: "busy %d"}) { conversation { title } } }`, room, i)
	case 2:
		return fmt.Sprintf(`mutation { addMembers(input: {conversationId: %q, userIds: [%q]}) { cursor } }`, room, other)
	case 3:
		return fmt.Sprintf(`mutation { setMemberRole(input: {conversationId: %q, userId: %q, role: ADMIN}) { cursor } }`, room, other)
	case 4:
		return fmt.Sprintf(`mutation { updateProfile(input: {bio: "busy %d"}) { user { bio } } }`, i)
	case 5:
		return fmt.Sprintf(`mutation { sendFriendRequest(input: {userId: %q}) { request { id from { username } to { username } } } }`, other)
	case 6:
		return fmt.Sprintf(`mutation { signUp(input: {username: "busy-%d", displayName: "Busy", password: "correct horse battery"}) { user { id } } }`, i)
	case 7:
		return fmt.Sprintf(`mutation { markRead(input: {conversationId: %q, seq: 1}) { conversation { unreadCount lastMessage { body sender { username } } } } }`, room)
	case 8:
		return fmt.Sprintf(`mutation { setTyping(input: {conversationId: %q, typing: true}) { __typename } }`, room)
	}
	return fmt.Sprintf(`mutation { sendMessage(input: {conversationId: %q, body: "busy", clientKey: "busy %d"}) { message { seq sender { username } } } }`, room, i)
}

// The disk of a SQLite database is full, and then it is not.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a small file system takes the rights of root (the test of the store fills a database without): %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v %s", err, out)
		}
	})
	url := "sqlite:" + filepath.Join(dir, "parley.db")
	a := testkit.MustRunApp(t, url)
	people := mustMeet(t, a.URL(), 2)
	room := mustCreateGroup(t, people[0], people[1])
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sock, err := people[1].Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	s := &subscriber{who: people[1], room: room, cursor: people[1].Cursor}
	sub, err := sock.Subscribe(`subscription($c: ID!, $after: Cursor) { e: messageAdded(conversationId: $c, after: $after) { __typename cursor ... on MessageAdded { message { seq } } } }`,
		client.Vars{"c": room, "after": s.cursor}, 1<<14)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("much ", 700)
	acked := 0
	for round := range 2 {
		for range 20 {
			mustSend(t, people[0].Client, room, body)
			acked++
		}
		ballast := filepath.Join(dir, "ballast")
		fill(t, ballast)
		refused := 0
		for n := 0; refused < 20; n++ {
			key := fmt.Sprintf("full %d %d", round, n)
			switch _, err := send(ctx, people[0].Client, room, body, key); {
			case err == nil:
				acked++
			case refusedForNow(err) != nil:
				t.Fatalf("a send: %v", refusedForNow(err))
			default:
				refused++
			}
		}
		for _, text := range outageOperations(people[1].ID, room) {
			err := people[0].Do(ctx, text, nil, nil)
			if strings.HasPrefix(text, "mutation") {
				if err != nil && client.Code(err) != "UNAUTHENTICATED" && refusedForNow(err) != nil {
					t.Errorf("%s: %v", text, refusedForNow(err))
				}
			} else if err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		if err := ask(ctx, sock, `{ me { displayName } }`, nil); err != nil {
			t.Errorf("a query on the socket: %v", err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		back := time.Now()
		mustSend(t, people[0].Client, room, "room again")
		acked++
		if took := time.Since(back); took > recovery {
			t.Errorf("sends go on after %v", took)
		}
	}
	for caught := false; !caught || len(s.seen) < acked; {
		now, err := s.take(ctx, sub)
		if err != nil {
			t.Fatalf("after %d of %d messages: %v", len(s.seen), acked, err)
		}
		caught = caught || now
	}
	for i, x := range s.seen {
		if x.seq != int64(i+1) {
			t.Fatalf("message %d came as number %d", x.seq, i+1)
		}
	}
	mustCheck(t, testkit.MustOpenStore(t, url))
	raw, err := sql.Open("sqlite3", "file:"+strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	var verdict string
	if err := raw.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check: %s %v", verdict, err)
	}
}

// fill writes a file until the disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
