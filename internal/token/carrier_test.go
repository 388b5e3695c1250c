package token_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/token"
)

func TestCarrierSetsAndClears(t *testing.T) {
	t.Parallel()
	c := &token.Carrier{Settable: true}
	later := time.Now().Add(time.Hour)
	if !c.Set("a", "r", later.Add(-time.Minute), later) {
		t.Fatal("cookies were not taken")
	}
	set := c.Cookies()
	if len(set) != 2 || set[0].Name != token.AccessCookie || set[0].Value != "a" || set[1].Name != token.RefreshCookie || !set[1].Expires.Equal(later) {
		t.Errorf("%v", set)
	}
	for _, k := range set {
		if !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Path != "/graphql" {
			t.Errorf("%v", k)
		}
	}
	c.Clear()
	for _, k := range c.Cookies() {
		if k.Value != "" || k.MaxAge >= 0 {
			t.Errorf("%v", k)
		}
	}
}

func TestCarrierWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []*token.Carrier{nil, {}} {
		if c.Set("a", "r", time.Now(), time.Now()) {
			t.Error("there is nowhere to set cookies")
		}
		c.Clear()
		if len(c.Cookies()) != 0 {
			t.Errorf("%v", c.Cookies())
		}
	}
}

func TestCarrierTravelsInTheContext(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	if token.CarrierFrom(ctx) != nil || token.ClientFrom(ctx) != (token.Client{}) {
		t.Error("a carrier out of nothing")
	}
	c := &token.Carrier{Client: token.Client{Addr: "192.0.2.1", UserAgent: "test"}}
	ctx = token.WithCarrier(ctx, c)
	if token.CarrierFrom(ctx) != c || token.ClientFrom(ctx) != c.Client {
		t.Error("lost")
	}
}
