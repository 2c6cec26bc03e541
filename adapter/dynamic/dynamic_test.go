package dynamic_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/adapter"
	"github.com/neohook/neohook/adapter/adaptertest"
	"github.com/neohook/neohook/adapter/dynamic"
	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/webhook"
)

// around is a dynamic adapter that opens nothing new.
func around(t *testing.T, inside webhook.Adapter) *dynamic.Adapter {
	t.Helper()
	a, err := dynamic.New(dynamic.Options{Open: func(httpadapter.Options) (webhook.Adapter, error) { return inside, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func TestKeepsTheContract(t *testing.T) {
	adaptertest.RunAround(t, func(t *testing.T, inside webhook.Adapter) webhook.Adapter { return around(t, inside) })
}

func TestSettingsFollowTheRules(t *testing.T) {
	const s = time.Second
	usual := httpadapter.Options{Timeout: 30 * s, MaxConcurrent: 10, PoolSize: 100}
	with := func(change func(*httpadapter.Options)) httpadapter.Options {
		options := usual
		change(&options)
		return options
	}
	pool := func(concurrent, size int) httpadapter.Options {
		return with(func(o *httpadapter.Options) { o.MaxConcurrent, o.PoolSize = concurrent, size })
	}
	tests := map[string]struct {
		load dynamic.Load
		want httpadapter.Options
	}{
		"unknown":                {dynamic.Load{}, usual},
		"100 a second":           {dynamic.Load{RequestsPerSecond: 100}, usual},
		"101 a second":           {dynamic.Load{RequestsPerSecond: 101}, pool(50, 303)},
		"a little more than 100": {dynamic.Load{RequestsPerSecond: 100.5}, pool(50, 301)},
		"as in the document":     {dynamic.Load{RequestsPerSecond: 150, ErrorRate: 0.05, ResponseTime: 800 * time.Millisecond}, pool(50, 450)},
		"166 a second":           {dynamic.Load{RequestsPerSecond: 166}, pool(50, 498)},
		"167 a second":           {dynamic.Load{RequestsPerSecond: 167}, pool(50, 500)},
		"very many":              {dynamic.Load{RequestsPerSecond: 1e300}, pool(50, 500)},
		"a tenth fail":           {dynamic.Load{ErrorRate: 0.1}, usual},
		"more than a tenth fail": {dynamic.Load{ErrorRate: 0.11}, with(func(o *httpadapter.Options) { o.Timeout = 60 * s })},
		"2 s":                    {dynamic.Load{ResponseTime: 2 * s}, usual},
		"over 2 s: the longer keep-alive": {dynamic.Load{ResponseTime: 2001 * time.Millisecond}, with(func(o *httpadapter.Options) {
			o.KeepAlive, o.DNSCacheTTL = 60*s, 120*s
		})},
		"everything": {dynamic.Load{RequestsPerSecond: 1000, ErrorRate: 1, ResponseTime: time.Hour}, httpadapter.Options{
			Timeout: 60 * s, MaxConcurrent: 50, PoolSize: 500, KeepAlive: 60 * s, DNSCacheTTL: 120 * s,
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := dynamic.Settings(test.load, httpadapter.Options{}); !reflect.DeepEqual(got, test.want) {
				t.Errorf("Settings(%+v) = %+v\nwant %+v", test.load, got, test.want)
			}
		})
	}
	base := httpadapter.Options{Timeout: 45 * s, MaxConcurrent: 20, PoolSizePerHost: 7, UserAgent: "Mine/1"}
	got := dynamic.Settings(dynamic.Load{ErrorRate: 0.5}, base)
	if got.Timeout != 60*s || got.MaxConcurrent != 20 || got.PoolSizePerHost != 7 || got.UserAgent != "Mine/1" {
		t.Errorf("with a base: %+v", got)
	}
}

// made is a dynamic adapter over memadapters, and the ones it has opened.
type made struct {
	*dynamic.Adapter
	mu     sync.Mutex
	opened []*memadapter.Adapter
	fail   error
}

func (m *made) last() *memadapter.Adapter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opened[len(m.opened)-1]
}

func newMade(t *testing.T, replies ...memadapter.Reply) *made {
	t.Helper()
	m := &made{}
	a, err := dynamic.New(dynamic.Options{Open: func(httpadapter.Options) (webhook.Adapter, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.fail != nil {
			return nil, m.fail
		}
		mem := memadapter.New(replies...)
		m.opened = append(m.opened, mem)
		return mem, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	m.Adapter = a
	return m
}

func (m *made) send(ctx context.Context) <-chan webhook.Result {
	results := make(chan webhook.Result, 1)
	go func() {
		results <- m.Deliver(ctx, &webhook.Delivery{Event: "msg_1"}, &webhook.Endpoint{URL: "https://example.com"})
	}()
	return results
}

var busy = dynamic.Load{RequestsPerSecond: 150}

func TestAdjustExchangesOnlyWhenSettingsChange(t *testing.T) {
	m := newMade(t)
	for _, step := range []struct {
		load    dynamic.Load
		changed bool
	}{
		{dynamic.Load{}, false}, {dynamic.Load{RequestsPerSecond: 99, ErrorRate: 0.09}, false}, {busy, true}, {busy, false},
		{dynamic.Load{RequestsPerSecond: 1000}, true}, {dynamic.Load{RequestsPerSecond: 2000}, false}, {dynamic.Load{}, true},
	} {
		if changed, err := m.Adjust(step.load); err != nil || changed != step.changed {
			t.Errorf("Adjust(%+v) = %v, %v, want %v", step.load, changed, err, step.changed)
		}
	}
	if len(m.opened) != 4 {
		t.Errorf("%d were opened, want 4", len(m.opened))
	}
	for i, mem := range m.opened {
		if open := mem.Health(t.Context()).Status == webhook.Healthy; open != (i == 3) {
			t.Errorf("adapter %d of 4 is open: %v", i+1, open)
		}
	}
	if inside, ok := adapter.As[*memadapter.Adapter](m); !ok || inside != m.last() {
		t.Error("the present adapter is not found")
	}
}

func TestExchangeLetsWhatIsInFlightEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMade(t, memadapter.Reply{Delay: 10 * time.Second})
		first := m.send(t.Context())
		synctest.Wait()
		time.Sleep(5 * time.Second)
		second := m.send(t.Context())
		synctest.Wait()
		if changed, err := m.Adjust(busy); !changed || err != nil {
			t.Fatal(changed, err)
		}
		third := m.send(t.Context())
		synctest.Wait()
		old := m.opened[0]
		if len(old.Requests()) != 2 || len(m.last().Requests()) != 1 {
			t.Errorf("%d went through the old one, %d through the new", len(old.Requests()), len(m.last().Requests()))
		}
		if result := <-first; !result.Success {
			t.Errorf("first: %s", result.ErrorMessage())
		}
		synctest.Wait()
		if old.Health(t.Context()).Status != webhook.Healthy {
			t.Error("the old one was closed with something in flight")
		}
		if result := <-second; !result.Success {
			t.Errorf("second: %s", result.ErrorMessage())
		}
		synctest.Wait()
		if old.Health(t.Context()).Status != webhook.Unhealthy {
			t.Error("the old one was not closed")
		}
		if result := <-third; !result.Success {
			t.Errorf("third: %s", result.ErrorMessage())
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatCannotBeOpenedChangesNothing(t *testing.T) {
	m := newMade(t)
	m.fail = errors.New("no more")
	if changed, err := m.Adjust(busy); changed || !errors.Is(err, m.fail) {
		t.Errorf("Adjust = %v, %v", changed, err)
	}
	if result := <-m.send(t.Context()); !result.Success {
		t.Error(result.ErrorMessage())
	}
	m.fail = nil
	if changed, err := m.Adjust(busy); !changed || err != nil {
		t.Errorf("Adjust = %v, %v: it is to be tried again", changed, err)
	}
	if _, err := dynamic.New(dynamic.Options{Base: httpadapter.Options{ConnectTimeout: -1}}); err == nil {
		t.Error("New takes what can't be opened")
	}
}

func TestCloseCutsShortAndShutdownWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			end     func(*made) error
			took    time.Duration
			success [2]bool
			err     error
		}{
			"Close":                       {func(m *made) error { return m.Close() }, 0, [2]bool{}, nil},
			"Shutdown":                    {func(m *made) error { return m.Shutdown(t.Context()) }, 10 * time.Second, [2]bool{true, true}, nil},
			"Shutdown that can't wait so": {func(m *made) error { return within(t, 7*time.Second, m.Shutdown) }, 7 * time.Second, [2]bool{true, false}, context.DeadlineExceeded},
		} {
			m := newMade(t, memadapter.Reply{Delay: 10 * time.Second})
			old := m.send(t.Context())
			synctest.Wait()
			time.Sleep(5 * time.Second)
			if _, err := m.Adjust(busy); err != nil {
				t.Fatal(err)
			}
			present := m.send(t.Context())
			synctest.Wait()
			begun := time.Now()
			if err := test.end(m); !errors.Is(err, test.err) {
				t.Errorf("%s: %v, want %v", name, err, test.err)
			}
			if took := time.Since(begun); took != test.took {
				t.Errorf("%s took %v, want %v", name, took, test.took)
			}
			for i, results := range []<-chan webhook.Result{old, present} {
				result := <-results
				if result.Success != test.success[i] || !result.Success && result.Fault.Code != webhook.FaultClosed {
					t.Errorf("%s: result %d = %v, %+v", name, i, result.Success, result.Fault)
				}
			}
			for _, mem := range m.opened {
				if mem.Health(t.Context()).Status != webhook.Unhealthy {
					t.Errorf("%s left an adapter open", name)
				}
			}
			if err := m.Close(); err != nil {
				t.Errorf("%s, and Close again: %v", name, err)
			}
			if changed, err := m.Adjust(dynamic.Load{}); changed || !errors.Is(err, dynamic.ErrClosed) {
				t.Errorf("%s, and Adjust: %v, %v", name, changed, err)
			}
		}
	})
}

func within(t *testing.T, d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return do(ctx)
}

// grumbling does not close cleanly.
type grumbling struct{ *memadapter.Adapter }

var errGrumble = errors.New("not clean")

func (g grumbling) Close() error { return errors.Join(g.Adapter.Close(), errGrumble) }

func TestCloseTellsTheErrorsOfClosing(t *testing.T) {
	a, err := dynamic.New(dynamic.Options{Open: func(httpadapter.Options) (webhook.Adapter, error) {
		return grumbling{memadapter.New()}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); !errors.Is(err, errGrumble) {
		t.Errorf("err = %v", err)
	}
}

// TestExchangesUnderLoad is for the race detector: no request may fail for an exchange.
func TestExchangesUnderLoad(t *testing.T) {
	bench := adaptertest.HTTP(t)
	a, err := dynamic.New(dynamic.Options{Base: httpadapter.Options{
		Egress: egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close() //nolint:errcheck // checked below
	var exchanges atomic.Int32
	var senders sync.WaitGroup
	for sender := range 4 {
		senders.Go(func() {
			for n := range 50 {
				if n%5 == 0 {
					changed, err := a.Adjust(dynamic.Load{RequestsPerSecond: float64(101 + 13*sender + n)})
					if err != nil {
						t.Error(err)
					}
					if changed {
						exchanges.Add(1)
					}
				}
				event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}
				endpoint := bench.Taking.Endpoint
				if result := a.Deliver(t.Context(), webhook.NewDelivery(event, &endpoint), &endpoint); !result.Success {
					t.Error(result.ErrorMessage())
				}
			}
		})
	}
	senders.Wait()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if exchanges.Load() == 0 {
		t.Error("nothing was exchanged")
	}
	t.Logf("%d exchanges during 200 deliveries", exchanges.Load())
}

func TestOverHTTPTheSettingsTakeEffect(t *testing.T) {
	a, err := dynamic.New(dynamic.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close() //nolint:errcheck // always nil
	poolSize := func() int {
		inside, _ := adapter.As[*httpadapter.Adapter](a)
		return inside.HealthCheck(t.Context()).Pool.TotalPoolSize
	}
	if got := poolSize(); got != 100 {
		t.Errorf("pool = %d, want 100", got)
	}
	if _, err := a.Adjust(busy); err != nil {
		t.Fatal(err)
	}
	if got := poolSize(); got != 450 {
		t.Errorf("pool = %d, want 450", got)
	}
}

func Example() {
	a, err := dynamic.New(dynamic.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close() //nolint:errcheck // always nil with HTTP

	load := dynamic.Load{RequestsPerSecond: 150, ErrorRate: 0.05, ResponseTime: 800 * time.Millisecond}
	changed, err := a.Adjust(load)
	fmt.Println(changed, err)
	settings := dynamic.Settings(load, httpadapter.Options{})
	fmt.Println(settings.MaxConcurrent, settings.PoolSize, settings.Timeout)
	// Output:
	// true <nil>
	// 50 450 30s
}
