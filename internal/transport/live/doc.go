// Package live executes a subscription once for each event and distinct operation, and delivers the bytes to every
// listener.
//
// # How a subscription resolver uses it
//
//	func (r *subscriptionResolver) MessageAdded(ctx context.Context, id chat.ID, after *chat.Cursor) (<-chan model.MessageEvent, error) {
//		return live.Subscribe(ctx, after,
//			func(ctx context.Context) (live.Admission, error) { // for each listener, with the viewer
//				span, err := r.Conversations.Span(ctx, id)
//				return live.Admission{Spans: []chat.Span{span}, Follow: live.FollowConversation}, err
//			},
//			func(e *chat.Event) (model.MessageEvent, bool) { // for each event and group, without a viewer
//				switch e.Type {
//				case chat.CaughtUp:
//					return caughtUp(e), true
//				case chat.MessageAdded:
//					return messageAdded(e), true
//				}
//				return nil, false
//			})
//	}
//
// An ephemeral subscription has Topics and a Snapshot in place of Spans.
//
// # How the program wires it
//
//	sockets := socket.New(socket.Config{})
//	registry := live.New(live.Config{Log: log, Sockets: sockets, Schema: es.Schema(), PerEvent: withLoaders})
//	webSockets, streams := ws.New(ws.Config{Live: registry, …}), sse.New(sse.Config{Live: registry, …})
//	server.AddTransport(webSockets); server.AddTransport(streams) // streams before POST and GET
//	log.Consume(registry.Apply); presence.Notify(registry.Signal)
//	sockets.Start(ctx); registry.Start(ctx) // then the log's tail
//	…
//	webSockets.Drain(ctx); streams.Drain(ctx) // then the log's tail stops
//	registry.Stop(); sockets.Stop()
//
// # How an event travels
//
// Apply gets the log's events in order. Under the lock it finds out who hears each of them, and lets memberships,
// friendships and sessions change at its position. Without the lock it executes what that needs, several executions at a
// time, and then posts the results to the sockets' writers in order. A group is all listeners with the same operation and
// the same variables but for the cursor; one execution serves it, without a viewer in its context. Where the selection for
// an event's type touches a field marked @viewer, the event is executed for each viewer instead.
//
// # How a listener joins, and how it catches up
//
// It is made known first, so that changes of its memberships are kept from then on; then its resolver admits it, from the
// database; then both are merged under the lock, and it is put into its rooms. What it has missed comes from Log.Read in
// chunks. The last chunk is decided under the lock at the applied position: from there on the stream holds what is pushed
// until the chunk has gone out, and CaughtUp with it. The same serves a listener whose socket was full, and one for which
// an execution was UNAVAILABLE: that is tried again after a pause and never delivered as an event. A join that is
// UNAVAILABLE is tried again, too, for Config.JoinTimeout, a few joins at a time. Executed events are shared by live
// listeners and replays through one memo, bounded by bytes over all groups (not a number of events for each group: ten
// thousand quiet groups would then hold memory for nothing).
//
// Somebody's last event of a conversation, and every event of a span that has ended, is executed with chat.WithClosed;
// so is the event that a conversation was deleted, for everybody. What is still queued for a socket when a membership or a
// friendship ends was executed for a member or a friend: it is taken back, and served from the log or by a snapshot.
//
// # What can be lost
//
// Ephemeral events, for a listener whose socket is full; a snapshot follows when it has drained. Nothing of the log.
//
// # Who owns what, and in which order locks are taken
//
// Live.applying is held by Apply over a batch, and is taken first. Live.mu guards the registry; posting to a socket's
// writer is all that is done under it, because a join must stand in one order with what is pushed. memo.mu and signals.mu
// are leaves. Whoever catches up does so in a goroutine that Live or the socket engine waits for, at most Config.CatchUps
// at a time. Resolvers, the log and presenters are called without any lock but applying.
//
// # Life cycle
//
// New starts nothing. Start takes the log's applied position; it comes before the first Apply. Stop ends what is being
// served from the log, cancels queries and mutations that still run (drain first), waits for them, and is idempotent.
package live
