package app

// listen says which event leads to what: the whole of it is on this page. What is On an event happens in its transaction;
// what is done Later is a job (openWorker says what that does), which is there if and only if the event is. A Span is a
// stretch of the log, of which a job is made if there is anything to do; what happens After events is a transaction of its
// own for each stretch.
func (a *App) listen(s services) error {
	l := a.worker.Listen()

	l.On("FRIEND_REQUEST_ACCEPTED", s.friends.OnAccepted)       // → FRIENDSHIP_MADE
	l.On("FRIENDSHIP_MADE", s.conversations.OnFriendshipMade)   // → CONVERSATION_CREATED, or _UPDATED: it may speak again
	l.On("FRIENDSHIP_ENDED", s.conversations.OnFriendshipEnded) // → CONVERSATION_UPDATED: it is silent

	l.On("FRIEND_REQUEST_SENT", s.notifications.OnRequestSent) // → NOTIFICATION_ADDED, and so on
	for _, answered := range []string{"FRIEND_REQUEST_ACCEPTED", "FRIEND_REQUEST_REJECTED", "FRIEND_REQUEST_CANCELLED"} {
		l.On(answered, s.notifications.OnRequestAnswered) // → NOTIFICATION_READ, NOTIFICATION_ADDED
	}
	l.On("MEMBER_ADDED", s.notifications.OnMemberAdded)
	l.On("CONVERSATION_CREATED", s.notifications.OnConversationCreated)
	l.Span("MESSAGE_ADDED", s.notifications.Messages)   // → mentions: → NOTIFICATION_ADDED
	l.Span("RECEIPT_UPDATED", s.notifications.Receipts) // → mentions_seen: → NOTIFICATION_READ

	l.On("SESSION_ENDED", s.pushes.OnSessionEnded)       // its browser is not pushed to any more
	l.On("NOTIFICATION_ADDED", s.pushes.OnNotification)  // → push_notice, for each browser
	l.Span("MESSAGE_ADDED", s.pushes.Messages)           // → push_spread: → push_deliver, for each browser
	l.On("SESSION_STARTED", s.mailings.OnSessionStarted) // → a mail, from the second device on
	l.Later("FRIEND_REQUEST_SENT", s.mailings.OnFriendRequestSent)
	for _, due := range []string{"ACCOUNT_UPDATED", "NOTIFICATION_PREFERENCES_CHANGED"} {
		l.On(due, a.digests.OnChange) // when the digest is due
	}

	for _, pictured := range []string{"PROFILE_CHANGED", "CONVERSATION_UPDATED"} {
		l.Later(pictured, s.files.OnChanged) // → the thumbnails of a new avatar
	}
	l.Later("EXPORT_UPDATED", s.exports.OnUpdated) // → it is made, and then a mail

	l.After("*", a.hooks.FanOut)                                // deliveries to webhooks, and a job for each webhook
	l.On("CONVERSATION_DELETED", a.hooks.OnConversationDeleted) // its webhooks end
	for _, gone := range []string{"MEMBER_LEFT", "MEMBER_REMOVED"} {
		l.On(gone, a.hooks.OnGone) // their webhooks are disabled
	}
	for _, gone := range []string{"MEMBER_LEFT", "MEMBER_REMOVED", "CONVERSATION_DELETED"} {
		l.On(gone, s.bots.OnGone) // → CONVERSATION_UPDATED, if a bot's incoming webhooks go with it
	}
	return l.Err()
}
