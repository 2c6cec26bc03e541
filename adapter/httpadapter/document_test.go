package httpadapter_test

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/webhook"
)

// The test chapter of the original adapter documentation, case by case, against real
// servers where it has mocks.

// test_successful_webhook_delivery
func TestDocumentSuccessfulWebhookDelivery(t *testing.T) {
	var got []received
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		record(t, &got)(discard{w}, r)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"success": true}`))
	})
	a := open(t, httpadapter.Options{})
	d := &webhook.Delivery{
		ID: webhook.NewDeliveryID(), Endpoint: webhook.NewEndpointID(), Event: webhook.NewEventID(),
		Payload: []byte(`{"test": "data"}`),
	}
	ep := &webhook.Endpoint{
		ID: webhook.NewEndpointID(), Name: "Test Endpoint", URL: server.URL + "/webhook", Secret: "test-secret",
		CreatedBy: webhook.NewUserID(),
	}
	result := a.Deliver(t.Context(), d, ep)
	if !result.Success {
		t.Fatal(result.ErrorMessage())
	}
	info := responseInfo(t, result)
	if info["status_code"] != 200.0 || info["response_body"] != `{"success": true}` || info["attempt"] != 1.0 {
		t.Errorf("info = %v", info)
	}
	if _, ok := info["response_time_ms"].(float64); !ok {
		t.Errorf("response_time_ms = %v", info["response_time_ms"])
	}
	if len(got) != 1 {
		t.Errorf("%d requests, want one", len(got))
	}
}

// discard passes everything on but bodies.
type discard struct{ http.ResponseWriter }

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func responseInfo(t *testing.T, result webhook.Result) map[string]any {
	t.Helper()
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	var info map[string]any
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatal(err)
	}
	return info
}

// test_connection_pooling_statistics
func TestDocumentConnectionPoolingStatistics(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	a := open(t, httpadapter.Options{PoolSize: 50, PoolSizePerHost: 10})
	if stats := a.ConnectionStats(); stats != (httpadapter.ConnectionStats{}) {
		t.Errorf("at first: %+v", stats)
	}
	for range 8 {
		a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL))
	}
	text, err := json.Marshal(a.ConnectionStats())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"total_requests":8,"connection_reuses":7,"dns_cache_hits":0,"connection_errors":0,"pool_exhausted_count":0,"connection_reuse_rate":0.875,"error_rate":0}`
	if string(text) != want {
		t.Errorf("stats = %s\nwant    %s", text, want)
	}
	text, err = json.Marshal(a.HealthCheck(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	var health struct {
		Status webhook.HealthStatus `json:"status"`
		Pool   struct {
			Total   int `json:"total_pool_size"`
			PerHost int `json:"per_host_pool_size"`
		} `json:"connection_pool"`
	}
	if err := json.Unmarshal(text, &health); err != nil {
		t.Fatal(err)
	}
	if health.Status != webhook.Healthy || health.Pool.Total != 50 || health.Pool.PerHost != 10 {
		t.Errorf("health = %s", text)
	}
}

// test_real_webhook_delivery_with_retry
func TestDocumentDeliveryFailsWith503AndThenSucceeds(t *testing.T) {
	var requests atomic.Int64
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error": "Service unavailable"}`))
			return
		}
		_, _ = w.Write([]byte(`{"received": true}`))
	})
	a := open(t, httpadapter.Options{Timeout: 10 * time.Second})
	d := delivery(`{"event": "test.event", "data": {"id": 123}}`)
	d.Backoff.MaxAttempts = 2
	ep := endpointAt(server.URL + "/webhook")
	if result := a.Deliver(t.Context(), d, ep); result.Success || result.StatusCode != 503 || result.ErrorMessage() != "the receiver answered 503 Service Unavailable" {
		t.Errorf("first: %+v", result)
	}
	if result := a.Deliver(t.Context(), d, ep); !result.Success || result.StatusCode != 200 {
		t.Errorf("second: %+v", result)
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// test_connection_pool_performance
func TestDocumentConnectionPoolPerformance(t *testing.T) {
	urls := make([]string, 3)
	for i := range urls {
		urls[i] = serve(t, func(http.ResponseWriter, *http.Request) {}).URL + "/webhook"
	}
	pooled := open(t, httpadapter.Options{PoolSize: 50, PoolSizePerHost: 20, KeepAlive: time.Minute})
	unpooled := open(t, httpadapter.Options{PoolSize: 1, PoolSizePerHost: 1, KeepAlive: -1})
	var took [2]time.Duration
	for range 10 {
		for _, url := range urls {
			for i, a := range []*httpadapter.Adapter{pooled, unpooled} {
				result := a.Deliver(t.Context(), delivery(`{"performance_test": true}`), endpointAt(url))
				if !result.Success {
					t.Fatal(result.ErrorMessage())
				}
				took[i] += result.Duration()
			}
		}
	}
	t.Logf("pooled average %v, unpooled %v", took[0]/30, took[1]/30) // how much it gains is a benchmark's to say
	if rate := pooled.ConnectionStats().ReuseRate; rate != 0.9 {
		t.Errorf("pooled reuse rate = %v, want 27 of 30", rate)
	}
	if rate := unpooled.ConnectionStats().ReuseRate; rate != 0 {
		t.Errorf("unpooled reuse rate = %v, want none", rate)
	}
}
