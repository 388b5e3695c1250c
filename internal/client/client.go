// Package client talks to a Parley server as any client does: GraphQL over HTTP, and graphql-transport-ws. The demo and the
// tests use it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Client is one person at one server.
type Client struct {
	URL   string // of the server, without a path
	Token string // access token; empty: anonymous
	HTTP  *http.Client
}

// Error is what a server answered instead of data.
type Error struct {
	Message    string         `json:"message"`
	Path       []any          `json:"path,omitempty"`
	Extensions map[string]any `json:"extensions,omitempty"`
}

// Errors is all that went wrong with an operation.
type Errors []Error

func (e Errors) Error() string {
	var b []string
	for _, x := range e {
		b = append(b, fmt.Sprintf("%v: %s", x.Extensions["code"], x.Message))
	}
	return strings.Join(b, "; ")
}

// Code is the first error's code; empty if err is not from a server.
func Code(err error) string {
	var e Errors
	if errors.As(err, &e) && len(e) > 0 {
		c, _ := e[0].Extensions["code"].(string)
		return c
	}
	return ""
}

// Vars are the variables of an operation.
type Vars = map[string]any

type request struct {
	Query     string `json:"query"`
	Variables Vars   `json:"variables,omitempty"`
}

// Response is an answer as it came.
type Response struct {
	Data   json.RawMessage `json:"data"`
	Errors Errors          `json:"errors"`
}

// into reads the data, or returns the errors.
func (r Response) into(to any) error {
	if len(r.Errors) > 0 {
		return r.Errors
	}
	if to == nil {
		return nil
	}
	return json.Unmarshal(r.Data, to)
}

// Do runs a query or a mutation and reads its data. An answer with errors is an error of type Errors.
func (c *Client) Do(ctx context.Context, query string, vars Vars, to any) error {
	body, err := json.Marshal(request{query, vars})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	resp, err := h.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var r Response
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	return r.into(to)
}

// Account is somebody who has just signed up.
type Account struct {
	*Client
	ID     string
	Cursor string // as of the sign-up
}

// SignUp makes an account at a server.
func SignUp(ctx context.Context, url, username, displayName string) (*Account, error) {
	c := &Client{URL: url}
	var out struct {
		SignUp struct {
			Cursor      string
			AccessToken string
			User        struct{ ID string }
		}
	}
	err := c.Do(ctx, `mutation($input: SignUpInput!) { signUp(input: $input) { cursor accessToken user { id } } }`,
		Vars{"input": Vars{"username": username, "password": "correct horse battery", "displayName": displayName}}, &out)
	c.Token = out.SignUp.AccessToken
	return &Account{c, out.SignUp.User.ID, out.SignUp.Cursor}, err
}
