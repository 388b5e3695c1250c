package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/report"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// Administrators are told once a day how it is going, whichever node looks how often, and nobody else is.
func TestReport(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		folder := t.TempDir()
		a := testkit.MustRunApp(t, url, "--mail-dir", folder)
		if !strings.HasPrefix(url, "sqlite:") {
			testkit.MustRunApp(t, url, "--mail-dir", folder)
		}
		s, queue := testkit.MustOpenStore(t, url), mustOpenQueue(t, url)
		jobs := must(job.New(s))
		look := func() (sent []string) {
			t.Helper()
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					if _, err := s.Write(context.Background(), chat.ID{}, func(tx *store.Tx) error {
						return jobs.Insert(context.Background(), tx, report.Args, nil)
					}); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			mustBeDone(t, s, job.Maintenance)
			mustBeDone(t, s, job.Mail)
			for _, kind := range queue.mustList(t, "kind = 'mail_report'") {
				sent = append(sent, kind)
			}
			return sent
		}
		eventually(t, func() error { // a node that starts makes up for midnight
			if len(queue.mustList(t, "kind = 'report' AND state = 'completed'")) != 1 {
				return fmt.Errorf("no report of the day before: %v", queue.mustList(t, "kind = 'report'"))
			}
			return nil
		})
		if sent := look(); len(sent) != 0 {
			t.Error("there is nobody to tell:", sent)
		}

		people := map[string]*client.Account{}
		for _, name := range []string{"ada", "bob", "cat", "dan", "eve"} {
			people[name] = testkit.MustSignUp(t, a.URL(), name)
		}
		be := func(name string, change func(*store.Tx, chat.ID) error) {
			t.Helper()
			if _, err := s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error { return change(tx, mustID(t, people[name].ID)) }); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"ada", "bob", "cat", "eve"} { // eve is none
			mustEmail(t, s, mustID(t, people[name].ID), name+"@example.org")
		}
		for _, name := range []string{"ada", "bob", "cat", "dan"} { // dan has no address
			be(name, func(tx *store.Tx, u chat.ID) error { return tx.SetAdmin(u, true) })
		}
		be("cat", (*store.Tx).Suspend)
		if sent := look(); len(sent) != 2 {
			t.Errorf("%d mails, not those of ada and bob", len(sent))
		}
		if sent := look(); len(sent) != 2 {
			t.Errorf("%d mails the second time", len(sent))
		}
		mails := mustMails(t, folder, "report")
		slices.Sort(mails)
		if len(mails) != 2 || !strings.HasPrefix(mails[0], "To: <ada@example.org>\nParley on ") || !strings.HasPrefix(mails[1], "To: <bob@example.org>\n") {
			t.Fatal(mails)
		}
		yesterday := time.Now().UTC().AddDate(0, 0, -1)
		want := []string{"\nParley on " + yesterday.Format("2 January 2006") + "\n", "5 users of 5", "New: 0 messages", "Database: ", "No job was given up", "/admin/jobs/"}
		if backup := "Newest backup: "; !strings.HasPrefix(url, "sqlite:") && strings.Contains(mails[0], backup) {
			t.Errorf("%q in %s", backup, mails[0])
		} else if strings.HasPrefix(url, "sqlite:") {
			want = append(want, backup+time.Now().UTC().Format("2 January 2006"))
		}
		for _, part := range want {
			if !strings.Contains(mails[0], part) {
				t.Errorf("no %q in\n%s", part, mails[0])
			}
		}
	})
}

// The setting ends it: what is due at the same time happens all the same.
func TestReportIsOff(t *testing.T) {
	t.Parallel()
	url := testkit.SQLiteURL(t)
	testkit.MustRunApp(t, url, "--report=false")
	queue := mustOpenQueue(t, url)
	eventually(t, func() error {
		if len(queue.mustList(t, "kind = 'check'")) == 0 {
			return fmt.Errorf("nothing was due yet")
		}
		return nil
	})
	if found := queue.mustList(t, "kind = 'report'"); len(found) != 0 {
		t.Error(found)
	}
}
