package web

import (
	_ "embed"
	"net/http"
)

// playground.zip is GraphQL Playground as its authors built it, with the page of the folder playground.
//
//go:embed playground.zip
var playground []byte

// playgroundPolicy lets its components set inline styles; nothing is loaded from or sent to anywhere else.
const playgroundPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Playground serves the classic GraphQL Playground as GraphiQL serves its page.
func Playground() (http.Handler, error) {
	a, err := open("playground.zip", playground, playgroundPolicy)
	if err != nil {
		return nil, err
	}
	return a.explorer(), nil
}
