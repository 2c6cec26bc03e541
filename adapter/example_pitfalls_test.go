package adapter_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/adapter/monitor"
	"github.com/neohook/neohook/adapter/profile"
	"github.com/neohook/neohook/webhook"
)

// Pitfall 1, the session. There is none to set up, so none to forget: New is enough. Close
// is what is to be remembered, and what is used after it says so.
func Example_pitfallSession() {
	adapter, err := httpadapter.New(httpadapter.Options{Egress: loopback})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(adapter.Health(context.Background()).Status)
	_ = adapter.Close()

	endpoint := &webhook.Endpoint{URL: "https://api.example.com/webhook"}
	event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}
	result := adapter.Deliver(context.Background(), webhook.NewDelivery(event, endpoint), endpoint)
	fmt.Println(result.Fault.Code, "-", result.Fault.Message)
	// Output:
	// healthy
	// closed - the adapter was closed
}

// Pitfall 2, an adapter for each request. The connections are the adapter's: whoever makes a
// new one each time opens a connection each time.
func Example_pitfallPool() {
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	endpoint := &webhook.Endpoint{URL: receiver.URL}
	event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}

	adapter, err := httpadapter.New(httpadapter.Options{Egress: loopback}) // one for all
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close() //nolint:errcheck // always nil
	for range 10 {
		adapter.Deliver(context.Background(), webhook.NewDelivery(event, endpoint), endpoint)
	}
	stats := adapter.ConnectionStats()
	fmt.Printf("%d requests, %d on a connection that was open: %.0f %%\n", stats.TotalRequests, stats.ConnectionReuses, stats.ReuseRate*100)
	// Output:
	// 10 requests, 9 on a connection that was open: 90 %
}

// Pitfall 3, statistics that nobody looks at. A monitor looks at them, and logs.
func Example_pitfallStatistics() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer receiver.Close()
	adapter, err := httpadapter.New(httpadapter.Options{Egress: loopback})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close()                              //nolint:errcheck // always nil
	watched := monitor.New(adapter, monitor.Options{}) // give it a Logger

	endpoint := &webhook.Endpoint{URL: receiver.URL}
	event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}
	for range 3 {
		watched.Deliver(context.Background(), webhook.NewDelivery(event, endpoint), endpoint)
	}
	summary := watched.Summary()
	fmt.Println("high error rate:", summary.HighErrorRate)
	fmt.Println("slow responses:", summary.SlowResponses)
	fmt.Println("connection issues:", summary.ConnectionIssues)
	fmt.Println("connections reused:", summary.Connections.ConnectionReuses)
	// Output:
	// high error rate: true
	// slow responses: false
	// connection issues: false
	// connections reused: 2
}

// Pitfall 4, the defaults for any load. Ten requests at once are the default; the settings
// for more have a name, or come from the load.
func Example_pitfallLoad() {
	total, perHost := profile.PoolSize(600, 250*time.Millisecond)
	options, err := profile.Apply(profile.HighThroughput, httpadapter.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("high_throughput:", options.MaxConcurrent, options.PoolSize, options.PoolSizePerHost)
	options.PoolSize, options.PoolSizePerHost = total, perHost
	options.KeepAlive, options.DNSCacheTTL = 120*time.Second, 900*time.Second
	adapter, err := httpadapter.New(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close() //nolint:errcheck // always nil
	pool := adapter.HealthCheck(context.Background()).Pool
	fmt.Println("for 600 a second of 250 ms:", pool.TotalPoolSize, pool.PerHostPoolSize)
	// Output:
	// high_throughput: 50 300 100
	// for 600 a second of 250 ms: 300 75
}
