package app

import (
	"net/http"
	"path/filepath"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"riverqueue.com/riverui"

	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/digest"
	"github.com/parley-chat/parley/internal/export"
	"github.com/parley-chat/parley/internal/file"
	"github.com/parley-chat/parley/internal/hook"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/notification"
	"github.com/parley-chat/parley/internal/report"
	"github.com/parley-chat/parley/internal/worker"
)

// openWorker says what is done with which jobs: the whole of it is on this page. (What leads to them is on that of listen.)
func (a *App) openWorker(c config.Config, s services) []prometheus.Collector {
	a.worker = worker.New(a.store, a.jobs, worker.Config{Log: a.log, Concurrency: map[string]int{
		job.Mail: c.MailWorkers, job.Notify: c.NotifyWorkers, job.Webhooks: c.WebhookWorkers, job.Maintenance: c.MaintenanceWorkers, job.Files: c.FileWorkers,
	}})
	worker.Handle(a.worker, 0, s.mailings.SendToken)
	worker.Handle(a.worker, 0, s.mailings.SendDevice)
	worker.Handle(a.worker, 0, s.mailings.SendFriend)
	worker.Handle(a.worker, 0, s.files.MakeThumbnails)
	worker.Handle(a.worker, 0, s.files.Purge)
	a.worker.Every(file.PurgeEvery, file.Purge{})
	worker.Handle(a.worker, export.MakeTimeout, s.exports.Make)
	worker.Handle(a.worker, 0, s.exports.SendMail)
	worker.Handle(a.worker, 0, s.bots.EndSecret)
	worker.Handle(a.worker, 0, a.hooks.Deliver)
	worker.Handle(a.worker, 0, a.hooks.Purge)
	a.worker.Every(hook.PurgeEvery, hook.PurgeArgs{})
	worker.Handle(a.worker, 0, s.notifications.FindMentions)
	worker.Handle(a.worker, 0, s.notifications.FindSeen)
	worker.Handle(a.worker, 0, s.notifications.Purge)
	a.worker.Every(notification.PurgeEvery, notification.PurgeArgs{})

	backups := c.BackupDir
	if backups == "" {
		backups = filepath.Join(c.DataDir, "backups")
	}
	maintenance := a.worker.Maintain(worker.MaintenanceConfig{
		Retention: c.Retention, AccessTTL: c.AccessTTL, CheckEvery: c.CheckEvery,
		BackupEvery: c.BackupEvery, BackupDir: backups, BackupKeep: c.BackupKeep,
	})
	worker.Handle(a.worker, 0, s.pushes.Spread)
	worker.Handle(a.worker, 0, s.pushes.Deliver)
	worker.Handle(a.worker, 0, s.pushes.Notice)
	worker.Handle(a.worker, 0, a.digests.Look)
	worker.Handle(a.worker, 0, a.digests.Send)
	a.worker.Every(digest.LookEvery, digest.LookArgs)
	reports := a.openReports(s.mailings, backups, c.BackupEvery)
	worker.Handle(a.worker, 0, reports.Make)
	worker.Handle(a.worker, 0, reports.Send)
	if c.MailReport() {
		a.worker.Every(report.Every, report.Args)
	}
	return slices.Concat(a.worker.Metrics(), maintenance, s.pushes.Metrics())
}

// queuesPath is where administrators see the queues.
const queuesPath = "/admin/jobs"

// queuesPage is River's. It is not started: then it would count all jobs every ten seconds, for nobody.
func (a *App) queuesPage() (http.Handler, error) {
	postgres, sqlite := a.jobs.River()
	endpoints := riverui.NewEndpoints(sqlite, nil)
	if postgres != nil {
		endpoints = riverui.NewEndpoints(postgres, nil)
	}
	return riverui.NewHandler(&riverui.HandlerOpts{Endpoints: endpoints, Prefix: queuesPath, JobListHideArgsByDefault: true, Logger: a.log})
}
