package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestEndToEnd sits people down before browsers of their own, in which the app runs: see web/e2e. The servers are killed
// meanwhile, and the network cut.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	web := mustHaveModules(t)
	if _, err := os.Stat(filepath.Join(web, "dist", "app.zip")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs the built app: make app, as make test does")
		}
		t.Skip("needs the built app: make app")
	}
	cmd := exec.CommandContext(t.Context(), "npm", "test", "--silent", "--workspace", "parley-e2e")
	cmd.Dir = web
	cmd.Env = append(os.Environ(), "PARLEY_BIN="+mustBuild(t))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
}
