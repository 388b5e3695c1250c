package web_test

import (
	"flag"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// TestClients lets the clients of npm loose on a server: see clients/suites. Each signs up, asks, changes, listens, loses its
// connection, and must come back to exactly what it missed.
func TestClients(t *testing.T) {
	t.Parallel()
	run := mustNode(t, "suites")
	testkit.Apps(t, func(t *testing.T, a *app.App) { run(t, "PARLEY_URL="+a.URL()+"/graphql") })
}

// TestAudits has graphql-http judge how queries and mutations are answered: see clients/http-audit.
func TestAudits(t *testing.T) {
	t.Parallel()
	run := mustNode(t, "http-audit")
	testkit.Apps(t, func(t *testing.T, a *app.App) { run(t, "PARLEY_URL="+a.URL()+"/graphql") })
}

// TestCodegen has types made from the schema: see clients/codegen.
func TestCodegen(t *testing.T) {
	t.Parallel()
	mustNode(t, "codegen")(t)
}

// TestExplorers opens GraphiQL and GraphQL Playground in Chromium: see clients/browser. Pictures of what they show are left in
// clients/artefacts, or $ARTEFACTS.
func TestExplorers(t *testing.T) {
	t.Parallel()
	run := mustNode(t, "browser")
	chromium := mustHaveChromium(t)
	run(t, "PARLEY_URL="+testkit.MustRunApp(t, testkit.SQLiteURL(t)).URL()+"/graphql", chromium)
}

// TestParleyClient builds packages/parley-client and runs its tests, which start, kill and starve servers of their own.
func TestParleyClient(t *testing.T) {
	t.Parallel()
	mustHaveModules(t, "packages", "clients")
	chromium := mustHaveChromium(t)
	// What the log's retention does within days, for the data folder that is named.
	trim := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		folder, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		db, err := store.Open(r.Context(), store.Config{URL: "sqlite:" + filepath.Join(string(folder), "parley.db")})
		if err != nil {
			t.Error(err)
			return
		}
		defer db.Close()
		if n, err := db.Trim(r.Context(), time.Now().Add(time.Hour), 10000); n == 0 || err != nil {
			t.Errorf("%d events were trimmed, %v", n, err)
		}
	}))
	defer trim.Close()
	mustRun(t, exec.CommandContext(t.Context(), "npm", "test", "--silent", "--workspace", "parley-client"), mustBuild(t), "PARLEY_TRIM="+trim.URL, chromium)
}

var speed = flag.Bool("speed", false, "let TestEndToEnd measure only, and hold what it measures to the budget; without -race, on a quiet machine")

// TestEndToEnd sits people down before browsers of their own, in which the app runs: see e2e. The servers are killed
// meanwhile, and the network cut.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	mustHaveModules(t, "app", "packages", "e2e", "README.md", "../README.md") // whose code is tried
	mustHaveApp(t)
	args, env := []string{"test", "--silent", "--workspace", "parley-e2e"}, []string{mustHaveChromium(t), mustBuild(t)}
	if *speed {
		args, env = append(args, "--", "speed.test.ts", "--workers=1"), append(env, "BUDGET=1")
	}
	mustRun(t, exec.CommandContext(t.Context(), "npm", args...), env...)
}

// mustNode returns what runs the tests of a folder in clients, with more in the environment.
func mustNode(t *testing.T, folder string) (run func(t *testing.T, env ...string)) {
	t.Helper()
	mustHaveModules(t, "packages", "clients")
	files, err := filepath.Glob(filepath.Join("clients", folder, "*.test.mjs"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found no tests in %s: %v", folder, err)
	}
	return func(t *testing.T, env ...string) {
		t.Helper()
		mustRun(t, exec.CommandContext(t.Context(), "node", append([]string{"--test", "--test-force-exit"}, files...)...), env...) // Relay keeps timers of five minutes
	}
}

func mustRun(t *testing.T, cmd *exec.Cmd, env ...string) {
	t.Helper()
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
}

// mustHave fails where nothing may be left out, and skips the test elsewhere, if a file is missing.
func mustHave(t *testing.T, file, otherwise string) {
	t.Helper()
	if _, err := os.Stat(file); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("needs %s, as make test does", otherwise)
		}
		t.Skipf("needs %s", otherwise)
	}
}

func mustHaveApp(t *testing.T) {
	t.Helper()
	mustHave(t, filepath.Join("dist", "app.zip"), "the built app: make app")
}

// mustHaveModules skips the test unless npm has installed what it needs, and lists the folders of its sources: go test knows
// of no other way that a result it keeps has to be made anew when they change.
func mustHaveModules(t *testing.T, sources ...string) {
	t.Helper()
	mustHave(t, filepath.Join("node_modules", ".package-lock.json"), "Node.js, and its packages: make modules")
	for _, folder := range sources {
		if err := filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() && slices.Contains([]string{"node_modules", "artefacts", "dist", "build", "gql", "readme", "generated"}, d.Name()) {
				return filepath.SkipDir // what other tests make, meanwhile perhaps
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// mustHaveChromium is the setting that tells tests where the browser is.
func mustHaveChromium(t *testing.T) string {
	t.Helper()
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		chromium, _ = exec.LookPath("chromium")
	}
	mustHave(t, chromium, "Chromium: apt-get install chromium, or CHROMIUM=/path/to/it")
	return "CHROMIUM=" + chromium
}

// mustBuild makes the program, for tests that start and kill it, and is the setting that tells them where it is.
func mustBuild(t *testing.T) string {
	t.Helper()
	return "PARLEY_BIN=" + testkit.MustBuild(t, "..")
}
