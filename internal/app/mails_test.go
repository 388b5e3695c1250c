package app_test

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/token"
)

// letter is a mail as it arrived.
type letter struct {
	to, subject, id, text string
}

var linkToken = regexp.MustCompile(`\?token=([\w.-]+)`)

// token is that of the mail's link.
func (l letter) token(tb testing.TB) string {
	tb.Helper()
	m := linkToken.FindStringSubmatch(l.text)
	if m == nil {
		tb.Fatalf("no link in: %s", l.text)
	}
	return m[1]
}

func parseLetter(tb testing.TB, r io.Reader) (l letter) {
	tb.Helper()
	m, err := netmail.ReadMessage(r)
	if err != nil {
		tb.Fatal(err)
	}
	_, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		tb.Fatal(err)
	}
	part, err := multipart.NewReader(m.Body, parameters["boundary"]).NextRawPart()
	if err != nil {
		tb.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(part))
	if err != nil {
		tb.Fatal(err)
	}
	to, err := netmail.ParseAddress(m.Header.Get("To"))
	if err != nil {
		tb.Fatal(err)
	}
	return letter{to: to.Address, subject: m.Header.Get("Subject"), id: m.Header.Get("Message-ID"), text: strings.ReplaceAll(string(text), "\r\n", "\n")}
}

// letters are the mails of a kind in a folder.
func letters(tb testing.TB, folder, kind string) (all []letter) {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*-"+kind+"-*.eml"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			tb.Fatal(err)
		}
		l := parseLetter(tb, f)
		_ = f.Close()
		all = append(all, l)
	}
	return all
}

// mustArrive waits for a mail of a kind to an address of a user's.
func mustArrive(tb testing.TB, folder, kind, to, username string) (found letter) {
	tb.Helper()
	eventually(tb, func() error {
		for _, l := range letters(tb, folder, kind) {
			if l.to == to && strings.Contains(l.text, "was given for @"+username+" there") {
				found = l
				return nil
			}
		}
		return fmt.Errorf("no mail %s of %s to %s", kind, username, to)
	})
	return found
}

// mustForget stores what a mail to set a new password would lead to, and returns its token.
func mustForget(tb testing.TB, s *store.Store, user string) string {
	tb.Helper()
	now := time.Now()
	m := chat.MailToken{ID: chat.NewID(chat.KindMailToken), Kind: chat.MailReset, User: mustID(tb, user), CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	if _, err := s.Write(tb.Context(), chat.ID{}, func(tx *store.Tx) error { return tx.InsertMailToken(m) }); err != nil {
		tb.Fatal(err)
	}
	tokens, err := token.New(token.Config{Secret: []byte(testkit.Secret)})
	if err != nil {
		tb.Fatal(err)
	}
	return tokens.Link(token.ForPassword, m.ID)
}
