// Package config holds every setting of the program: where it comes from, what it is by default, and what is wrong with it.
package config

import (
	"path/filepath"
	"time"
)

// The environments.
const (
	Development = "development"
	Production  = "production"
)

// Config is every setting. A flag wins over the environment, and the environment over the default. The tags are the
// reference: env names the variable, flag the flag, default the value when neither is given, help what it means; min is
// the smallest value that is accepted.
type Config struct {
	Env           string        `env:"PARLEY_ENV" flag:"env" default:"development" help:"development or production; production demands a secret and turns GraphiQL and introspection off"`
	Addr          string        `env:"PARLEY_ADDR" flag:"addr" default:"127.0.0.1:8080" help:"address to listen on"`
	AdminAddr     string        `env:"PARLEY_ADMIN_ADDR" flag:"admin-addr" default:"127.0.0.1:9090" help:"loopback address of /metrics in production; in development it is served on the main address"`
	DataDir       string        `env:"PARLEY_DATA" flag:"data" default:"data" help:"folder of the SQLite database and of the development secret"`
	DatabaseURL   string        `env:"DATABASE_URL" flag:"database-url" secret:"true" help:"postgres://… ; empty: SQLite in parley.db of the data folder"`
	DatabaseConns int           `env:"PARLEY_DATABASE_CONNS" flag:"database-conns" default:"20" min:"1" help:"most connections of this node to PostgreSQL, besides one for sends and up to four for the job queue"`
	SQLiteSync    string        `env:"PARLEY_SQLITE_SYNC" flag:"sqlite-sync" default:"FULL" help:"FULL: what was acknowledged survives a power cut; NORMAL: survives a crash of the program, and is faster"`
	Secret        string        `env:"PARLEY_SECRET" flag:"secret" secret:"true" help:"key that signs tokens, at least 32 bytes; in development it is made and kept in the data folder"`
	LogPoll       time.Duration `env:"PARLEY_LOG_POLL" flag:"log-poll" default:"500ms" min:"10ms" help:"how often the database is asked for what no other node has told of"`
	PublicURL     string        `env:"PARLEY_PUBLIC_URL" flag:"public-url" help:"address that clients use, such as https://chat.example.org; empty: http:// and the address listened on"`

	NatsURL   string `env:"NATS_URL" flag:"nats-url" secret:"true" help:"nats://… of the servers, separated by commas, over which several nodes on one PostgreSQL tell each other at once; nats://user:password@… and tls://… work; empty: they ask the database"`
	NatsCreds string `env:"PARLEY_NATS_CREDS" flag:"nats-creds" help:"credentials file (JWT and key) for NATS"`
	NatsCA    string `env:"PARLEY_NATS_CA" flag:"nats-ca" help:"PEM file of the authorities that sign the certificates of NATS; empty: the system's"`
	NatsCert  string `env:"PARLEY_NATS_CERT" flag:"nats-cert" help:"PEM file of this node's certificate for NATS"`
	NatsKey   string `env:"PARLEY_NATS_KEY" flag:"nats-key" help:"PEM file of its key"`
	Cluster   string `env:"PARLEY_CLUSTER" flag:"cluster" default:"parley" help:"name of this installation on NATS: nodes with the same one belong together"`
	// EventsStream has a reserved value, EventsOff; see Events.
	EventsStream string `env:"PARLEY_EVENTS_STREAM" flag:"events-stream" help:"stream of NATS JetStream that every event also goes to, for other services, and that is made if need be; off: none; empty: PARLEY_EVENTS, followed by _ and the cluster's name if that is not parley"`

	SMTPURL  string `env:"SMTP_URL" flag:"smtp-url" secret:"true" help:"server that mail leaves by: smtp://user:password@host:587, where TLS begins with STARTTLS, or smtps://user:password@host:465; smtp://host:25?tls=off does without TLS; empty: mail goes to files"`
	MailFrom string `env:"PARLEY_MAIL_FROM" flag:"mail-from" default:"Parley <parley@localhost>" help:"sender of mail; mails call this place by its name"`
	MailDir  string `env:"PARLEY_MAIL_DIR" flag:"mail-dir" help:"folder of the newest mails where there is no SMTP_URL; empty: mail in the data folder"`

	PushKey     string `env:"PARLEY_PUSH_KEY" flag:"push-key" secret:"true" help:"private VAPID key of Web Push, 32 bytes in base64url; empty: it follows from the secret; with another one browsers must subscribe anew"`
	PushContact string `env:"PARLEY_PUSH_CONTACT" flag:"push-contact" help:"whom push services write to when something goes wrong: mailto:admin@example.org, or an https:// address; empty: the sender of mail"`

	Origins        []string `env:"PARLEY_ORIGINS" flag:"origins" help:"web origins, separated by commas, that may open sockets and, on the same site, call the API with cookies, such as https://app.example.org; the server's own is always allowed, and localhost in development"`
	TrustedProxies []string `env:"PARLEY_TRUSTED_PROXIES" flag:"trusted-proxies" help:"addresses or networks, separated by commas, of the proxies whose X-Forwarded-For is believed"`

	OutboundAllow []string `env:"PARLEY_OUTBOUND_ALLOW" flag:"outbound-allow" help:"addresses or networks, separated by commas, that may be called although they are not public, such as 10.1.0.0/16: whoever can set up a webhook reaches what listens there"`
	OutboundPorts []string `env:"PARLEY_OUTBOUND_PORTS" flag:"outbound-ports" help:"ports, separated by commas, that may be called; empty: 80, 443 and 1024 up"`
	OutboundCA    string   `env:"PARLEY_OUTBOUND_CA" flag:"outbound-ca" help:"PEM file of the authorities that sign the certificates of what is called; empty: the system's"`
	OutboundHTTP  *bool    `env:"PARLEY_OUTBOUND_HTTP" flag:"outbound-http" help:"call http:// addresses as well; empty: only in development"`

	LogLevel      string `env:"PARLEY_LOG_LEVEL" flag:"log-level" default:"info" help:"debug, info, warn or error"`
	GraphiQL      *bool  `env:"PARLEY_GRAPHIQL" flag:"graphiql" help:"serve GraphiQL at /graphiql/; empty: only in development"`
	Introspection *bool  `env:"PARLEY_INTROSPECTION" flag:"introspection" help:"answer introspection and suggest names in errors; empty: only in development"`

	Retention    time.Duration `env:"PARLEY_RETENTION" flag:"retention" default:"168h" min:"1m" help:"how long the log is kept for clients that were away"`
	DrainDelay   time.Duration `env:"PARLEY_DRAIN_DELAY" flag:"drain-delay" default:"0s" min:"0s" help:"how long to serve on at shutdown after /readyz has turned 503, so that balancers notice before anybody is refused"`
	DrainTimeout time.Duration `env:"PARLEY_DRAIN_TIMEOUT" flag:"drain-timeout" default:"30s" min:"0s" help:"how long running requests may take to finish at shutdown"`

	NotificationRetention time.Duration `env:"PARLEY_NOTIFICATION_RETENTION" flag:"notification-retention" default:"2160h" min:"1h" help:"how long the entries of users' lists of notifications are kept"`

	MailWorkers        int           `env:"PARLEY_MAIL_WORKERS" flag:"mail-workers" default:"4" min:"1" help:"mails that this node sends at once"`
	NotifyWorkers      int           `env:"PARLEY_NOTIFY_WORKERS" flag:"notify-workers" default:"8" min:"1" help:"jobs of notifications that this node runs at once"`
	WebhookWorkers     int           `env:"PARLEY_WEBHOOK_WORKERS" flag:"webhook-workers" default:"16" min:"0" help:"webhooks that this node calls at once; 0: leaves them to other nodes"`
	MaintenanceWorkers int           `env:"PARLEY_MAINTENANCE_WORKERS" flag:"maintenance-workers" default:"2" min:"1" help:"maintenance jobs that this node runs at once"`
	FileWorkers        int           `env:"PARLEY_FILE_WORKERS" flag:"file-workers" default:"2" min:"0" help:"jobs of pictures and exports that this node runs at once; 0: leaves them to other nodes"`
	CheckEvery         time.Duration `env:"PARLEY_CHECK_EVERY" flag:"check-every" default:"24h" min:"0s" help:"how often the log and every counter are checked, on one of the nodes; 0s: never"`
	BackupEvery        time.Duration `env:"PARLEY_BACKUP_EVERY" flag:"backup-every" default:"24h" min:"0s" help:"how often a SQLite database is copied; 0s: never"`
	BackupDir          string        `env:"PARLEY_BACKUP_DIR" flag:"backup-dir" help:"folder of the copies; empty: backups in the data folder"`
	BackupKeep         int           `env:"PARLEY_BACKUP_KEEP" flag:"backup-keep" default:"3" min:"1" help:"copies that are kept, the newest"`

	Report *bool `env:"PARLEY_REPORT" flag:"report" help:"mail administrators who have a verified address once a day how the day before was; empty: yes"`

	AccessTTL       time.Duration `env:"PARLEY_ACCESS_TTL" flag:"access-ttl" default:"10m" min:"10s" help:"life of an access token"`
	RefreshTTL      time.Duration `env:"PARLEY_REFRESH_TTL" flag:"refresh-ttl" default:"720h" min:"1m" help:"life of a session that is not refreshed"`
	SignInsPerUser  int           `env:"PARLEY_SIGN_INS_PER_USER" flag:"sign-ins-per-user" default:"5" min:"1" help:"sign-ins a minute for each username, on all nodes together"`
	SignInsPerAddr  int           `env:"PARLEY_SIGN_INS_PER_ADDR" flag:"sign-ins-per-addr" default:"20" min:"1" help:"sign-ins and sign-ups a minute for each client address, on all nodes together"`
	MailsPerHour    int           `env:"PARLEY_MAILS_PER_HOUR" flag:"mails-per-hour" default:"5" min:"1" help:"mails an hour that may be asked for by a user (to verify an address), for an address, and to reset a password, on all nodes together"`
	SendsPerSecond  int           `env:"PARLEY_SENDS_PER_SECOND" flag:"sends-per-second" default:"10" min:"1" help:"messages a second for each user, on all nodes together"`
	MaxMessageChars int           `env:"PARLEY_MAX_MESSAGE_CHARS" flag:"max-message-chars" default:"4000" min:"1" help:"characters of a message"`

	MaxUpload     Bytes         `env:"PARLEY_MAX_UPLOAD" flag:"max-upload" default:"5MiB" min:"1KiB" help:"size of a picture that is uploaded"`
	MaxBody       Bytes         `env:"PARLEY_MAX_BODY" flag:"max-body" default:"1MiB" min:"1KiB" help:"size of a request body"`
	BodyTimeout   time.Duration `env:"PARLEY_BODY_TIMEOUT" flag:"body-timeout" default:"30s" min:"100ms" help:"time a request body may take to arrive"`
	MaxTokens     int           `env:"PARLEY_MAX_TOKENS" flag:"max-tokens" default:"1000" min:"50" help:"lexical tokens of a document"`
	MaxDepth      int           `env:"PARLEY_MAX_DEPTH" flag:"max-depth" default:"10" min:"1" help:"nesting of an operation"`
	MaxAliases    int           `env:"PARLEY_MAX_ALIASES" flag:"max-aliases" default:"15" min:"0" help:"aliases of a document"`
	MaxDirectives int           `env:"PARLEY_MAX_DIRECTIVES" flag:"max-directives" default:"50" min:"0" help:"directives of a document"`
	MaxComplexity int           `env:"PARLEY_MAX_COMPLEXITY" flag:"max-complexity" default:"1000" min:"1" help:"objects that an operation may ask for, estimated from its page sizes"`

	MaxFrame         Bytes         `env:"PARLEY_MAX_FRAME" flag:"max-frame" default:"64KiB" min:"1KiB" help:"size of a frame from a socket"`
	InitTimeout      time.Duration `env:"PARLEY_INIT_TIMEOUT" flag:"init-timeout" default:"10s" min:"100ms" help:"time for a socket's connection_init"`
	PingInterval     time.Duration `env:"PARLEY_PING_INTERVAL" flag:"ping-interval" default:"25s" min:"1s" help:"time between pings of a silent socket"`
	WriteTimeout     time.Duration `env:"PARLEY_WRITE_TIMEOUT" flag:"write-timeout" default:"10s" min:"100ms" help:"time a socket may take to accept a write"`
	MaxQueue         Bytes         `env:"PARLEY_MAX_QUEUE" flag:"max-queue" default:"256KiB" min:"4KiB" help:"bytes queued for a socket before it is served from the log instead"`
	MaxSubscriptions int           `env:"PARLEY_MAX_SUBSCRIPTIONS" flag:"max-subscriptions" default:"100" min:"1" help:"subscriptions of a socket"`
	SocketsPerUser   int           `env:"PARLEY_SOCKETS_PER_USER" flag:"sockets-per-user" default:"20" min:"1" help:"sockets of a user on this node"`
	SocketsPerAddr   int           `env:"PARLEY_SOCKETS_PER_ADDR" flag:"sockets-per-addr" default:"50" min:"1" help:"sockets of a client address on this node"`
}

// EventsOff is the EventsStream of those who want none.
const EventsOff = "off"

// Events names the stream that events go to, and the subject that is followed by their type.
func (c Config) Events() (stream, subject string) {
	stream, subject = "PARLEY_EVENTS", "parley.events"
	if c.Cluster != defaultCluster {
		stream, subject = stream+"_"+c.Cluster, "parley."+c.Cluster+".events"
	}
	if c.EventsStream != "" {
		stream = c.EventsStream
	}
	return stream, subject
}

// defaultCluster is the default of Cluster.
const defaultCluster = "parley"

// MailFolder is where mails go without a server.
func (c Config) MailFolder() string {
	if c.MailDir == "" {
		return filepath.Join(c.DataDir, "mail")
	}
	return c.MailDir
}

// defaultMailFrom is the default of MailFrom. No server but one on this machine takes it.
const defaultMailFrom = "Parley <parley@localhost>"

// Production says whether real people's data is at stake.
func (c Config) Production() bool { return c.Env == Production }

// AllowOutboundHTTP says whether what users name may be called without TLS.
func (c Config) AllowOutboundHTTP() bool {
	if c.OutboundHTTP != nil {
		return *c.OutboundHTTP
	}
	return !c.Production()
}

// MailReport says whether administrators are mailed how the day before was.
func (c Config) MailReport() bool { return c.Report == nil || *c.Report }

// ServeGraphiQL says whether GraphiQL is on.
func (c Config) ServeGraphiQL() bool {
	if c.GraphiQL != nil {
		return *c.GraphiQL
	}
	return !c.Production()
}

// AllowIntrospection says whether introspection is on.
func (c Config) AllowIntrospection() bool {
	if c.Introspection != nil {
		return *c.Introspection
	}
	return !c.Production()
}
