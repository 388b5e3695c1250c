package user

import (
	"context"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// Sessions reads a page of the viewer's live sessions, the newest first. Errors: BAD_USER_INPUT.
func (s *Service) Sessions(ctx context.Context, v chat.Viewer, p chat.Page) (chat.List[chat.Session], error) {
	return s.store.SessionPage(ctx, v.User, s.now(), p)
}

// SignOut ends the viewer's session. One that has ended already stays so.
func (s *Service) SignOut(ctx context.Context, v chat.Viewer) (chat.Position, error) {
	pos, _, err := s.end(ctx, v.User, func(tx *store.Tx) ([]chat.Session, error) { return tx.EndSession(v.User, v.Session) })
	return pos, err
}

// RevokeSession ends one of the viewer's sessions. Errors: NOT_FOUND when the viewer has no live one with this id.
func (s *Service) RevokeSession(ctx context.Context, v chat.Viewer, session chat.ID) (chat.Position, error) {
	if session.Kind != chat.KindSession {
		return 0, chat.ErrNotFound
	}
	pos, ended, err := s.end(ctx, v.User, func(tx *store.Tx) ([]chat.Session, error) { return tx.EndSession(v.User, session) })
	if err == nil && len(ended) == 0 {
		err = chat.ErrNotFound
	}
	return pos, err
}

// end is a Write in which do may end sessions: each gets its event, and their access tokens are refused from the commit.
func (s *Service) end(ctx context.Context, actor chat.ID, do func(*store.Tx) ([]chat.Session, error)) (chat.Position, []chat.Session, error) {
	var ended []chat.Session
	var at time.Time
	pos, err := s.store.Write(ctx, actor, func(tx *store.Tx) (err error) {
		ended, err = do(tx)
		at = tx.Now
		for _, session := range ended {
			tx.Emit(chat.Event{Type: chat.SessionEnded, Subject: session.ID, Rows: chat.Rows{Session: &session}}, chat.UserTopic(session.User))
		}
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	for _, session := range ended {
		s.revoked.Ended(session.ID, at)
	}
	return pos, ended, nil
}
