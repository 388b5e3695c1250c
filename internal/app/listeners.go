package app

import (
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/friend"
	"github.com/parley-chat/parley/internal/store"
)

// listen says which event leads to what, inside the transaction of its cause: the whole of it is on this page.
func listen(s *store.Store, friends *friend.Service, conversations *conversation.Service) {
	s.On(chat.FriendRequestAccepted, friends.OnAccepted)        // → FRIENDSHIP_MADE
	s.On(chat.FriendshipMade, conversations.OnFriendshipMade)   // → CONVERSATION_CREATED, or _UPDATED: it may speak again
	s.On(chat.FriendshipEnded, conversations.OnFriendshipEnded) // → CONVERSATION_UPDATED: it is silent
}
