package httpapi_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAudits runs the graphql-http audits where node and the audits are installed (npm ci in web).
func TestAudits(t *testing.T) {
	t.Parallel()
	clients, err := filepath.Abs("../../../web/clients")
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if _, missing := os.Stat(filepath.Join(clients, "..", "node_modules", "graphql-http")); err != nil || missing != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI needs node, and npm ci in web")
		}
		t.Skip("needs node, and npm ci in web")
	}
	srv := httptest.NewServer(mustHandler(t))
	defer srv.Close()

	cmd := exec.Command(node, "--test", "http-audit/audit.test.mjs")
	cmd.Dir = clients
	cmd.Env = append(os.Environ(), "PARLEY_URL="+srv.URL+"/graphql")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out[max(0, len(out)-300):])
	}
}
