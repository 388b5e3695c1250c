package web

import (
	_ "embed"
	"net/http"
)

// graphiql.zip is built by npm from the folder graphiql and committed, so that the server needs only Go.
//
//go:embed graphiql.zip
var graphiql []byte

// graphiqlPolicy lets monaco set inline styles and run its workers; nothing is loaded from or sent to anywhere else.
const graphiqlPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; " +
	"img-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// GraphiQL serves the page at the root of the paths it is given, and its files beside it. The page looks for the API at
// ../graphql.
func GraphiQL() (http.Handler, error) {
	a, err := open("graphiql.zip", graphiql, graphiqlPolicy)
	if err != nil {
		return nil, err
	}
	return a.explorer(), nil
}
