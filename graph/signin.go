package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	"github.com/parley-chat/parley/graph/model"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/user"
)

// cookiesFit refuses, before anything is done, tokens as cookies where the answer cannot set any.
func cookiesFit(ctx context.Context, wanted bool) error {
	if c := token.CarrierFrom(ctx); wanted && (c == nil || !c.Settable) {
		return chat.BadInput("cookies can only be set over HTTP", "input", "cookie")
	}
	return nil
}

// refreshToken is the given one, or the cookie's.
func refreshToken(ctx context.Context, input *model.RefreshSessionInput) (refresh string, cookie bool, err error) {
	if input != nil {
		return input.RefreshToken, false, nil
	}
	switch c := token.CarrierFrom(ctx); {
	case c == nil || c.RefreshToken == "":
		return "", true, chat.ErrUnauthenticated
	case !c.Settable:
		return "", true, chat.BadInput("the cookie can only be renewed over HTTP; give the refresh token", "input")
	default:
		return c.RefreshToken, true, nil
	}
}

// signInPayload hands the tokens over, in the payload or as cookies.
func (r *Resolver) signInPayload(ctx context.Context, in *user.SignedIn, cookie bool) *model.SignInPayload {
	p := &model.SignInPayload{Cursor: r.cursor(in.Position), User: &in.User, Session: &in.Session, AccessTokenExpiresAt: in.AccessExpires}
	if !cookie || !token.CarrierFrom(ctx).Set(in.Access, in.Refresh, in.AccessExpires, in.Session.ExpiresAt) {
		p.AccessToken, p.RefreshToken = &in.Access, &in.Refresh
	}
	return p
}

// justSignedIn says whether what is resolved is a sign-in payload's own user or session: the request came without a viewer,
// or with another one.
func justSignedIn(ctx context.Context) bool {
	f := graphql.GetFieldContext(ctx)
	return f != nil && f.Parent != nil && f.Parent.Object == "SignInPayload"
}
