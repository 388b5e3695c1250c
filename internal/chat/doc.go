// Package chat has the nouns of the program: users, requests, conversations, messages, events, positions, ids, errors
// and the viewer. It knows nothing of databases, GraphQL or the network.
package chat
