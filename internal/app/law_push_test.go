package app_test

// A browser that nobody reaches; the keys are the example of RFC 8291.
const (
	pushEndpoint = "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV"
	pushP256DH   = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	pushAuth     = "BTBZMqHH6r4Tts7J_aSIgg"
)

// Who is pushed to is nothing that anybody can query, so that there is nothing to tell.
func pushLaws() map[string][]law {
	subscribe := func(change vars) func(w *world) mutation {
		return func(w *world) mutation {
			input := vars{"endpoint": pushEndpoint, "p256dh": pushP256DH, "auth": pushAuth}
			for k, v := range change {
				input[k] = v
			}
			w.undo = append(w.undo, func() {
				w.ann.do("unsubscribeFromPush", "UnsubscribeFromPushInput", "cursor", vars{"endpoint": pushEndpoint}, nil)
			})
			return mutation{w.ann.Client, input}
		}
	}
	return map[string][]law{
		"subscribeToPush": {
			idle("a browser", subscribe(nil)),
			idle("again", func(w *world) mutation {
				m := subscribe(nil)(w)
				w.ann.do("subscribeToPush", "SubscribeToPushInput", "cursor", m.input, nil)
				return m
			}),
			idle("a browser of somebody else's", func(w *world) mutation {
				m := subscribe(nil)(w)
				w.bob.do("subscribeToPush", "SubscribeToPushInput", "cursor", m.input, nil)
				return m
			}),
			refused("BAD_USER_INPUT", "without TLS", subscribe(vars{"endpoint": "http://push.example.net/1"})),
			refused("BAD_USER_INPUT", "a private address", subscribe(vars{"endpoint": "https://10.0.0.1/1"})),
			refused("BAD_USER_INPUT", "no key", subscribe(vars{"p256dh": "AAAA"})),
			refused("BAD_USER_INPUT", "no secret", subscribe(vars{"auth": ""})),
			refused("UNAUTHENTICATED", "a session that has ended", func(w *world) mutation {
				d, m := w.ann.device(), subscribe(nil)(w)
				w.ann.do("revokeSession", "RevokeSessionInput", "cursor", vars{"sessionId": d.session}, nil)
				return mutation{d.Client, m.input}
			}),
		},
		"unsubscribeFromPush": {
			idle("a browser", func(w *world) mutation {
				m := subscribe(nil)(w)
				w.ann.do("subscribeToPush", "SubscribeToPushInput", "cursor", m.input, nil)
				return mutation{w.ann.Client, vars{"endpoint": pushEndpoint}}
			}),
			idle("one that is not known", func(w *world) mutation { return mutation{w.ann.Client, vars{"endpoint": "x"}} }),
		},
	}
}
