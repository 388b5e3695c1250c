package httpapi_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A body that does not come is not waited for, and one that came in time leaves its connection usable for longer.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(mustHandler(t, "--body-timeout", "200ms"))
	t.Cleanup(srv.Close)
	for _, gzip := range []string{"", "Accept-Encoding: gzip\r\n"} {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		answers := bufio.NewReader(c)
		ask := func(body string, length int) *http.Response {
			t.Helper()
			if _, err := fmt.Fprintf(c, "POST /graphql HTTP/1.1\r\nHost: x\r\n%s\r\n%sContent-Length: %d\r\n\r\n%s", asJSON, gzip, length, body); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return resp
		}
		const body = `{"query":"{__typename}"}`
		start := time.Now()
		for time.Since(start) < 300*time.Millisecond {
			if resp := ask(body, len(body)); resp.StatusCode != http.StatusOK {
				t.Fatal(resp.Status)
			}
		}
		if resp := ask(body, len(body)+1); resp.StatusCode != http.StatusRequestTimeout {
			t.Error(resp.Status)
		}
		_ = c.Close()
	}
}
