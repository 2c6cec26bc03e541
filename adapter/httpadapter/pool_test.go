package httpadapter_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/webhook"
)

// watched is a server that knows its connections and requests.
type watched struct {
	*httptest.Server
	open, mostOpen, made  atomic.Int64
	busy, mostBusy, total atomic.Int64
}

func atMost(most *atomic.Int64, n int64) {
	for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
	}
}

func watch(t testing.TB, handler http.HandlerFunc) *watched {
	t.Helper()
	w := &watched{}
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.total.Add(1)
		atMost(&w.mostBusy, w.busy.Add(1))
		defer w.busy.Add(-1)
		if handler != nil {
			handler(rw, r)
		}
	}))
	w.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			w.made.Add(1)
			atMost(&w.mostOpen, w.open.Add(1))
		case http.StateClosed, http.StateHijacked:
			w.open.Add(-1)
		}
	}
	w.Start()
	t.Cleanup(w.Close)
	return w
}

func TestTheDefaultsAreThoseOfTheDocument(t *testing.T) {
	a := open(t, httpadapter.Options{})
	pool := a.HealthCheck(t.Context()).Pool
	if pool.TotalPoolSize != 100 || pool.PerHostPoolSize != 30 {
		t.Errorf("pool = %+v, want 100 and 30 a host", pool)
	}
	release := make(chan struct{})
	server := watch(t, func(http.ResponseWriter, *http.Request) { <-release })
	var wg sync.WaitGroup
	for range 25 {
		wg.Go(func() { a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL)) })
	}
	for server.busy.Load() < 10 || a.HealthCheck(t.Context()).Performance.InFlight < 25 {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	if most := server.mostBusy.Load(); most != 10 {
		t.Errorf("%d requests at a time, want 10", most)
	}
	if s := a.ConnectionStats(); s.TotalRequests != 25 || s.PoolExhausted != 15 {
		t.Errorf("stats = %+v, want 25 requests of which 15 had to wait", s)
	}
}

func TestConnectionsToOneHostAreBounded(t *testing.T) {
	server, other := watch(t, nil), watch(t, nil)
	a := open(t, httpadapter.Options{MaxConcurrent: -1, PoolSizePerHost: 3})
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			at := server.URL
			if i%3 == 0 {
				at = other.URL
			}
			if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(at)); !result.Success {
				t.Error(result.ErrorMessage())
			}
		})
	}
	wg.Wait()
	for _, s := range []*watched{server, other} {
		if s.made.Load() > 3 || s.mostBusy.Load() > 3 {
			t.Errorf("%d connections, %d requests at a time, want at most 3", s.made.Load(), s.mostBusy.Load())
		}
	}
	s := a.ConnectionStats()
	if s.TotalRequests != 300 || s.ConnectionReuses != 300-server.made.Load()-other.made.Load() || s.ConnectionErrors != 0 {
		t.Errorf("stats = %+v with %d and %d connections", s, server.made.Load(), other.made.Load())
	}
}

// net/http bounds the connections to a host alone.
func TestConnectionsInAllAreBounded(t *testing.T) {
	const size, hosts, requests = 5, 12, 600
	var open, most atomic.Int64
	servers := make([]*httptest.Server, hosts)
	for i := range servers {
		servers[i] = httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		servers[i].Start()
		t.Cleanup(servers[i].Close)
	}
	counting := dialerFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		atMost(&most, open.Add(1))
		return &closeCounter{Conn: c, open: &open}, nil
	})
	a := openWith(t, httpadapter.Options{MaxConcurrent: -1, PoolSize: size, Dialer: counting})
	var wg sync.WaitGroup
	for i := range requests {
		wg.Go(func() {
			if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(servers[i%hosts].URL)); !result.Success {
				t.Error(result.ErrorMessage())
			}
		})
	}
	wg.Wait()
	if most.Load() > size {
		t.Errorf("%d connections at a time, want at most %d", most.Load(), size)
	}
	pool := a.HealthCheck(t.Context()).Pool
	if pool.Open > size || pool.Waiting != 0 || int64(pool.Open) != open.Load() {
		t.Errorf("pool = %+v with %d open connections", pool, open.Load())
	}
}

type dialerFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (f dialerFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

type closeCounter struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *closeCounter) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

func openWith(t testing.TB, opts httpadapter.Options) *httpadapter.Adapter {
	t.Helper()
	a, err := httpadapter.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// An address that is always busy does not keep the others from their turn.
func TestWaitingHostsTakeTurns(t *testing.T) {
	busy, quiet := watch(t, nil), watch(t, nil)
	a := open(t, httpadapter.Options{MaxConcurrent: -1, PoolSize: 1})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for ctx.Err() == nil {
				a.Deliver(ctx, delivery("{}"), endpointAt(busy.URL))
			}
		})
	}
	for range 20 {
		if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(quiet.URL)); !result.Success {
			t.Error(result.ErrorMessage())
		}
	}
	stop()
	wg.Wait()
	t.Logf("%d requests of the busy address passed meanwhile", busy.total.Load())
}

// Thousands of requests that wait for their receivers hold up nobody when the bounds are
// off.
func TestWithoutBoundsNobodyWaits(t *testing.T) {
	const waiting = 1000
	release := make(chan struct{})
	hanging := watch(t, func(http.ResponseWriter, *http.Request) { <-release })
	healthy := watch(t, nil)
	a := open(t, httpadapter.Options{MaxConcurrent: -1, PoolSize: -1, PoolSizePerHost: -1})
	var wg sync.WaitGroup
	for range waiting {
		wg.Go(func() {
			if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(hanging.URL)); !result.Success {
				t.Error(result.ErrorMessage())
			}
		})
	}
	for hanging.busy.Load() < waiting {
		runtime.Gosched()
	}
	for range 20 {
		if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(healthy.URL)); !result.Success {
			t.Error(result.ErrorMessage())
		}
	}
	pool := a.HealthCheck(t.Context()).Pool
	if pool.TotalPoolSize != -1 || pool.PerHostPoolSize != -1 || pool.Open != waiting+1 || pool.Waiting != 0 {
		t.Errorf("pool = %+v", pool)
	}
	close(release)
	wg.Wait()
	if s := a.ConnectionStats(); s.PoolExhausted != 0 || s.TotalRequests != waiting+20 || s.ConnectionReuses != 19 {
		t.Errorf("stats = %+v", s)
	}
}

func TestStatisticsAreExactUnderLoad(t *testing.T) {
	const workers, each = 32, 100
	server := watch(t, nil)
	refusing := "http://" + closedAddress(t)
	a := open(t, httpadapter.Options{MaxConcurrent: 8})
	var reused, failed atomic.Int64
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := range each {
				var result webhook.Result
				switch {
				case i%10 == 0:
					result = a.Deliver(t.Context(), delivery("{}"), endpointAt(refusing))
				case i%10 == 1:
					result = a.Verify(t.Context(), endpointAt(server.URL), nil)
				case i%10 == 2:
					result = a.TestConnectivity(t.Context(), server.URL, 0)
				default:
					result = a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL))
				}
				if result.ConnectionReused {
					reused.Add(1)
				}
				if result.Fault != nil {
					failed.Add(1)
				}
				if worker == 0 { // each rate is one of a single moment
					if s := a.ConnectionStats(); s.ReuseRate > 1 || s.ErrorRate > 1 {
						t.Errorf("stats = %+v", s)
					}
				}
			}
		})
	}
	wg.Wait()
	want := httpadapter.ConnectionStats{
		TotalRequests: workers * each, ConnectionReuses: reused.Load(), ConnectionErrors: workers * each / 10,
	}
	got := a.ConnectionStats()
	if got.TotalRequests != want.TotalRequests || got.ConnectionReuses != want.ConnectionReuses ||
		got.ConnectionErrors != want.ConnectionErrors || got.ErrorRate != 0.1 || failed.Load() != want.ConnectionErrors {
		t.Errorf("stats = %+v, want %+v", got, want)
	}
	if reuses := server.total.Load() - server.made.Load(); got.ConnectionReuses != reuses {
		t.Errorf("%d reuses, the server saw %d", got.ConnectionReuses, reuses)
	}
	health := a.HealthCheck(t.Context())
	if health.Performance.Requests != want.TotalRequests || health.Performance.ErrorRate != 0.1 || health.Status != webhook.Healthy {
		t.Errorf("health = %+v", health)
	}
}

func closedAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestKeepAliveOffGivesEachRequestItsConnection(t *testing.T) {
	closing := true
	server := watch(t, func(_ http.ResponseWriter, r *http.Request) { closing = closing && r.Close })
	a := open(t, httpadapter.Options{KeepAlive: -1})
	for range 4 {
		if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL)); !result.Success || result.ConnectionReused {
			t.Fatalf("%+v", result)
		}
	}
	if server.made.Load() != 4 || !closing {
		t.Errorf("%d connections, asked to close %v", server.made.Load(), closing)
	}
	if pool := a.HealthCheck(t.Context()).Pool; pool.Open != 0 {
		t.Errorf("pool = %+v", pool)
	}
}

func TestHealthTellsWhatIsWrong(t *testing.T) {
	refusing := "http://" + closedAddress(t)
	a := open(t, httpadapter.Options{})
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	for i, want := range []webhook.HealthStatus{webhook.Healthy, webhook.Degraded, webhook.Unhealthy} {
		for range 10 {
			at := server.URL
			if i > 0 {
				at = refusing
			}
			if want == webhook.Degraded && a.HealthCheck(t.Context()).Status == want {
				break
			}
			a.Deliver(t.Context(), delivery("{}"), endpointAt(at))
		}
		if want == webhook.Unhealthy {
			for range 10 {
				a.Deliver(t.Context(), delivery("{}"), endpointAt(refusing))
			}
		}
		health := a.Health(t.Context())
		if health.Status != want || (len(health.Reasons) == 0) != (want == webhook.Healthy) {
			t.Errorf("health = %+v, want %s", health, want)
		}
		if _, ok := health.Details.(httpadapter.HealthReport); !ok {
			t.Errorf("details are %T", health.Details)
		}
	}
}

func TestShutdownLetsRequestsEnd(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "done")
	})
	a := open(t, httpadapter.Options{})
	results := make(chan webhook.Result, 1)
	go func() { results <- a.Deliver(context.Background(), delivery("{}"), endpointAt(server.URL)) }()
	<-arrived
	ended := make(chan error)
	go func() { ended <- a.Shutdown(context.Background()) }()
	for {
		result := a.Deliver(context.Background(), delivery("{}"), endpointAt("http://127.0.0.1:1/"))
		if result.Fault != nil && result.Fault.Code == webhook.FaultClosed {
			break // it has begun
		}
	}
	close(release)
	if result := <-results; !result.Success || string(result.Body) != "done" {
		t.Errorf("the request in flight: %s", result.ErrorMessage())
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	arrived := make(chan struct{})
	url := rawServer(t, func(c net.Conn) { arrived <- struct{}{}; untilClosed(c) })
	a := open(t, httpadapter.Options{})
	results := make(chan webhook.Result, 1)
	go func() { results <- a.Deliver(context.Background(), delivery("{}"), endpointAt(url)) }()
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := a.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Errorf("err = %v", err)
	}
	if result := <-results; result.Fault == nil || result.Fault.Code != webhook.FaultClosed {
		t.Errorf("fault = %+v", result.Fault)
	}
	if err := a.Shutdown(t.Context()); err != nil { // again
		t.Error(err)
	}
}
