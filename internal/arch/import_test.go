package arch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/parley-chat/parley"

// A room is a group of packages that stand side by side. They import only what is in the rooms named by may, and what
// is in the same entry of packages; never their neighbours.
type room struct {
	name     string
	packages []string // relative to the module; "/..." includes what is below
	may      []string
}

// rooms are listed from the ground up.
var rooms = []room{
	{"nouns", []string{"internal/chat"}, nil},
	{"assets", []string{"migrations", "schema", "web/..."}, nil},
	{
		"ground",
		[]string{
			"internal/store/...", "internal/eventlog/...", "internal/hub/...", "internal/bus/...", "internal/token/...",
			"internal/mail/...", "internal/job/...", "internal/config/...", "internal/obs/...", "internal/limit/...",
			"internal/outbound/...", "internal/webhook/...", "internal/push/...", "internal/picture/...",
		},
		[]string{"nouns", "assets"},
	},
	{
		"services",
		[]string{
			"internal/user/...", "internal/friend/...", "internal/conversation/...", "internal/message/...",
			"internal/presence/...", "internal/feed/...", "internal/bot/...", "internal/mailing/...", "internal/notification/...", "internal/pushing/...",
			"internal/file/...", "internal/export/...", "internal/hook/...", "internal/digest/...", "internal/report/...",
		},
		[]string{"nouns", "ground"},
	},
	{"graph", []string{"graph/..."}, []string{"nouns", "ground", "services"}},
	{"transport", []string{"internal/transport/..."}, []string{"nouns", "assets", "ground", "services"}},
	{"worker", []string{"internal/worker/..."}, []string{"nouns", "ground", "services"}},
	{"client", []string{"internal/client/..."}, []string{"nouns"}},
	{"demo", []string{"internal/demo/..."}, []string{"nouns", "client"}},
	{"wiring", []string{"internal/app/..."}, []string{"nouns", "assets", "ground", "services", "graph", "transport", "worker", "demo"}},
	{"main", []string{"."}, []string{"wiring"}},
	{"tests", []string{"internal/testkit/...", "internal/arch"}, []string{"nouns", "assets", "ground", "services", "graph", "transport", "worker", "client", "wiring"}},
}

// An edge is an import that is judged by itself, before the rooms are.
type edge struct{ from, to string }

var (
	allowed = []edge{
		{"graph", "internal/transport/live"}, // internal/adr/0001-graph-may-import-live.md
	}
	forbidden = []edge{
		{"graph/...", "internal/store/..."},
		{"graph/...", "internal/hub/..."},
		{"graph/...", "internal/bus/..."},
	}
)

// outside are imports from elsewhere that only some packages may have.
var outside = []struct {
	what string // import path; "/..." includes what is below
	only []string
}{
	{"gorm.io/...", []string{"internal/store/..."}},
	{"github.com/ncruces/...", []string{"internal/store/..."}},
	{"github.com/jackc/...", []string{"internal/store/...", "internal/job/...", "internal/testkit/..."}},
	{"github.com/riverqueue/...", []string{"internal/store", "internal/job", "internal/worker"}},
	{"riverqueue.com/...", []string{"internal/app"}},
	{"github.com/wneessen/...", []string{"internal/mail"}},
	{"github.com/nats-io/nats-server/...", []string{"internal/testkit/..."}},
	{"github.com/nats-io/...", []string{"internal/bus/natsbus/...", "internal/testkit/..."}},
	{"github.com/99designs/gqlgen/...", []string{"graph/...", "internal/transport/...", "internal/app/...", "internal/obs/..."}},
	{"github.com/gorilla/websocket", []string{"internal/transport/...", "internal/client/...", "internal/testkit/..."}},
	{"net/http", []string{
		"internal/transport/...", "internal/app/...", "internal/client/...", "internal/demo/...", "internal/testkit/...",
		"internal/obs/...", "internal/token/...", "internal/limit/...", "internal/outbound/...", "internal/webhook/...",
		"internal/push/...", "graph/generated", "web/...",
	}},
	{"testing", []string{"internal/testkit/..."}},
}

// nouns says what internal/chat imports besides the standard library: the id type.
var nouns = []string{"github.com/google/uuid"}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, p := range packages(t) {
		seen++
		for _, imported := range p.Imports {
			if why := judge(relative(p.ImportPath), imported); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
		if _, _, ok := place(relative(p.ImportPath)); !ok {
			t.Errorf("%s stands in no room: say in import_test.go what it may import", p.ImportPath)
		}
	}
	if seen < 3 {
		t.Fatalf("saw only %d packages", seen)
	}
}

// TestJudge shows that the rule can fail.
func TestJudge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{".", module + "/internal/app", true},
		{".", module + "/internal/store", false},
		{"internal/chat", "time", true},
		{"internal/chat", "github.com/google/uuid", true},
		{"internal/chat", "github.com/99designs/gqlgen/graphql", false},
		{"internal/chat", module + "/internal/store", false},
		{"internal/store", module + "/internal/chat", true},
		{"internal/store", module + "/migrations", true},
		{"internal/store", module + "/internal/store/dialect", true},
		{"internal/store", module + "/internal/eventlog", false},
		{"internal/store", "gorm.io/gorm", true},
		{"internal/user", "gorm.io/gorm", false},
		{"internal/user", module + "/internal/store", true},
		{"internal/user", module + "/internal/friend", false},
		{"internal/user", module + "/graph/model", false},
		{"internal/user", "net/http", false},
		{"internal/user", "github.com/99designs/gqlgen/graphql", false},
		{"internal/user", module + "/internal/testkit", false},
		{"internal/bus", "github.com/nats-io/nats.go", false},
		{"internal/bus/natsbus", "github.com/nats-io/nats.go", true},
		{"graph", module + "/graph/model", true},
		{"graph", module + "/internal/user", true},
		{"graph", module + "/internal/limit", true},
		{"graph", module + "/internal/transport/live", true},
		{"graph", module + "/internal/transport/ws", false},
		{"graph", module + "/internal/store", false},
		{"graph", module + "/internal/hub", false},
		{"graph", module + "/internal/bus", false},
		{"internal/transport/ws", module + "/internal/transport/live", true},
		{"internal/transport/ws", module + "/internal/hub", true},
		{"internal/transport/live", module + "/graph", false},
		{"internal/transport/live", module + "/graph/generated", false},
		{"internal/worker", module + "/internal/transport/live", false},
		{"internal/demo", module + "/internal/client", true},
		{"internal/demo", module + "/internal/store", false},
		{"internal/app", module + "/graph", true},
		{"internal/app", "gorm.io/gorm", false},
		{"internal/app", module + "/internal/testkit", false},
		{"internal/testkit", module + "/internal/app", true},
	} {
		if why := judge(c.from, c.to); (why == "") != c.ok {
			t.Errorf("%s imports %s: %q, want allowed = %t", c.from, c.to, why, c.ok)
		}
	}
}

// judge says why a package must not import another, or nothing.
func judge(from, imported string) string {
	for _, o := range outside {
		if matches(o.what, imported) && !matchesAny(o.only, from) {
			return "only " + strings.Join(o.only, ", ") + " may"
		}
	}
	if imported != module && !strings.HasPrefix(imported, module+"/") {
		if from == "internal/chat" && strings.Contains(imported, ".") && !slices.Contains(nouns, imported) {
			return "the nouns stand on the standard library and the id type"
		}
		return ""
	}
	to := relative(imported)
	for _, e := range allowed {
		if matches(e.from, from) && matches(e.to, to) {
			return ""
		}
	}
	for _, e := range forbidden {
		if matches(e.from, from) && matches(e.to, to) {
			return "not past the services"
		}
	}
	fromRoom, fromEntry, _ := place(from)
	toRoom, toEntry, ok := place(to)
	switch {
	case !ok:
		return "it stands in no room"
	case fromRoom.name == toRoom.name && fromEntry == toEntry, slices.Contains(fromRoom.may, toRoom.name):
		return ""
	case fromRoom.name == toRoom.name:
		return "neighbours never import each other; what they share belongs below, what joins them into internal/app"
	default:
		return fromRoom.name + " may only import " + strings.Join(fromRoom.may, ", ")
	}
}

// place finds the room of a package, and its entry there.
func place(pkg string) (room, string, bool) {
	for _, r := range rooms {
		for _, entry := range r.packages {
			if matches(entry, pkg) {
				return r, entry, true
			}
		}
	}
	return room{}, "", false
}

func matches(pattern, pkg string) bool {
	if dir, below := strings.CutSuffix(pattern, "/..."); below {
		return pkg == dir || strings.HasPrefix(pkg, dir+"/")
	}
	return pkg == pattern
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

func relative(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

// packages lists the module's packages with what their code, not their tests, imports.
func packages(t *testing.T) []listed {
	t.Helper()
	var all []listed
	d := json.NewDecoder(bytes.NewReader(output(t, "go", "list", "-e", "-json=ImportPath,Imports", "./...")))
	for {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
