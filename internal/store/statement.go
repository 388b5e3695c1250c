package store

import (
	"context"
	"log/slog"
	"time"

	"gorm.io/gorm/logger"
)

// statements shows gorm's statements in the log at the level debug. What they are run with stays out of it: it holds
// messages and password hashes.
type statements struct {
	logger.Interface
	log *slog.Logger
}

func statementLog(log *slog.Logger) logger.Interface {
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return logger.Discard
	}
	return statements{logger.Discard, log}
}

// Trace is called by gorm after each statement.
func (s statements) Trace(ctx context.Context, _ time.Time, made func() (sql string, rows int64), _ error) {
	sql, _ := made()
	logStatement(ctx, s.log, sql)
}

// ParamsFilter keeps gorm from writing the parameters into the text.
func (statements) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}

func logStatement(ctx context.Context, log *slog.Logger, sql string) {
	if log.Enabled(ctx, slog.LevelDebug) {
		log.DebugContext(ctx, "statement", "sql", sql)
	}
}
