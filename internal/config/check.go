package config

import (
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MinSecret is the length that a secret must have, in bytes.
const MinSecret = 32

const secretHint = "make one with: openssl rand -hex 32"

// check lists what is wrong with values that have the right form.
func (c *Config) check(cmd Command, named map[string]string) (errs []error) {
	refuse := func(env, problem, hint string) { errs = append(errs, &Error{named[env], problem, hint}) }

	for _, s := range settingsOf(*c) {
		if s.tooSmall() {
			refuse(s.env, "is too small", "the least is "+s.min)
		}
	}
	oneOf := func(env string, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			refuse(env, quote(value)+" is unknown", "say "+strings.Join(allowed, " or "))
		}
	}
	c.SQLiteSync = strings.ToUpper(c.SQLiteSync)
	oneOf("PARLEY_ENV", c.Env, Development, Production)
	oneOf("PARLEY_SQLITE_SYNC", c.SQLiteSync, "FULL", "NORMAL")
	oneOf("PARLEY_LOG_LEVEL", c.LogLevel, "debug", "info", "warn", "error")

	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		refuse("PARLEY_ADDR", quote(c.Addr)+" is not an address", "write something like 127.0.0.1:8080 or :8080")
	}
	if host, _, err := net.SplitHostPort(c.AdminAddr); err != nil {
		refuse("PARLEY_ADMIN_ADDR", quote(c.AdminAddr)+" is not an address", "write something like 127.0.0.1:9090")
	} else if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		refuse("PARLEY_ADMIN_ADDR", quote(c.AdminAddr)+" can be reached from outside", "listen on 127.0.0.1, [::1] or localhost, and let a local agent collect the metrics")
	}
	if c.DataDir == "" {
		refuse("PARLEY_DATA", "is empty", "name a folder")
	}
	if c.DatabaseURL != "" {
		if u, err := url.Parse(c.DatabaseURL); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" && u.Query().Get("host") == "" {
			refuse("DATABASE_URL", "is not the URL of a PostgreSQL database", "write postgres://user:password@host:5432/name, or leave it empty for SQLite")
		}
	}
	for one := range strings.SplitSeq(c.NatsURL, ",") {
		if u, err := url.Parse(strings.TrimSpace(one)); c.NatsURL != "" && (err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme)) {
			refuse("NATS_URL", "is not the address of NATS servers", "write nats://host:4222, several separated by commas")
			break
		}
	}
	if c.NatsURL != "" && cmd.Name == "serve" {
		if c.DatabaseURL == "" && c.EventsStream == EventsOff {
			refuse("NATS_URL", "is for several nodes, and SQLite has one", "set DATABASE_URL to their PostgreSQL, or leave NATS_URL empty")
		}
		if c.DatabaseURL != "" && c.Secret == "" {
			refuse("PARLEY_SECRET", "is missing, and the nodes know each other by it", "give the same to all of them; "+secretHint)
		}
	}
	if (c.NatsCert == "") != (c.NatsKey == "") {
		refuse("PARLEY_NATS_CERT", "goes with PARLEY_NATS_KEY", "set both or none")
	}
	for _, x := range [][2]string{{"PARLEY_CLUSTER", c.Cluster}, {"PARLEY_EVENTS_STREAM", c.EventsStream}} {
		env, name := x[0], x[1]
		if env == "PARLEY_CLUSTER" && name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			refuse(env, quote(name)+" is not a name", "write letters, digits, - and _")
		}
	}
	if c.Cluster == "events" { // its subjects would be those of the default cluster's stream
		refuse("PARLEY_CLUSTER", quote(c.Cluster)+" is taken", "choose another name")
	}
	if c.PublicURL != "" {
		if u, err := url.Parse(c.PublicURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			refuse("PARLEY_PUBLIC_URL", quote(c.PublicURL)+" is not a web address", "write something like https://chat.example.org")
		}
		c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	}
	if _, err := mail.ParseAddress(c.MailFrom); err != nil {
		refuse("PARLEY_MAIL_FROM", quote(c.MailFrom)+" is not an address", "write something like Parley <parley@example.org>")
	}
	if c.PushContact != "" {
		if u, err := url.Parse(c.PushContact); err != nil || (u.Scheme != "https" || u.Host == "") && (u.Scheme != "mailto" || !strings.Contains(u.Opaque, "@")) {
			refuse("PARLEY_PUSH_CONTACT", quote(c.PushContact)+" is no contact", "write something like mailto:admin@example.org")
		}
	}
	if c.SMTPURL != "" {
		c.checkMail(cmd, refuse)
	}
	for i, o := range c.Origins {
		o = strings.ToLower(strings.TrimSpace(o))
		if u, err := url.Parse(o); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || o != u.Scheme+"://"+u.Host {
			refuse("PARLEY_ORIGINS", quote(o)+" is not a web origin", "write scheme, host and port only, such as https://app.example.org")
		}
		c.Origins[i] = o
	}
	for _, p := range c.TrustedProxies {
		if _, err := ParseNetwork(p); err != nil {
			refuse("PARLEY_TRUSTED_PROXIES", quote(p)+" is not an address or network", "write something like 10.0.0.0/8 or 192.0.2.7")
		}
	}
	for _, p := range c.OutboundAllow {
		if n, err := ParseNetwork(p); err != nil || n.Addr().Is4In6() {
			refuse("PARLEY_OUTBOUND_ALLOW", quote(p)+" is not an address or network", "write something like 10.1.0.0/16 or fd00:1::7")
		}
	}
	for _, p := range c.OutboundPorts {
		if _, err := ParsePort(p); err != nil {
			refuse("PARLEY_OUTBOUND_PORTS", quote(p)+" is not a port", "write something like 443,8443")
		}
	}
	for env, every := range map[string]time.Duration{"PARLEY_CHECK_EVERY": c.CheckEvery, "PARLEY_BACKUP_EVERY": c.BackupEvery} {
		if every > 24*time.Hour || every > 0 && every < time.Minute {
			refuse(env, every.String()+" is too long or too short", "write 0s, or something from 1m to 24h")
		}
	}
	if c.AccessTTL > c.RefreshTTL {
		refuse("PARLEY_ACCESS_TTL", "is longer than PARLEY_REFRESH_TTL", "an access token must not outlive its session")
	}
	switch needed := c.Production() && cmd.Name == "serve"; {
	case c.Secret == "" && needed && (c.NatsURL == "" || c.DatabaseURL == ""):
		refuse("PARLEY_SECRET", "is missing", secretHint)
	case c.Secret == "":
	case len(c.Secret) < MinSecret:
		refuse("PARLEY_SECRET", "is shorter than 32 bytes", secretHint)
	case needed && isSample(c.Secret):
		refuse("PARLEY_SECRET", "looks like a sample that others know too", secretHint)
	}
	return errs
}

func (c *Config) checkMail(cmd Command, refuse func(env, problem, hint string)) {
	u, err := url.Parse(c.SMTPURL)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || u.RawQuery != "" && (u.RawQuery != "tls=off" || u.Scheme == "smtps"):
		refuse("SMTP_URL", "is not the address of a mail server", "write smtp://user:password@host:587 or smtps://user:password@host:465, with special characters as %40")
	case u.RawQuery != "" && u.User != nil && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback():
		refuse("SMTP_URL", "shows the password to everybody on the way", "leave tls=off away, or the user and password")
	}
	if c.Production() && cmd.Name == "serve" {
		if c.MailFrom == defaultMailFrom {
			refuse("PARLEY_MAIL_FROM", "is missing, and mail servers take no mail from nowhere", "write something like Parley <parley@example.org>")
		}
		if c.PublicURL == "" {
			refuse("PARLEY_PUBLIC_URL", "is missing, and links in mails begin with it", "write something like https://chat.example.org")
		}
	}
}

// ParseNetwork reads an address or a network.
func ParseNetwork(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Prefix(a.BitLen())
	}
	return netip.ParsePrefix(s)
}

// ParsePort reads the number of a port.
func ParsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}

// isSample says whether a secret was copied from somewhere or typed without thought.
func isSample(secret string) bool {
	s := strings.ToLower(secret)
	for _, word := range []string{"changeme", "change-me", "change_me", "change me", "example", "sample", "placeholder", "replace", "your-", "your_",
		"secret", "password", "insecure", "development", "abcdefgh", "12345678"} {
		if strings.Contains(s, word) {
			return true
		}
	}
	different := map[rune]bool{}
	for _, r := range s {
		different[r] = true
	}
	return len(different) < 8
}

func quote(s string) string { return `"` + s + `"` }
