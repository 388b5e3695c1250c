package graph

import "github.com/parley-chat/parley/internal/chat"

// connection gives a page of a list the shape of a Relay connection: its edges, nodes and page info.
func connection[T, E any](l chat.List[T], edge func(cursor string, node *T) E) ([]E, []T, *chat.PageInfo) {
	edges := make([]E, len(l.Nodes))
	for i := range l.Nodes {
		edges[i] = edge(l.Cursors[i], &l.Nodes[i])
	}
	return edges, l.Nodes, &l.Info
}

// known is a value that may be missing: its zero is null.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
