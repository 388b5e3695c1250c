package app_test

func groupLaws() map[string][]law {
	title := func(t string) func(*world, string) vars {
		return func(*world, string) vars { return vars{"title": t} }
	}
	ids := func(who ...func(w *world) *person) func(*world, string) vars {
		return func(w *world, _ string) vars {
			var l []string
			for _, p := range who {
				l = append(l, p(w).ID)
			}
			return vars{"userIds": l}
		}
	}
	user := func(who func(w *world) *person) func(*world, string) vars {
		return func(w *world, _ string) vars { return vars{"userId": who(w).ID} }
	}
	role := func(who func(w *world) *person, role string) func(*world, string) vars {
		return func(w *world, _ string) vars { return vars{"userId": who(w).ID, "role": role} }
	}
	direct := func(more vars) func(w *world) mutation {
		return func(w *world) mutation {
			input := vars{"conversationId": w.direct(w.ann, w.bob)}
			for k, v := range more {
				input[k] = v
			}
			return mutation{w.ann.Client, input}
		}
	}
	create := func(who ...func(w *world) *person) func(w *world) mutation {
		return func(w *world) mutation {
			l := []string{}
			for _, p := range who {
				l = append(l, p(w).ID)
			}
			return mutation{w.ann.Client, vars{"title": "Club", "memberIds": l}}
		}
	}
	return map[string][]law{
		"createGroup": {
			changing("with friends", create(bob, dan)),
			changing("alone", create()),
			refused("NOT_FOUND", "with a stranger", create(bob, func(w *world) *person { return w.eve })),
			refused("BAD_USER_INPUT", "without a title", func(w *world) mutation { return mutation{w.ann.Client, vars{"title": " "}} }),
		},
		"updateGroup": {
			changing("by the owner", inGroup(ann, title("Dinner"))),
			changing("by an admin", inGroup(bob, func(w *world, g string) vars { w.ann.setRole(g, w.bob, "ADMIN"); return vars{"title": "Dinner"} })),
			idle("the same title", inGroup(ann, title("Picnic"))),
			refused("FORBIDDEN", "by a member", inGroup(bob, title("Dinner"))),
			refused("NOT_FOUND", "by a friend outside", inGroup(dan, title("Dinner"))),
			refused("NOT_FOUND", "by one who left", inGroup(fay, title("Dinner"))),
			refused("FORBIDDEN", "a direct conversation", direct(vars{"title": "Dinner"})),
		},
		"deleteGroup": {
			changing("by the owner", inGroup(ann, nil)),
			refused("FORBIDDEN", "by a member", inGroup(cat, nil)),
			refused("NOT_FOUND", "by a friend outside", inGroup(dan, nil)),
			refused("FORBIDDEN", "a direct conversation", direct(nil)),
		},
		"addMembers": {
			changing("a newcomer", inGroup(ann, ids(dan))),
			changing("one who had left", inGroup(ann, ids(fay))),
			changing("both, and one who is there", inGroup(ann, ids(fay, bob, dan))),
			idle("one who is there", inGroup(ann, ids(bob))),
			refused("NOT_FOUND", "a stranger besides", inGroup(ann, ids(dan, func(w *world) *person { return w.eve }))),
			refused("FORBIDDEN", "by a member", inGroup(bob, ids(ann))),
			refused("NOT_FOUND", "by one who left", inGroup(fay, ids(ann))),
			refused("FORBIDDEN", "to a direct conversation", func(w *world) mutation {
				return mutation{w.ann.Client, vars{"conversationId": w.direct(w.ann, w.bob), "userIds": []string{w.cat.ID}}}
			}),
		},
		"removeMember": {
			changing("by the owner", inGroup(ann, user(bob))),
			changing("one who came back", inGroup(ann, func(w *world, g string) vars {
				w.ann.do("addMembers", "AddMembersInput", "cursor", vars{"conversationId": g, "userIds": []string{w.fay.ID}}, nil)
				w.fay.say(g, "here again")
				return vars{"userId": w.fay.ID}
			})),
			changing("by an admin", inGroup(bob, func(w *world, g string) vars { w.ann.setRole(g, w.bob, "ADMIN"); return vars{"userId": w.cat.ID} })),
			refused("FORBIDDEN", "by a member", inGroup(bob, user(cat))),
			refused("NOT_FOUND", "one who left", inGroup(ann, user(fay))),
			refused("NOT_FOUND", "by one who left", inGroup(fay, user(cat))),
			refused("BAD_USER_INPUT", "oneself", inGroup(ann, user(ann))),
		},
		"leaveGroup": {
			changing("a member", inGroup(bob, nil)),
			changing("the owner hands over", inGroup(ann, nil)),
			changing("the owner hands over to an admin", inGroup(ann, func(w *world, g string) vars { w.ann.setRole(g, w.cat, "ADMIN"); return nil })),
			changing("the last one", func(w *world) mutation {
				g := w.group()
				for _, p := range []*person{w.bob, w.cat} {
					p.do("leaveGroup", "LeaveGroupInput", "cursor", vars{"conversationId": g}, nil)
				}
				return mutation{w.ann.Client, vars{"conversationId": g}}
			}),
			refused("NOT_FOUND", "again", inGroup(fay, nil)),
			refused("FORBIDDEN", "a direct conversation", direct(nil)),
		},
		"setMemberRole": {
			changing("an admin", inGroup(ann, role(bob, "ADMIN"))),
			changing("a new owner", inGroup(ann, role(cat, "OWNER"))),
			changing("no admin any more", inGroup(ann, func(w *world, g string) vars {
				w.ann.setRole(g, w.bob, "ADMIN")
				return vars{"userId": w.bob.ID, "role": "MEMBER"}
			})),
			idle("the same role", inGroup(ann, role(bob, "MEMBER"))),
			refused("FORBIDDEN", "by a member", inGroup(bob, role(cat, "ADMIN"))),
			refused("NOT_FOUND", "of one who left", inGroup(ann, role(fay, "ADMIN"))),
		},
	}
}

func messageLaws() map[string][]law {
	text := func(body string) func(*world, string) vars {
		return func(w *world, _ string) vars { return vars{"body": body, "clientKey": w.name()} }
	}
	seq := func(n int) func(*world, string) vars { return func(*world, string) vars { return vars{"seq": n} } }
	silent := func(more func(w *world) vars) func(w *world) mutation {
		return func(w *world) mutation {
			input := vars{"conversationId": w.direct(w.ann, w.dan)}
			w.unfriend(w.ann, w.dan)
			for k, v := range more(w) {
				input[k] = v
			}
			return mutation{w.dan.Client, input}
		}
	}
	again := func(body string) func(w *world) mutation {
		return inGroup(bob, func(w *world, g string) vars {
			return vars{"body": body, "clientKey": w.bob.say(g, "hello")}
		})
	}
	return map[string][]law{
		"sendMessage": {
			changing("to a group", inGroup(bob, text("hello"))),
			changing("between two", func(w *world) mutation {
				return mutation{w.ann.Client, vars{"conversationId": w.direct(w.ann, w.bob), "body": "hello", "clientKey": w.name()}}
			}),
			{name: "again", prepare: again("hello"), quiet: true, repeats: true},
			refused("CONFLICT", "something else with the same key", again("good bye")),
			refused("NOT_FOUND", "from outside", inGroup(dan, text("hello"))),
			refused("NOT_FOUND", "after leaving", inGroup(fay, text("hello"))),
			refused("BAD_USER_INPUT", "nothing", inGroup(bob, text(" \n"))),
			refused("FORBIDDEN", "into the silence", silent(func(w *world) vars { return vars{"body": "hello", "clientKey": w.name()} })),
		},
		"markRead": {
			changing("everything", inGroup(ann, seq(2))),
			changing("a part", inGroup(cat, seq(1))),
			idle("back", inGroup(bob, seq(0))),
			idle("what one wrote", inGroup(bob, seq(1))),
			changing("a silent conversation", func(w *world) mutation {
				c := w.direct(w.ann, w.dan)
				w.ann.say(c, "good bye")
				w.unfriend(w.ann, w.dan)
				return mutation{w.dan.Client, vars{"conversationId": c, "seq": w.lastSeq(w.dan, c)}}
			}),
			refused("BAD_USER_INPUT", "what is not there", inGroup(ann, seq(3))),
			refused("NOT_FOUND", "from outside", inGroup(dan, seq(1))),
			refused("NOT_FOUND", "after leaving", inGroup(fay, seq(1))),
		},
		"setTyping": { // not in the log
			idle("in a group", inGroup(bob, nil)),
			idle("stopping", inGroup(bob, func(*world, string) vars { return vars{"typing": false} })),
			refused("NOT_FOUND", "from outside", inGroup(dan, nil)),
			refused("FORBIDDEN", "in the silence", silent(func(*world) vars { return nil })),
		},
	}
}
