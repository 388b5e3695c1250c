package store

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// keyset is the order of a list: by a number or a time, and then by an id. Both columns are part of one index.
type keyset struct {
	first string // empty: by id alone
	id    string
	time  bool // first is a time
	desc  bool
}

// place is where a row stands in a keyset. For clients it is opaque text.
type place struct {
	first int64 // a time in microseconds
	id    chat.ID
}

func timePlace(t time.Time, id chat.ID) string { return place{t.UnixMicro(), id}.String() }

func (p place) String() string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 24), uint64(p.first))
	return base64.RawURLEncoding.EncodeToString(append(b, p.id.UUID[:]...))
}

// maxTime is in the year 2262, which both databases can hold: a place beyond it was not made here.
const maxTime = math.MaxInt64 / 1000

func parsePlace(s, argument string) (p place, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 24 {
		return p, chat.BadInput("not a place in this list", argument)
	}
	p.first = int64(binary.BigEndian.Uint64(b))
	copy(p.id.UUID[:], b[8:])
	p.id.Kind = chat.KindUser // any: only the UUID is compared
	if p.first < 0 || p.first > maxTime {
		return p, chat.BadInput("not a place in this list", argument)
	}
	return p, nil
}

// each makes a query that reads a page of each of several conversations' lists. page ends the query of one of them, that of
// t.id. The first parameter is the set of conversations. SQLite, which has no LATERAL, looks rows up again where they are:
// by a key, within from.
func (d dialect) each(columns, from, key, page string) string {
	if d.postgres {
		return "SELECT m.* FROM unnest(?::uuid[]) AS t(id), LATERAL (SELECT " + columns + page + ") m"
	}
	return "SELECT " + columns + " FROM (SELECT unhex(value) AS id FROM json_each(?)) t CROSS JOIN " + from + key + " IN (SELECT " + key + page + ")"
}

// lists makes a page of each conversation's rows, which come in any order.
func lists[T any](p chat.Page, conversations []chat.ID, rows []T, of func(T) chat.ID, order func(a, b T) int, place func(T) string) map[chat.ID]chat.List[T] {
	slices.SortFunc(rows, order)
	if p.Backward {
		slices.Reverse(rows)
	}
	by := make(map[chat.ID][]T, len(conversations))
	for _, r := range rows {
		by[of(r)] = append(by[of(r)], r)
	}
	out := make(map[chat.ID]chat.List[T], len(conversations))
	for _, c := range conversations {
		out[c] = chat.NewList(p, by[c], place)
	}
	return out
}

// page ends a query, which has a WHERE already, so that it reads one page of a list and one row more. args are those of
// the query so far.
func (d dialect) page(k keyset, p chat.Page, q string, args ...any) (string, []any, error) {
	bound := func(s, argument string, later bool) error {
		if s == "" {
			return nil
		}
		at, err := parsePlace(s, argument)
		if err != nil {
			return err
		}
		op := "<"
		if later != k.desc {
			op = ">"
		}
		if k.first == "" {
			q, args = q+" AND "+k.id+" "+op+" ?", append(args, id(at.id))
			return nil
		}
		first := any(at.first)
		if k.time {
			first = d.at(time.UnixMicro(at.first).UTC())
		}
		q, args = q+" AND ("+k.first+", "+k.id+") "+op+" (?, ?)", append(args, first, id(at.id))
		return nil
	}
	if err := bound(p.After, "after", true); err != nil {
		return "", nil, err
	}
	if err := bound(p.Before, "before", false); err != nil {
		return "", nil, err
	}
	direction := ""
	if k.desc != p.Backward {
		direction = " DESC"
	}
	by := []string{k.first, k.id}
	if k.first == "" {
		by = by[1:]
	}
	return q + " ORDER BY " + strings.Join(by, direction+", ") + direction + " LIMIT ?", append(args, p.Limit+1), nil
}
