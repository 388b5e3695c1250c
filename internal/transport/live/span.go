package live

import (
	"slices"

	"github.com/parley-chat/parley/internal/chat"
)

// begins says whether a user's span of a conversation begins with e.
func begins(e *chat.Event, user chat.ID) bool {
	switch e.Type {
	case chat.ConversationCreated:
		return slices.Contains(e.Detail.Members, user)
	case chat.MemberAdded:
		return e.Subject == user
	}
	return false
}

// ends says whether a user's span of a conversation ends with e.
func ends(e *chat.Event, user chat.ID) bool {
	switch e.Type {
	case chat.ConversationDeleted:
		return true
	case chat.MemberRemoved, chat.MemberLeft:
		return e.Subject == user
	}
	return false
}

// changesMembers says whether begins or ends can be true of e.
func changesMembers(e *chat.Event) bool {
	switch e.Type {
	case chat.ConversationCreated, chat.MemberAdded, chat.ConversationDeleted, chat.MemberRemoved, chat.MemberLeft:
		return true
	}
	return false
}

// fold applies e to a user's spans. The spans may know of e already, for they are read from the database, which is ahead
// of what is applied; applying it twice is harmless.
func fold(spans []chat.Span, e *chat.Event, user chat.ID, mayBegin bool) []chat.Span {
	if mayBegin && begins(e, user) {
		for _, s := range spans {
			if s.Topic == e.Topic && s.From >= e.Position-1 {
				return spans
			}
		}
		spans = append(slices.Clip(spans), chat.Span{Topic: e.Topic, From: e.Position - 1})
	}
	if ends(e, user) {
		for i, s := range spans {
			if s.Topic == e.Topic && s.To == 0 && s.From < e.Position {
				spans = slices.Clone(spans)
				spans[i].To = e.Position
			}
		}
	}
	return spans
}

// covering finds the span in which e is seen.
func covering(spans []chat.Span, e *chat.Event) (chat.Span, bool) {
	for _, s := range spans {
		if s.Topic == e.Topic && s.Covers(e.Position) {
			return s, true
		}
	}
	return chat.Span{}, false
}

// hears says whether something of a topic after position p is still to come, and has begun.
func hears(spans []chat.Span, t chat.Topic, p chat.Position) bool {
	for _, s := range spans {
		if s.Topic == t && s.From <= p && (s.To == 0 || s.To > p) {
			return true
		}
	}
	return false
}
