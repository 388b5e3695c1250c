package store_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/testkit"
)

// A page of each of several conversations' lists is what each gives by itself.
func TestPagesOfSeveralConversations(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		s, ctx := testkit.MustOpenStore(t, url), t.Context()
		mustFill(t, url, crowd...)
		rooms := append(several(chat.KindConversation, 1, 20), nth(chat.KindConversation, 9999)) // one that is not there
		middle, err := s.MemberPage(ctx, rooms[0], chat.ID{}, chat.Page{Limit: 50})
		if err != nil || len(middle.Cursors) != 50 {
			t.Fatal(len(middle.Cursors), err)
		}
		rows := 0
		for _, p := range []chat.Page{{Limit: 3}, {Limit: 2, Backward: true}, {Limit: 100}, {Limit: 4, After: middle.Cursors[20]}, {Limit: 4, Backward: true, Before: middle.Cursors[20]}} {
			for _, except := range []chat.ID{{}, nth(chat.KindUser, 1)} {
				all, err := s.MemberPages(ctx, rooms, except, p)
				if err != nil || len(all) != len(rooms) {
					t.Fatal(len(all), err)
				}
				for _, r := range rooms {
					one, err := s.MemberPage(ctx, r, except, p)
					if err != nil || !reflect.DeepEqual(one, all[r]) {
						t.Errorf("%+v: members %+v, by itself %+v %v", p, all[r], one, err)
					}
					rows += len(one.Nodes)
				}
			}
			for _, at := range []*string{&p.After, &p.Before} {
				if *at != "" {
					*at = "3"
				}
			}
			all, err := s.MessagePages(ctx, rooms, p)
			if err != nil || len(all) != len(rooms) {
				t.Fatal(len(all), err)
			}
			for _, r := range rooms {
				one, err := s.MessagePage(ctx, r, p)
				if err != nil || !reflect.DeepEqual(one, all[r]) {
					t.Errorf("%+v: messages %+v, by itself %+v %v", p, all[r], one, err)
				}
				rows += len(one.Nodes)
			}
		}
		if rows < 500 {
			t.Error("too few rows to mean anything:", rows)
		}
		for _, bad := range []chat.Page{{Limit: 1, After: "?"}, {Limit: 1, Before: strings.Repeat("A", 9)}} {
			if _, err := s.MemberPages(ctx, rooms, chat.ID{}, bad); chat.CodeOf(err) != chat.CodeBadInput {
				t.Error(err)
			}
			if _, err := s.MessagePages(ctx, rooms, bad); chat.CodeOf(err) != chat.CodeBadInput {
				t.Error(err)
			}
		}
	})
}
