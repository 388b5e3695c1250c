package app_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

const (
	anonymous = "anonymous"
	everybody = "everybody"
)

// personas look at what the owner has: a group with the member in it, that the ex-member and the blocked one were removed
// from; friends (the member); and, with the asker and the asked, a friend request. In this order, so that those who may
// change a thing come last.
var personas = []string{anonymous, "stranger", "ex-member", "blocked", "asker", "asked", "member", "owner"}

// verdict is what somebody gets who can tell a thing from an unknown id.
type verdict struct {
	code chat.Code // empty: it works
	why  string
}

type verdicts = map[string]verdict

// row is what the matrix says about one slot. For everybody who is not in sees, what they try is NOT_FOUND, and to the
// byte what an unknown id gets.
type row struct {
	kind    chat.Kind
	real    func(s *stage, who string) string
	sees    verdicts
	leftOut string // why an unknown id is no error
}

// hidden are more ids that nobody but the owner and the member may tell from unknown ones.
func (r row) hidden(s *stage, who string) []string {
	if r.kind != chat.KindConversation || who == "member" || who == "owner" {
		return nil
	}
	return []string{s.direct, s.gone}
}

func theGroup(s *stage, _ string) string   { return s.group }
func theOwner(s *stage, _ string) string   { return s.cast["owner"].ID }
func theRequest(s *stage, _ string) string { return s.request }
func theSession(s *stage, _ string) string { return s.session }
func theUpload(s *stage, _ string) string  { return s.upload }
func theBot(s *stage, _ string) string     { return s.bots["owner"] }
func theKey(s *stage, _ string) string     { return s.key }
func theHook(s *stage, _ string) string    { return s.hook }
func ownBot(s *stage, who string) string   { return s.bots[who] }

// theMessage is a new one in the group.
func theMessage(s *stage, _ string) string {
	s.Helper()
	s.keys++
	return s.do("owner", "sendMessage", "conversationId", s.group, "body", "hello", "clientKey", fmt.Sprint("key ", s.keys))["message"].(map[string]any)["id"].(string)
}

// theWebhook is the group's.
func theWebhook(s *stage, _ string) string {
	s.Helper()
	if s.webhook == "" {
		s.webhook = s.do("owner", "createWebhook", "conversationId", s.group, "url", "https://hooks.invalid/in", "types", []string{"MEMBER_LEFT"})["webhook"].(map[string]any)["id"].(string)
	}
	return s.webhook
}

// theDelivery is a dead one to the group's webhook.
func theDelivery(s *stage, who string) string {
	s.Helper()
	if s.delivery == "" {
		s.delivery = mustDie(s, s.store, mustID(s, theWebhook(s, who)))
	}
	return s.delivery
}

// theNotification is the owner's newest.
func theNotification(s *stage, _ string) string {
	var out struct {
		Notifications struct{ Nodes []struct{ ID string } }
	}
	testkit.MustDo(s, s.cast["owner"].Client, `{ notifications(first: 1) { nodes { id } } }`, nil, &out)
	return out.Notifications.Nodes[0].ID
}

// another is a fellow member for the owner, and the owner for everybody else.
func theAnother(s *stage, who string) string {
	if who == "owner" {
		return s.cast["member"].ID
	}
	return s.cast["owner"].ID
}

// ownGroup is a group that who may do everything in.
func ownGroup(s *stage, who string) string {
	if who == "owner" {
		return s.group
	}
	return s.solo[who]
}

var (
	members   = verdicts{"member": {"", "is in it"}, "owner": {"", "is in it"}}
	runners   = verdicts{"owner": {"", "runs the group"}}
	ownerOnly = verdicts{"member": {chat.CodeForbidden, "sees the group, without the right"}, "owner": {"", "may do everything"}}
)

// matrix is who may do what with an id, by slot.
var matrix = map[string]row{
	"user.id":         {chat.KindUser, theOwner, verdicts{everybody: {"", "every signed-in viewer may see every user"}}, ""},
	"conversation.id": {chat.KindConversation, theGroup, members, ""},

	"node.id of a user":         {chat.KindUser, theOwner, verdicts{everybody: {"", "every signed-in viewer may see every user"}}, ""},
	"node.id of a conversation": {chat.KindConversation, theGroup, members, ""},
	"node.id of a message":      {chat.KindMessage, theMessage, members, ""},
	"node.id of a session":      {chat.KindSession, theSession, nil, ""},

	"sendFriendRequest.input.userId": {chat.KindUser, theOwner, verdicts{
		"stranger": {"", "may ask"}, "ex-member": {"", "may ask"}, "asker": {"", "may ask"}, "asked": {"", "may ask"},
		"member": {chat.CodeConflict, "is a friend already"}, "owner": {chat.CodeBadInput, "asks themself"}}, ""},
	"acceptFriendRequest.input.requestId": {chat.KindFriendRequest, theRequest, verdicts{
		"asker": {chat.CodeForbidden, "sees the request, but cannot answer it"}, "asked": {"", "answers"}}, ""},
	"rejectFriendRequest.input.requestId": {chat.KindFriendRequest, theRequest, verdicts{
		"asker": {chat.CodeForbidden, "sees the request, but cannot answer it"}, "asked": {"", "answers"}}, ""},
	"cancelFriendRequest.input.requestId": {chat.KindFriendRequest, theRequest, verdicts{
		"asker": {"", "takes it back"}, "asked": {chat.CodeForbidden, "sees the request, but cannot take it back"}}, ""},
	"removeFriend.input.userId": {chat.KindUser, theOwner, verdicts{"member": {"", "is a friend"}}, ""},
	"blockUser.input.userId": {chat.KindUser, theOwner, verdicts{
		everybody: {"", "may block anybody, blocked or not"}, "owner": {chat.CodeBadInput, "blocks themself"}}, ""},
	"unblockUser.input.userId": {chat.KindUser, theOwner, verdicts{
		everybody: {"", "changes nothing where there is no block"}, "owner": {chat.CodeBadInput, "unblocks themself"}}, ""},

	"createGroup.input.memberIds": {chat.KindUser, theOwner, verdicts{
		"member": {"", "is a friend"}, "owner": {"", "is in their own group anyway"}}, ""},
	"updateGroup.input.conversationId": {chat.KindConversation, theGroup, ownerOnly, ""},
	"deleteGroup.input.conversationId": {chat.KindConversation, theGroup, ownerOnly, ""},
	"addMembers.input.conversationId":  {chat.KindConversation, theGroup, ownerOnly, ""},
	"addMembers.input.userIds": {chat.KindUser, theOwner, verdicts{
		"member": {"", "is a friend"}, "owner": {"", "is in it already"}}, ""},
	"removeMember.input.conversationId":  {chat.KindConversation, theGroup, ownerOnly, ""},
	"removeMember.input.userId":          {chat.KindUser, theAnother, verdicts{"owner": {"", "removes a member"}}, ""},
	"leaveGroup.input.conversationId":    {chat.KindConversation, theGroup, members, ""},
	"setMemberRole.input.conversationId": {chat.KindConversation, theGroup, ownerOnly, ""},
	"setMemberRole.input.userId":         {chat.KindUser, theAnother, verdicts{"owner": {"", "promotes a member"}}, ""},

	"setAvatar.input.fileId":              {chat.KindFile, theUpload, verdicts{"owner": {"", "has uploaded it"}}, ""},
	"setGroupAvatar.input.fileId":         {chat.KindFile, theUpload, verdicts{"owner": {"", "has uploaded it"}}, ""},
	"setGroupAvatar.input.conversationId": {chat.KindConversation, theGroup, ownerOnly, ""},

	"sendMessage.input.conversationId":                  {chat.KindConversation, theGroup, members, ""},
	"markRead.input.conversationId":                     {chat.KindConversation, theGroup, members, ""},
	"setTyping.input.conversationId":                    {chat.KindConversation, theGroup, members, ""},
	"revokeSession.input.sessionId":                     {chat.KindSession, theSession, verdicts{"owner": {"", "it is theirs"}}, ""},
	"markNotificationRead.input.notificationId":         {chat.KindNotification, theNotification, verdicts{"owner": {"", "it is theirs"}}, ""},
	"markAllNotificationsRead.input.through":            {chat.KindNotification, theNotification, verdicts{"owner": {"", "it is theirs"}}, ""},
	"setConversationNotifications.input.conversationId": {chat.KindConversation, theGroup, members, ""},

	"createWebhook.input.conversationId":          {chat.KindConversation, theGroup, ownerOnly, ""},
	"updateWebhook.input.webhookId":               {chat.KindWebhook, theWebhook, runners, ""},
	"rotateWebhookSecret.input.webhookId":         {chat.KindWebhook, theWebhook, runners, ""},
	"deleteWebhook.input.webhookId":               {chat.KindWebhook, theWebhook, runners, ""},
	"pingWebhook.input.webhookId":                 {chat.KindWebhook, theWebhook, runners, ""},
	"replayDeadWebhookDeliveries.input.webhookId": {chat.KindWebhook, theWebhook, runners, ""},
	"replayWebhookDelivery.input.deliveryId":      {chat.KindWebhookDelivery, theDelivery, runners, ""},
	"deleteBot.input.botId":                       {chat.KindUser, theBot, verdicts{"owner": {"", "it is theirs"}}, ""},
	"createApiKey.input.botId":                    {chat.KindUser, theBot, verdicts{"owner": {"", "it is theirs"}}, ""},
	"rotateApiKey.input.keyId":                    {chat.KindAPIKey, theKey, verdicts{"owner": {"", "it is theirs"}}, ""},
	"revokeApiKey.input.keyId":                    {chat.KindAPIKey, theKey, verdicts{"owner": {"", "it is theirs"}}, ""},
	"createIncomingWebhook.input.conversationId":  {chat.KindConversation, theGroup, ownerOnly, ""},
	"createIncomingWebhook.input.botId":           {chat.KindUser, theBot, verdicts{"owner": {"", "it is theirs"}}, ""},
	"rotateIncomingWebhook.input.webhookId":       {chat.KindIncomingWebhook, theHook, verdicts{"owner": {"", "it posts as their bot"}}, ""},
	"deleteIncomingWebhook.input.webhookId":       {chat.KindIncomingWebhook, theHook, verdicts{"owner": {"", "it posts as their bot"}}, ""},

	"messageAdded.conversationId":        {chat.KindConversation, theGroup, members, ""},
	"conversationUpdated.conversationId": {chat.KindConversation, theGroup, members, ""},
	"typingChanged.conversationId":       {chat.KindConversation, theGroup, members, ""},
	"presenceChanged.userIds": {chat.KindUser, theOwner, verdicts{"member": {"", "is a friend"}, "owner": {"", "sees themself"}},
		"others than friends are left out, known or not"},
}

// open is what works without an account, and why.
var open = map[string]string{
	"signUp":               "makes one",
	"signIn":               "begins with nothing",
	"refreshSession":       "its token says who",
	"verifyEmail":          "its token says who",
	"resetPassword":        "its token says who",
	"me":                   "null says that nobody is signed in",
	"requestPasswordReset": "who has lost their password cannot sign in",
	"cursor":               "stands beside me in one query; says nothing of anybody",
}

// values are what else an operation requires.
var values = map[string]any{
	"user.id":                                              theOwner,
	"users.search":                                         "a",
	"conversation.id":                                      theGroup,
	"node.id":                                              theGroup,
	"signUp.input.username":                                "somebody-new",
	"signUp.input.password":                                "correct horse battery",
	"changePassword.input.currentPassword":                 "correct horse battery",
	"changePassword.input.newPassword":                     "battery horse correct",
	"changeEmail.input.email":                              "me@example.org",
	"changeEmail.input.currentPassword":                    "correct horse battery",
	"revokeSession.input.sessionId":                        theSession,
	"sendFriendRequest.input.userId":                       theOwner,
	"acceptFriendRequest.input.requestId":                  theRequest,
	"rejectFriendRequest.input.requestId":                  theRequest,
	"cancelFriendRequest.input.requestId":                  theRequest,
	"removeFriend.input.userId":                            theOwner,
	"blockUser.input.userId":                               theOwner,
	"unblockUser.input.userId":                             theOwner,
	"createGroup.input.title":                              "Chess",
	"updateGroup.input.conversationId":                     theGroup,
	"updateGroup.input.title":                              "Draughts",
	"deleteGroup.input.conversationId":                     theGroup,
	"addMembers.input.conversationId":                      func(s *stage, who string) string { return s.solo[who] },
	"addMembers.input.userIds":                             func(s *stage, _ string) string { return s.cast["host"].ID },
	"removeMember.input.conversationId":                    ownGroup,
	"removeMember.input.userId":                            func(s *stage, _ string) string { return s.cast["host"].ID },
	"leaveGroup.input.conversationId":                      theGroup,
	"setMemberRole.input.conversationId":                   ownGroup,
	"setMemberRole.input.userId":                           func(s *stage, _ string) string { return s.cast["host"].ID },
	"setMemberRole.input.role":                             "MEMBER",
	"setGroupAvatar.input.conversationId":                  ownGroup,
	"sendMessage.input.conversationId":                     theGroup,
	"sendMessage.input.body":                               "hello",
	"sendMessage.input.clientKey":                          func(s *stage, _ string) string { s.keys++; return fmt.Sprint("key ", s.keys) },
	"markRead.input.conversationId":                        theGroup,
	"markRead.input.seq":                                   0,
	"setTyping.input.conversationId":                       theGroup,
	"setConversationNotifications.input.conversationId":    theGroup,
	"markNotificationRead.input.notificationId":            theNotification,
	"markAllNotificationsRead.input.through":               theNotification,
	"updateNotificationPreferences.input.kinds.kind":       "MENTION",
	"updateNotificationPreferences.input.quietHours.start": "22:00",
	"updateNotificationPreferences.input.quietHours.end":   "07:00",
	"createBot.input.username":                             func(s *stage, _ string) string { s.keys++; return fmt.Sprint("bot-", s.keys) },
	"createBot.input.displayName":                          "Bot",
	"deleteBot.input.botId":                                theBot,
	"createApiKey.input.botId":                             theBot,
	"createApiKey.input.name":                              "Key",
	"createApiKey.input.scopes":                            "READ",
	"rotateApiKey.input.keyId":                             theKey,
	"revokeApiKey.input.keyId":                             theKey,
	"createIncomingWebhook.input.conversationId":           ownGroup,
	"createIncomingWebhook.input.botId":                    ownBot,
	"createIncomingWebhook.input.name":                     "Hook",
	"rotateIncomingWebhook.input.webhookId":                theHook,
	"deleteIncomingWebhook.input.webhookId":                theHook,
	"messageAdded.conversationId":                          theGroup,
	"conversationUpdated.conversationId":                   theGroup,
	"typingChanged.conversationId":                         theGroup,

	"subscribeToPush.input.endpoint":              pushEndpoint,
	"subscribeToPush.input.p256dh":                pushP256DH,
	"subscribeToPush.input.auth":                  pushAuth,
	"unsubscribeFromPush.input.endpoint":          pushEndpoint,
	"createWebhook.input.url":                     "https://hooks.invalid/in",
	"updateWebhook.input.webhookId":               theWebhook,
	"rotateWebhookSecret.input.webhookId":         theWebhook,
	"deleteWebhook.input.webhookId":               theWebhook,
	"pingWebhook.input.webhookId":                 theWebhook,
	"replayDeadWebhookDeliveries.input.webhookId": theWebhook,
	"replayWebhookDelivery.input.deliveryId":      theWebhook, // any id
}

// stage is a server with the personas and what they look at.
type stage struct {
	*testing.T
	url    string
	schema *ast.Schema
	http   *http.Client
	store  *store.Store // beside the server, of TestMatrix
	cast   map[string]*client.Account
	solo   map[string]string // a group of each
	direct string            // of the owner and the member
	gone   string            // a group that was deleted
	keys   int
	bots   map[string]string // one of each

	group, request, session, upload, webhook, delivery, key, hook string // since the last renew
}

func newStage(t *testing.T, sdl *ast.Schema, url string) *stage {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s := &stage{T: t, url: url, schema: sdl, http: &http.Client{Transport: transport}, cast: map[string]*client.Account{}, solo: map[string]string{}, bots: map[string]string{}}
	for _, who := range append(personas[1:len(personas):len(personas)], "host") {
		s.cast[who] = testkit.MustSignUp(t, url, who)
		s.solo[who] = s.make(who)
		s.bots[who] = s.makeBot(who)
	}
	s.solo[anonymous], s.bots[anonymous] = s.solo["owner"], s.bots["owner"]
	for _, who := range []string{"owner", "member", "ex-member", "blocked"} {
		testkit.MustBefriend(t, s.cast["host"], s.cast[who])
	}
	s.direct = testkit.MustBefriend(t, s.cast["owner"], s.cast["member"])
	s.do("owner", "blockUser", "userId", s.cast["blocked"].ID)
	s.gone = s.make("owner")
	s.do("owner", "deleteGroup", "conversationId", s.gone)
	return s
}

// in runs fn as a subtest's.
func (s *stage) in(t *testing.T, fn func()) {
	outer := s.T
	s.T = t
	defer func() { s.T = outer }()
	fn()
}

// renew puts everything back in its place, with a new group, request or session.
func (s *stage) renew(k chat.Kind) {
	s.Helper()
	if s.group == "" || k == chat.KindConversation || k == chat.KindUser || k == chat.KindWebhook || k == chat.KindWebhookDelivery {
		s.group = s.make("host", "owner", "member", "ex-member", "blocked")
		s.do("host", "setMemberRole", "conversationId", s.group, "userId", s.cast["owner"].ID, "role", "OWNER")
		for _, who := range []string{"ex-member", "blocked"} {
			s.do("owner", "removeMember", "conversationId", s.group, "userId", s.cast[who].ID)
		}
		s.do("owner", "setMemberRole", "conversationId", s.group, "userId", s.cast["host"].ID, "role", "MEMBER")
		s.solo["member"] = s.make("member") // who may have let the owner in
		s.webhook, s.delivery = "", ""
	}
	if s.request == "" || k == chat.KindFriendRequest || k == chat.KindUser {
		for _, who := range personas[1 : len(personas)-1] {
			s.do(who, "unblockUser", "userId", s.cast["owner"].ID)
		}
		for _, who := range []string{"stranger", "ex-member", "asker", "asked"} {
			s.sever("owner", who)
		}
		s.sever("asker", "asked")
		s.request = s.do("asker", "sendFriendRequest", "userId", s.cast["asked"].ID)["request"].(map[string]any)["id"].(string)
		if _, err := s.attempt("member", "sendFriendRequest", "userId", s.cast["owner"].ID); err == nil {
			s.do("owner", "sendFriendRequest", "userId", s.cast["member"].ID)
		}
	}
	if s.upload == "" || k == chat.KindFile {
		s.upload = testkit.MustUpload(s, s.cast["owner"].Client, testkit.Picture(8, 8, color.White))
	}
	if s.key == "" || k == chat.KindAPIKey || k == chat.KindIncomingWebhook || k == chat.KindConversation || k == chat.KindUser {
		_, _ = s.attempt("owner", "deleteBot", "botId", s.bots["owner"]) // unless it is gone
		bot := s.makeBot("owner")
		s.bots["owner"], s.bots[anonymous] = bot, bot
		s.do("owner", "addMembers", "conversationId", s.group, "userIds", []string{bot})
		id := func(payload map[string]any, of string) string { return payload[of].(map[string]any)["id"].(string) }
		s.key = id(s.do("owner", "createApiKey", "botId", bot, "name", "Key", "scopes", []string{"READ"}), "apiKey")
		s.hook = id(s.do("owner", "createIncomingWebhook", "conversationId", s.group, "botId", bot, "name", "Hook"), "webhook")
	}
	if s.session == "" || k == chat.KindSession {
		s.session = s.signIn("owner").session
	}
}

// sever ends whatever there is between two people.
func (s *stage) sever(a, b string) {
	s.Helper()
	s.do(a, "blockUser", "userId", s.cast[b].ID)
	s.do(a, "unblockUser", "userId", s.cast[b].ID)
}

// make makes a group.
func (s *stage) make(owner string, members ...string) string {
	s.Helper()
	ids := []string{}
	for _, m := range members {
		ids = append(ids, s.cast[m].ID)
	}
	return s.do(owner, "createGroup", "title", "Club", "memberIds", ids)["conversation"].(map[string]any)["id"].(string)
}

// makeBot makes a bot of somebody's.
func (s *stage) makeBot(owner string) string {
	s.Helper()
	s.keys++
	var out struct {
		CreateBot struct {
			Bot struct{ User struct{ ID string } }
		}
	}
	testkit.MustDo(s, s.cast[owner].Client, `mutation($n: String!) { createBot(input: {username: $n, displayName: "Bot"}) { bot { user { id } } } }`,
		map[string]any{"n": fmt.Sprint("stage-bot-", s.keys)}, &out)
	return out.CreateBot.Bot.User.ID
}

// signedIn is a session beside the one that somebody began with.
type signedIn struct {
	*client.Client
	session string
}

func (s *stage) signIn(who string) signedIn {
	s.Helper()
	return signInAs(s, s.url, s.username(who), "correct horse battery")
}

func signInAs(tb testing.TB, url, username, password string) signedIn {
	tb.Helper()
	var in struct {
		SignIn struct {
			AccessToken string
			Session     struct{ ID string }
		}
	}
	testkit.MustDo(tb, &client.Client{URL: url}, `mutation($u: String!, $p: String!) { signIn(input: {username: $u, password: $p}) { accessToken session { id } } }`,
		client.Vars{"u": username, "p": password}, &in)
	return signedIn{&client.Client{URL: url, Token: in.SignIn.AccessToken}, in.SignIn.Session.ID}
}

func (s *stage) username(who string) string {
	s.Helper()
	var me struct{ Me struct{ Username string } }
	testkit.MustDo(s, s.cast[who].Client, `{ me { username } }`, nil, &me)
	return me.Me.Username
}

// do runs a mutation, which must succeed, and returns its payload. The input is in pairs of names and values.
func (s *stage) do(who, mutation string, input ...any) map[string]any {
	s.Helper()
	payload, err := s.attempt(who, mutation, input...)
	if err != nil {
		s.Fatalf("%s: %s(%v): %v", who, mutation, input, err)
	}
	return payload
}

func (s *stage) attempt(who, mutation string, input ...any) (map[string]any, error) {
	s.Helper()
	in := map[string]any{}
	for i := 0; i < len(input); i += 2 {
		in[input[i].(string)] = input[i+1]
	}
	vars := map[string]any{"input": in}
	var out map[string]map[string]any
	err := s.cast[who].Do(s.Context(), document(s.schema, s.schema.Mutation, s.schema.Mutation.Fields.ForName(mutation), vars), vars, &out)
	return out[mutation], err
}

// ask runs an operation as somebody and keeps the answer as it came; that of a subscription is its first event.
func (s *stage) ask(who string, live bool, query string, vars map[string]any) answer {
	s.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		s.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.url+"/graphql", bytes.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if live {
		r.Header.Set("Accept", "text/event-stream")
	}
	if who != anonymous {
		r.Header.Set("Authorization", "Bearer "+s.cast[who].Token)
	}
	resp, err := s.http.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if !live || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		all, err := io.ReadAll(resp.Body)
		if err != nil {
			s.Fatal(err)
		}
		return read(resp.StatusCode, string(all))
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			return read(resp.StatusCode, data)
		}
	}
	s.Fatalf("%s: no event: %v", query, lines.Err())
	return answer{}
}
