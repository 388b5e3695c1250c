package app_test

import (
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
	clients, err := filepath.Abs("../../web/clients")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(clients, "..", "node_modules", "graphql-ws")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs Node.js, and npm ci in web: make test sees to it")
		}
		t.Skip("needs Node.js, and npm ci in web: make test sees to it")
	}
	suites, err := filepath.Glob(filepath.Join(clients, "suites", "*.test.mjs"))
	if err != nil || len(suites) == 0 {
		t.Fatalf("found no suites: %v", err)
	}
	testkit.Apps(t, func(t *testing.T, a *app.App) {
		cmd := exec.CommandContext(t.Context(), "node", append([]string{"--test"}, suites...)...)
		cmd.Env = append(os.Environ(), "PARLEY_URL="+a.URL()+"/graphql")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
