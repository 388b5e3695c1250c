package graph

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/internal/chat"
)

// people marks what no API key allows.
const people chat.Scope = ""

// Scopes say which scope a root field needs of an API key. What does not stand here is for people.
var Scopes = map[string]chat.Scope{
	"cursor": chat.ScopeRead, "node": chat.ScopeRead, "me": chat.ScopeRead, "user": chat.ScopeRead, "users": chat.ScopeRead,
	"friends": chat.ScopeRead, "friendRequests": chat.ScopeRead, "blockedUsers": chat.ScopeRead,
	"conversations": chat.ScopeRead, "conversation": chat.ScopeRead,
	"sessions": people, "bots": people,

	"events": chat.ScopeRead, "messageAdded": chat.ScopeRead, "friendRequestUpdated": chat.ScopeRead,
	"conversationUpdated": chat.ScopeRead, "presenceChanged": chat.ScopeRead, "typingChanged": chat.ScopeRead,

	"account": people, "changeEmail": people, "resendVerification": people, "verifyEmail": people, "requestPasswordReset": people, "resetPassword": people,
	"export": people, "setAvatar": people, "setGroupAvatar": people, "requestExport": people, "pushPublicKey": people, "subscribeToPush": people, "unsubscribeFromPush": people,
	"webhooks": people, "createWebhook": people, "updateWebhook": people, "rotateWebhookSecret": people, "deleteWebhook": people, "pingWebhook": people, "replayWebhookDelivery": people, "replayDeadWebhookDeliveries": people,
	"notificationAdded": people, "notifications": people, "unreadNotificationCount": people, "markNotificationRead": people, "markAllNotificationsRead": people,
	"notificationPreferences": people, "updateNotificationPreferences": people, "setConversationNotifications": people,

	"sendMessage": chat.ScopeMessagesSend, "markRead": chat.ScopeMessagesSend, "setTyping": chat.ScopeMessagesSend,

	"createGroup": chat.ScopeManage, "updateGroup": chat.ScopeManage, "deleteGroup": chat.ScopeManage,
	"addMembers": chat.ScopeManage, "removeMember": chat.ScopeManage, "leaveGroup": chat.ScopeManage, "setMemberRole": chat.ScopeManage,
	"sendFriendRequest": chat.ScopeManage, "acceptFriendRequest": chat.ScopeManage, "rejectFriendRequest": chat.ScopeManage,
	"cancelFriendRequest": chat.ScopeManage, "removeFriend": chat.ScopeManage, "blockUser": chat.ScopeManage, "unblockUser": chat.ScopeManage,
	"updateProfile": chat.ScopeManage,

	"signUp": people, "signIn": people, "refreshSession": people, "signOut": people, "changePassword": people, "revokeSession": people,
	"createBot": people, "deleteBot": people, "createApiKey": people, "rotateApiKey": people, "revokeApiKey": people,
	"createIncomingWebhook": people, "rotateIncomingWebhook": people, "deleteIncomingWebhook": people,
}

// MutateOperationContext refuses, before anything is executed, an operation that the viewer's API key does not allow. A
// subscription is looked at when it begins: its events are executed for many.
func (Context) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	v, ok := chat.ViewerFrom(ctx)
	if !ok || !v.Scopes.Limited() {
		return nil
	}
	return allowed(v.Scopes, op.Operation.SelectionSet, 0, nil)
}

// answers is how many fields below a mutation are its answer. Further down one can read as well as by a query.
const answers = 2

// allowed looks at fields that stand so many fields below a root, with their fragments.
func allowed(has chat.Scopes, set ast.SelectionSet, depth int, at ast.Path) (refused *gqlerror.Error) {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.InlineFragment:
			refused = allowed(has, sel.SelectionSet, depth, at)
		case *ast.FragmentSpread:
			refused = allowed(has, sel.Definition.SelectionSet, depth, at)
		case *ast.Field:
			path := append(slices.Clone(at), ast.PathName(sel.Alias))
			switch need := Scopes[sel.Name]; {
			case depth > answers:
				refused = lacks(chat.ScopeRead, path)
			case depth > 0:
			case strings.HasPrefix(sel.Name, "__"): // anybody may ask
				continue
			case need == people || !has.Has(need):
				refused = lacks(need, path)
			}
			if refused == nil && !has.Has(chat.ScopeRead) {
				refused = allowed(has, sel.SelectionSet, depth+1, path)
			}
		}
		if refused != nil {
			return refused
		}
	}
	return nil
}

func lacks(s chat.Scope, at ast.Path) *gqlerror.Error {
	why := chat.Forbidden(fmt.Sprintf("this needs the scope %s, which the API key does not have", s))
	if s == people {
		why = chat.Forbidden("this is for people: no API key allows it")
	}
	return &gqlerror.Error{Err: why, Message: why.Message, Path: at, Extensions: map[string]any{"code": string(why.Code)}}
}
