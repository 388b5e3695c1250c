package app

import (
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/worker"
)

// openWorker says what is done with which jobs: the whole of it is on this page. (What leads to them is on that of listen.)
func (a *App) openWorker(c config.Config) []prometheus.Collector {
	a.worker = worker.New(a.jobs, worker.Config{Log: a.log, Concurrency: map[string]int{
		job.Mail: c.MailWorkers, job.Notify: c.NotifyWorkers, job.Webhooks: c.WebhookWorkers, job.Maintenance: c.MaintenanceWorkers,
	}})
	backups := c.BackupDir
	if backups == "" {
		backups = filepath.Join(c.DataDir, "backups")
	}
	maintenance := a.worker.Maintain(a.store, worker.MaintenanceConfig{
		Retention: c.Retention, AccessTTL: c.AccessTTL, CheckEvery: c.CheckEvery,
		BackupEvery: c.BackupEvery, BackupDir: backups, BackupKeep: c.BackupKeep,
	})
	return append(a.worker.Metrics(a.store), maintenance...)
}
