// Package schema is the SDL, which everything else answers to.
package schema

import (
	"embed"
	"strings"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
)

//go:embed *.graphqls
var files embed.FS

// SDL is the whole schema as one document, as it was written: feature by feature.
func SDL() string {
	var b strings.Builder
	for _, name := range []string{"base", "user", "account", "friend", "conversation", "message", "presence", "bot", "notification", "push", "file", "event", "webhook"} {
		text, err := files.ReadFile(name + ".graphqls")
		if err != nil {
			panic(err) // embedded: the build would have failed
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.Write(text)
	}
	return b.String()
}

// Merged is the whole schema as one document with each type in one piece, for tools: Relay's compiler takes what extends a
// type for something of the client's own, and does not ask the server for it.
func Merged() string {
	var b strings.Builder
	formatter.NewFormatter(&b, formatter.WithIndent("  ")).FormatSchema(gqlparser.MustLoadSchema(&ast.Source{Name: "schema", Input: SDL()}))
	return b.String()
}
