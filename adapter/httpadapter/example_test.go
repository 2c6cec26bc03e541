package httpadapter_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/webhook"
)

// local lets examples reach receivers on this machine, which are refused by default.
var local = egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

func Example() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("%s %s, signed: %v\n", r.Method, body, r.Header.Get("Webhook-Signature") != "")
		_, _ = io.WriteString(w, "thank you")
	}))
	defer receiver.Close()

	adapter, err := httpadapter.New(httpadapter.Options{Egress: local})
	if err != nil {
		log.Fatal(err)
	}
	defer adapter.Close()

	result := adapter.Deliver(context.Background(),
		&webhook.Delivery{ID: webhook.NewDeliveryID(), Event: webhook.NewEventID(), Payload: []byte(`{"order_id":"order-123"}`)},
		&webhook.Endpoint{URL: receiver.URL + "/webhooks/orders", Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
	)
	fmt.Println(result.Success, result.StatusCode, string(result.Body))
	// Output:
	// POST {"order_id":"order-123"}, signed: true
	// true 200 thank you
}

func ExampleAdapter_Deliver_failure() {
	adapter, err := httpadapter.New(httpadapter.Options{}) // public addresses alone
	if err != nil {
		log.Fatal(err)
	}
	defer adapter.Close()

	result := adapter.Deliver(context.Background(),
		&webhook.Delivery{Event: webhook.NewEventID(), Payload: []byte("{}")},
		&webhook.Endpoint{URL: "http://169.254.169.254/latest/meta-data/"},
	)
	fmt.Println(result.Success, result.Fault.Code, result.Fault.Phase)
	// Output: false blocked_address connect
}

func ExampleAdapter_Verify() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			Type string `json:"event_type"`
		}
		_ = json.NewDecoder(r.Body).Decode(&event)
		fmt.Println("asked with", event.Type)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer receiver.Close()

	adapter, err := httpadapter.New(httpadapter.Options{Egress: local, Timeout: 10 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer adapter.Close()

	result := adapter.Verify(context.Background(), &webhook.Endpoint{URL: receiver.URL}, nil)
	fmt.Println(result.Success, result.StatusCode) // somebody is there
	// Output:
	// asked with verification.test
	// true 404
}

func ExampleAdapter_TestConnectivity() {
	adapter, err := httpadapter.New(httpadapter.Options{Egress: local})
	if err != nil {
		log.Fatal(err)
	}
	defer adapter.Close()

	receiver := httptest.NewServer(http.NotFoundHandler())
	result := adapter.TestConnectivity(context.Background(), receiver.URL, 5*time.Second)
	fmt.Println(result.Success, result.StatusCode)

	receiver.Close()
	result = adapter.TestConnectivity(context.Background(), receiver.URL, 5*time.Second)
	fmt.Println(result.Success, result.Fault.Phase, result.ErrorMessage())
	// Output:
	// true 404
	// false connect the connection was refused
}

func ExampleAdapter_ConnectionStats() {
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	adapter, err := httpadapter.New(httpadapter.Options{Egress: local})
	if err != nil {
		log.Fatal(err)
	}
	defer adapter.Close()
	for range 4 {
		adapter.Deliver(context.Background(),
			&webhook.Delivery{Event: webhook.NewEventID(), Payload: []byte("{}")},
			&webhook.Endpoint{URL: receiver.URL})
	}
	text, err := json.MarshalIndent(adapter.ConnectionStats(), "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output:
	// {
	//   "total_requests": 4,
	//   "connection_reuses": 3,
	//   "dns_cache_hits": 0,
	//   "connection_errors": 0,
	//   "pool_exhausted_count": 0,
	//   "connection_reuse_rate": 0.75,
	//   "error_rate": 0
	// }
}

func ExampleAdapter_HealthCheck() {
	adapter, err := httpadapter.New(httpadapter.Options{PoolSize: 50, PoolSizePerHost: 10})
	if err != nil {
		log.Fatal(err)
	}
	health := adapter.HealthCheck(context.Background())
	fmt.Println(health.Status, health.Pool.TotalPoolSize, health.Pool.PerHostPoolSize)
	_ = adapter.Close()
	health = adapter.HealthCheck(context.Background())
	fmt.Println(health.Status, health.Reasons)
	// Output:
	// healthy 50 10
	// unhealthy [the adapter is closed]
}

// An adapter for much traffic, as the original adapter documentation sets it up.
func ExampleNew_highThroughput() {
	adapter, err := httpadapter.New(httpadapter.Options{
		Timeout:         30 * time.Second,
		MaxConcurrent:   50,
		PoolSize:        300,
		PoolSizePerHost: 100,
		KeepAlive:       120 * time.Second,
		DNSCacheTTL:     900 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer adapter.Close()
	fmt.Println(adapter.HealthCheck(context.Background()).Pool.TotalPoolSize)
	// Output: 300
}

// Endpoints that want a client certificate each get their own, and keep their
// connections apart.
func ExampleOptions_tlsFor() {
	settings := map[webhook.EndpointID]*tls.Config{
		"ep_bank": {ServerName: "hooks.bank.example", Certificates: []tls.Certificate{ /* from tls.LoadX509KeyPair */ }},
	}
	adapter, err := httpadapter.New(httpadapter.Options{
		// The map must not change any more; for an endpoint that is not in it the
		// result is nil, and the adapter's own settings hold.
		TLSFor: func(endpoint *webhook.Endpoint) *tls.Config { return settings[endpoint.ID] },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer adapter.Close()
}

func ExampleHeaderBuilder() {
	builder := &httpadapter.HeaderBuilder{UserAgent: "Acme-Hooks/1.0", InfoHeaders: true}
	header, err := builder.Build(
		&webhook.Delivery{ID: "dlv_1", Event: "msg_1", EventType: "order.completed", Payload: []byte("{}")},
		&webhook.Endpoint{URL: "https://api.example.com/", Headers: map[string]string{"X-Api-Key": "your-api-key-here"}},
		time.Unix(1_700_000_000, 0),
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(header.Get("X-Api-Key"), header.Get("Webhook-Id"), header.Get("Webhook-Event-Type"))
	// Output: your-api-key-here msg_1 order.completed
}

func ExampleRetryAfter() {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	fmt.Println(httpadapter.RetryAfter(http.Header{"Retry-After": {"120"}}, now))
	fmt.Println(httpadapter.RetryAfter(http.Header{"Retry-After": {"Fri, 02 Jan 2026 03:00:30 GMT"}}, now))
	// Output:
	// 2m0s
	// 30s
}
