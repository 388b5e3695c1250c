package main

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-chat/parley/bench/chaos/history"
	"github.com/parley-chat/parley/bench/cluster"
)

// sample writes down each second how a node is, as far as it says.
func sample(ctx context.Context, w *history.Writer, n *cluster.Node, number int) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		pid := n.PID()
		m, err := metrics(ctx, "http://"+n.Addr+"/metrics")
		if err != nil || pid != n.PID() {
			continue // it is down, or was started again meanwhile
		}
		w.Write(history.Record{K: "sample", Node: number, PID: pid, Goroutines: int(m["go_goroutines"]), Memory: int64(m["process_resident_memory_bytes"]),
			Pos: int64(m["parley_log_applied_position"]), Gaps: int64(m["parley_log_gaps_total"]), CatchUps: int64(m["parley_catch_ups_total"]), Sockets: int(m["parley_sockets"])})
	}
}

// tick writes down when this process itself was late: so was all it did, and the machine has too much to do.
func tick(ctx context.Context, w *history.Writer) {
	const often = 100 * time.Millisecond
	for last := history.Now(); wait(ctx, often); {
		now := history.Now()
		if late := now - last - int64(often); late > int64(time.Second) {
			w.Write(history.Record{K: "lag", For: late})
		}
		last = now
	}
}

var scrape = http.Client{Timeout: time.Second}

// metrics reads the values without labels.
func metrics(ctx context.Context, url string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := scrape.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok {
			if x, err := strconv.ParseFloat(value, 64); err == nil {
				all[name] = x
			}
		}
	}
	return all, lines.Err()
}
