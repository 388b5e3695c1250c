package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/internal/chat"
)

// Apollo's clients know these by heart.
const (
	codeNotPersisted    = "PERSISTED_QUERY_NOT_FOUND"
	messageNotPersisted = "PersistedQueryNotFound"
)

// persisted lets clients send the SHA-256 of a text they have sent before instead of the text.
type persisted struct{ texts *lru.LRU[string] }

func (persisted) ExtensionName() string                   { return "AutomaticPersistedQueries" }
func (persisted) Validate(graphql.ExecutableSchema) error { return nil }

func (p persisted) MutateOperationParameters(ctx context.Context, raw *graphql.RawParams) *gqlerror.Error {
	given, ok := raw.Extensions["persistedQuery"]
	if !ok || given == nil {
		return nil
	}
	ext, _ := given.(map[string]any)
	hash, _ := ext["sha256Hash"].(string)
	if version := ext["version"]; version != json.Number("1") && version != 1.0 && version != 1 {
		return coded(string(chat.CodeBadInput), "persistedQuery: only version 1 is supported")
	}
	if raw.Query == "" {
		text, ok := p.texts.Get(ctx, hash)
		if !ok {
			return coded(codeNotPersisted, messageNotPersisted)
		}
		raw.Query = text
		return nil
	}
	if sum := sha256.Sum256([]byte(raw.Query)); hex.EncodeToString(sum[:]) != hash {
		return coded(string(chat.CodeBadInput), "persistedQuery: sha256Hash is not the hash of the query")
	}
	if len(raw.Query) <= maxCacheText {
		p.texts.Add(ctx, hash, raw.Query)
	}
	return nil
}

func coded(code, message string) *gqlerror.Error {
	err := gqlerror.Errorf("%s", message)
	errcode.Set(err, code)
	return err
}
