// Package graph answers GraphQL operations: each resolver reads the viewer, calls one service and returns.
package graph

//go:generate go -C .. tool gqlgen generate

// Resolver holds the services that the resolvers call.
type Resolver struct{}
