package main

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// arrivals is a receiver that keeps when each event came to each path.
type arrivals struct {
	url string

	mu    sync.Mutex
	times map[string]map[string][]time.Time // by path, then id
	order map[string][]string               // ids by path, each when it came first
	all   map[string][]time.Time            // by path
	now   map[string]int                    // under way, by path
	peak  map[string]int
	grown *sync.Cond
}

func newArrivals(t *testing.T) *arrivals {
	t.Helper()
	a := &arrivals{
		times: make(map[string]map[string][]time.Time), order: make(map[string][]string), all: make(map[string][]time.Time),
		now: make(map[string]int), peak: make(map[string]int),
	}
	a.grown = sync.NewCond(&a.mu)
	sink := newSink(t, nil)
	sink.Config.Handler = a
	a.url = sink.URL
	return a
}

func (a *arrivals) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil { // the sender was killed: nothing has come
		return
	}
	path, id := strings.TrimPrefix(r.URL.Path, "/"), r.Header.Get("webhook-id")
	a.mu.Lock()
	now := time.Now()
	if a.times[path] == nil {
		a.times[path] = make(map[string][]time.Time)
	}
	if len(a.times[path][id]) == 0 {
		a.order[path] = append(a.order[path], id)
	}
	a.times[path][id] = append(a.times[path][id], now)
	a.all[path] = append(a.all[path], now)
	a.now[path]++
	a.peak[path] = max(a.peak[path], a.now[path])
	a.mu.Unlock()
	a.grown.Signal()
	if path == "narrow" {
		const takes = 5 * time.Millisecond
		select {
		case <-time.After(takes):
		case <-r.Context().Done():
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now[path]--
}

// await waits until all that was acknowledged to a tenant has come, or nothing has for
// longer than the first retry and a takeover take.
func (a *arrivals) await(t *testing.T, tenant *testTenant) {
	t.Helper()
	const patience = 40 * time.Second
	tenant.mu.Lock()
	defer tenant.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	stalled := false
	watchdog := time.AfterFunc(patience, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		stalled = true
		a.grown.Signal()
	})
	defer watchdog.Stop()
	for n, id := range tenant.ids {
		for len(a.times[tenant.uid][id]) == 0 {
			before := len(a.all[tenant.uid])
			a.grown.Wait()
			if stalled {
				t.Errorf("%s: event %d, acknowledged as %s, has not come for %v, after %d of %d", tenant.uid, n, id, patience, len(a.order[tenant.uid]), len(tenant.ids))
				return
			}
			if len(a.all[tenant.uid]) > before {
				watchdog.Reset(patience)
			}
		}
	}
}

func (a *arrivals) count() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, times := range a.all {
		n += len(times)
	}
	return n
}

// at is when each event came to a tenant's endpoint.
func (a *arrivals) at(tenant *testTenant) map[string][]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.times[tenant.uid]
}

// firsts lists a tenant's events in the order in which they came first.
func (a *arrivals) firsts(tenant *testTenant, numberOf map[string]int) []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	var order []int
	for _, id := range a.order[tenant.uid] {
		order = append(order, numberOf[id])
	}
	return order
}

// most is how many requests were under way at once to a path.
func (a *arrivals) most(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.peak[path]
}

// holdPace wants no long stretch of requests to a path to be faster than it may be, by more
// than a machine's stumbling explains.
func (a *arrivals) holdPace(t *testing.T, path string, aSecond int) {
	t.Helper()
	a.mu.Lock()
	times := slices.Clone(a.all[path])
	a.mu.Unlock()
	stretch := 8 * aSecond // eight seconds
	for from := 0; from+stretch < len(times); from++ {
		const least = 6 * time.Second
		if took := times[from+stretch].Sub(times[from]); took < least {
			t.Errorf("%s: %d requests came within %v, of %d a second", path, stretch, took, aSecond)
			return
		}
	}
}
