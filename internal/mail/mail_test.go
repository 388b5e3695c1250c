package mail_test

import (
	"bytes"
	"context"
	"errors"
	"html"
	"io"
	"log/slog"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	home  = "https://chat.example.org"
	token = "tok-_EN+1"
)

var (
	ada = chat.User{ID: chat.NewID(chat.KindUser), Username: "ada", DisplayName: "Ada Lovelace"}
	bob = chat.User{ID: chat.NewID(chat.KindUser), Username: "bob", DisplayName: "Bob"}
	at  = time.Date(2026, 11, 21, 9, 2, 0, 0, time.FixedZone("CET", 3600))
)

// kinds are all contents, around texts that users wrote.
func kinds(name, title, body, device string) map[string]mail.Content {
	eve := chat.User{ID: chat.NewID(chat.KindUser), Username: "eve", DisplayName: name}
	id := chat.NewID(chat.KindConversation)
	return map[string]mail.Content{
		"welcome":      mail.Welcome{Token: token, Valid: 72 * time.Hour},
		"verification": mail.Verification{Token: token, Valid: 72 * time.Hour},
		"reset":        mail.PasswordReset{Token: token, Valid: 30 * time.Minute},
		"address":      mail.AddressChanged{},
		"device":       mail.NewDevice{At: at, Device: device, Address: "203.0.113.7"},
		"friend":       mail.FriendRequest{From: eve},
		"export":       mail.Export{Valid: 24 * time.Hour},
		"report": mail.Report{
			Day: at, Users: 120, NewUsers: 3, NewBots: 1, Active: 17, NewConversations: 2, NewMessages: 2345, DeadDeliveries: 4, Size: 1500 << 10,
			Jobs:  []mail.ReportJobs{{Kind: "mail_digest", GivenUp: 2, Waiting: 1, Error: body}, {Kind: "webhook_deliver", Waiting: 5}},
			Check: mail.ReportCheck{At: at, Error: title}, Backup: at, BackedUp: true,
		},
		"digest": mail.Digest{Conversations: []mail.DigestConversation{
			{ID: id, Title: title, Unread: 5, Messages: []mail.DigestMessage{{bob, "unread no. 1"}, {bob, "two"}, {eve, body}, {bob, "four"}}},
			{ID: id, With: eve, Unread: 1, Messages: []mail.DigestMessage{{eve, body}}},
		}},
	}
}

func message(c mail.Content) mail.Message {
	m := mail.Message{User: ada, Address: "ada@example.org", Key: "key", At: at, Content: c}
	if _, ok := c.(mail.Digest); ok {
		m.Unsubscribe = token
	}
	return m
}

func toFolder(t *testing.T, change func(*mail.Config)) (*mail.Mailer, string) {
	t.Helper()
	c := mail.Config{From: "Parley <parley@example.org>", PublicURL: home, Folder: filepath.Join(t.TempDir(), "mail"), Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c)
	}
	m, err := mail.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m, c.Folder
}

// arrived is a mail as its receiver's program reads it.
type arrived struct {
	raw        []byte
	header     netmail.Header
	subject    string
	text, html string
}

type failer interface{ Fatal(...any) }

func read(t failer, raw []byte) arrived {
	must := func(err error) {
		if err != nil {
			t.Fatal(err, string(raw))
		}
	}
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	must(err)
	a := arrived{raw: raw, header: m.Header}
	a.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	must(err)
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if must(err); kind != "multipart/alternative" {
		t.Fatal(kind)
	}
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	for i, want := range []string{"text/plain; charset=UTF-8", "text/html; charset=UTF-8"} {
		p, err := parts.NextRawPart()
		if must(err); p.Header.Get("Content-Type") != want || p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Fatal(p.Header)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		must(err)
		*[]*string{&a.text, &a.html}[i] = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Fatal("a third part", err)
	}
	return a
}

func mailsIn(t failer, folder string) (all []arrived) {
	names, _ := filepath.Glob(filepath.Join(folder, "*.eml"))
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, read(t, raw))
	}
	return all
}

func sendOne(t *testing.T, change func(*mail.Config), msg mail.Message) arrived {
	t.Helper()
	m, folder := toFolder(t, change)
	if err := m.Send(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	all := mailsIn(t, folder)
	if len(all) != 1 {
		t.Fatalf("%d mails", len(all))
	}
	return all[0]
}

var tags = regexp.MustCompile(`<[^>]*>`)

func TestEveryKind(t *testing.T) {
	t.Parallel()
	contents := kinds("Eve", "Picnic", "Who brings the bread?", "Firefox on Linux")
	id := contents["digest"].(mail.Digest).Conversations[0].ID.String()
	verify := home + "/verify?token=tok-_EN%2B1"
	for kind, want := range map[string]struct {
		subject, link string
		both          []string // in text and HTML
	}{
		"welcome":      {"Welcome to Parley", verify, []string{"Hi Ada Lovelace,", "@ada", "3 days"}},
		"verification": {"Confirm your address", verify, []string{"@ada", "3 days"}},
		"reset":        {"Choose a new password", home + "/reset?token=tok-_EN%2B1", []string{"30 minutes", "signs you out"}},
		"device":       {"New sign-in to your account", home + "/settings/sessions", []string{"21 November 2026, 09:02 CET", "Firefox on Linux", "203.0.113.7"}},
		"friend":       {"Eve wants to be your friend", home + "/friends", []string{"Eve (@eve) asks"}},
		"report": {"Parley on 21 November 2026", home + "/admin/jobs/", []string{
			"17 users of 120", "New: 2345 messages, 2 conversations, 3 users, 1 bot", "Jobs of mail_digest: 2 given up, 1 to be tried again; Who brings the bread?",
			"Calls of webhooks that were given up: 4", "1.5 MiB", "21 November 2026, 09:02 CET, FAILED; Picnic", "Newest backup: 21 November 2026, 09:02 CET"}},
		"export": {"Your data is ready", home + "/settings/export", []string{"1 day"}},
		"digest": {"6 unread messages in 2 conversations", home + "/conversations", []string{
			"Picnic", "5 unread", "2 earlier", "Who brings the bread?", "four", home + "/conversations/" + id, home + "/mail/unsubscribe?token=tok-_EN%2B1"}},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			got := sendOne(t, nil, message(contents[kind]))
			if got.subject != want.subject {
				t.Errorf("subject %q", got.subject)
			}
			for name, value := range map[string]string{
				"From": `"Parley" <parley@example.org>`, "To": "<ada@example.org>", "Date": "Sat, 21 Nov 2026 09:02:00 +0100", "Auto-Submitted": "auto-generated"} {
				if got.header.Get(name) != value {
					t.Errorf("%s: %q", name, got.header.Get(name))
				}
			}
			if !strings.Contains(got.text, ":\n"+want.link+"\n") || !strings.Contains(got.html, `href="`+want.link+`"`) {
				t.Errorf("no link %s in\n%s\n%s", want.link, got.text, got.html)
			}
			words := html.UnescapeString(tags.ReplaceAllString(got.html, ""))
			for line := range strings.SplitSeq(got.text[:strings.Index(got.text, "\n-- \n")], "\n") {
				n := strings.Count(words, strings.TrimSuffix(line, ":"))
				if kind != "digest" && (n == 0 || n > 1 && len(line) > 40) {
					t.Errorf("%d times in HTML: %s", n, line)
				}
			}
			for _, part := range want.both {
				if !strings.Contains(got.text, part) || !strings.Contains(got.html, part) {
					t.Errorf("no %q in\n%s\n%s", part, got.text, got.html)
				}
			}
			if strings.Contains(got.text+got.html, "unread no. 1") {
				t.Errorf("more than three messages:\n%s", got.text)
			}
		})
	}
}

func TestMessageIDFollowsFromTheKey(t *testing.T) {
	t.Parallel()
	id := func(key string, c mail.Content) string {
		msg := message(c)
		msg.Key = key
		return sendOne(t, nil, msg).header.Get("Message-Id")
	}
	one := id("a", mail.Export{})
	if one != id("a", mail.Export{}) || one == id("b", mail.Export{}) || !strings.HasSuffix(one, "@example.org>") {
		t.Error(one)
	}
}

func TestReportOfNothing(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]mail.Report{
		"Active: 0 users of 0\nNew: 0 messages, 0 conversations, 0 users, 0 bots\n\nNo job was given up, and none waits for another attempt.\n" +
			"Calls of webhooks that were given up: 0\n\nDatabase: 0 bytes\nLast check of the database: none is known\n\n": {},
		"Database: 1023 bytes\nLast check of the database: 21 November 2026, 09:02 CET, passed\nNewest backup: NONE\n\n": {
			Size: 1023, Check: mail.ReportCheck{At: at, Passed: true}, BackedUp: true},
	} {
		if got := sendOne(t, nil, message(r)); !strings.Contains(got.text, want) {
			t.Errorf("no %q in\n%s", want, got.text)
		}
	}
}

func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	digest := kinds("Eve", "", "hi", "")["digest"]
	got := sendOne(t, nil, message(digest)).header
	if got.Get("List-Unsubscribe") != "<"+home+"/mail/unsubscribe?token=tok-_EN%2B1>" || got.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" {
		t.Error(got)
	}
	got = sendOne(t, func(c *mail.Config) { c.PublicURL = "http://127.0.0.1:8080/" }, message(digest)).header
	if got.Get("List-Unsubscribe") != "<http://127.0.0.1:8080/mail/unsubscribe?token=tok-_EN%2B1>" || got.Get("List-Unsubscribe-Post") != "" {
		t.Error("one click is for https:", got)
	}
	if got := sendOne(t, nil, message(mail.PasswordReset{Token: token})).header; got.Get("List-Unsubscribe") != "" {
		t.Error(got)
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	m, folder := toFolder(t, nil)
	for name, change := range map[string]func(*mail.Message){
		"no address":            func(m *mail.Message) { m.Address = "" },
		"an address and a name": func(m *mail.Message) { m.Address = "Ada <ada@example.org>" },
		"two addresses":         func(m *mail.Message) { m.Address = "ada@example.org, eve@example.org" },
		"a command":             func(m *mail.Message) { m.Address = "ada@example.org>\r\nRCPT TO:<eve@example.org" },
		"a long address":        func(m *mail.Message) { m.Address = strings.Repeat("a", 250) + "@example.org" },
		"no key":                func(m *mail.Message) { m.Key = "" },
		"no time":               func(m *mail.Message) { m.At = time.Time{} },
		"no content":            func(m *mail.Message) { m.Content = nil },
		"an empty digest":       func(m *mail.Message) { m.Content, m.Unsubscribe = mail.Digest{}, token },
		"a digest for ever": func(m *mail.Message) {
			m.Content = mail.Digest{Conversations: []mail.DigestConversation{{Unread: 1}}}
		},
	} {
		msg := message(mail.Export{})
		change(&msg)
		if err := m.Send(t.Context(), msg); !errors.Is(err, mail.ErrPermanent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all := mailsIn(t, folder); len(all) != 0 {
		t.Errorf("%d mails", len(all))
	}
}

func TestNamesThatLookLikeLinks(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Eve": "Eve", "J. R. Smith": "J. R. Smith", "Ça va 👩‍👩‍👧": "Ça va 👩‍👩‍👧", "": "eve",
		"Eve\r\n\u00a0of\u2028old": "Eve of old",
		"visit evil.example":       "eve",
		"www.evil":                 "eve",
		"http://192.0.2.1":         "eve",
		"evil。example":             "eve",
		"support@example.org":      "eve",
	} {
		if got := sendOne(t, nil, message(mail.FriendRequest{From: chat.User{Username: "eve", DisplayName: name}})); got.subject != want+" wants to be your friend" {
			t.Errorf("%q: %q", name, got.subject)
		}
		msg := message(mail.Welcome{Token: token})
		msg.User = chat.User{Username: "eve", DisplayName: name}
		if got := sendOne(t, nil, msg); !strings.HasPrefix(got.text, "Hi "+want+",\n") {
			t.Errorf("%q: %s", name, got.text)
		}
	}
}

func TestMailsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 20_000)
	var d mail.Digest
	for range 1000 {
		one := mail.DigestConversation{ID: chat.NewID(chat.KindConversation), Title: long, Unread: 100}
		for range 100 {
			one.Messages = append(one.Messages, mail.DigestMessage{From: chat.User{DisplayName: long}, Body: long})
		}
		d.Conversations = append(d.Conversations, one)
	}
	got := sendOne(t, nil, message(d))
	if len(got.raw) > 64<<10 || !strings.Contains(got.text, "And 990 more conversations.") || got.subject != "100000 unread messages in 1000 conversations" {
		t.Errorf("%d bytes, %s", len(got.raw), got.subject)
	}
	var r mail.Report
	for range 100 {
		r.Jobs = append(r.Jobs, mail.ReportJobs{Kind: long, Error: long})
	}
	r.Check.At, r.Check.Error = at, long
	if got = sendOne(t, nil, message(r)); len(got.raw) > 32<<10 || !strings.Contains(got.text, "And jobs of 90 more kinds.") {
		t.Errorf("%d bytes, %s", len(got.raw), got.text)
	}
	got = sendOne(t, nil, message(mail.FriendRequest{From: chat.User{DisplayName: strings.Repeat("ä", 5000)}}))
	if want := strings.Repeat("ä", 63) + "… wants to be your friend"; got.subject != want {
		t.Error(got.subject)
	}
}

// TestNothingInjects compares mails around hostile texts with the same mails around harmless ones.
func TestNothingInjects(t *testing.T) {
	t.Parallel()
	m, folder := toFolder(t, nil)
	send := func(t failer, c mail.Content, receiver string) arrived {
		msg := message(c)
		msg.User.DisplayName = receiver
		if err := m.Send(context.Background(), msg); err != nil {
			t.Fatal(err)
		}
		got := mailsIn(t, folder)[0]
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		return got
	}
	harmless := map[string]arrived{}
	for kind, c := range kinds("x", "x", "x", "x") {
		harmless[kind] = send(t, c, "x")
	}
	hostile := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.StringN(0, 400, -1), rapid.SampledFrom([]string{
			"\r\nBcc: eve@example.org", "\n\n", "\r", "\r\n.\r\n", "\x00", "\xff", "\u2028", "\u0085", "\u202e", "\v", "=?utf-8?q?=0D=0ABcc:_eve@example.org?=", "=?",
			"<script>", "</p>", `" onclick="`, "{{.Link}}", "<!--", "&lt;b&gt;", `"`, `\`, "<eve@example.org>", ",", ";", ":", "Подпись", "👍"})), 0, 6).Draw(t, "pieces"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(slices.Sorted(maps.Keys(harmless))).Draw(t, "kind")
		c := kinds(hostile.Draw(t, "name"), hostile.Draw(t, "title"), hostile.Draw(t, "body"), hostile.Draw(t, "device"))[kind]
		got, want := send(t, c, hostile.Draw(t, "receiver")), harmless[kind]
		if g, w := slices.Sorted(maps.Keys(got.header)), slices.Sorted(maps.Keys(want.header)); !slices.Equal(g, w) {
			t.Fatalf("%s: headers %q, not %q", kind, g, w)
		}
		for name, values := range got.header {
			if len(values) != 1 {
				t.Fatalf("%s: %s %q", kind, name, values)
			}
		}
		to, err := got.header.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Address != "ada@example.org" {
			t.Fatalf("%s: to %v %v", kind, to, err)
		}
		for _, line := range []string{got.subject, got.text[:strings.IndexByte(got.text, '\n')]} {
			if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u202e' }) || strings.Contains(line, "=?") {
				t.Fatalf("%s: %q", kind, line)
			}
		}
		if strings.Count(got.text, "\n") != strings.Count(want.text, "\n") {
			t.Fatalf("%s: other lines\n%s\n%s", kind, got.text, want.text)
		}
		if strings.Count(got.html, "<") != strings.Count(want.html, "<") || strings.Count(got.html, `"`) != strings.Count(want.html, `"`) {
			t.Fatalf("%s: other elements\n%s\n%s", kind, got.html, want.html)
		}
		for line := range bytes.SplitSeq(got.raw, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") || bytes.ContainsFunc(line, func(r rune) bool { return r > 127 }) {
				t.Fatalf("%s: line %q", kind, line)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := mail.Config{From: "parley@example.org", PublicURL: home}
	for _, url := range []string{"", "smtp://mail.example.org", "smtps://u:p@mail.example.org", "smtp://mail.example.org:25?tls=off", "smtp://u:p@127.0.0.1:25?tls=off"} {
		c := good
		if c.URL = url; url == "" {
			c.Folder = "x"
		}
		if _, err := mail.New(c); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"mail.example.org", "http://mail.example.org", "smtp://", "smtp://h?tls=of", "smtps://h?tls=off", "smtp://u:topsecret@mail.example.org?tls=off", "smtp://u:topsecret@h:x"} {
		c := good
		c.URL = url
		if _, err := mail.New(c); err == nil || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, c := range []mail.Config{{PublicURL: home}, {From: "parley", PublicURL: home}, {From: "parley@example.org", PublicURL: "chat.example.org"}, {From: "parley@example.org"}} {
		if _, err := mail.New(c); err == nil {
			t.Errorf("%+v", c)
		}
	}
}
