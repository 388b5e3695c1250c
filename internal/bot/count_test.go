package bot_test

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// counter counts the statements that a store runs.
type counter struct{ n atomic.Int64 }

func (c *counter) log() *slog.Logger                        { return slog.New(c) }
func (c *counter) Enabled(context.Context, slog.Level) bool { return true }
func (c *counter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *counter) WithGroup(string) slog.Handler            { return c }
func (c *counter) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelDebug {
		c.n.Add(1)
	}
	return nil
}

// statements is how many do makes.
func (c *counter) statements(do func()) int {
	before := c.n.Load()
	do()
	return int(c.n.Load() - before)
}
