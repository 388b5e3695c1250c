package store

import (
	"context"
	"errors"
	"slices"

	"github.com/parley-chat/parley/internal/chat"
)

// IsBatched says that events of a type are appended by Commit: no listener hears them, and what follows from them is done by
// Follow.
func IsBatched(t chat.EventType) bool { return t == chat.MessageAdded || t == chat.ReceiptUpdated }

// Follow hands out the events of some types that the log has grown by since it last did, each once, whichever node asks: do
// gets those among at most max events, and what it changes commits with the place in the log from which the next call goes
// on. It may run more than once, and must not keep anything of a run that failed. Of those who call at once, one does the
// work; the others are told that it was taken (behind is -1). behind is how many events are left.
func (s *Store) Follow(ctx context.Context, types []chat.EventType, max int, do func(tx *Tx, events []*chat.Event) error) (behind int64, err error) {
	_, err = s.Write(ctx, chat.ID{}, func(tx *Tx) error {
		behind = -1
		lock := ""
		if s.postgres {
			lock = " FOR UPDATE SKIP LOCKED"
		}
		at, err := one(tx.db, value[int64], "SELECT position FROM job_cursor"+lock)
		if errors.Is(err, chat.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		head, err := one(tx.db, value[int64], "SELECT position FROM event_head")
		if err != nil {
			return err
		}
		to := head
		if len(types) > 0 {
			to = min(head, at+int64(max)) // positions have no gaps
			events, err := list(tx.db, scanEvent, "SELECT "+eventColumns+" FROM events WHERE position > ? AND position <= ? ORDER BY position", at, to)
			if err != nil {
				return err
			}
			events = slices.DeleteFunc(events, func(e *chat.Event) bool { return !slices.Contains(types, e.Type) })
			if len(events) > 0 {
				if err := do(tx, events); err != nil {
					return err
				}
			}
		}
		if to != at {
			if _, err := tx.exec("UPDATE job_cursor SET position = ?", to); err != nil {
				return err
			}
		}
		behind = head - to
		return nil
	})
	return behind, err
}
