package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/digest"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// mustMails reads the mails of a kind that are in a folder: their text, by subject.
func mustMails(t *testing.T, folder, kind string) (all []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*-"+kind+"-*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := netmail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		_, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := multipart.NewReader(m.Body, parameters["boundary"]).NextPart()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, "To: "+m.Header.Get("To")+"\n"+subject+"\n"+strings.ReplaceAll(string(text), "\r\n", "\n"))
	}
	return all
}

// mustEmail gives somebody a verified address.
func mustEmail(t *testing.T, s *store.Store, user chat.ID, address string) {
	t.Helper()
	if _, err := s.Write(t.Context(), user, func(tx *store.Tx) error {
		_, err := tx.SetEmail(user, address)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// Whoever is away is told by one mail a day what they have not read, of what they want to know, and nothing twice.
func TestDigest(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		folder := t.TempDir()
		settings := []string{"--mail-dir", folder}
		nodes := 1
		if !strings.HasPrefix(url, "sqlite:") { // another one, which knows too who is not away
			nodes, settings = 2, append(settings, "--nats-url", testkit.MustNATS(t).URL())
		}
		urls := make([]string, nodes)
		var a *app.App
		for i := range urls {
			a = testkit.MustRunApp(t, url, settings...)
			urls[i] = a.URL()
		}
		s := testkit.MustOpenStore(t, url)
		jobs, err := job.New(s)
		if err != nil {
			t.Fatal(err)
		}
		people := mustMeet(t, a.URL(), 4)
		ann, bob, cat, dan := people[0], people[1], people[2], people[3]
		for i, who := range people[1:] {
			mustEmail(t, s, mustID(t, who.ID), []string{"bob", "cat", "dan"}[i]+"@example.org")
		}
		room := mustCreateGroup(t, ann, bob, cat, dan)
		muted := mustCreateGroup(t, ann, bob)
		direct := testkit.MustDirect(t, ann.Client, bob.ID)
		testkit.MustDo(t, bob.Client, `mutation($input: SetConversationNotificationsInput!) { setConversationNotifications(input: $input) { cursor } }`,
			client.Vars{"input": client.Vars{"conversationId": muted, "level": "NONE"}}, nil)
		for _, body := range []string{"one", "two", "three", "four"} {
			mustSend(t, ann.Client, room, body)
		}
		mustSend(t, ann.Client, muted, "psst")
		mustSend(t, ann.Client, direct, "call me")
		mustDial(t, a, cat) // is not away
		for _, node := range urls {
			c := *ann.Client
			c.URL = node
			eventually(t, func() error {
				var out struct {
					User struct{ Presence struct{ Status string } }
				}
				if err := c.Do(t.Context(), `query($u: ID!) { user(id: $u) { presence { status } } }`, client.Vars{"u": cat.ID}, &out); err != nil || out.User.Presence.Status != "ONLINE" {
					return fmt.Errorf("%+v %w", out, err)
				}
				return nil
			})
		}

		// Everybody is due, and is looked for on both nodes at once.
		day := 0
		look := func() []string {
			t.Helper()
			day++
			_, err := s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
				for _, who := range people {
					d := store.Digest{User: mustID(t, who.ID), Due: tx.Now.Add(-time.Minute), DueOn: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)}
					if who == dan {
						d.Due = tx.Now.Add(-13 * time.Hour) // when no node was there
					}
					if err := tx.SetDigest(d); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					if _, err := s.Write(context.Background(), chat.ID{}, func(tx *store.Tx) error {
						return jobs.Insert(context.Background(), tx, digest.LookArgs, nil)
					}); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			mustBeDone(t, s, job.Notify)
			mustBeDone(t, s, job.Mail)
			found := mustMails(t, folder, "digest")
			for _, name := range must(filepath.Glob(filepath.Join(folder, "*"))) {
				_ = os.Remove(name)
			}
			return found
		}
		got := look()
		if len(got) != 1 || !strings.Contains(got[0], "To: <bob@example.org>\n5 unread messages in 2 conversations\n") {
			t.Fatalf("%d mails: %v", len(got), got)
		}
		for _, want := range []string{"Person 0, 1 unread\n  Person 0: call me\n", "A group, 4 unread\n  (1 earlier)\n  Person 0: two\n  Person 0: three\n  Person 0: four\n", "/mail/unsubscribe?token="} {
			if !strings.Contains(got[0], want) {
				t.Errorf("no %q in\n%s", want, got[0])
			}
		}
		if got := look(); len(got) != 0 {
			t.Errorf("told again: %v", got)
		}
		mustSend(t, ann.Client, room, "five")
		if got := look(); len(got) != 1 || !strings.Contains(got[0], "A group, 5 unread\n  (4 earlier)\n  Person 0: five\n") || strings.Contains(got[0], "call me") {
			t.Errorf("%d mails: %v", len(got), got)
		}
		mustSend(t, ann.Client, room, "six")
		testkit.MustDo(t, bob.Client, `mutation { updateNotificationPreferences(input: {digest: false}) { cursor } }`, nil, nil)
		if got := look(); len(got) != 0 {
			t.Errorf("told who does not want to know: %v", got)
		}
		for _, who := range people {
			d, err := s.Digest(t.Context(), mustID(t, who.ID))
			if err != nil || d.Due.IsZero() != (who == bob) || who != bob && (d.Due.Before(time.Now()) || time.Until(d.Due) > 48*time.Hour || d.Due.Hour() != 8) {
				t.Errorf("%+v %v", d, err)
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
