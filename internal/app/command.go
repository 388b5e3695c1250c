package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"text/tabwriter"

	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/obs"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/user"
)

// Run carries out one command of the program and returns its exit code: 0 done, 1 failed, 2 not understood. Logs go to
// stderr, answers to stdout.
func Run(args, environ []string, stdout, stderr io.Writer) int {
	cmd, c, err := config.Parse(args, environ)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	log := obs.NewLogger(stderr, c.LogLevel)
	switch cmd.Name {
	case "help":
		config.Help(stdout)
	case "version":
		fmt.Fprintln(stdout, "parley", version())
	case "migrate":
		err = migrate(ctx, c, log, cmd.Sub, stdout)
	case "suspend", "restore":
		err = suspend(ctx, c, log, cmd, stdout)
	case "admin", "revoke-admin":
		err = admin(ctx, c, log, cmd, stdout)
	case "new-epoch":
		err = newEpoch(ctx, c, log, stdout)
	case "check":
		err = check(ctx, c, log, stdout)
	case "demo":
		err = Demo(ctx, stdout)
	default:
		err = serve(ctx, c, log, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "parley:", err)
		return 1
	}
	return 0
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func serve(ctx context.Context, c config.Config, log *slog.Logger, stdout io.Writer) error {
	a, err := Start(ctx, c, log)
	if err != nil {
		return err
	}
	defer a.Stop()
	var tuning sync.WaitGroup
	tuning.Go(func() { tuneMemory(ctx) })
	defer tuning.Wait()
	a.welcome(stdout)
	<-ctx.Done()
	log.Info("draining", "delay", c.DrainDelay, "timeout", c.DrainTimeout)
	dctx, cancel := context.WithTimeout(context.Background(), c.DrainDelay+c.DrainTimeout)
	defer cancel()
	if err := a.Drain(dctx); err != nil {
		log.Warn("not everything had finished when the time was up", "error", err)
	}
	return nil
}

func (a *App) welcome(w io.Writer) {
	fmt.Fprintf(w, "Parley %s is ready.\n\n", version())
	fmt.Fprintf(w, "  Try it:         %s/\n", a.URL())
	if !a.cfg.Production() {
		fmt.Fprintf(w, "  Two at once:    %s/duo\n", a.URL())
	}
	if a.cfg.ServeGraphiQL() {
		fmt.Fprintf(w, "  GraphiQL:       %s/graphiql/\n", a.URL())
	}
	fmt.Fprintf(w, "  API:            %s/graphql\n  Schema:         %s/schema.graphql\n", a.URL(), a.URL())
	if a.cfg.Production() {
		fmt.Fprintf(w, "  Metrics:        http://%s/metrics\n", a.addrs[1])
	} else {
		fmt.Fprintf(w, "  Metrics:        %s/metrics\n", a.URL())
	}
	fmt.Fprintf(w, "  Jobs:           %s%s/ (for administrators: parley admin <user>)\n", a.URL(), queuesPath)
	if a.cfg.SMTPURL == "" {
		fmt.Fprintf(w, "  Mail:           %s, for want of SMTP_URL\n", a.cfg.MailFolder())
	}
	if a.cfg.DatabaseURL == "" {
		fmt.Fprintf(w, "  Data:           %s\n", DatabaseURL(a.cfg)[len("sqlite:"):])
	}
	fmt.Fprintln(w, "\n  Stop with Ctrl-C.")
}

func migrate(ctx context.Context, c config.Config, log *slog.Logger, sub string, stdout io.Writer) error {
	s, err := OpenStore(ctx, c, log)
	if err != nil {
		return err
	}
	defer s.Close()
	if sub == "up" {
		n, err := s.Migrate(ctx)
		if err == nil {
			fmt.Fprintf(stdout, "%d migrations applied\n", n)
		}
		return err
	}
	steps, err := s.Migrations(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, m := range steps {
		state := "pending"
		if m.Applied {
			state = "applied"
			if !m.AppliedAt.IsZero() { // known of our own steps alone
				state += " " + m.AppliedAt.UTC().Format("2006-01-02 15:04:05")
			}
		}
		fmt.Fprintf(w, "%s\t%s\n", m.Name, state)
	}
	return w.Flush()
}

// suspend also restores. Servers that run learn of it from the log.
func suspend(ctx context.Context, c config.Config, log *slog.Logger, cmd config.Command, stdout io.Writer) error {
	s, err := OpenStore(ctx, c, log)
	if err != nil {
		return err
	}
	defer s.Close()
	users := user.New(s, nil, token.NewRevoked(c.AccessTTL, nil), user.Config{})
	if cmd.Name == "restore" {
		if err = users.Restore(ctx, cmd.Sub); err == nil {
			fmt.Fprintf(stdout, "%s may sign in again\n", cmd.Sub)
		}
		return err
	}
	ended, err := users.Suspend(ctx, cmd.Sub)
	if err == nil {
		fmt.Fprintf(stdout, "%s is suspended; sessions ended: %d\n", cmd.Sub, ended)
	}
	return err
}

// admin makes an administrator of a user, or takes it away. Servers that run ask the database.
func admin(ctx context.Context, c config.Config, log *slog.Logger, cmd config.Command, stdout io.Writer) error {
	s, err := OpenStore(ctx, c, log)
	if err != nil {
		return err
	}
	defer s.Close()
	is := cmd.Name == "admin"
	if err = user.New(s, nil, token.NewRevoked(c.AccessTTL, nil), user.Config{}).SetAdmin(ctx, cmd.Sub, is); err == nil {
		state := map[bool]string{true: "is an administrator", false: "is no administrator"}[is]
		fmt.Fprintln(stdout, cmd.Sub, state)
	}
	return err
}

// newEpoch is for after a restore: the log goes on from an earlier position, and cursors from beyond it would come to point
// at other events.
func newEpoch(ctx context.Context, c config.Config, log *slog.Logger, stdout io.Writer) error {
	s, err := OpenStore(ctx, c, log)
	if err != nil {
		return err
	}
	defer s.Close()
	if err = s.NewEpoch(ctx); err == nil {
		fmt.Fprintln(stdout, "cursors handed out before are refused from now on, by servers that start from now on")
	}
	return err
}

func check(ctx context.Context, c config.Config, log *slog.Logger, stdout io.Writer) error {
	s, err := OpenStore(ctx, c, log)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Check(ctx); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	h, err := s.Head(ctx)
	if err == nil {
		fmt.Fprintf(stdout, "the log is contiguous from %d to %d, and every counter equals a recount\n", h.Trimmed+1, h.Position)
	}
	return err
}
