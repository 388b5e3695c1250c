package obs

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts what the program does. Labels take values from bounded sets only.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.HistogramVec
	inFlight   prometheus.Gauge
	operations *prometheus.HistogramVec
}

// NewMetrics makes a registry of its own, with the Go and process collectors.
func NewMetrics() *Metrics {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parley_http_request_duration_seconds", Help: "HTTP requests by route, method and status.", Buckets: buckets,
		}, []string{"route", "method", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_http_requests_in_flight", Help: "HTTP requests that are being answered, without sockets.",
		}),
		operations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parley_graphql_operation_duration_seconds", Help: "GraphQL operations by kind, first root field and error code (OK without one).", Buckets: buckets,
		}, []string{"kind", "field", "code"}),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.inFlight, m.operations)
	return m
}

// Register adds collectors of other packages.
func (m *Metrics) Register(c ...prometheus.Collector) { m.registry.MustRegister(c...) }

// Request counts an answered HTTP request.
func (m *Metrics) Request(route, method string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodOptions, http.MethodHead:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
}

// InFlight counts requests that begin (1) and end (-1).
func (m *Metrics) InFlight(delta int) { m.inFlight.Add(float64(delta)) }

// Operation counts a GraphQL operation. The caller bounds field and code.
func (m *Metrics) Operation(kind, field, code string, took time.Duration) {
	m.operations.WithLabelValues(kind, field, code).Observe(took.Seconds())
}

// Handler serves the metrics to Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
