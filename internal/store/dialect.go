package store

import (
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parley-chat/parley/internal/chat"
)

// dialect is what differs between the databases inside statements that are otherwise the same.
type dialect struct {
	postgres bool
	// lock ends a SELECT whose rows are about to be changed.
	lock string
	// ids is the right-hand side of "column IN ?": one parameter, made by set, for any number of ids.
	ids string
	// clock is the database's own time in microseconds since 1970, the same throughout a statement.
	clock string
}

var (
	pgDialect = dialect{postgres: true, lock: " FOR NO KEY UPDATE", ids: " = ANY(?::uuid[]) ",
		clock: "(extract(epoch FROM now()) * 1000000)::bigint"}
	sqliteDialect = dialect{ids: " IN (SELECT unhex(value) FROM json_each(?)) ", clock: "CAST(unixepoch('subsec') * 1000000 AS integer)"}
)

// set makes the parameter for ids.
func (d dialect) set(ids []chat.ID) any {
	if d.postgres {
		a := make(array[[16]byte], len(ids))
		for i, id := range ids {
			a[i] = id.UUID
		}
		return a
	}
	hexes := make([]string, len(ids))
	for i, id := range ids {
		hexes[i] = hex.EncodeToString(id.UUID[:])
	}
	b, _ := json.Marshal(hexes) // strings cannot fail
	return string(b)
}

// array keeps gorm from expanding a slice to (?,?,…); pgx encodes what it wraps.
type array[T any] []T

func (a array[T]) Value() (driver.Value, error) { return []T(a), nil }

// at is a time as a parameter; the zero time is NULL.
func (d dialect) at(t time.Time) any {
	switch {
	case t.IsZero():
		return nil
	case d.postgres:
		return t
	}
	return t.UnixMicro()
}

// id is an id as a parameter; the zero id is NULL.
func id(id chat.ID) any {
	if id.IsZero() {
		return nil
	}
	return binary16(id.UUID[:])
}

// binary16 keeps gorm from expanding a slice that follows a parenthesis.
type binary16 []byte

func (b binary16) Value() (driver.Value, error) { return []byte(b), nil }

// scanID scans an id of the given kind; NULL is the zero id.
func scanID(to *chat.ID, k chat.Kind) *idScanner { return &idScanner{to, k} }

type idScanner struct {
	to   *chat.ID
	kind chat.Kind
}

func (s *idScanner) Scan(v any) error {
	var u uuid.UUID
	switch v := v.(type) {
	case nil:
		*s.to = chat.ID{}
		return nil
	case []byte:
		if len(v) != 16 {
			return fmt.Errorf("an id of %d bytes", len(v))
		}
		copy(u[:], v)
	case string:
		var err error
		if u, err = uuid.Parse(v); err != nil {
			return err
		}
	case [16]byte:
		u = v
	default:
		return fmt.Errorf("cannot scan %T as an id", v)
	}
	*s.to = chat.ID{Kind: s.kind, UUID: u}
	return nil
}

// ScanUUID is how pgx scans it: as the 16 bytes that came, where Scan would get a text.
func (s *idScanner) ScanUUID(v pgtype.UUID) error {
	if *s.to = (chat.ID{}); v.Valid {
		*s.to = chat.ID{Kind: s.kind, UUID: v.Bytes}
	}
	return nil
}

// scanTime scans a time; NULL is the zero time.
func scanTime(to *time.Time) *timeScanner { return &timeScanner{to} }

type timeScanner struct{ to *time.Time }

func (s *timeScanner) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*s.to = time.Time{}
	case time.Time:
		*s.to = v.UTC()
	case int64:
		*s.to = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("cannot scan %T as a time", v)
	}
	return nil
}

// ScanTimestamptz is how pgx scans it.
func (s *timeScanner) ScanTimestamptz(v pgtype.Timestamptz) error {
	if *s.to = (time.Time{}); v.Valid {
		*s.to = v.Time.UTC()
	}
	return nil
}

// scanPosition scans a position; NULL is 0.
func scanPosition(to *chat.Position) *positionScanner { return &positionScanner{to} }

type positionScanner struct{ to *chat.Position }

func (s *positionScanner) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*s.to = 0
	case int64:
		*s.to = chat.Position(v)
	default:
		return fmt.Errorf("cannot scan %T as a position", v)
	}
	return nil
}

// ScanInt64 is how pgx scans it.
func (s *positionScanner) ScanInt64(v pgtype.Int8) error {
	*s.to = chat.Position(v.Int64)
	return nil
}
