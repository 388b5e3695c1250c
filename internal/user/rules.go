package user

import (
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/parley-chat/parley/internal/chat"
)

const (
	minPassword, maxPassword = 8, 256
	maxBio                   = 500
	maxUserAgent             = 256
	maxEmail                 = 254
)

var errEmail = chat.BadInput("an address is like ada@example.org, with at most 254 characters and no name", "input", "email")

// isEmail says whether mail could go to a text: an address and nothing else, of a host that has a name.
func isEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= maxEmail && !strings.ContainsAny(s, "[ ") && !strings.ContainsFunc(s, unicode.IsControl)
}

func newPassword(s, field string) error {
	if n := utf8.RuneCountInString(s); n < minPassword || n > maxPassword {
		return chat.BadInput(fmt.Sprintf("a password has %d to %d characters", minPassword, maxPassword), "input", field)
	}
	return nil
}

func bio(s string) (string, error) {
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) > maxBio || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return "", chat.BadInput(fmt.Sprintf("at most %d characters, none of them NUL", maxBio), "input", "bio")
	}
	return s, nil
}

// searchText allows for blanks only at the end, where they narrow the search.
func searchText(s string) (string, error) {
	s = strings.TrimLeftFunc(s, unicode.IsSpace)
	if s == "" || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return "", chat.BadInput("at least one character, none of them NUL", "search")
	}
	return s, nil
}

// userAgent makes what a client says of itself fit to be kept.
func userAgent(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > maxUserAgent {
		s = string(r[:maxUserAgent])
	}
	return strings.TrimSpace(s)
}
