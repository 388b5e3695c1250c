package chat

import "context"

// Viewer is who makes a request or listens: a user through one of their sessions.
type Viewer struct {
	User    ID
	Session ID
	Scopes  Scopes // what the session may do; zero: everything
}

type viewerKey struct{}

// WithViewer returns a context in which v acts.
func WithViewer(ctx context.Context, v Viewer) context.Context {
	return context.WithValue(ctx, viewerKey{}, v)
}

// ViewerFrom returns who acts. There is nobody in an anonymous request, and in an execution that is shared by many
// listeners.
func ViewerFrom(ctx context.Context) (Viewer, bool) {
	v, ok := ctx.Value(viewerKey{}).(Viewer)
	return v, ok
}

// MustViewer returns who acts, or ErrUnauthenticated.
func MustViewer(ctx context.Context) (Viewer, error) {
	if v, ok := ViewerFrom(ctx); ok {
		return v, nil
	}
	return Viewer{}, ErrUnauthenticated
}

type closedKey struct{}

// WithClosed returns a context in which conversations are closed: what is executed is delivered to somebody who is no
// longer a member.
func WithClosed(ctx context.Context) context.Context {
	return context.WithValue(ctx, closedKey{}, true)
}

// IsClosed says whether conversations are closed here.
func IsClosed(ctx context.Context) bool { return ctx.Value(closedKey{}) != nil }
