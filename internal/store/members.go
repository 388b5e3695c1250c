package store

import (
	"bytes"
	"cmp"
	"context"
	"strings"

	"github.com/parley-chat/parley/internal/chat"
)

const memberColumns = "m.conversation_id, m.user_id, m.role, m.joined_at, m.joined_position, m.left_position, m.read_seq, m.read_at, coalesce(m.notification_level, 'ALL'), m.muted_until"

func memberFields(m *chat.Member) []any {
	return []any{scanID(&m.Conversation, chat.KindConversation), scanID(&m.User, chat.KindUser), &m.Role, scanTime(&m.JoinedAt),
		scanPosition(&m.Joined), scanPosition(&m.Left), &m.ReadSeq, scanTime(&m.ReadAt), &m.Level, scanTime(&m.MutedUntil)}
}

func scanMember(r rows) (m chat.Member, err error) {
	err = r.Scan(memberFields(&m)...)
	return m, err
}

// CurrentMembership reads user's membership in a conversation that they are in now, or chat.ErrNotFound.
func (r reader) CurrentMembership(ctx context.Context, conversation, user chat.ID) (chat.Member, error) {
	m, err := one(r.db.WithContext(ctx), scanMember, "SELECT "+memberColumns+` FROM memberships m
		WHERE m.conversation_id = ? AND m.user_id = ? AND m.left_position IS NULL`, id(conversation), id(user))
	return m, translate(err)
}

// Memberships reads user's memberships in those of the given conversations that they are in now.
func (r reader) Memberships(ctx context.Context, user chat.ID, conversations []chat.ID) ([]chat.Member, error) {
	l, err := list(r.db.WithContext(ctx), scanMember, "SELECT "+memberColumns+` FROM memberships m
		WHERE m.user_id = ? AND m.left_position IS NULL AND m.conversation_id`+r.ids, id(user), r.set(conversations))
	return l, translate(err)
}

// Peers reads the other member of each of the given conversations that is a direct one.
func (r reader) Peers(ctx context.Context, user chat.ID, conversations []chat.ID) (map[chat.ID]chat.ID, error) {
	type pair struct{ conversation, peer chat.ID }
	l, err := list(r.db.WithContext(ctx), func(r rows) (p pair, err error) {
		err = r.Scan(scanID(&p.conversation, chat.KindConversation), scanID(&p.peer, chat.KindUser))
		return p, err
	}, `SELECT m.conversation_id, m.user_id FROM conversations c JOIN memberships m ON m.conversation_id = c.id
		AND m.left_position IS NULL AND m.user_id <> ? WHERE c.kind = 'DIRECT' AND c.id`+r.ids, id(user), r.set(conversations))
	out := make(map[chat.ID]chat.ID, len(l))
	for _, p := range l {
		out[p.conversation] = p.peer
	}
	return out, translate(err)
}

// MemberPage reads a page of a conversation's members, in the order in which they joined. except, if it is not zero, is
// left out.
func (r reader) MemberPage(ctx context.Context, conversation, except chat.ID, p chat.Page) (l chat.List[chat.Member], err error) {
	q, args, err := r.membersOf("?", id(conversation), except, p)
	if err != nil {
		return l, err
	}
	ms, err := list(r.db.WithContext(ctx), scanMember, "SELECT "+memberColumns+q, args...)
	return chat.NewList(p, ms, memberPlace), translate(err)
}

// MemberPages is MemberPage of several conversations.
func (r reader) MemberPages(ctx context.Context, conversations []chat.ID, except chat.ID, p chat.Page) (map[chat.ID]chat.List[chat.Member], error) {
	q, args, err := r.membersOf("t.id", r.set(conversations), except, p)
	if err != nil {
		return nil, err
	}
	q = r.each(memberColumns, "memberships m WHERE m.conversation_id = t.id AND m.left_position IS NULL AND ", "m.user_id", q)
	ms, err := list(r.db.WithContext(ctx), scanMember, q, args...)
	return lists(p, conversations, ms, func(m chat.Member) chat.ID { return m.Conversation }, func(a, b chat.Member) int {
		return cmp.Or(cmp.Compare(a.Joined, b.Joined), bytes.Compare(a.User.UUID[:], b.User.UUID[:]))
	}, memberPlace), translate(err)
}

// membersOf ends a query of a page of a conversation's members.
func (r reader) membersOf(conversation string, arg any, except chat.ID, p chat.Page) (string, []any, error) {
	q, args := " FROM memberships m WHERE m.conversation_id = "+conversation+" AND m.left_position IS NULL", []any{arg}
	if !except.IsZero() {
		q, args = q+" AND m.user_id <> ?", append(args, id(except))
	}
	return r.page(keyset{first: "m.joined_position", id: "m.user_id"}, p, q, args...)
}

func memberPlace(m chat.Member) string { return place{int64(m.Joined), m.User}.String() }

// MembersAmong reads which of the given users are in a conversation now.
func (tx *Tx) MembersAmong(conversation chat.ID, users []chat.ID) ([]chat.ID, error) {
	return list(tx.db, scanUserID, "SELECT user_id FROM memberships WHERE conversation_id = ? AND left_position IS NULL AND user_id"+tx.ids, id(conversation), tx.set(users))
}

// Successor reads who is to own a group that its owner leaves: the admin who has been there longest, or else the member;
// chat.ErrNotFound when nobody else is there.
func (tx *Tx) Successor(conversation, owner chat.ID) (chat.Member, error) {
	return one(tx.db, scanMember, "SELECT "+memberColumns+` FROM memberships m WHERE m.conversation_id = ? AND m.left_position IS NULL AND m.user_id <> ?
		ORDER BY CASE m.role WHEN 'ADMIN' THEN 0 ELSE 1 END, m.joined_position, m.user_id LIMIT 1`, id(conversation), id(owner))
}

// InsertMembers stores new memberships. The event MEMBER_ADDED or CONVERSATION_CREATED gives them their first position.
func (tx *Tx) InsertMembers(members []chat.Member) error {
	if len(members) == 0 {
		return nil
	}
	args := make([]any, 0, 5*len(members))
	for _, m := range members {
		args = append(args, id(m.Conversation), id(m.User), string(m.Role), tx.at(m.JoinedAt), m.ReadSeq)
	}
	_, err := tx.exec("INSERT INTO memberships (conversation_id, user_id, role, joined_at, read_seq, joined_position) VALUES "+
		strings.Repeat("(?,?,?,?,?,-1),", len(members)-1)+"(?,?,?,?,?,-1)", args...)
	return err
}

// EndMembership ends user's membership. The event MEMBER_REMOVED or MEMBER_LEFT gives it its last position.
func (tx *Tx) EndMembership(conversation, user chat.ID) error {
	_, err := tx.exec("UPDATE memberships SET left_position = -1 WHERE conversation_id = ? AND user_id = ? AND left_position IS NULL", id(conversation), id(user))
	return err
}

// SetRole stores a member's role.
func (tx *Tx) SetRole(conversation, user chat.ID, role chat.Role) error {
	_, err := tx.exec("UPDATE memberships SET role = ? WHERE conversation_id = ? AND user_id = ? AND left_position IS NULL", string(role), id(conversation), id(user))
	return err
}
