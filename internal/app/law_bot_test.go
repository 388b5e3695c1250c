package app_test

import "time"

// robot is a bot as its owner knows it. When a key was last used nobody is told.
type robot struct {
	User    profile
	APIKeys []struct {
		ID, Name, Prefix string
		Scopes           []string
		CreatedAt        time.Time
		ExpiresAt        *time.Time
	}
}

type hook struct {
	ID, Name  string
	Bot       ref
	CreatedAt time.Time
	Signed    bool
}

const robotFragments = `
fragment robot on Bot { user { ...person } apiKeys { id name prefix scopes createdAt expiresAt } }
fragment hook on IncomingWebhook { id name bot { id } createdAt signed }`

// bot is one of ann's, until the law is over.
func (w *world) bot() string {
	var out struct {
		Out struct{ Bot struct{ User ref } }
	}
	w.ann.do("createBot", "CreateBotInput", "bot { user { id } }", vars{"username": w.name(), "displayName": "Bot"}, &out)
	id := out.Out.Bot.User.ID
	w.undo = append(w.undo, func() {
		_ = w.ann.Do(w.Context(), `mutation($id: ID!) { deleteBot(input: {botId: $id}) { cursor } }`, vars{"id": id}, nil)
	})
	return id
}

func (w *world) apiKey(bot string) (id, secret string) {
	var out struct {
		Out struct {
			Secret string
			APIKey ref
		}
	}
	w.ann.do("createApiKey", "CreateApiKeyInput", "secret apiKey { id }", vars{"botId": bot, "name": "Key", "scopes": []string{"READ"}}, &out)
	return out.Out.APIKey.ID, out.Out.Secret
}

// hooked is a group of ann's, where bob is an admin and cat a member, with a bot of ann's and a webhook of its.
func (w *world) hooked() (group, bot, webhook string) {
	group, bot = w.group(), w.bot()
	w.ann.setRole(group, w.bob, "ADMIN")
	w.ann.do("addMembers", "AddMembersInput", "cursor", vars{"conversationId": group, "userIds": []string{bot}}, nil)
	var out struct{ Out struct{ Webhook ref } }
	w.ann.do("createIncomingWebhook", "CreateIncomingWebhookInput", "webhook { id }", vars{"conversationId": group, "botId": bot, "name": "Builds"}, &out)
	return group, bot, out.Out.Webhook.ID
}

func botLaws() map[string][]law {
	create := func(name string) func(w *world) mutation {
		return func(w *world) mutation {
			return mutation{w.ann.Client, vars{"username": w.name(), "displayName": name}}
		}
	}
	ofBot := func(by func(w *world) *person, more vars) func(w *world) mutation {
		return func(w *world) mutation {
			input := vars{"botId": w.bot()}
			for k, v := range more {
				input[k] = v
			}
			return mutation{by(w).Client, input}
		}
	}
	ofKey := func(by func(w *world) *person, more vars) func(w *world) mutation {
		return func(w *world) mutation {
			key, _ := w.apiKey(w.bot())
			input := vars{"keyId": key}
			for k, v := range more {
				input[k] = v
			}
			return mutation{by(w).Client, input}
		}
	}
	ofHook := func(by func(w *world) *person) func(w *world) mutation {
		return func(w *world) mutation {
			_, _, id := w.hooked()
			return mutation{by(w).Client, vars{"webhookId": id}}
		}
	}
	key := func(more vars) vars {
		input := vars{"name": "CI", "scopes": []string{"MESSAGES_SEND", "READ"}}
		for k, v := range more {
			input[k] = v
		}
		return input
	}
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	return map[string][]law{
		"createBot": {
			changing("a bot", create("Robot")),
			refused("CONFLICT", "a name that is taken", func(w *world) mutation {
				return mutation{w.ann.Client, vars{"username": w.bob.Username(), "displayName": "Bob"}}
			}),
			refused("BAD_USER_INPUT", "no name", create(" ")),
			refused("FORBIDDEN", "by a key", func(w *world) mutation {
				_, text := w.apiKey(w.bot())
				c := *w.ann.Client
				c.Token = text
				return mutation{&c, vars{"username": w.name(), "displayName": "Bot of a bot"}}
			}),
		},
		"deleteBot": {
			changing("with a key and a webhook", func(w *world) mutation {
				_, bot, _ := w.hooked()
				w.apiKey(bot)
				return mutation{w.ann.Client, vars{"botId": bot}}
			}),
			refused("NOT_FOUND", "somebody else's", ofBot(bob, nil)),
			refused("NOT_FOUND", "twice", func(w *world) mutation {
				bot := w.bot()
				w.ann.do("deleteBot", "DeleteBotInput", "cursor", vars{"botId": bot}, nil)
				return mutation{w.ann.Client, vars{"botId": bot}}
			}),
			refused("NOT_FOUND", "a person", func(w *world) mutation { return mutation{w.ann.Client, vars{"botId": w.bob.ID}} }),
		},
		"createApiKey": {
			changing("for good", ofBot(ann, key(nil))),
			changing("for a time", ofBot(ann, key(vars{"expiresAt": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}))),
			refused("BAD_USER_INPUT", "for a time that is over", ofBot(ann, key(vars{"expiresAt": "2020-01-01T00:00:00Z"}))),
			refused("BAD_USER_INPUT", "for nothing", ofBot(ann, key(vars{"scopes": []string{}}))),
			refused("NOT_FOUND", "for somebody else's bot", ofBot(bob, key(nil))),
		},
		"rotateApiKey": {
			changing("at once", ofKey(ann, nil)),
			changing("with a grace", ofKey(ann, vars{"graceSeconds": 3600})),
			refused("BAD_USER_INPUT", "with a long grace", ofKey(ann, vars{"graceSeconds": 86401})),
			refused("NOT_FOUND", "somebody else's", ofKey(bob, nil)),
		},
		"revokeApiKey": {
			changing("a key", ofKey(ann, nil)),
			refused("NOT_FOUND", "somebody else's", ofKey(bob, nil)),
			refused("NOT_FOUND", "twice", func(w *world) mutation {
				key, _ := w.apiKey(w.bot())
				w.ann.do("revokeApiKey", "RevokeApiKeyInput", "cursor", vars{"keyId": key}, nil)
				return mutation{w.ann.Client, vars{"keyId": key}}
			}),
		},
		"createIncomingWebhook": {
			changing("in a group", func(w *world) mutation {
				group, bot, _ := w.hooked()
				return mutation{w.ann.Client, vars{"conversationId": group, "botId": bot, "name": "Alarms", "signingSecret": secret}}
			}),
			changing("in the direct conversation", func(w *world) mutation {
				bot := w.bot()
				return mutation{w.ann.Client, vars{"conversationId": w.seen(w.ann).Friends[bot].Conversation, "botId": bot, "name": "Alarms"}}
			}),
			refused("CONFLICT", "a bot that is not there", func(w *world) mutation {
				return mutation{w.ann.Client, vars{"conversationId": w.group(), "botId": w.bot(), "name": "Alarms"}}
			}),
			refused("FORBIDDEN", "by a member", func(w *world) mutation {
				group, bot, _ := w.hooked()
				w.ann.setRole(group, w.bob, "OWNER")
				w.bob.setRole(group, w.ann, "MEMBER")
				return mutation{w.ann.Client, vars{"conversationId": group, "botId": bot, "name": "Alarms"}}
			}),
			refused("NOT_FOUND", "as somebody else's bot", func(w *world) mutation {
				group, bot, _ := w.hooked()
				return mutation{w.bob.Client, vars{"conversationId": group, "botId": bot, "name": "Alarms"}}
			}),
			refused("BAD_USER_INPUT", "a secret that is none", func(w *world) mutation {
				group, bot, _ := w.hooked()
				return mutation{w.ann.Client, vars{"conversationId": group, "botId": bot, "name": "Alarms", "signingSecret": "secret"}}
			}),
		},
		"rotateIncomingWebhook": {
			idle("by the bot's owner", ofHook(ann)), // there is nothing to see but the new address
			refused("FORBIDDEN", "by another admin", ofHook(bob)),
			refused("NOT_FOUND", "by a member", ofHook(cat)),
		},
		"deleteIncomingWebhook": {
			changing("by the bot's owner", ofHook(ann)),
			changing("by another admin", ofHook(bob)),
			refused("NOT_FOUND", "by a member", ofHook(cat)),
			refused("NOT_FOUND", "twice", func(w *world) mutation {
				_, _, id := w.hooked()
				w.bob.do("deleteIncomingWebhook", "DeleteIncomingWebhookInput", "cursor", vars{"webhookId": id}, nil)
				return mutation{w.ann.Client, vars{"webhookId": id}}
			}),
		},
		"setMemberRole": {
			changing("an admin, who sees the webhooks", func(w *world) mutation {
				group, _, _ := w.hooked()
				return mutation{w.ann.Client, vars{"conversationId": group, "userId": w.cat.ID, "role": "ADMIN"}}
			}),
			changing("no admin any more, who does not", func(w *world) mutation {
				group, _, _ := w.hooked()
				return mutation{w.ann.Client, vars{"conversationId": group, "userId": w.bob.ID, "role": "MEMBER"}}
			}),
		},
		"removeMember": {
			changing("a bot with its webhooks", func(w *world) mutation {
				group, bot, _ := w.hooked()
				return mutation{w.bob.Client, vars{"conversationId": group, "userId": bot}}
			}),
		},
	}
}
