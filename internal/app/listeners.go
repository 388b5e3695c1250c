package app

import (
	"github.com/parley-chat/parley/internal/bot"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/export"
	"github.com/parley-chat/parley/internal/file"
	"github.com/parley-chat/parley/internal/friend"
	"github.com/parley-chat/parley/internal/mailing"
	"github.com/parley-chat/parley/internal/notification"
	"github.com/parley-chat/parley/internal/pushing"
)

// listen says which event leads to what: the whole of it is on this page. What is On an event happens in its transaction;
// what is done Later is a job (openWorker says what that does), which is there if and only if the event is; what happens After events is
// a transaction of its own, for a stretch of the log.
func (a *App) listen(friends *friend.Service, conversations *conversation.Service, mailings *mailing.Service, pushes *pushing.Service, files *file.Service, exports *export.Service, notifications *notification.Service, bots *bot.Service) error {
	l := a.worker.Listen()
	l.On("FRIEND_REQUEST_ACCEPTED", friends.OnAccepted)       // → FRIENDSHIP_MADE
	l.On("FRIENDSHIP_MADE", conversations.OnFriendshipMade)   // → CONVERSATION_CREATED, or _UPDATED: it may speak again
	l.On("FRIENDSHIP_ENDED", conversations.OnFriendshipEnded) // → CONVERSATION_UPDATED: it is silent
	l.On("SESSION_STARTED", mailings.OnSessionStarted)        // → a mail, from the second device on
	l.Later("FRIEND_REQUEST_SENT", mailings.OnFriendRequestSent)
	l.On("SESSION_ENDED", pushes.OnSessionEnded)                // its browser is not pushed to any more
	l.Span("MESSAGE_ADDED", pushes.Messages)                    // → push_spread, if there are browsers: → push_deliver, for each
	l.Later("PROFILE_CHANGED", files.OnChanged)                 // → the thumbnails of a new avatar
	l.Later("CONVERSATION_UPDATED", files.OnChanged)            // → of a group's
	l.Later("EXPORT_UPDATED", exports.OnUpdated)                // → it is made, and then a mail
	l.On("CONVERSATION_DELETED", a.hooks.OnConversationDeleted) // its webhooks end
	l.After("*", a.hooks.FanOut)                                // deliveries to webhooks, and a job for each webhook (hook.DeliverArgs)
	l.On("FRIEND_REQUEST_SENT", notifications.OnRequestSent)    // → NOTIFICATION_ADDED, and so on
	for _, answered := range []string{"FRIEND_REQUEST_ACCEPTED", "FRIEND_REQUEST_REJECTED", "FRIEND_REQUEST_CANCELLED"} {
		l.On(answered, notifications.OnRequestAnswered) // → NOTIFICATION_READ, NOTIFICATION_ADDED
	}
	l.On("MEMBER_ADDED", notifications.OnMemberAdded)
	l.On("CONVERSATION_CREATED", notifications.OnConversationCreated)
	l.Span("MESSAGE_ADDED", notifications.Messages)   // → mentions, if there may be any: → NOTIFICATION_ADDED
	l.Span("RECEIPT_UPDATED", notifications.Receipts) // → mentions_seen, if any are: → NOTIFICATION_READ
	l.On("ACCOUNT_UPDATED", a.digests.OnChange)       // when the digest is due
	l.On("NOTIFICATION_PREFERENCES_CHANGED", a.digests.OnChange)
	for _, gone := range []string{"MEMBER_LEFT", "MEMBER_REMOVED", "CONVERSATION_DELETED"} {
		l.On(gone, bots.OnGone) // → CONVERSATION_UPDATED, if a bot's incoming webhooks go with it
	}
	for _, gone := range []string{"MEMBER_LEFT", "MEMBER_REMOVED"} {
		l.On(gone, a.hooks.OnGone) // their webhooks are disabled
	}
	l.On("NOTIFICATION_ADDED", pushes.OnNotification) // → push_notice, for each browser
	return l.Err()
}
