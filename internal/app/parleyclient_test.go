package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/store"
)

// TestParleyClient builds web/packages/parley-client and runs its tests, which start, kill and starve servers of their own.
func TestParleyClient(t *testing.T) {
	t.Parallel()
	web := mustHaveModules(t)
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
	cmd := exec.CommandContext(t.Context(), "npm", "test", "--silent", "--workspace", "parley-client")
	cmd.Dir = web
	cmd.Env = append(os.Environ(), "PARLEY_BIN="+mustBuild(t), "PARLEY_TRIM="+trim.URL)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
