package httpapi

import (
	"context"

	"github.com/99designs/gqlgen/graphql/handler/lru"
)

// cache keeps what was made of the newest texts. Long texts are not kept, so that it is bounded in bytes.
type cache[T any] struct{ *lru.LRU[T] }

const (
	cacheTexts   = 500
	maxCacheText = 16 << 10
)

func newCache[T any]() cache[T] { return cache[T]{lru.New[T](cacheTexts)} }

// Add keeps a value unless its text is too long.
func (c cache[T]) Add(ctx context.Context, text string, value T) {
	if len(text) <= maxCacheText {
		c.LRU.Add(ctx, text, value)
	}
}
