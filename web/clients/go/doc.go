// Package clients has the Go client that genqlient generates from the schema, and holds it and parley-go to what they promise,
// against real servers. It is a module of its own, so that the server's go.mod stays small.
package clients

//go:generate go tool genqlient
