package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/config"
)

const key = "9fQ2vX7mLk4RtB8wZpN3cY6hJd5sGa1E"

func TestDefaults(t *testing.T) {
	t.Parallel()
	cmd, c, err := config.Parse(nil, []string{"HOME=/root", "DATABASE_URL="})
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Name != "serve" || c.Addr != "127.0.0.1:8080" || c.DataDir != "data" || c.Production() || !c.ServeGraphiQL() || !c.AllowIntrospection() {
		t.Errorf("%+v %+v", cmd, c)
	}
	if c.MaxBody != 1<<20 || c.MaxFrame != 64<<10 || c.Retention != 7*24*time.Hour || c.AccessTTL != 10*time.Minute || c.MaxComplexity != 1000 || c.SQLiteSync != "FULL" {
		t.Errorf("%+v", c)
	}
}

func TestFlagsWinOverTheEnvironment(t *testing.T) {
	t.Parallel()
	environ := []string{"PARLEY_ADDR=:1", "PARLEY_MAX_DEPTH=7", "PARLEY_ORIGINS=https://A.example.org,http://b.example.org:3000", "PARLEY_GRAPHIQL=false", "PARLEY_MAX_BODY=2MiB",
		"DATABASE_URL=postgres://u:p@db/parley", "PARLEY_PUBLIC_URL=https://chat.example.org/"}
	cmd, c, err := config.Parse([]string{"serve", "--addr", ":2", "-introspection=false"}, environ)
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Name != "serve" || c.Addr != ":2" || c.MaxDepth != 7 || c.ServeGraphiQL() || c.AllowIntrospection() || c.MaxBody != 2<<20 || c.PublicURL != "https://chat.example.org" {
		t.Errorf("%+v", c)
	}
	if !slices.Equal(c.Origins, []string{"https://a.example.org", "http://b.example.org:3000"}) {
		t.Errorf("origins %v", c.Origins)
	}
}

func TestNATS(t *testing.T) {
	t.Parallel()
	_, c, err := config.Parse([]string{"--secret=" + key}, []string{"DATABASE_URL=postgres://d/b", "NATS_URL=nats://u:p@a:4222, tls://b"})
	if err != nil || c.NatsURL != "nats://u:p@a:4222, tls://b" || c.Cluster != "parley" || c.LogPoll != 500*time.Millisecond {
		t.Errorf("%+v %v", c, err)
	}
	if _, _, err := config.Parse([]string{"check"}, []string{"NATS_URL=nats://a"}); err != nil {
		t.Errorf("only a node needs the bus: %v", err)
	}
	if _, _, err := config.Parse(nil, []string{"NATS_URL=nats://a"}); err != nil {
		t.Errorf("events of one node, with SQLite: %v", err)
	}
	for _, tt := range []struct{ args, stream, subject string }{
		{"--data=x", "PARLEY_EVENTS", "parley.events"},
		{"--events-stream=MINE", "MINE", "parley.events"},
		{"--cluster=blue", "PARLEY_EVENTS_blue", "parley.blue.events"},
	} {
		_, c, err := config.Parse([]string{tt.args}, nil)
		if stream, subject := c.Events(); err != nil || stream != tt.stream || subject != tt.subject {
			t.Errorf("%s: %s %s %v", tt.args, stream, subject, err)
		}
	}
}

func TestMail(t *testing.T) {
	t.Parallel()
	_, c, err := config.Parse([]string{"--data=d"}, nil)
	if err != nil || c.SMTPURL != "" || c.MailFolder() != filepath.Join("d", "mail") {
		t.Errorf("%+v %v", c, err)
	}
	if _, c, err = config.Parse([]string{"--mail-dir=m"}, nil); err != nil || c.MailFolder() != "m" {
		t.Errorf("%+v %v", c, err)
	}
	for _, url := range []string{"smtp://h", "smtp://u%40h:p@h:587", "smtps://u:p@h", "smtp://h:25?tls=off", "smtp://u:p@127.0.0.1:25?tls=off", "smtp://u:p@localhost?tls=off"} {
		if _, _, err := config.Parse(nil, []string{"SMTP_URL=" + url}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	production := []string{"PARLEY_ENV=production", "PARLEY_SECRET=" + key, "SMTP_URL=smtp://h"}
	if _, _, err := config.Parse([]string{"--mail-from=Chat <c@example.org>", "--public-url=https://chat.example.org"}, production); err != nil {
		t.Error(err)
	}
	if _, _, err := config.Parse([]string{"check"}, production); err != nil {
		t.Errorf("only a server sends mail: %v", err)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]config.Command{
		"":                        {Name: "serve"},
		"serve":                   {Name: "serve"},
		"--addr=:1":               {Name: "serve"},
		"demo":                    {Name: "demo"},
		"check --data x":          {Name: "check"},
		"new-epoch --data x":      {Name: "new-epoch"},
		"version":                 {Name: "version"},
		"help":                    {Name: "help"},
		"--help":                  {Name: "help"},
		"-h":                      {Name: "help"},
		"migrate --help":          {Name: "help"},
		"suspend --help":          {Name: "help"},
		"revoke-admin ada":        {Name: "revoke-admin", Sub: "ada"},
		"suspend ada --data x":    {Name: "suspend", Sub: "ada"},
		"restore ada":             {Name: "restore", Sub: "ada"},
		"migrate up":              {Name: "migrate", Sub: "up"},
		"migrate status --data x": {Name: "migrate", Sub: "status"},
	} {
		cmd, _, err := config.Parse(strings.Fields(args), nil)
		if err != nil || cmd != want {
			t.Errorf("%q: %+v %v", args, cmd, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	production := []string{"PARLEY_ENV=production"}
	tests := []struct {
		name    string
		args    string
		environ []string
		want    []string // the setting, and parts of the message
	}{
		{"an unknown command", "srve", nil, []string{`"srve"`, "no such command", "migrate up"}},
		{"migrate what", "migrate", nil, []string{"migrate up or migrate status"}},
		{"suspend whom", "suspend --data x", nil, []string{"suspend", "the username"}},
		{"migrate down", "migrate down", nil, []string{"migrate up or migrate status"}},
		{"an unknown flag", "--adr=x", nil, []string{"adr", "--help"}},
		{"a leftover", "serve now", nil, []string{`"now"`, "--help"}},
		{"a misspelled variable", "", []string{"PARLEY_ADR=:1"}, []string{"PARLEY_ADR", "did you mean PARLEY_ADDR?"}},
		{"an unknown variable", "", []string{"PARLEY_COFFEE_MACHINE_TEMPERATURE=1"}, []string{"PARLEY_COFFEE_MACHINE_TEMPERATURE", "unset it"}},
		{"not a number", "", []string{"PARLEY_MAX_DEPTH=deep"}, []string{"PARLEY_MAX_DEPTH", `"deep" is not a whole number`, "10"}},
		{"not a number, as a flag", "--max-depth=deep", nil, []string{"--max-depth", `"deep" is not a whole number`}},
		{"not a duration", "", []string{"PARLEY_RETENTION=7 days"}, []string{"PARLEY_RETENTION", "is not a duration", "168h"}},
		{"not a size", "--max-body=big", nil, []string{"--max-body", "is not a size", "1MiB"}},
		{"a negative size", "--max-body=-5", nil, []string{"--max-body", "is not a size"}},
		{"not yes or no", "--graphiql=maybe", nil, []string{"--graphiql", "is not a yes or no", "true or false"}},
		{"too small a number", "--sockets-per-user=0", nil, []string{"--sockets-per-user", "too small", "the least is 1"}},
		{"too small a size", "--max-frame=10", nil, []string{"--max-frame", "too small", "1KiB"}},
		{"too short a time", "", []string{"PARLEY_ACCESS_TTL=1s"}, []string{"PARLEY_ACCESS_TTL", "too small", "10s"}},
		{"an access token that outlives its session", "--access-ttl=24h --refresh-ttl=1h", nil, []string{"--access-ttl", "PARLEY_REFRESH_TTL"}},
		{"an unknown environment", "", []string{"PARLEY_ENV=staging"}, []string{"PARLEY_ENV", "staging", "development or production"}},
		{"an unknown level", "--log-level=loud", nil, []string{"--log-level", "debug or info"}},
		{"an unknown sync", "--sqlite-sync=OFF", nil, []string{"--sqlite-sync", "FULL or NORMAL"}},
		{"no port", "--addr=localhost", nil, []string{"--addr", "127.0.0.1:8080"}},
		{"an admin address for everybody", "--admin-addr=:9090", nil, []string{"--admin-addr", "from outside"}},
		{"an admin address without a port", "--admin-addr=x", nil, []string{"--admin-addr", "not an address"}},
		{"no folder", "--data=", nil, []string{"--data", "is empty"}},
		{"another database", "", []string{"DATABASE_URL=mysql://u:topsecret@h/d"}, []string{"DATABASE_URL", "PostgreSQL", "postgres://user:password@host:5432/name"}},
		{"no address of NATS", "", []string{"NATS_URL=nats://a,http://u:topsecret@b", "DATABASE_URL=postgres://d/b"}, []string{"NATS_URL", "nats://host:4222"}},
		{"NATS with SQLite", "--nats-url=nats://u:topsecret@a --events-stream=off --secret=" + key, nil, []string{"--nats-url", "SQLite", "DATABASE_URL"}},
		{"NATS without a secret to share", "--nats-url=nats://a", []string{"DATABASE_URL=postgres://d/b"}, []string{"PARLEY_SECRET", "is missing", "the same"}},
		{"a certificate without its key", "--nats-cert=x", nil, []string{"--nats-cert", "PARLEY_NATS_KEY"}},
		{"a name that is a pattern", "--cluster=a.*", nil, []string{"--cluster", "letters"}},
		{"a name that is taken", "--cluster=events", nil, []string{"--cluster", "another"}},
		{"a stream that is a subject", "--events-stream=parley.events", nil, []string{"--events-stream", "letters"}},
		{"a public address that is none", "--public-url=chat.example.org", nil, []string{"--public-url", "https://chat.example.org"}},
		{"a sender that is none", "", []string{"PARLEY_MAIL_FROM=Parley"}, []string{"PARLEY_MAIL_FROM", "not an address", "Parley <parley@example.org>"}},
		{"a mail server that is none", "", []string{"SMTP_URL=https://u:topsecret@h"}, []string{"SMTP_URL", "smtp://user:password@host:587"}},
		{"a mail server without a host", "--smtp-url=smtp://u:topsecret@", nil, []string{"--smtp-url", "smtp://"}},
		{"a mail server's bad URL", "", []string{"SMTP_URL=smtp://u:topsecret@h:p"}, []string{"SMTP_URL", "%40"}},
		{"a mail server with other options", "", []string{"SMTP_URL=smtp://h?tls=of"}, []string{"SMTP_URL", "smtp://"}},
		{"TLS that is off and on", "", []string{"SMTP_URL=smtps://h?tls=off"}, []string{"SMTP_URL", "smtps://"}},
		{"a password without TLS", "", []string{"SMTP_URL=smtp://u:topsecret@h?tls=off"}, []string{"SMTP_URL", "everybody on the way"}},
		{"mail in production", "--smtp-url=smtp://h", production, []string{"PARLEY_MAIL_FROM", "PARLEY_PUBLIC_URL"}},
		{"a contact without its scheme", "--push-contact=admin@example.org", nil, []string{"--push-contact", "mailto:admin@example.org"}},
		{"an origin with a path", "--origins=https://a.example.org/x", nil, []string{"--origins", "scheme, host and port"}},
		{"any origin", "--origins=*", nil, []string{"--origins", "scheme, host and port"}},
		{"a proxy that is none", "--trusted-proxies=lb", nil, []string{"--trusted-proxies", "10.0.0.0/8"}},
		{"a network that is none", "--outbound-allow=10.1.0.0/16,intranet", nil, []string{"--outbound-allow", "intranet", "10.1.0.0/16"}},
		{"an IPv4 network in disguise", "--outbound-allow=::ffff:10.0.0.0/104", nil, []string{"--outbound-allow"}},
		{"a port that is none", "--outbound-ports=443,0", nil, []string{"--outbound-ports", `"0"`, "8443"}},
		{"production without a secret", "", production, []string{"PARLEY_SECRET", "is missing", "openssl rand -hex 32"}},
		{"a short secret", "--secret=abc", nil, []string{"--secret", "shorter than 32"}},
		{"a sample secret", "", append([]string{"PARLEY_SECRET=changeme-changeme-changeme-changeme"}, production...), []string{"PARLEY_SECRET", "sample"}},
		{"a secret of one letter", "", append([]string{"PARLEY_SECRET=" + strings.Repeat("a", 40)}, production...), []string{"PARLEY_SECRET", "sample"}},
		{"several at once", "--max-depth=x --max-aliases=y", []string{"PARLEY_NOTHING_LIKE_IT=1"}, []string{"--max-depth", "--max-aliases", "PARLEY_NOTHING_LIKE_IT"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := config.Parse(strings.Fields(tt.args), tt.environ)
			if err == nil {
				t.Fatal("not refused")
			}
			var e *config.Error
			if !errors.As(err, &e) || e.Setting == "" || e.Problem == "" || e.Hint == "" {
				t.Errorf("%#v", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in %q", part, err)
				}
			}
			if strings.Contains(err.Error(), "topsecret") {
				t.Errorf("a password was shown: %q", err)
			}
		})
	}
}

func TestOutbound(t *testing.T) {
	t.Parallel()
	_, c, err := config.Parse([]string{"--outbound-allow=10.1.0.0/16, 127.0.0.1,fd00::/8", "--outbound-ports=443, 8443"}, nil)
	if err != nil || len(c.OutboundAllow) != 3 || len(c.OutboundPorts) != 2 || !c.AllowOutboundHTTP() {
		t.Errorf("%+v %v", c, err)
	}
	production := []string{"--env=production", "--secret=" + key}
	if _, c, err = config.Parse(production, nil); err != nil || c.AllowOutboundHTTP() {
		t.Errorf("%+v %v", c, err)
	}
	if _, c, err = config.Parse(append(production, "--outbound-http=true"), nil); err != nil || !c.AllowOutboundHTTP() {
		t.Errorf("%+v %v", c, err)
	}
}

func TestProductionWithAGoodSecret(t *testing.T) {
	t.Parallel()
	_, c, err := config.Parse([]string{"--env=production", "--secret=" + key}, nil)
	if err != nil || c.ServeGraphiQL() || c.AllowIntrospection() {
		t.Fatalf("%+v %v", c, err)
	}
	if got, err := c.SigningKey(); err != nil || string(got) != key {
		t.Errorf("%q %v", got, err)
	}
	for _, cmd := range []string{"migrate up", "check", "version"} {
		if _, _, err := config.Parse(append(strings.Fields(cmd), "--env=production"), nil); err != nil {
			t.Errorf("%s needs no secret: %v", cmd, err)
		}
	}
	c.Secret = ""
	if _, err := c.SigningKey(); err == nil {
		t.Error("production made a secret of its own")
	}
}

func TestHelpListsEverySetting(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	config.Help(&out)
	for _, want := range []string{"--addr, PARLEY_ADDR (default 127.0.0.1:8080)", "DATABASE_URL (default empty)", "PARLEY_SECRET", "PARLEY_SOCKETS_PER_ADDR", "migrate status"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the help", want)
		}
	}
}

func TestDevelopmentSecretIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	keys := make([]string, 32)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			k, err := config.Config{Env: config.Development, DataDir: dir}.SigningKey()
			if err != nil {
				t.Error(err)
			}
			keys[i] = string(k)
		})
	}
	all.Wait()
	if len(keys[0]) < config.MinSecret || len(slices.Compact(keys)) != 1 {
		t.Errorf("the processes do not agree: %q", keys)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("left behind: %v %v", files, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "secret")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestDamagedSecretIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (config.Config{DataDir: dir}).SigningKey(); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("%v", err)
	}
	blocked := filepath.Join(dir, "secret", "data")
	if _, err := (config.Config{DataDir: blocked}).SigningKey(); err == nil {
		t.Error("a folder below a file")
	}
}
