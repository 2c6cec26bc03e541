package adapter_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/neohook/neohook/adapter/batch"
	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/adapter/profile"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/webhook"
)

// loopback lets the adapters of these examples reach receivers on this machine. By default
// only public addresses are dialled.
var loopback = egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

// One delivery, from its entities to its result.
func Example_basicDelivery() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("received %s, signed: %v\n", body, r.Header.Get("webhook-signature") != "")
		_, _ = io.WriteString(w, "thank you")
	}))
	defer receiver.Close()

	adapter, err := httpadapter.New(httpadapter.Options{Egress: loopback})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close() //nolint:errcheck // always nil

	event := &webhook.Event{ID: webhook.NewEventID(), Type: "order.completed", Payload: []byte(`{"order_id":"order-123"}`)}
	endpoint := &webhook.Endpoint{
		ID: webhook.NewEndpointID(), Name: "Order Processing Webhook", URL: receiver.URL + "/webhooks/orders",
		Method: "POST", Secret: "secure-token-here", Timeout: 30 * time.Second, CreatedBy: webhook.NewUserID(),
	}
	delivery := webhook.NewDelivery(event, endpoint) // attempt 1, pending, at most 3 attempts, 5 s, 2.0

	result := adapter.Deliver(context.Background(), delivery, endpoint)
	if result.Success {
		fmt.Printf("delivered: %d, %s\n", result.StatusCode, result.Body)
	} else {
		fmt.Println("failed:", result.ErrorMessage())
	}
	// Output:
	// received {"order_id":"order-123"}, signed: true
	// delivered: 200, thank you
}

// A hundred deliveries at once, with the settings for it, and what the connections did.
func Example_highPerformanceBatch() {
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	adapter, err := httpadapter.New(httpadapter.Options{
		MaxConcurrent:   50,                // at once
		PoolSize:        300,               // connections in all
		PoolSizePerHost: 100,               // and to one host
		KeepAlive:       120 * time.Second, // for the next request
		DNSCacheTTL:     900 * time.Second,
		Egress:          loopback,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close() //nolint:errcheck // always nil

	jobs := make([]batch.Job, 100)
	for i := range jobs {
		endpoint := &webhook.Endpoint{ID: webhook.NewEndpointID(), URL: fmt.Sprintf("%s/hook/%d", receiver.URL, i)}
		event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}
		jobs[i] = batch.Job{Delivery: webhook.NewDelivery(event, endpoint), Endpoint: endpoint}
	}
	successful, failed := batch.Deliver(context.Background(), adapter, jobs, batch.Options{}).Count()
	fmt.Printf("Batch complete: %d successful, %d failed\n", successful, failed)
	stats := adapter.ConnectionStats()
	fmt.Printf("%d requests, error rate %.2f, some reused a connection: %v\n", stats.TotalRequests, stats.ErrorRate, stats.ReuseRate > 0)
	// Output:
	// Batch complete: 100 successful, 0 failed
	// 100 requests, error rate 0.00, some reused a connection: true
}

// First whether anything is there, with a HEAD request, and then whether the endpoint takes
// a test event.
func Example_endpointVerification() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer receiver.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	adapter, err := httpadapter.New(httpadapter.Options{Timeout: 10 * time.Second, MaxConcurrent: 10, Egress: loopback})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close() //nolint:errcheck // always nil

	payload := []byte(`{"event_type":"verification.test","timestamp":"2024-01-15T10:30:00Z","data":{"test":true}}`)
	for _, endpoint := range []webhook.Endpoint{
		{Name: "Orders", URL: receiver.URL + "/orders"},
		{Name: "Broken", URL: receiver.URL + "/broken"},
		{Name: "Nowhere", URL: gone.URL},
	} {
		if reached := adapter.TestConnectivity(context.Background(), endpoint.URL, 5*time.Second); !reached.Success {
			fmt.Printf("%s: %s in the phase %s\n", endpoint.Name, reached.Fault.Code, reached.Fault.Phase)
			continue
		}
		verified := adapter.Verify(context.Background(), &endpoint, payload)
		fmt.Printf("%s: %v with %d\n", endpoint.Name, verified.Success, verified.StatusCode)
	}
	// Output:
	// Orders: true with 200
	// Broken: false with 500
	// Nowhere: refused in the phase connect
}

// An endpoint's own headers go out with each request, beside the signature.
func Example_customHeaders() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"X-API-Key", "X-Client-Version", "Authorization"} {
			fmt.Printf("%s: %s\n", name, r.Header.Get(name))
		}
		w.Header().Set("X-Request-Id", "r-1")
	}))
	defer receiver.Close()
	adapter, err := httpadapter.New(httpadapter.Options{Egress: loopback})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close() //nolint:errcheck // always nil

	endpoint := &webhook.Endpoint{
		ID: webhook.NewEndpointID(), Name: "Authenticated API Webhook", URL: receiver.URL, Secret: "webhook-hmac-secret",
		Headers: map[string]string{
			"X-API-Key": "your-api-key-here", "X-Client-Version": "v1.2.3", "Authorization": "Bearer jwt-token-here",
		},
		Timeout: 45 * time.Second,
	}
	event := &webhook.Event{ID: webhook.NewEventID(), Type: "order.completed", Payload: []byte(`{"total_amount":99.99}`)}
	for range 2 {
		result := adapter.Deliver(context.Background(), webhook.NewDelivery(event, endpoint), endpoint)
		fmt.Println("answered with", result.Header["X-Request-Id"], "reused:", result.ConnectionReused)
	}
	// Output:
	// X-API-Key: your-api-key-here
	// X-Client-Version: v1.2.3
	// Authorization: Bearer jwt-token-here
	// answered with [r-1] reused: false
	// X-API-Key: your-api-key-here
	// X-Client-Version: v1.2.3
	// Authorization: Bearer jwt-token-here
	// answered with [r-1] reused: true
}

// The settings of an environment, by its name.
func Example_environments() {
	for _, environment := range []string{profile.Development, profile.Production, profile.Testing} {
		o, err := profile.Apply(environment, httpadapter.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: timeout %v, %d at once, pool %d\n", environment, o.Timeout, o.MaxConcurrent, o.PoolSize)
	}
	// Output:
	// development: timeout 1m0s, 5 at once, pool 20
	// production: timeout 30s, 100 at once, pool 500
	// testing: timeout 5s, 3 at once, pool 10
}
