package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// mustHoldLog waits until a stream is as long as the log of a database, and compares them: each event once, in order.
func mustHoldLog(t *testing.T, js jetstream.JetStream, stream, url string) {
	t.Helper()
	s := testkit.MustOpenStore(t, url)
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), 0, int(head.Position))
	if err != nil || len(events) != int(head.Position) {
		t.Fatalf("%d events of %d, %v", len(events), head.Position, err)
	}
	eventually(t, func() error {
		s, err := js.Stream(t.Context(), stream)
		if err == nil && int(s.CachedInfo().State.LastSeq) < len(events) {
			err = fmt.Errorf("%d events of %d are in the stream", s.CachedInfo().State.LastSeq, len(events))
		}
		return err
	})
	c, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := c.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for i, e := range events {
		m, err := messages.Next(jetstream.NextMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		if want := bus.NewEvent(head.Epoch, e).JSON(); !bytes.Equal(m.Data(), want) || m.Subject() != "parley.events."+string(e.Type) {
			t.Fatalf("message %d of %s:\n%s\nwant\n%s", i+1, m.Subject(), m.Data(), want)
		}
	}
	if m, err := messages.Next(jetstream.NextMaxWait(100 * time.Millisecond)); err == nil {
		t.Errorf("one more: %s", m.Data())
	}
}

// A node alone exports its events too.
func TestStreamOfOneNode(t *testing.T) {
	t.Parallel()
	nats := testkit.MustJetStream(t)
	js := testkit.MustReachJetStream(t, nats.URL())
	testkit.URLs(t, func(t *testing.T, url string) {
		stream := strings.ToUpper(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:])
		// Two installations share a server.
		a := testkit.MustRunApp(t, url, "--nats-url", nats.URL(), "--events-stream", stream, "--cluster", "of-"+stream)
		people := mustMeet(t, a.URL(), 2)
		room := mustCreateGroup(t, people[0], people[1])
		for i := range 10 {
			mustSend(t, people[i%2].Client, room, "Hello")
		}
		eventually(t, func() error {
			s, err := js.Stream(t.Context(), stream)
			if err != nil {
				return err
			}
			if h, err := testkit.MustOpenStore(t, url).Head(t.Context()); err != nil || s.CachedInfo().State.LastSeq != uint64(h.Position) {
				return fmt.Errorf("%d of %d %w", s.CachedInfo().State.LastSeq, h.Position, err)
			}
			if got := s.CachedInfo().Config; !slices.Equal(got.Subjects, []string{"parley.of-" + stream + ".events.*"}) || got.MaxAge != 168*time.Hour {
				t.Errorf("%+v", got)
			}
			return nil
		})
		if page := mustGet(t, a.URL()+"/metrics"); !strings.Contains(page, "\nparley_export_lag_events 0\n") || !strings.Contains(page, "\nparley_export_refused 0\n") {
			t.Error(page)
		}
	})
}

func mustGet(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// exports runs three nodes under load: the one that exports is stopped for a while and thinks afterwards that it still does,
// the next is killed, and NATS is restarted.
func (p program) exports(t *testing.T) {
	t.Parallel()
	nats, url := testkit.MustJetStream(t), testkit.MigratedPostgresURL(t)
	js := testkit.MustReachJetStream(t, nats.URL())
	var nodes []*process
	for range 3 {
		nodes = append(nodes, p.mustServe(t, url, "--nats-url", nats.URL()))
	}
	people := mustMeet(t, nodes[2].url, 4)
	room := mustCreateGroup(t, people[0], people[1:]...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sending sync.WaitGroup
	for i := range 6 {
		sending.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				c := &client.Client{URL: nodes[i%3].url, Token: people[i%4].Token, HTTP: people[0].HTTP}
				soon, cancel := context.WithTimeout(ctx, time.Second)
				if _, err := send(soon, c, room, "Hello", fmt.Sprintf("%d %d", i, n)); err != nil {
					time.Sleep(10 * time.Millisecond) // its node is gone
				}
				cancel()
			}
		})
	}
	at := func() (sequence uint64) {
		if s, err := js.Stream(ctx, "PARLEY_EVENTS"); err == nil {
			sequence = s.CachedInfo().State.LastSeq
		}
		return sequence
	}
	// goesOn waits for more events in the stream and returns which of the nodes writes them.
	goesOn := func(of ...*process) *process {
		t.Helper()
		begin := at()
		count := func(n *process) (value int) {
			_, rest, _ := strings.Cut(mustGet(t, n.url+"/metrics"), "\nparley_export_events_total ")
			_, _ = fmt.Sscan(rest, &value)
			return value
		}
		eventually(t, func() error {
			if now := at(); now < begin+100 {
				return fmt.Errorf("%d, then %d", begin, now)
			}
			return nil
		})
		before := map[*process]int{}
		for _, n := range of {
			before[n] = count(n)
		}
		var writer *process
		eventually(t, func() error {
			for _, n := range of {
				if count(n) > before[n]+20 {
					writer = n
					return nil
				}
			}
			return fmt.Errorf("nobody exports")
		})
		return writer
	}
	without := func(gone *process) (rest []*process) {
		return slices.DeleteFunc(slices.Clone(nodes), func(n *process) bool { return n == gone })
	}
	first := goesOn(nodes...)
	first.signal(syscall.SIGSTOP)
	second := goesOn(without(first)...)
	first.signal(syscall.SIGCONT)
	goesOn(nodes...)
	second.signal(syscall.SIGKILL)
	<-second.done
	goesOn(without(second)...)
	nats.Stop()
	nats.Start()
	goesOn(without(second)...)
	cancel()
	sending.Wait()
	mustHoldLog(t, js, "PARLEY_EVENTS", url)
}

// section is what the README says under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("the README has no section %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// block is the first block of code in a language.
func block(t *testing.T, text, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n```"+language+"\n")
	code, _, closed := strings.Cut(rest, "\n```\n")
	if !ok || !closed {
		t.Fatalf("no block of %s", language)
	}
	return code
}

// The consumer of the README is compiled, run, ended without warning and run again: it gets each message, and what the
// README shows is what it gets.
func TestReadmeConsumer(t *testing.T) {
	t.Parallel()
	text := section(t, "Events for other services")
	code := filepath.Join(t.TempDir(), "consumer.go")
	if err := os.WriteFile(code, []byte(block(t, text, "go")), 0o600); err != nil {
		t.Fatal(err)
	}
	bin := testkit.MustBuild(t, code)
	nats := testkit.MustJetStream(t)
	url := testkit.SQLiteURL(t)
	a := testkit.MustRunApp(t, url, "--nats-url", nats.URL())
	people := mustMeet(t, a.URL(), 2)
	room := mustCreateGroup(t, people[0], people[1])
	js := testkit.MustReachJetStream(t, nats.URL())
	eventually(t, func() error { _, err := js.Stream(t.Context(), "PARLEY_EVENTS"); return err })

	seq := 0
	var ids []string
	say := func() { ids = append(ids, mustSend(t, people[0].Client, room, "Hello").SendMessage.Message.ID) }
	for range 2 {
		say() // while it is away
		consumer := exec.Command(bin)
		consumer.Env, consumer.Stderr = []string{"NATS_URL=" + nats.URL()}, os.Stderr
		stdout, err := consumer.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := consumer.Start(); err != nil {
			t.Fatal(err)
		}
		end := time.AfterFunc(patience, func() { _ = consumer.Process.Kill() })
		say()
		say()
		for lines := bufio.NewScanner(stdout); seq < len(ids); {
			seq++
			want := fmt.Sprintf("%s wrote %s, number %d in %s", people[0].ID, ids[seq-1], seq, room)
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("it prints %q, want %q", lines.Text(), want)
			}
		}
		eventually(t, func() error { // what is not confirmed comes again
			c, err := js.Consumer(t.Context(), "PARLEY_EVENTS", "notifier")
			if err == nil && c.CachedInfo().NumAckPending > 0 {
				err = fmt.Errorf("%d are not confirmed", c.CachedInfo().NumAckPending)
			}
			return err
		})
		end.Stop()
		_ = consumer.Process.Kill()
		_ = consumer.Wait()
	}
	mustHoldLog(t, js, "PARLEY_EVENTS", url)
	var shown, real map[string]any
	if err := json.Unmarshal([]byte(block(t, text, "json")), &shown); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "PARLEY_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetLastMsgForSubject(t.Context(), "parley.events.MESSAGE_ADDED")
	if err == nil {
		err = json.Unmarshal(m.Data, &real)
	}
	if a, b := slices.Sorted(maps.Keys(shown)), slices.Sorted(maps.Keys(real)); err != nil || !slices.Equal(a, b) {
		t.Errorf("the README shows %v, and it is %v (%v)", a, b, err)
	}
	for k, v := range real {
		if fmt.Sprintf("%T", v) != fmt.Sprintf("%T", shown[k]) {
			t.Errorf("%s is %v, and shown as %v", k, v, shown[k])
		}
	}
}
