package verdict

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/parley-chat/parley/bench/chaos/history"
)

// Row is a line of a dump. Which fields it has depends on the table. Ids are texts as clients see them.
//
//	head        epoch, pos, trimmed
//	event       pos, topic, type, actor, subject, seq, conv (told in the detail), members (of a new conversation)
//	message     id, conv, seq, pos, user, key, hash
//	membership  conv, user, pos (of the joining), left, seq (read up to)
//	request     id, user, other, status
//	session     id, user, ended
//	conversation id, seq
//	told        pos, topic, type, actor, subject, seq: an event of the stream for other services, in its order there;
//	            id is what the stream tells repetitions by
type Row struct {
	Table   string   `json:"table"`
	ID      string   `json:"id,omitempty"`
	Pos     int64    `json:"pos,omitempty"`
	Left    int64    `json:"left,omitempty"`
	Seq     int64    `json:"seq,omitempty"`
	Epoch   uint32   `json:"epoch,omitempty"`
	Trimmed int64    `json:"trimmed,omitempty"`
	Topic   string   `json:"topic,omitempty"`
	Type    string   `json:"type,omitempty"`
	Actor   string   `json:"actor,omitempty"`
	Subject string   `json:"subject,omitempty"`
	Conv    string   `json:"conv,omitempty"`
	User    string   `json:"user,omitempty"`
	Other   string   `json:"other,omitempty"`
	Key     string   `json:"key,omitempty"`
	Hash    uint32   `json:"hash,omitempty"`
	Status  string   `json:"status,omitempty"`
	Ended   bool     `json:"ended,omitempty"`
	Members []string `json:"members,omitempty"`
}

func (r *Row) line() string {
	b, _ := json.Marshal(r) // texts and numbers cannot fail
	return string(b)
}

// conversation is the one that an event is about.
func (r *Row) conversation() string {
	if strings.HasPrefix(r.Topic, "cnv_") {
		return r.Topic
	}
	return r.Conv
}

// typename is the name of an event's type in the schema: MESSAGE_ADDED is MessageAdded.
func typename(t string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(t, "_") {
		if word != "" {
			b.WriteString(word[:1] + strings.ToLower(word[1:]))
		}
	}
	return b.String()
}

// Database is the servers' truth at the end.
type Database struct {
	head          *Row
	events        []*Row // by position
	at            map[int64]*Row
	messages      []*Row // by position
	message       map[string]*Row
	bySender      map[[2]string][]*Row // sender and key
	memberships   []*Row
	requests      map[string]*Row
	sessions      map[string]*Row
	conversations map[string]*Row
	told          []*Row

	byTopic map[string][]*Row
	spans   map[string]map[string][]span // of a user, by conversation; as the log tells
}

// span is part of the log, both ends inclusive; no last: it has not ended.
type span struct{ first, last int64 }

func (s span) covers(p int64) bool { return p >= s.first && (s.last == 0 || p <= s.last) }

// ReadDatabase reads a dump.
func ReadDatabase(r io.Reader) (*Database, error) {
	var rows []Row
	err := history.ReadLines(r, func(x *Row) error {
		rows = append(rows, *x)
		return nil
	})
	return NewDatabase(rows), err
}

// NewDatabase orders a dump's rows. It keeps them.
func NewDatabase(rows []Row) *Database {
	db := &Database{
		head: &Row{}, at: map[int64]*Row{}, message: map[string]*Row{}, bySender: map[[2]string][]*Row{},
		requests: map[string]*Row{}, sessions: map[string]*Row{}, conversations: map[string]*Row{}, byTopic: map[string][]*Row{},
	}
	for i := range rows {
		switch r := &rows[i]; r.Table {
		case "head":
			db.head = r
		case "event":
			db.events, db.at[r.Pos] = append(db.events, r), r
		case "message":
			db.messages, db.message[r.ID] = append(db.messages, r), r
			k := [2]string{r.User, r.Key}
			db.bySender[k] = append(db.bySender[k], r)
		case "membership":
			db.memberships = append(db.memberships, r)
		case "request":
			db.requests[r.ID] = r
		case "session":
			db.sessions[r.ID] = r
		case "conversation":
			db.conversations[r.ID] = r
		case "told":
			db.told = append(db.told, r)
		}
	}
	byPosition := func(a, b *Row) int { return cmp.Compare(a.Pos, b.Pos) }
	slices.SortStableFunc(db.events, byPosition)
	slices.SortStableFunc(db.messages, byPosition)
	for _, e := range db.events {
		db.byTopic[e.Topic] = append(db.byTopic[e.Topic], e)
	}
	return db
}

// entitled is what a user is to be told: their own topic, and their conversations within their spans; of one conversation
// only the messages. In order.
func (db *Database) entitled(user, conv string) []*Row {
	var out []*Row
	if conv == "" {
		out = append(out, db.byTopic[user]...)
	}
	for c, spans := range db.spans[user] {
		if conv != "" && c != conv {
			continue
		}
		for _, e := range db.byTopic[c] {
			if (conv == "" || e.Type == "MESSAGE_ADDED") && slices.ContainsFunc(spans, func(s span) bool { return s.covers(e.Pos) }) {
				out = append(out, e)
			}
		}
	}
	slices.SortFunc(out, func(a, b *Row) int { return cmp.Compare(a.Pos, b.Pos) })
	return out
}

// always says whether a user has been a member of a conversation from their first joining until the end.
func (db *Database) always(user, conv string) bool {
	spans := db.spans[user][conv]
	return len(spans) == 1 && spans[0].last == 0
}

// member says whether a user was in a conversation at a position; 0 asks for the end.
func (db *Database) member(user, conv string, p int64) bool {
	return slices.ContainsFunc(db.spans[user][conv], func(s span) bool { return p == 0 && s.last == 0 || p > 0 && s.covers(p) })
}
