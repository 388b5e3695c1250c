package user_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/user"
)

func TestSignOut(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		in, other := b.signUp(t, "ada"), b.signIn(t, "ada")
		pos, err := b.SignOut(t.Context(), viewer(in))
		if err != nil {
			t.Fatal(err)
		}
		e := b.happened(t, other.Position, in.User.ID, chat.SessionEnded)[0]
		if e.Position != pos || e.Subject != in.Session.ID || e.Actor != in.User.ID {
			t.Error(e)
		}
		if b.accepted(t, in) || !b.accepted(t, other) {
			t.Error("the wrong access tokens are accepted")
		}
		_, err = b.Refresh(t.Context(), in.Refresh)
		wantCode(t, err, chat.CodeUnauthenticated)
		if again, err := b.SignOut(t.Context(), viewer(in)); err != nil || again != pos {
			t.Error(again, err)
		}
		b.happened(t, pos, in.User.ID)
	})
}

func TestRevokeSession(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		here, there, stranger := b.signUp(t, "ada"), b.signIn(t, "ada"), b.signUp(t, "eve")
		before := b.head(t)
		var same string
		for _, id := range []chat.ID{chat.NewID(chat.KindSession), there.Session.ID, stranger.User.ID, {Kind: chat.KindUser, UUID: stranger.Session.ID.UUID}, {}} {
			_, err := b.RevokeSession(t.Context(), viewer(stranger), id)
			wantCode(t, err, chat.CodeNotFound)
			if same == "" {
				same = err.Error()
			}
			if err.Error() != same {
				t.Error(err)
			}
		}
		b.happened(t, before, here.User.ID)
		pos, err := b.RevokeSession(t.Context(), viewer(here), there.Session.ID)
		if err != nil {
			t.Fatal(err)
		}
		if e := b.happened(t, before, here.User.ID, chat.SessionEnded)[0]; e.Position != pos || e.Subject != there.Session.ID {
			t.Error(e)
		}
		if b.accepted(t, there) || !b.accepted(t, here) {
			t.Error("the wrong access tokens are accepted")
		}
		_, err = b.RevokeSession(t.Context(), viewer(here), there.Session.ID)
		wantCode(t, err, chat.CodeNotFound)
		if _, err = b.RevokeSession(t.Context(), viewer(here), here.Session.ID); err != nil || b.accepted(t, here) {
			t.Error("one's own session cannot be revoked:", err)
		}
	})
}

// A session that is revoked by many at once is ended once.
func TestRevokeTogether(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		here, there := b.signUp(t, "ada"), b.signIn(t, "ada")
		var wg sync.WaitGroup
		errs := make([]error, 10)
		for i := range errs {
			wg.Go(func() { _, errs[i] = b.RevokeSession(t.Context(), viewer(here), there.Session.ID) })
		}
		wg.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
				continue
			}
			wantCode(t, err, chat.CodeNotFound)
		}
		if done != 1 {
			t.Error(done, "have revoked it")
		}
		b.happened(t, there.Position, here.User.ID, chat.SessionEnded)
	})
}

// Another node refuses what was ended here: from the log while it runs, from the database when it starts.
func TestRevokedElsewhere(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		in := b.signUp(t, "ada")
		running, known := b.node(user.Config{})
		if _, err := b.SignOut(t.Context(), viewer(in)); err != nil {
			t.Fatal(err)
		}
		starting, _ := b.node(user.Config{})
		refuses := func(s *user.Service) bool {
			_, _, err := s.Authenticate(t.Context(), in.Access)
			return chat.CodeOf(err) == chat.CodeUnauthenticated
		}
		if refuses(running) || refuses(starting) {
			t.Fatal("refused without being told")
		}
		events, err := b.store.Events(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		known.Apply(events)
		if err := starting.LoadRevoked(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !refuses(running) || !refuses(starting) {
			t.Error("a revoked token is accepted")
		}
		b.clock.advance(time.Hour)
		late, set := b.node(user.Config{})
		if err := late.LoadRevoked(t.Context()); err != nil || set.Len() != 0 {
			t.Error(set.Len(), err)
		}
	})
}

func TestSessions(t *testing.T) {
	each(t, user.Config{MaxSessions: 4}, func(t *testing.T, b *bundle) {
		b.signUp(t, "eve")
		ins := []*user.SignedIn{b.signUp(t, "ada")}
		for range 3 {
			ins = append(ins, b.signIn(t, "ada"))
		}
		me := viewer(ins[0])
		all, err := b.Sessions(t.Context(), me, chat.Page{Limit: 10})
		if err != nil || len(all.Nodes) != 4 || all.Info.HasNextPage || all.Info.HasPreviousPage {
			t.Fatal(all, err)
		}
		for i, s := range all.Nodes {
			if s != ins[3-i].Session {
				t.Errorf("%d: %v, not %v", i, s, ins[3-i].Session)
			}
		}
		page, err := b.Sessions(t.Context(), me, chat.Page{Limit: 2, After: all.Cursors[0]})
		if err != nil || len(page.Nodes) != 2 || page.Nodes[0] != all.Nodes[1] || !page.Info.HasNextPage || !page.Info.HasPreviousPage {
			t.Error(page, err)
		}
		page, err = b.Sessions(t.Context(), me, chat.Page{Limit: 2, Backward: true, Before: all.Cursors[3]})
		if err != nil || len(page.Nodes) != 2 || page.Nodes[0] != all.Nodes[1] || page.Nodes[1] != all.Nodes[2] {
			t.Error(page, err)
		}
		_, err = b.Sessions(t.Context(), me, chat.Page{Limit: 2, After: "?"})
		wantCode(t, err, chat.CodeBadInput, "after")

		// One more than allowed ends the one that was used longest ago, which is not the oldest.
		if _, err := b.Refresh(t.Context(), ins[0].Refresh); err != nil {
			t.Fatal(err)
		}
		before := b.head(t)
		b.signIn(t, "ada")
		events := b.happened(t, before, me.User, chat.SessionStarted, chat.SessionEnded)
		if events[1].Subject != ins[1].Session.ID {
			t.Error(events[1])
		}
		if b.accepted(t, ins[1]) || !b.accepted(t, ins[0]) {
			t.Error("the wrong session was ended")
		}
	})
}

func TestChangePassword(t *testing.T) {
	const next = "battery staple"
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		here, there, gone := b.signUp(t, "ada"), b.signIn(t, "ada"), b.signIn(t, "ada")
		stranger := b.signUp(t, "eve")
		if _, err := b.SignOut(t.Context(), viewer(gone)); err != nil {
			t.Fatal(err)
		}
		before := b.head(t)
		_, _, err := b.ChangePassword(t.Context(), viewer(here), "wrong horse", next)
		wantCode(t, err, chat.CodeUnauthenticated, "currentPassword")
		_, _, err = b.ChangePassword(t.Context(), viewer(gone), password, next)
		wantCode(t, err, chat.CodeUnauthenticated)
		for _, bad := range []string{"short", strings.Repeat("x", 257)} {
			_, _, err = b.ChangePassword(t.Context(), viewer(here), password, bad)
			wantCode(t, err, chat.CodeBadInput, "input", "newPassword")
		}
		b.happened(t, before, here.User.ID)

		u, pos, err := b.ChangePassword(t.Context(), viewer(here), password, next)
		if err != nil || *u != here.User {
			t.Fatal(u, err)
		}
		if e := b.happened(t, before, here.User.ID, chat.SessionEnded)[0]; e.Subject != there.Session.ID || e.Position != pos {
			t.Error(e)
		}
		if !b.accepted(t, here) || b.accepted(t, there) || !b.accepted(t, stranger) {
			t.Error("the wrong access tokens are accepted")
		}
		if _, err := b.Refresh(t.Context(), here.Refresh); err != nil {
			t.Error(err)
		}
		_, err = b.SignIn(t.Context(), laptop, "ada", password)
		wantCode(t, err, chat.CodeUnauthenticated, "input")
		if _, err = b.SignIn(t.Context(), laptop, "ada", next); err != nil {
			t.Error(err)
		}
	})
}

// Of several changes from the same password, one is made; a sign-in with it either fails or is ended by the change.
func TestChangePasswordTogether(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		here := b.signUp(t, "ada")
		var wg sync.WaitGroup
		changed := make([]error, 4)
		ins := make([]*user.SignedIn, 4)
		for i := range changed {
			wg.Go(func() {
				_, _, changed[i] = b.ChangePassword(t.Context(), viewer(here), password, "battery staple")
			})
			wg.Go(func() { ins[i], _ = b.SignIn(t.Context(), laptop, "ada", password) })
		}
		wg.Wait()
		done := 0
		for _, err := range changed {
			if err == nil {
				done++
				continue
			}
			wantCode(t, err, chat.CodeUnauthenticated, "currentPassword")
		}
		if done != 1 {
			t.Error(done, "changes were made")
		}
		for _, in := range ins {
			if in != nil && b.accepted(t, in) {
				t.Error("a session of the old password lives on")
			}
		}
	})
}

func TestUpdateProfile(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		ada, friend := b.signUp(t, "ada"), b.signUp(t, "grace")
		b.signUp(t, "eve")
		_, err := b.store.Write(t.Context(), ada.User.ID, func(tx *store.Tx) error {
			return tx.InsertFriendship(chat.Friendship{Of: ada.User.ID, User: friend.User.ID, Since: tx.Now, Conversation: chat.NewID(chat.KindConversation)})
		})
		if err != nil {
			t.Fatal(err)
		}
		var told []*chat.Event
		b.store.AfterCommit(func(e []*chat.Event) { told = append(told, e...) })

		u, pos, err := b.UpdateProfile(t.Context(), viewer(ada), ptr(" Ada Lovelace "), nil)
		if err != nil || u.DisplayName != "Ada Lovelace" || u.Bio != "" {
			t.Fatal(u, err)
		}
		if len(told) != 2 || told[0].Topic != chat.UserTopic(ada.User.ID) || told[1].Topic != chat.UserTopic(friend.User.ID) || told[1].Position != pos {
			t.Fatal(told)
		}
		for _, e := range told {
			if e.Type != chat.ProfileChanged || e.Subject != ada.User.ID || e.Actor != ada.User.ID || *e.Rows.User != *u || *e.Rows.Actor != *u {
				t.Error(e)
			}
		}
		u, _, err = b.UpdateProfile(t.Context(), viewer(ada), nil, ptr(" first\nof all "))
		if err != nil || u.DisplayName != "Ada Lovelace" || u.Bio != "first\nof all" || len(told) != 4 {
			t.Fatal(u, len(told), err)
		}
		kept, err := b.User(t.Context(), ada.User.ID)
		if err != nil || *kept != *u {
			t.Error(kept, err)
		}
		head := b.head(t)
		for _, same := range [][2]*string{{nil, nil}, {&u.DisplayName, nil}, {nil, ptr("first\nof all  ")}} {
			again, at, err := b.UpdateProfile(t.Context(), viewer(ada), same[0], same[1])
			if err != nil || *again != *u || at != head || len(told) != 4 {
				t.Error(again, at, len(told), err)
			}
		}
		if u, _, err = b.UpdateProfile(t.Context(), viewer(ada), nil, ptr("")); err != nil || u.Bio != "" {
			t.Error(u, err)
		}
		for _, bad := range []string{"", " ", strings.Repeat("x", 65), "a\x00", "a\tb"} {
			_, _, err = b.UpdateProfile(t.Context(), viewer(ada), &bad, nil)
			wantCode(t, err, chat.CodeBadInput, "input", "displayName")
		}
		for _, bad := range []string{strings.Repeat("x", 501), "a\x00", "\xff"} {
			_, _, err = b.UpdateProfile(t.Context(), viewer(ada), nil, &bad)
			wantCode(t, err, chat.CodeBadInput, "input", "bio")
		}
	})
}

func TestUsers(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		in := b.signUp(t, "ada")
		for _, id := range []chat.ID{{}, chat.NewID(chat.KindUser), in.Session.ID, {Kind: chat.KindSession, UUID: in.User.ID.UUID}} {
			_, err := b.User(t.Context(), id)
			wantCode(t, err, chat.CodeNotFound)
		}
		found, err := b.ByIDs(t.Context(), []chat.ID{in.User.ID, chat.NewID(chat.KindUser)})
		if err != nil || len(found) != 1 || *found[in.User.ID] != in.User {
			t.Error(found, err)
		}
		for _, bad := range []string{"", "  ", "a\x00", "\xff"} {
			_, err := b.Search(t.Context(), bad, chat.Page{Limit: 10})
			wantCode(t, err, chat.CodeBadInput, "search")
		}
		l, err := b.Search(t.Context(), " AD", chat.Page{Limit: 10})
		if err != nil || len(l.Nodes) != 1 || l.Nodes[0] != in.User {
			t.Error(l, err)
		}
	})
}
