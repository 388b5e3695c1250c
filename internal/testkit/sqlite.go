package testkit

import (
	"path/filepath"
	"testing"
)

// SQLiteURL gives tb the path of a SQLite database that does not exist yet, in a folder that is removed at the end.
func SQLiteURL(tb testing.TB) string {
	tb.Helper()
	return "sqlite:" + filepath.Join(tb.TempDir(), "parley.db")
}
