package app_test

import (
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
)

// letter is a mail as it arrived.
type letter struct {
	kind, to, subject, id, text string
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

// letters are the mails in a folder.
func letters(tb testing.TB, folder string) (all []letter) {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.eml"))
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
		l.kind = strings.Split(filepath.Base(name), "-")[1]
		all = append(all, l)
	}
	return all
}

// mustArrive waits for n mails of a kind to an address, and returns the newest.
func mustArrive(tb testing.TB, folder, kind, to string, n int) letter {
	tb.Helper()
	var got []letter
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		got = nil
		for _, l := range letters(tb, folder) {
			if l.kind == kind && l.to == to {
				got = append(got, l)
			}
		}
		if len(got) >= n {
			return got[len(got)-1]
		}
	}
	tb.Fatalf("%d mails %s to %s, want %d", len(got), kind, to, n)
	return letter{}
}
