package notification

import (
	"slices"
	"strings"
	"testing"
)

func TestNamed(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"":                             "",
		"@":                            "",
		"no one":                       "",
		"@bob":                         "bob",
		"hi @Bob, and @CAT-5.":         "bob cat-5. cat-5",
		"@bob@cat":                     "bob",
		"@@bob":                        "",
		"mail bob@example.org":         "",
		"(@bob)":                       "bob",
		"日本@bob":                       "bob",
		"@bobé":                        "bob",
		"@bob @bob @BOB":               "bob",
		"@ab":                          "",
		"@" + strings.Repeat("a", 32):  strings.Repeat("a", 32),
		"@" + strings.Repeat("a", 33):  "",
		strings.Repeat("@x1y @", 1000): "x1y",
	} {
		if got := named(body); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
	var many strings.Builder
	for i := range 50 {
		many.WriteString("@user" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + " ")
	}
	if n := len(named(many.String())); n != maxMentions {
		t.Errorf("%d mentions of one message", n)
	}
}
