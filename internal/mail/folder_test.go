package mail_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/mail"
)

func TestLinkInTheLog(t *testing.T) {
	t.Parallel()
	for _, show := range []bool{true, false} {
		var log bytes.Buffer
		m, folder := toFolder(t, func(c *mail.Config) { c.ShowLinks, c.Log = show, slog.New(slog.NewTextHandler(&log, nil)) })
		if err := m.Send(t.Context(), message(mail.PasswordReset{Token: token})); err != nil {
			t.Fatal(err)
		}
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "kind=reset user=ada file="+folder) ||
			strings.Contains(log.String(), `link="`+home+"/reset?token=tok-_EN%2B1") != show || strings.Contains(log.String(), "EN%2B1") != show {
			t.Errorf("%t: %s", show, &log)
		}
	}
}

func TestFolderKeepsTheNewest(t *testing.T) {
	t.Parallel()
	const keep = 5
	m, folder := toFolder(t, func(c *mail.Config) { c.Keep = keep })
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"20010101T000000Z-mine.eml", "20000101T000000Z-reset-0123abcd.eml.draft"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range 20 {
		msg := message(mail.Export{})
		msg.Key, msg.At = fmt.Sprint(i), at.Add(time.Duration(i)*time.Second)
		for range 5 { // a duplicate takes no place
			all.Go(func() {
				if err := m.Send(t.Context(), msg); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != keep+1 || entries[0].Name() != "20010101T000000Z-mine.eml" || !strings.HasPrefix(entries[1].Name(), "20261121T080215Z-export-") {
		t.Errorf("%v %v", entries, err)
	}
	if info, err := entries[1].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v %v", info, err)
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	m, folder := toFolder(t, nil)
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), message(mail.Export{})); err == nil || errors.Is(err, mail.ErrPermanent) {
		t.Error(err)
	}
}
