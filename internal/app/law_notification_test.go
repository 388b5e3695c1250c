package app_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/testkit"
)

type knownNotification struct {
	ID, Kind       string
	CreatedAt      time.Time
	ReadAt         *time.Time
	Actor          *ref
	ConversationID string
	Conversation   *ref
	MessageID      string
	Message        *said
	Request        *ref
}

// wishes are what somebody wants to be told.
type wishes struct {
	Kinds []struct {
		Kind              string
		InApp, Push, Mail *bool
	}
	QuietHours *struct{ Start, End string }
	TimeZone   string
	Digest     bool
	DigestHour int
}

type said struct{ ID, Body string }

func notificationLaws() map[string][]law {
	wish := func(input vars) func(w *world) mutation {
		return func(w *world) mutation { return mutation{w.ann.Client, input} }
	}
	quiet := vars{"quietHours": vars{"start": "22:00", "end": "06:30"}}
	kind := func(k string, on vars) vars {
		on["kind"] = k
		return vars{"kinds": []vars{on}}
	}
	setting := func(input vars) func(*world, string) vars {
		return func(*world, string) vars { return input }
	}
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	return map[string][]law{
		"updateNotificationPreferences": {
			changing("quiet hours", wish(quiet)),
			idle("the same quiet hours", wish(quiet)),
			changing("a zone and the digest", wish(vars{"timeZone": "Europe/Berlin", "digest": false, "digestHour": 19})),
			changing("no quiet hours", wish(vars{"quietHours": nil})),
			changing("a kind off", wish(kind("GROUP_MESSAGE", vars{"push": false}))),
			changing("and on, another off", wish(vars{"kinds": []vars{{"kind": "GROUP_MESSAGE", "push": true}, {"kind": "FRIEND_REQUEST", "mail": false, "inApp": false}}})),
			idle("a kind as it is", wish(kind("FRIEND_REQUEST", vars{"mail": false}))),
			idle("nothing", wish(vars{})),
			changing("all as at first", wish(vars{"timeZone": "UTC", "digest": true, "digestHour": 8, "kinds": []vars{{"kind": "FRIEND_REQUEST", "mail": true, "inApp": true}}})),
			refused("BAD_USER_INPUT", "a zone that is none", wish(vars{"timeZone": "Europe/Nowhere"})),
			refused("BAD_USER_INPUT", "the server's own zone", wish(vars{"timeZone": "Local"})),
			refused("BAD_USER_INPUT", "an hour that is none", wish(vars{"digestHour": 24})),
			refused("BAD_USER_INPUT", "a channel that is none", wish(kind("DIRECT_MESSAGE", vars{"mail": true}))),
			refused("BAD_USER_INPUT", "a kind twice", wish(vars{"kinds": []vars{{"kind": "MENTION"}, {"kind": "MENTION"}}})),
			refused("BAD_USER_INPUT", "a time that is none", wish(vars{"quietHours": vars{"start": "7:00", "end": "24:00"}})),
			refused("BAD_USER_INPUT", "no hours", wish(vars{"quietHours": vars{"start": "07:00", "end": "07:00"}})),
		},
		"setConversationNotifications": {
			changing("a level", inGroup(bob, setting(vars{"level": "MENTIONS"}))),
			changing("muted", inGroup(bob, setting(vars{"mutedUntil": later}))),
			changing("muted no longer", inGroup(bob, func(w *world, group string) vars {
				w.bob.do("setConversationNotifications", "SetConversationNotificationsInput", "cursor", vars{"conversationId": group, "level": "NONE", "mutedUntil": later}, nil)
				return vars{"mutedUntil": nil}
			})),
			idle("as it is", inGroup(bob, setting(vars{"level": "ALL", "mutedUntil": "2020-01-01T00:00:00Z"}))),
			idle("nothing", inGroup(bob, nil)),
			refused("NOT_FOUND", "by who has left", inGroup(fay, setting(vars{"level": "NONE"}))),
		},
		"markNotificationRead": {
			changing("one", func(w *world) mutation {
				w.group()
				return mutation{w.bob.Client, vars{"notificationId": w.newest(w.bob)}}
			}),
			idle("twice", func(w *world) mutation {
				w.group()
				n := vars{"notificationId": w.newest(w.bob)}
				w.bob.do("markNotificationRead", "MarkNotificationReadInput", "cursor", n, nil)
				return mutation{w.bob.Client, n}
			}),
			refused("NOT_FOUND", "somebody else's", func(w *world) mutation {
				w.group()
				return mutation{w.ann.Client, vars{"notificationId": w.newest(w.bob)}}
			}),
		},
		"markAllNotificationsRead": {
			changing("all but the newest", func(w *world) mutation {
				w.group()
				all := vars{"through": w.newest(w.cat)}
				w.group()
				return mutation{w.cat.Client, all}
			}),
			changing("all", func(w *world) mutation {
				w.group()
				return mutation{w.cat.Client, vars{"through": w.newest(w.cat)}}
			}),
			idle("twice", func(w *world) mutation {
				w.group()
				all := vars{"through": w.newest(w.cat)}
				w.cat.do("markAllNotificationsRead", "MarkAllNotificationsReadInput", "cursor", all, nil)
				return mutation{w.cat.Client, all}
			}),
			refused("NOT_FOUND", "somebody else's", func(w *world) mutation {
				w.group()
				return mutation{w.ann.Client, vars{"through": w.newest(w.cat)}}
			}),
		},
		// What was told of a conversation closes with it.
		"removeMember": {
			changing("who was named", func(w *world) mutation {
				return mutation{w.ann.Client, vars{"conversationId": w.mention(w.cat), "userId": w.cat.ID}}
			}),
		},
		"deleteGroup": {
			changing("where somebody was named", func(w *world) mutation { return mutation{w.ann.Client, vars{"conversationId": w.mention(w.cat)}} }),
		},
		"addMembers": {
			// A new membership begins as all do.
			changing("back, all told again", func(w *world) mutation {
				group := w.group()
				w.cat.do("setConversationNotifications", "SetConversationNotificationsInput", "cursor", vars{"conversationId": group, "level": "NONE", "mutedUntil": later}, nil)
				w.cat.do("leaveGroup", "LeaveGroupInput", "cursor", vars{"conversationId": group}, nil)
				return mutation{w.ann.Client, vars{"conversationId": group, "userIds": []string{w.cat.ID}}}
			}),
		},
	}
}

func (w *world) newest(p *person) string {
	all := w.seen(p).Notifications
	newest := ""
	for id := range all {
		newest = max(newest, id)
	}
	return newest
}

// mention names somebody in a fresh group, and waits until they are told.
func (w *world) mention(p *person) (group string) {
	group = w.group()
	last := w.newest(p)
	w.bob.say(group, "Is there cake, @"+p.Username()+"?")
	w.until(func() bool { n := w.seen(p).Notifications[w.newest(p)]; return n.ID != last && n.Kind == "MENTION" })
	return group
}

// until waits for what jobs do.
func (w *world) until(done func() bool) {
	w.Helper()
	eventually(w, func() error {
		if !done() {
			return errors.New("nothing came of it")
		}
		return nil
	})
}

// TestLawOfMentions: what jobs add to the list later, events tell as well.
func TestLawOfMentions(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		equal := func(what string) {
			t.Helper()
			w.settle()
			w.everybody(func(p *person) {
				after, _ := p.look()
				events := p.follow(p.replay(p.reached))
				p.live = reduce(p.live, events)
				p.equal(what, "events as they came", events, p.live, after)
			})
		}
		told := func(p *person) (texts []string) {
			for _, n := range w.seen(p).Notifications {
				if n.Kind == "MENTION" && n.Message != nil && n.ReadAt == nil {
					texts = append(texts, n.Message.Body)
				}
			}
			slices.Sort(texts)
			return texts
		}
		group := w.mention(w.cat)
		equal("a mention")
		name := "@" + w.cat.Username()
		w.bob.say(group, name+" and again")
		w.bob.do("setConversationNotifications", "SetConversationNotificationsInput", "cursor", vars{"conversationId": group, "level": "NONE"}, nil)
		// To nobody: oneself, who is not a member, who wants nothing, who is not named so.
		w.ann.say(group, "@"+w.ann.Username()+" @"+w.dan.Username()+" @"+w.fay.Username()+" @"+w.bob.Username()+" mail"+name+" @nobody")
		w.ann.say(group, "("+name+".)")
		w.until(func() bool { return len(told(w.cat)) == 3 })
		equal("mentions")
		for _, p := range []*person{w.ann, w.bob, w.dan, w.fay} {
			if texts := told(p); texts != nil {
				t.Errorf("%s is told of %q", p.Username(), texts)
			}
		}
		w.cat.do("markRead", "MarkReadInput", "cursor", vars{"conversationId": group, "seq": w.lastSeq(w.cat, group) - 1}, nil)
		w.until(func() bool { return len(told(w.cat)) == 1 })
		equal("read up to the last but one")
		w.cat.say(group, "all right")
		w.until(func() bool { return told(w.cat) == nil })
		equal("who writes has read")
		w.block(w.cat, w.bob)
		w.bob.say(group, name+" blocked")
		w.ann.say(group, name+" not blocked")
		w.until(func() bool { return slices.Equal(told(w.cat), []string{name + " not blocked"}) })
		equal("not by who is blocked")
		for _, undo := range slices.Backward(w.undo) {
			undo()
		}
	})
}
