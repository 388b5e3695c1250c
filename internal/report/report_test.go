package report_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/mail"
	"github.com/parley-chat/parley/internal/report"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/worker"
)

type sent struct {
	to  chat.ID
	key string
	mail.Report
}

func TestWhichDay(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		ada := testkit.MustAddUsers(t, s, 2)[0]
		set := func(admin bool) {
			t.Helper()
			if _, err := s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
				if _, err := tx.SetEmail(ada, "ada@example.org"); err != nil {
					return err
				}
				return tx.SetAdmin(ada, admin)
			}); err != nil {
				t.Fatal(err)
			}
		}
		set(true)
		jobs, err := job.New(s)
		if err != nil {
			t.Fatal(err)
		}
		mails := make(chan sent, 10)
		backup := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
		reports := report.New(s, jobs, report.Config{
			Backup: func() (time.Time, error) { return backup, nil },
			Mail: func(_ context.Context, to chat.ID, key string, _ time.Time, c mail.Content) error {
				mails <- sent{to, key, c.(mail.Report)}
				return nil
			},
		})
		w := worker.New(s, jobs, worker.Config{Log: slog.New(slog.DiscardHandler), Concurrency: map[string]int{job.Mail: 1}})
		worker.Handle(w, 0, reports.Send)
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Stop)
		look := func(at string) {
			t.Helper()
			when, err := time.Parse("2006-01-02 15:04:05.9 -0700", at)
			if err != nil {
				t.Fatal(err)
			}
			if err := reports.Make(t.Context(), &job.Job[report.MakeArgs]{JobRow: &rivertype.JobRow{CreatedAt: when}}); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(day time.Time) {
			t.Helper()
			select {
			case m := <-mails:
				if m.to != ada || m.key != "report "+ada.String()+" "+day.Format(time.DateOnly) || !m.Day.Equal(day) || !m.BackedUp || !m.Backup.Equal(backup) || m.Users != 2 {
					t.Errorf("%+v, not of %v", m, day)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("no mail")
			}
		}
		look("2026-11-20 23:59:59.9 +0000") // the database's clock is a little slow
		expect(backup)
		for _, again := range []string{"2026-11-21 00:00:00 +0000", "2026-11-21 23:58:00 +0000", "2026-11-22 01:00:00 +0200"} {
			look(again) // the same day
		}
		look("2026-11-22 12:00:00 +0000")
		expect(backup.AddDate(0, 0, 1))

		set(false)
		look("2026-11-23 12:00:00 +0000")
		send := func(day string) {
			t.Helper()
			if err := reports.Send(t.Context(), &job.Job[report.SendArgs]{JobRow: &rivertype.JobRow{}, Args: report.SendArgs{User: ada, Day: day}}); err != nil {
				t.Fatal(err)
			}
		}
		send("2026-11-29") // who is no administrator any more when it goes out
		set(true)
		send("2026-11-30")
		expect(backup.AddDate(0, 0, 10))
	})
}
