package user

import (
	"fmt"
	"net/mail"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/parley-chat/parley/internal/chat"
)

const (
	minUsername, maxUsername = 3, 32
	minPassword, maxPassword = 8, 256
	maxDisplayName           = 64
	maxBio                   = 500
	maxUserAgent             = 256
	maxEmail                 = 254
)

// username returns the name as it is kept, and whether it is one. Only A to Z are made lower case: no other character
// turns into one that is allowed.
func username(s string) (string, bool) {
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

func displayName(s string) (string, error) {
	s = strings.TrimSpace(s)
	if n := utf8.RuneCountInString(s); n < 1 || n > maxDisplayName || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", chat.BadInput(fmt.Sprintf("a display name has 1 to %d characters, none of them a control character", maxDisplayName), "input", "displayName")
	}
	return s, nil
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

// network is what one client may be assumed to hold: an IPv4 address, or a /64 of IPv6.
func network(addr string) string {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return addr
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().String()
	}
	return a.String()
}
