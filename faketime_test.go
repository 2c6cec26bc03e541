package neohook_test

import (
	"context"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// The tests in fake time run whole engines in bubbles of testing/synctest, where a day
// passes as soon as all that could happen has: over a memstore and without sockets.

// aKeyset serves all of them.
var aKeyset = sync.OnceValues(neohook.NewKeyset)

// inFakeTime runs a test in a bubble, from a day on that identifiers can tell.
func inFakeTime(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if _, err := aKeyset(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)))
		test(t)
	})
}

// startFake runs an engine over a memstore and an adapter in memory. What options leave
// open is: no jitter, so that instants can be foretold.
func startFake(t *testing.T, st store.Store, adapter webhook.Adapter, opts neohook.Options) (eng *neohook.Engine, stop func()) {
	t.Helper()
	opts.Adapter = adapter
	opts.Keyset, _ = aKeyset()
	if opts.Jitter == 0 {
		opts.Jitter = -1
	}
	return start(t, st, opts)
}

// begun are the instants at which attempts of an event began at an endpoint; zero names
// stand for all.
func begun(adapter *memadapter.Adapter, event webhook.EventID, endpoint webhook.EndpointID) (at []time.Time) {
	for _, request := range adapter.Requests() {
		if (event == "" || request.Delivery.Event == event) && (endpoint == "" || request.Endpoint.ID == endpoint) {
			at = append(at, request.At)
		}
	}
	return at
}

// after are the instants as what had passed since start.
func after(start time.Time, instants []time.Time) []time.Duration {
	passed := make([]time.Duration, len(instants))
	for i, at := range instants {
		passed[i] = at.Sub(start)
	}
	return passed
}

// countCalls counts what is asked of a store.
func countCalls(st *memstore.Store) func() int {
	var mu sync.Mutex
	calls := 0
	st.Faults = func(_ context.Context, _ string, moment memstore.Moment) error {
		mu.Lock()
		defer mu.Unlock()
		if moment == memstore.Before {
			calls++
		}
		return nil
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return calls
	}
}

// wakeUps is a measure of how often goroutines of this process began to run.
func wakeUps() (count uint64) {
	sample := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(sample)
	for _, bucket := range sample[0].Value.Float64Histogram().Counts {
		count += bucket
	}
	return count
}

func TestIdleEngineAsksNothingOfTheStoreAndWakesLessThanOnceASecond(t *testing.T) {
	const long = 10 * time.Hour
	for name, prepare := range map[string]func(t *testing.T, eng *neohook.Engine, adapter *memadapter.Adapter){
		"empty": func(*testing.T, *neohook.Engine, *memadapter.Adapter) {},
		"all has been delivered": func(t *testing.T, eng *neohook.Engine, _ *memadapter.Adapter) {
			for range 100 {
				publish(t, eng, "acme", `{}`)
			}
		},
		"deliveries wait for the next day": func(t *testing.T, eng *neohook.Engine, adapter *memadapter.Adapter) {
			adapter.Script(memadapter.Reply{StatusCode: 500})
			for range 10 {
				publish(t, eng, "acme", `{}`)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var idle, ticking uint64
			inFakeTime(t, func(t *testing.T) {
				st, adapter := memstore.New(), memadapter.New()
				calls := countCalls(st)
				eng, _ := startFake(t, st, adapter, neohook.Options{Schedule: webhook.Schedule{24 * time.Hour}})
				createTenant(t, eng, "acme")
				createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
				prepare(t, eng, adapter)
				time.Sleep(time.Hour) // what is remembered of an endpoint for a while is forgotten
				before, woken := calls(), wakeUps()
				time.Sleep(long)
				idle = wakeUps() - woken
				if asked := calls() - before; asked != 0 {
					t.Errorf("an idle engine asked %d things of its store in %v", asked, long)
				}
			})
			synctest.Test(t, func(t *testing.T) { // what waking once a second comes to
				woken := wakeUps()
				for end := time.Now().Add(long); time.Now().Before(end); {
					time.Sleep(time.Second)
				}
				ticking = wakeUps() - woken
			})
			t.Logf("woke %d times, where once a second is %d", idle, ticking)
			if idle >= ticking {
				t.Errorf("an idle engine woke %d times in %v, where once a second is %d", idle, long, ticking)
			}
		})
	}
}
