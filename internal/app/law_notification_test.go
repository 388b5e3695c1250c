package app_test

import (
	"time"
)

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
			changing("a kind off", wish(kind("MENTION", vars{"push": false}))),
			changing("and on, another off", wish(vars{"kinds": []vars{{"kind": "MENTION", "push": true}, {"kind": "FRIEND_REQUEST", "mail": false, "inApp": false}}})),
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
