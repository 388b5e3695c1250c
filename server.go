// Command parley is a GraphQL chat server. Run it with --help.
package main

import (
	"os"

	"github.com/parley-chat/parley/internal/app"
)

func main() { os.Exit(app.Run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }
