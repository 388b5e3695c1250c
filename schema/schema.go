// Package schema is the SDL, which everything else answers to.
package schema

import (
	"embed"
	"strings"
)

//go:embed *.graphqls
var files embed.FS

// SDL is the whole schema as one document.
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
