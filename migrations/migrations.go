// Package migrations embeds the database schema: numbered goose files, the same numbers for both databases.
package migrations

import "embed"

// Files holds postgres/*.sql and sqlite/*.sql.
//
//go:embed postgres/*.sql sqlite/*.sql
var Files embed.FS
