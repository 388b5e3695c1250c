package model

// Node is a noun that `node` finds: *chat.Conversation, *chat.Message or *chat.User. Nouns know nothing of GraphQL, so there
// is nothing by which the compiler could tell.
type Node any
