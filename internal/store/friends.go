package store

import (
	"context"
	"errors"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// LockUsers locks the rows of users, in the order of their ids, and returns those that exist. Whoever changes how two
// users stand to each other locks both first: such changes happen one after another.
func (tx *Tx) LockUsers(users ...chat.ID) ([]chat.ID, error) {
	return list(tx.db, scanUserID, "SELECT id FROM users WHERE id"+tx.ids+"ORDER BY id"+tx.lock, tx.set(users))
}

func scanUserID(r rows) (u chat.ID, err error) {
	err = r.Scan(scanID(&u, chat.KindUser))
	return u, err
}

// order returns two ids, the lower first.
func order(a, b chat.ID) (low, high chat.ID) {
	if string(a.UUID[:]) > string(b.UUID[:]) {
		return b, a
	}
	return a, b
}

const requestColumns = "id, from_id, to_id, status, created_at, answered_at"

func scanRequest(r rows) (f chat.FriendRequest, err error) {
	err = r.Scan(scanID(&f.ID, chat.KindFriendRequest), scanID(&f.From, chat.KindUser), scanID(&f.To, chat.KindUser), &f.Status,
		scanTime(&f.CreatedAt), scanTime(&f.AnsweredAt))
	return f, err
}

// FriendRequest reads one friend request, or chat.ErrNotFound.
func (r reader) FriendRequest(ctx context.Context, request chat.ID) (chat.FriendRequest, error) {
	f, err := one(r.db.WithContext(ctx), scanRequest, "SELECT "+requestColumns+" FROM friend_requests WHERE id = ?", id(request))
	return f, translate(err)
}

// FriendRequests reads friend requests by id.
func (r reader) FriendRequests(ctx context.Context, ids []chat.ID) ([]chat.FriendRequest, error) {
	l, err := list(r.db.WithContext(ctx), scanRequest, "SELECT "+requestColumns+" FROM friend_requests WHERE id"+r.ids, r.set(ids))
	return l, translate(err)
}

// RequestPage reads a page of the requests that user made (outgoing) or got, the newest first.
func (r reader) RequestPage(ctx context.Context, user chat.ID, outgoing bool, status chat.RequestStatus, p chat.Page) (l chat.List[chat.FriendRequest], err error) {
	side := "to_id"
	if outgoing {
		side = "from_id"
	}
	q, args, err := r.page(keyset{id: "id", desc: true}, p,
		"SELECT "+requestColumns+" FROM friend_requests WHERE "+side+" = ? AND status = ?", id(user), string(status))
	if err != nil {
		return l, err
	}
	rs, err := list(r.db.WithContext(ctx), scanRequest, q, args...)
	return chat.NewList(p, rs, func(f chat.FriendRequest) string { return place{id: f.ID}.String() }), translate(err)
}

// PendingRequest reads the request between two users that waits for an answer, whoever asked; chat.ErrNotFound when there
// is none.
func (tx *Tx) PendingRequest(a, b chat.ID) (chat.FriendRequest, error) {
	low, high := order(a, b)
	return one(tx.db, scanRequest, "SELECT "+requestColumns+" FROM friend_requests WHERE low_id = ? AND high_id = ? AND status = 'PENDING'", id(low), id(high))
}

// CountPendingRequests says how many of user's own requests wait for an answer, counting up to limit.
func (tx *Tx) CountPendingRequests(user chat.ID, limit int) (int, error) {
	return one(tx.db, value[int], "SELECT count(*) FROM (SELECT 1 FROM friend_requests WHERE from_id = ? AND status = 'PENDING' LIMIT ?) r", id(user), limit)
}

// InsertRequest stores a new request.
func (tx *Tx) InsertRequest(f chat.FriendRequest) error {
	low, high := order(f.From, f.To)
	_, err := tx.exec("INSERT INTO friend_requests (id, from_id, to_id, low_id, high_id, status, created_at) VALUES (?,?,?,?,?,?,?)",
		id(f.ID), id(f.From), id(f.To), id(low), id(high), string(f.Status), tx.at(f.CreatedAt))
	return err
}

// AnswerRequest stores a request's status and when it was answered.
func (tx *Tx) AnswerRequest(f chat.FriendRequest) error {
	_, err := tx.exec("UPDATE friend_requests SET status = ?, answered_at = ? WHERE id = ?", string(f.Status), tx.at(f.AnsweredAt), id(f.ID))
	return err
}

const friendshipColumns = "user_id, friend_id, since, conversation_id"

func scanFriendship(r rows) (f chat.Friendship, err error) {
	err = r.Scan(scanID(&f.Of, chat.KindUser), scanID(&f.User, chat.KindUser), scanTime(&f.Since), scanID(&f.Conversation, chat.KindConversation))
	return f, err
}

// Friendship reads user's friendship with friend, or chat.ErrNotFound.
func (r reader) Friendship(ctx context.Context, user, friend chat.ID) (chat.Friendship, error) {
	f, err := one(r.db.WithContext(ctx), scanFriendship, "SELECT "+friendshipColumns+" FROM friendships WHERE user_id = ? AND friend_id = ?", id(user), id(friend))
	return f, translate(err)
}

// FriendshipPage reads a page of user's friendships, the newest first.
func (r reader) FriendshipPage(ctx context.Context, user chat.ID, p chat.Page) (l chat.List[chat.Friendship], err error) {
	q, args, err := r.page(keyset{first: "since", id: "friend_id", time: true, desc: true}, p,
		"SELECT "+friendshipColumns+" FROM friendships WHERE user_id = ?", id(user))
	if err != nil {
		return l, err
	}
	rs, err := list(r.db.WithContext(ctx), scanFriendship, q, args...)
	return chat.NewList(p, rs, func(f chat.Friendship) string { return timePlace(f.Since, f.User) }), translate(err)
}

// FriendIDs reads the ids of all of user's friends.
func (r reader) FriendIDs(ctx context.Context, user chat.ID) ([]chat.ID, error) {
	l, err := list(r.db.WithContext(ctx), scanUserID, "SELECT friend_id FROM friendships WHERE user_id = ?", id(user))
	return l, translate(err)
}

// FriendsAmong reads which of the given users are user's friends.
func (r reader) FriendsAmong(ctx context.Context, user chat.ID, ids []chat.ID) ([]chat.ID, error) {
	l, err := list(r.db.WithContext(ctx), scanUserID, "SELECT friend_id FROM friendships WHERE user_id = ? AND friend_id"+r.ids, id(user), r.set(ids))
	return l, translate(err)
}

// CountFriends says how many friends user has, counting up to limit.
func (tx *Tx) CountFriends(user chat.ID, limit int) (int, error) {
	return one(tx.db, value[int], "SELECT count(*) FROM (SELECT 1 FROM friendships WHERE user_id = ? LIMIT ?) f", id(user), limit)
}

// InsertFriendship stores both sides of a friendship.
func (tx *Tx) InsertFriendship(f chat.Friendship) error {
	_, err := tx.exec("INSERT INTO friendships ("+friendshipColumns+") VALUES (?,?,?,?), (?,?,?,?)",
		id(f.Of), id(f.User), tx.at(f.Since), id(f.Conversation), id(f.User), id(f.Of), tx.at(f.Since), id(f.Conversation))
	return err
}

// DeleteFriendship deletes both sides of a friendship.
func (tx *Tx) DeleteFriendship(a, b chat.ID) error {
	_, err := tx.exec("DELETE FROM friendships WHERE (user_id = ? AND friend_id = ?) OR (user_id = ? AND friend_id = ?)", id(a), id(b), id(b), id(a))
	return err
}

// Blocked says whether one of two users has blocked the other.
func (tx *Tx) Blocked(a, b chat.ID) (bool, error) {
	// An OR would need a bitmap, for want of which PostgreSQL reads all blocks.
	_, err := one(tx.db, value[int], `SELECT 1 FROM blocks WHERE blocker_id = ? AND blocked_id = ?
		UNION ALL SELECT 1 FROM blocks WHERE blocker_id = ? AND blocked_id = ?`, id(a), id(b), id(b), id(a))
	if errors.Is(err, chat.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// InsertBlock stores a block and says whether it is new.
func (tx *Tx) InsertBlock(blocker, blocked chat.ID) (bool, error) {
	n, err := tx.exec("INSERT INTO blocks (blocker_id, blocked_id, created_at) VALUES (?,?,?) ON CONFLICT DO NOTHING", id(blocker), id(blocked), tx.at(tx.Now))
	return n > 0, err
}

// DeleteBlock takes a block away and says whether there was one.
func (tx *Tx) DeleteBlock(blocker, blocked chat.ID) (bool, error) {
	n, err := tx.exec("DELETE FROM blocks WHERE blocker_id = ? AND blocked_id = ?", id(blocker), id(blocked))
	return n > 0, err
}

// BlockPage reads a page of the users whom user has blocked, the newest block first.
func (r reader) BlockPage(ctx context.Context, user chat.ID, p chat.Page) (l chat.List[chat.ID], err error) {
	q, args, err := r.page(keyset{first: "created_at", id: "blocked_id", time: true, desc: true}, p,
		"SELECT created_at, blocked_id FROM blocks WHERE blocker_id = ?", id(user))
	if err != nil {
		return l, err
	}
	rs, err := list(r.db.WithContext(ctx), func(r rows) (p place, err error) {
		var at time.Time
		err = r.Scan(scanTime(&at), scanID(&p.id, chat.KindUser))
		p.first = at.UnixMicro()
		return p, err
	}, q, args...)
	places := chat.NewList(p, rs, place.String)
	l = chat.List[chat.ID]{Nodes: make([]chat.ID, len(places.Nodes)), Cursors: places.Cursors, Info: places.Info}
	for i, p := range places.Nodes {
		l.Nodes[i] = p.id
	}
	return l, translate(err)
}

// Relationships says how users stand to viewer, in one statement; it leaves out those who are nothing to each other.
func (r reader) Relationships(ctx context.Context, viewer chat.ID, users []chat.ID) (map[chat.ID]chat.Relationship, error) {
	type relation struct {
		user chat.ID
		is   chat.Relationship
	}
	v, set := id(viewer), r.set(users)
	l, err := list(r.db.WithContext(ctx), func(r rows) (x relation, err error) {
		err = r.Scan(scanID(&x.user, chat.KindUser), &x.is)
		return x, err
	}, "SELECT friend_id, 'FRIEND' FROM friendships WHERE user_id = ? AND friend_id"+r.ids+
		"UNION ALL SELECT to_id, 'REQUEST_SENT' FROM friend_requests WHERE from_id = ? AND status = 'PENDING' AND to_id"+r.ids+
		"UNION ALL SELECT from_id, 'REQUEST_RECEIVED' FROM friend_requests WHERE to_id = ? AND status = 'PENDING' AND from_id"+r.ids+
		"UNION ALL SELECT blocked_id, 'BLOCKED' FROM blocks WHERE blocker_id = ? AND blocked_id"+r.ids, v, set, v, set, v, set, v, set)
	out := make(map[chat.ID]chat.Relationship, len(l))
	for _, x := range l {
		out[x.user] = x.is
	}
	return out, translate(err)
}
