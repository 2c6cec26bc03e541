package profile_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook/adapter/adaptertest"
	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/adapter/profile"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/webhook"
)

func TestNamesSetTheseNumbers(t *testing.T) {
	const s = time.Second
	want := map[string]httpadapter.Options{
		"":                {MaxConcurrent: 10, PoolSize: 100},
		"default":         {MaxConcurrent: 10, PoolSize: 100},
		"high_throughput": {MaxConcurrent: 50, PoolSize: 300, PoolSizePerHost: 100},
		"low_latency":     {KeepAlive: 120 * s, DNSCacheTTL: 900 * s, Timeout: 15 * s},
		"development":     {Timeout: 60 * s, MaxConcurrent: 5, PoolSize: 20, DNSCacheTTL: 60 * s},
		"production": {
			Timeout: 30 * s, MaxConcurrent: 100, PoolSize: 500, PoolSizePerHost: 50, KeepAlive: 300 * s, DNSCacheTTL: 1800 * s,
		},
		"testing": {Timeout: 5 * s, MaxConcurrent: 3, PoolSize: 10, NoCleanup: true},
	}
	for name, options := range want {
		got, err := profile.Apply(name, httpadapter.Options{})
		if err != nil || !reflect.DeepEqual(got, options) {
			t.Errorf("%q = %+v, %v\nwant %+v", name, got, err, options)
		}
		if name != "" && !slices.Contains(profile.Names(), name) {
			t.Errorf("%q is not among Names", name)
		}
	}
	if len(profile.Names()) != len(want)-1 {
		t.Errorf("Names() = %q", profile.Names())
	}
}

func TestWhatANameDoesNotSetStays(t *testing.T) {
	base := httpadapter.Options{UserAgent: "Mine/1", KeepAlive: time.Minute, MaxConcurrent: 7}
	got, err := profile.Apply(profile.HighThroughput, base)
	if err != nil || got.UserAgent != "Mine/1" || got.KeepAlive != time.Minute || got.MaxConcurrent != 50 {
		t.Errorf("options = %+v, %v", got, err)
	}
}

func TestUnknownNameIsRefused(t *testing.T) {
	var factory profile.Factory
	adapter, err := factory.Get("high-throughput")
	var unknown *profile.UnknownError
	if adapter != nil || !errors.As(err, &unknown) || unknown.Name != "high-throughput" {
		t.Fatalf("Get = %v, %v, want an UnknownError", adapter, err)
	}
	for _, name := range profile.Names() {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not tell the name %s", err, name)
		}
	}
}

// loopback is settings under which servers of the test can be reached.
func loopback() httpadapter.Options {
	return httpadapter.Options{Egress: egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
}

func TestFactorySharesAnAdapterByName(t *testing.T) {
	factory := &profile.Factory{Base: loopback()}
	receiver := adaptertest.Serve(t, func(http.ResponseWriter, *http.Request) {})
	adapters := make([]*httpadapter.Adapter, 20)
	var wg sync.WaitGroup
	for i := range adapters {
		wg.Go(func() {
			adapter, err := factory.Get([]string{profile.Production, profile.Testing}[i%2])
			if err != nil {
				t.Error(err)
				return
			}
			adapters[i] = adapter
			event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}
			if result := adapter.Deliver(t.Context(), webhook.NewDelivery(event, &receiver.Endpoint), &receiver.Endpoint); !result.Success {
				t.Error(result.ErrorMessage())
			}
		})
	}
	wg.Wait()
	for i, adapter := range adapters {
		if adapter != adapters[i%2] {
			t.Errorf("adapter %d is another than the first of its name", i)
		}
	}
	if adapters[0] == adapters[1] {
		t.Error("two names share an adapter")
	}
	health := adapters[0].HealthCheck(t.Context())
	if health.Pool.TotalPoolSize != 500 || health.Pool.PerHostPoolSize != 50 {
		t.Errorf("production has a pool of %d and %d", health.Pool.TotalPoolSize, health.Pool.PerHostPoolSize)
	}
	if first, err := factory.Get(""); err != nil {
		t.Error(err)
	} else if second, _ := factory.Get(profile.Default); first != second {
		t.Error(`"" is not the default`)
	}

	for range 2 {
		if err := factory.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, adapter := range adapters[:2] {
		if health := adapter.Health(t.Context()); health.Status != webhook.Unhealthy {
			t.Errorf("after Close an adapter is %s", health.Status)
		}
	}
	if _, err := factory.Get(profile.Default); !errors.Is(err, profile.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestFactoryTellsWhatCannotBeOpened(t *testing.T) {
	factory := &profile.Factory{Base: httpadapter.Options{ConnectTimeout: -1}}
	if _, err := factory.Get(profile.Production); err == nil || !strings.Contains(err.Error(), "profile production") {
		t.Errorf("err = %v", err)
	}
}

func TestShutdownLetsWhatIsInFlightEnd(t *testing.T) {
	factory := &profile.Factory{Base: loopback()}
	release := make(chan struct{})
	receiver := adaptertest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	send := func(name string) <-chan webhook.Result {
		adapter, err := factory.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}
		results := make(chan webhook.Result, 1)
		go func() {
			results <- adapter.Deliver(context.WithoutCancel(t.Context()), webhook.NewDelivery(event, &receiver.Endpoint), &receiver.Endpoint)
		}()
		<-receiver.Arrived
		return results
	}
	results := send(profile.Default)
	ended := make(chan error)
	go func() { ended <- factory.Shutdown(t.Context()) }()
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if result := <-results; !result.Success {
		t.Error(result.ErrorMessage())
	}

	factory = &profile.Factory{Base: loopback()}
	release = make(chan struct{})
	results = send(profile.Testing)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := factory.Shutdown(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "profile testing") {
		t.Errorf("err = %v", err)
	}
	if result := <-results; result.Success || result.Fault.Code != webhook.FaultClosed {
		t.Errorf("result = %+v", result)
	}
}

func TestPoolSize(t *testing.T) {
	tests := map[string]struct {
		rps            float64
		took           time.Duration
		total, perHost int
	}{
		"1000 a second of half a second": {1000, 500 * time.Millisecond, 1000, 100},
		"a quarter for a host":           {100, 500 * time.Millisecond, 100, 25},
		"cut, not rounded":               {33, 100 * time.Millisecond, 6, 1},
		"the last below 100":             {399, 500 * time.Millisecond, 399, 99},
		"never below 1":                  {1, 10 * time.Millisecond, 1, 1},
		"nothing":                        {0, 0, 1, 1},
		"negative":                       {-5, time.Second, 1, 1},
		"not a number":                   {math.NaN(), time.Second, 1, 1},
		"more than can be":               {math.Inf(1), time.Second, math.MaxInt32, 100},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if total, perHost := profile.PoolSize(test.rps, test.took); total != test.total || perHost != test.perHost {
				t.Errorf("PoolSize(%v, %v) = %d, %d, want %d, %d", test.rps, test.took, total, perHost, test.total, test.perHost)
			}
		})
	}
}

func ExampleFactory() {
	adapters := &profile.Factory{}
	defer adapters.Close() //nolint:errcheck // it has nothing to say at the end of a program

	orders, _ := adapters.Get("high_throughput")
	invoices, _ := adapters.Get("high_throughput")
	fmt.Println("shared:", orders == invoices)

	_, err := adapters.Get("fast")
	fmt.Println(err)
	// Output:
	// shared: true
	// profile: "fast" is none of default, development, high_throughput, low_latency, production, testing
}

func ExamplePoolSize() {
	total, perHost := profile.PoolSize(1000, 500*time.Millisecond)
	fmt.Println(total, perHost)

	adapter, err := httpadapter.New(httpadapter.Options{PoolSize: total, PoolSizePerHost: perHost})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close() //nolint:errcheck // always nil
	fmt.Println(adapter.HealthCheck(context.Background()).Pool.TotalPoolSize)
	// Output:
	// 1000 100
	// 1000
}
