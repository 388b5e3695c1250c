package app_test

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/testkit"
)

// TestClients lets the clients of npm loose on a server: see web/clients/suites. Each signs up, asks, changes,
// listens, loses its connection, and must come back to exactly what it missed.
func TestClients(t *testing.T) {
	t.Parallel()
	run := mustNode(t, "suites")
	testkit.Apps(t, func(t *testing.T, a *app.App) { run(t, "PARLEY_URL="+a.URL()+"/graphql") })
}

// TestCodegen has types made from the schema: see web/clients/codegen.
func TestCodegen(t *testing.T) {
	t.Parallel()
	mustNode(t, "codegen")(t)
}

// TestExplorers opens GraphiQL and GraphQL Playground in Chromium: see web/clients/browser. Pictures of what they show are left in
// web/clients/artefacts, or $ARTEFACTS.
func TestExplorers(t *testing.T) {
	t.Parallel()
	run := mustNode(t, "browser")
	chromium := cmp.Or(os.Getenv("CHROMIUM"), "/usr/bin/chromium")
	if _, err := os.Stat(chromium); err != nil && os.Getenv("CI") == "" {
		t.Skipf("needs %s: apt-get install chromium, or CHROMIUM=/path/to/it", chromium)
	}
	run(t, "PARLEY_URL="+testkit.MustRunApp(t, testkit.SQLiteURL(t)).URL()+"/graphql", "CHROMIUM="+chromium)
}

// mustNode returns what runs the tests of a folder in web/clients, with more in the environment.
func mustNode(t *testing.T, folder string) (run func(t *testing.T, env ...string)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(mustHaveModules(t), "clients", folder, "*.test.mjs"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found no tests in %s: %v", folder, err)
	}
	return func(t *testing.T, env ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "node", append([]string{"--test", "--test-force-exit"}, files...)...) // Relay keeps timers of five minutes
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// mustHaveModules is the folder web, in which npm has installed what it needs; without that the test is skipped, except
// where nothing may be.
func mustHaveModules(t *testing.T) string {
	t.Helper()
	web, err := filepath.Abs("../../web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(web, "node_modules", ".package-lock.json")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs Node.js, and npm ci in web: make test sees to it")
		}
		t.Skip("needs Node.js, and npm ci in web: make test sees to it")
	}
	return web
}

// mustBuild makes the program, which tests start and kill that cannot do so with a server in their own process.
func mustBuild(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "parley")
	if out, err := exec.Command("go", "build", "-o", bin, "../..").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}
