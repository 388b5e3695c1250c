package app

import (
	"time"

	"github.com/parley-chat/parley/internal/mailing"
	"github.com/parley-chat/parley/internal/report"
	"github.com/parley-chat/parley/internal/worker"
)

// openReports makes what mails administrators how the day before was.
func (a *App) openReports(mailings *mailing.Service, backups string, backupEvery time.Duration) *report.Service {
	c := report.Config{Mail: mailings.Send}
	if backupEvery > 0 && a.store.File() != "" {
		c.Backup = func() (time.Time, error) { return worker.NewestBackup(backups) }
	}
	return report.New(a.store, a.jobs, c)
}
