package neohook_test

import (
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// spaced wants count instants, each at least gap behind the one before, and the last not
// later than that makes it.
func spaced(t *testing.T, what string, at []time.Time, count int, gap time.Duration) {
	t.Helper()
	if len(at) != count {
		t.Fatalf("%s: %d attempts, want %d", what, len(at), count)
	}
	for i := 1; i < count; i++ {
		if passed := at[i].Sub(at[i-1]); passed < gap {
			t.Fatalf("%s: attempt %d began %v after the one before, want %v", what, i, passed, gap)
		}
	}
	if all := at[count-1].Sub(at[0]); all > time.Duration(count-1)*gap {
		t.Errorf("%s: %d attempts took %v, at the rate it is %v", what, count, all, time.Duration(count-1)*gap)
	}
}

func TestRateOfAnEndpointIsKeptAtTheStartOfAttempts(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		// How long an attempt takes must not matter.
		adapter.Answer = func(r memadapter.Request) memadapter.Reply {
			return memadapter.Reply{Delay: time.Duration(r.At.UnixMilli()%7) * 300 * time.Millisecond}
		}
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		slow := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://slow.example", RateLimit: 4})
		free := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://free.example"})
		const events = 200
		for range events {
			publish(t, eng, "acme", `{}`)
		}
		time.Sleep(time.Hour)
		spaced(t, "4 a second", begun(adapter, "", slow.ID), events, time.Second/4)
		if at := begun(adapter, "", free.ID); at[events-1].Sub(at[0]) > time.Minute {
			t.Errorf("the endpoint without a rate took %v", at[events-1].Sub(at[0]))
		}
	})
}

func TestRateOfATenantIsKeptOverItsEndpoints(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New(memadapter.Reply{Delay: 350 * time.Millisecond})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		if _, err := eng.CreateTenant(t.Context(), webhook.Tenant{Name: "acme", UID: "acme", RateLimit: 10}); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		}
		for range 100 {
			publish(t, eng, "acme", `{}`)
		}
		time.Sleep(time.Hour)
		spaced(t, "10 a second over 5 endpoints", begun(adapter, "", ""), 500, time.Second/10)
	})
}
