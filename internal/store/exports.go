package store

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
)

const exportColumns = "user_id, requested_at, expires_at, file_id"

func scanExport(r rows) (e chat.Export, err error) {
	err = r.Scan(scanID(&e.User, chat.KindUser), scanTime(&e.RequestedAt), scanTime(&e.ExpiresAt), scanID(&e.File, chat.KindFile))
	return e, err
}

// Exports reads the newest export of each of the given users who have asked for one.
func (r reader) Exports(ctx context.Context, users []chat.ID) ([]chat.Export, error) {
	l, err := list(r.db.WithContext(ctx), scanExport, "SELECT "+exportColumns+" FROM exports WHERE user_id"+r.ids, r.set(users))
	return l, translate(err)
}

// PutExport makes an export a user's newest.
func (tx *Tx) PutExport(e chat.Export) error {
	_, err := tx.exec("INSERT INTO exports ("+exportColumns+`) VALUES (?,?,?,?)
		ON CONFLICT (user_id) DO UPDATE SET requested_at = excluded.requested_at, expires_at = excluded.expires_at, file_id = excluded.file_id`,
		id(e.User), tx.at(e.RequestedAt), tx.at(e.ExpiresAt), id(e.File))
	return err
}

// FinishExport gives the file to an export that is being made, and says whether it still was. Of two who have made it, the
// first is heard.
func (tx *Tx) FinishExport(e chat.Export) (bool, error) {
	n, err := tx.exec("UPDATE exports SET file_id = ?, expires_at = ? WHERE user_id = ? AND requested_at = ? AND file_id IS NULL",
		id(e.File), tx.at(e.ExpiresAt), id(e.User), tx.at(e.RequestedAt))
	return n > 0, err
}

// FirstSeq reads the seq of the first message of a conversation at or after a position; 0 when there is none.
func (r reader) FirstSeq(ctx context.Context, conversation chat.ID, from chat.Position) (int64, error) {
	l, err := list(r.db.WithContext(ctx), value[int64], "SELECT seq FROM messages WHERE conversation_id = ? AND position >= ? ORDER BY seq LIMIT 1", id(conversation), int64(from))
	if len(l) == 0 {
		return 0, translate(err)
	}
	return l[0], translate(err)
}
