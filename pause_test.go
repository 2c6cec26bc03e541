package neohook_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

func setPaused(t *testing.T, eng *neohook.Engine, endpoint webhook.EndpointID, paused bool) {
	t.Helper()
	must[webhook.Endpoint](t)(eng.UpdateEndpoint(t.Context(), "acme", endpoint, func(ep *webhook.Endpoint) error {
		ep.Paused = paused
		return nil
	}))
}

func TestWhatIsPausedWaitsAndGoesOnInOrder(t *testing.T) {
	setTenant := func(t *testing.T, eng *neohook.Engine, paused bool) {
		must[webhook.Tenant](t)(eng.UpdateTenant(t.Context(), "acme", func(tenant *webhook.Tenant) error {
			tenant.Paused = paused
			return nil
		}))
	}
	for name, set := range map[string]func(t *testing.T, eng *neohook.Engine, endpoint webhook.EndpointID, paused bool){
		"an endpoint": setPaused,
		"a tenant": func(t *testing.T, eng *neohook.Engine, _ webhook.EndpointID, paused bool) {
			setTenant(t, eng, paused)
		},
		"everything": func(t *testing.T, eng *neohook.Engine, _ webhook.EndpointID, paused bool) {
			change := eng.Resume
			if paused {
				change = eng.Pause
			}
			if err := change(t.Context()); err != nil {
				t.Fatal(err)
			}
			if eng.Paused() != paused || eng.Stats(t.Context()).Paused != paused {
				t.Errorf("Paused() is %v, want %v", eng.Paused(), paused)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T) {
				adapter := memadapter.New(memadapter.Reply{StatusCode: 500}, memadapter.Reply{Delay: time.Second})
				eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: webhook.Schedule{time.Minute}})
				createTenant(t, eng, "acme")
				createTenant(t, eng, "other")
				endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example", Ordered: true})
				createEndpoint(t, eng, "other", webhook.Endpoint{URL: "https://other.example"})
				fails := publish(t, eng, "acme", `{}`)
				time.Sleep(59 * time.Second)
				waits := publish(t, eng, "acme", `{}`)
				set(t, eng, endpoint.ID, true)
				paused := time.Now()
				got := must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", fails.ID, endpoint.ID))
				if got.State != webhook.Waiting || time.Until(got.DueAt) != time.Second {
					t.Errorf("before it is due again it stands at %+v", got)
				}
				time.Sleep(time.Hour)
				later := publish(t, eng, "acme", `{}`)
				elsewhere := publish(t, eng, "other", `{}`)
				time.Sleep(time.Hour)
				for _, event := range []webhook.Event{fails, waits, later} {
					got := must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", event.ID, endpoint.ID))
					if got.State != webhook.Parked || got.Reason != webhook.Paused || !got.DueAt.IsZero() {
						t.Errorf("it stands at %+v, want it parked for being paused", got)
					}
				}
				if at := begun(adapter, "", endpoint.ID); len(at) != 1 {
					t.Errorf("requests came after %v, want only the one before the pause", after(paused, at))
				}
				if sent := len(begun(adapter, elsewhere.ID, "")); (sent == 1) != (name != "everything") {
					t.Errorf("%d requests to another tenant", sent)
				}
				resumed := time.Now()
				set(t, eng, endpoint.ID, false)
				time.Sleep(time.Minute)
				var got2 []webhook.EventID
				for _, request := range adapter.Requests() {
					if request.Endpoint.ID == endpoint.ID && !request.At.Before(resumed) {
						got2 = append(got2, request.Delivery.Event)
					}
				}
				if want := []webhook.EventID{fails.ID, waits.ID, later.ID}; !slices.Equal(got2, want) {
					t.Errorf("sent %v once resumed, want %v", got2, want)
				}
				if at := begun(adapter, fails.ID, endpoint.ID); len(at) == 2 && at[1] != resumed {
					t.Errorf("the first is sent %v after it was resumed", at[1].Sub(resumed))
				}
			})
		})
	}
}

func TestAttemptInFlightEndsWhenItsEndpointIsPaused(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New(memadapter.Reply{Delay: 10 * time.Second})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		event := publish(t, eng, "acme", `{}`)
		time.Sleep(time.Second)
		setPaused(t, eng, endpoint.ID, true)
		time.Sleep(time.Minute)
		if got := must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", event.ID, endpoint.ID)); got.State != webhook.Succeeded {
			t.Errorf("it stands at %+v, want it to have succeeded", got)
		}
	})
}

func TestPauseOfEverythingOutlivesARestart(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		eng, stop := startFake(t, st, adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		for range 2 { // the second changes nothing
			if err := eng.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			publish(t, eng, "acme", `{}`)
		}
		stop()
		eng, _ = startFake(t, st.Reopen(), adapter, neohook.Options{})
		if !eng.Paused() {
			t.Error("a restart has resumed everything")
		}
		publish(t, eng, "acme", `{}`)
		time.Sleep(24 * time.Hour)
		if got := len(adapter.Requests()); got != 0 {
			t.Fatalf("%d requests were made while everything is paused", got)
		}
		if err := eng.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := len(adapter.Requests()); got != 101 {
			t.Errorf("%d requests once resumed, want 101", got)
		}
	})
}

// TestPausingCostsTheSameWhateverWaits counts what is asked of the store.
func TestPausingCostsTheSameWhateverWaits(t *testing.T) {
	asked := func(t *testing.T, waiting int) (calls [3]int) {
		inFakeTime(t, func(t *testing.T) {
			st, adapter := memstore.New(), memadapter.New(memadapter.Reply{Delay: memadapter.Never})
			count := countCalls(st)
			eng, _ := startFake(t, st, adapter, neohook.Options{Grace: time.Nanosecond, EndpointConcurrency: 1})
			createTenant(t, eng, "acme")
			endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example", Timeout: 300 * time.Second})
			for range waiting {
				publish(t, eng, "acme", `{}`)
			}
			synctest.Wait()
			for i, pause := range []func(){
				func() { setPaused(t, eng, endpoint.ID, true) },
				func() {
					must[webhook.Tenant](t)(eng.UpdateTenant(t.Context(), "acme", func(tenant *webhook.Tenant) error {
						tenant.Paused = true
						return nil
					}))
				},
				func() {
					if err := eng.Pause(t.Context()); err != nil {
						t.Error(err)
					}
				},
			} {
				before := count()
				pause()
				synctest.Wait()
				calls[i] = count() - before
			}
		})
		return calls
	}
	if few, many := asked(t, 1), asked(t, 3000); few != many {
		t.Errorf("an endpoint, a tenant and everything: %v calls with one delivery, %v with 3,000", few, many)
	}
}

func TestTimeInPauseDoesNotCountTowardsDisabling(t *testing.T) {
	for name, set := range map[string]func(t *testing.T, eng *neohook.Engine, endpoint webhook.EndpointID, paused bool){
		"the endpoint": setPaused,
		"the tenant": func(t *testing.T, eng *neohook.Engine, _ webhook.EndpointID, paused bool) {
			must[webhook.Tenant](t)(eng.UpdateTenant(t.Context(), "acme", func(tenant *webhook.Tenant) error {
				tenant.Paused = paused
				return nil
			}))
		},
		"everything": func(t *testing.T, eng *neohook.Engine, _ webhook.EndpointID, paused bool) {
			change := map[bool]func(context.Context) error{true: eng.Pause, false: eng.Resume}[paused]
			if err := change(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T) {
				adapter := memadapter.New(memadapter.Reply{StatusCode: 500})
				eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{
					DisableAfter: 10 * time.Hour, Schedule: slices.Repeat(webhook.Schedule{time.Hour}, 100),
				})
				createTenant(t, eng, "acme")
				endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
				publish(t, eng, "acme", `{}`)
				disabled := func() bool {
					return must[webhook.Endpoint](t)(eng.Endpoint(t.Context(), "acme", endpoint.ID)).Disabled
				}
				time.Sleep(5*time.Hour + time.Minute)
				set(t, eng, endpoint.ID, true)
				time.Sleep(100 * time.Hour)
				set(t, eng, endpoint.ID, false)
				time.Sleep(9 * time.Hour)
				if disabled() {
					t.Fatal("disabled, though it has failed for nine hours since it was resumed")
				}
				time.Sleep(2 * time.Hour)
				if !disabled() {
					t.Error("not disabled after eleven hours of failing")
				}
			})
		})
	}
}

// TestChangeThatCouldNotBeReadReachesTheLane has a store that can't be read just after an
// endpoint was resumed.
func TestChangeThatCouldNotBeReadReachesTheLane(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		var fails atomic.Bool
		st.Faults = func(_ context.Context, operation string, _ memstore.Moment) error {
			if operation == "Routes" && fails.Load() {
				return errDisk
			}
			return nil
		}
		eng, _ := startFake(t, st, adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example", Paused: true})
		publish(t, eng, "acme", `{}`)
		fails.Store(true)
		setPaused(t, eng, endpoint.ID, false)
		time.Sleep(time.Minute)
		if got := len(adapter.Requests()); got != 0 {
			t.Fatalf("%d requests though nobody can read how the endpoint is", got)
		}
		fails.Store(false)
		time.Sleep(2 * time.Second)
		if got := len(adapter.Requests()); got != 1 {
			t.Errorf("%d requests once the store could be read, want one", got)
		}
	})
}
