package model

import "github.com/parley-chat/parley/internal/chat"

// TypingChanged is who is typing in a conversation now.
type TypingChanged struct {
	ConversationID chat.ID
	UserIDs        []chat.ID
}
