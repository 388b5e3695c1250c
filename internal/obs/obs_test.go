package obs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-chat/parley/internal/obs"
)

func TestLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := obs.NewLogger(&out, "warn").With("node", 1)
	ctx := obs.WithRequestID(context.Background(), "id-1")
	log.InfoContext(ctx, "hidden")
	log.WarnContext(ctx, "shown")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if line["msg"] != "shown" || line["request"] != "id-1" || line["node"] != 1.0 {
		t.Errorf("%v", line)
	}
	if obs.RequestID(context.Background()) != "" {
		t.Error("an id out of nothing")
	}
	out.Reset()
	obs.NewLogger(&out, "nonsense").Info("shown")
	if out.Len() == 0 {
		t.Error("an unknown level is info")
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m, other := obs.NewMetrics(), obs.NewMetrics()
	m.Request("/graphql", "GET", 200, time.Millisecond)
	m.Request("/graphql", "BREW", 405, time.Millisecond)
	m.Operation("query", "me", "OK", time.Millisecond)
	m.InFlight(2)
	sockets := prometheus.NewGauge(prometheus.GaugeOpts{Name: "parley_test_gauge", Help: "A gauge of another package."})
	m.Register(sockets)

	page := func(m *obs.Metrics) string {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	for _, want := range []string{`method="GET",route="/graphql",status="200"} 1`, `method="other"`, `field="me"`, "parley_http_requests_in_flight 2", "parley_test_gauge 0", "go_goroutines", "process_"} {
		if !strings.Contains(page(m), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(page(other), `field="me"`) {
		t.Error("two registries share something")
	}
}
