package chat

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	minUsername, maxUsername = 3, 32
	maxDisplayName           = 64
)

// CleanUsername returns the name as it is kept, and whether it is one. Only A to Z are made lower case: no other character
// turns into one that is allowed.
func CleanUsername(s string) (string, bool) {
	if len(s) < minUsername || len(s) > maxUsername {
		return "", false
	}
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
			b[i] = c
		}
		alphanumeric := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || !strings.ContainsRune("_.-", rune(c))) {
			return "", false
		}
	}
	return string(b), true
}

// NewUsername is CleanUsername of an input's username. The error is BAD_USER_INPUT.
func NewUsername(s string) (string, error) {
	name, ok := CleanUsername(s)
	if !ok {
		return "", BadInput("a username has 3 to 32 of a-z 0-9 _ . - and begins with a letter or digit", "input", "username")
	}
	return name, nil
}

// NewName returns what an input says in a field as a name to show. The error is BAD_USER_INPUT.
func NewName(s, field string) (string, error) {
	s = strings.TrimSpace(s)
	if n := utf8.RuneCountInString(s); n < 1 || n > maxDisplayName || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", BadInput(fmt.Sprintf("1 to %d characters, none of them a control character", maxDisplayName), "input", field)
	}
	return s, nil
}
