package neohook_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// watchedStore shows each outcome once it is stored.
type watchedStore struct {
	store.Store
	outcomes chan store.Outcome
}

func (s watchedStore) Commit(ctx context.Context, batch *store.Batch) ([]store.Verdict, error) {
	verdicts, err := s.Store.Commit(ctx, batch)
	if err == nil {
		for _, o := range batch.Outcomes {
			s.outcomes <- o
		}
	}
	return verdicts, err
}

// next waits for an outcome.
func (s watchedStore) next(t *testing.T) store.Outcome {
	t.Helper()
	select {
	case o := <-s.outcomes:
		return o
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was recorded in 20 s")
		return store.Outcome{}
	}
}

// publishMany publishes events with several publishers at once.
func publishMany(t *testing.T, eng *neohook.Engine, tenant webhook.TenantID, count int) {
	t.Helper()
	var publishers sync.WaitGroup
	const at = 32
	for first := range at {
		publishers.Go(func() {
			for n := first; n < count; n += at {
				_, err := eng.Publish(t.Context(), webhook.Event{Tenant: tenant, Type: "invoice.paid", Payload: fmt.Appendf(nil, `{"n":%d}`, n)})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	publishers.Wait()
}

// backlog is an endpoint with thousands of open deliveries: some wait for a retry in
// hours, most were never tried, and a few are in flight and hang.
type backlog struct {
	eng      *neohook.Engine
	store    watchedStore
	receiver *receiver
	endpoint webhook.Endpoint
	waiting  int
	release  chan int // a status for each attempt that hangs
}

const (
	triedBefore = 2000
	neverTried  = 2000
	slots       = 10
)

func newBacklog(t *testing.T, restart bool) *backlog {
	t.Helper()
	b := &backlog{release: make(chan int)}
	var hang atomic.Bool
	var requests atomic.Int64
	stopped := make(chan struct{})
	t.Cleanup(func() { close(stopped) })
	b.receiver = receive(t, func(r *http.Request) int {
		if hang.Load() {
			select {
			case status := <-b.release:
				return status
			case <-r.Context().Done():
			case <-stopped:
			}
			return http.StatusServiceUnavailable
		}
		if requests.Add(1)%2 == 0 { // so that the breaker stays closed
			return http.StatusOK
		}
		return http.StatusInternalServerError
	})
	b.store = watchedStore{openStore(t, t.TempDir()), make(chan store.Outcome, 100_000)}
	opts := neohook.Options{
		Keyset: must[[]byte](t)(neohook.NewKeyset()), EndpointConcurrency: slots,
		Schedule: webhook.Schedule{6 * time.Hour}, Grace: time.Millisecond,
	}
	var stop func()
	b.eng, stop = start(t, b.store, opts)
	createTenant(t, b.eng, "acme")
	b.endpoint = createEndpoint(t, b.eng, "acme", webhook.Endpoint{URL: b.receiver.URL})
	publishMany(t, b.eng, "acme", triedBefore)
	for range triedBefore {
		b.receiver.next(t)
		if b.store.next(t).State == webhook.Waiting {
			b.waiting++
		}
	}
	hang.Store(true)
	publishMany(t, b.eng, "acme", neverTried)
	for range slots {
		b.receiver.next(t)
	}
	if restart { // nearly all is in the store alone then
		stop()
		b.eng, _ = start(t, b.store, opts)
		for range slots {
			b.receiver.next(t)
		}
	}
	return b
}

// reasons waits until so many deliveries have ended and counts why.
func (b *backlog) reasons(t *testing.T, count int) map[webhook.Reason]int {
	t.Helper()
	reasons := make(map[webhook.Reason]int)
	for count > 0 {
		if o := b.store.next(t); o.State.Ended() {
			reasons[o.Reason]++
			count--
		}
	}
	return reasons
}

// What is open for an endpoint that is no more is ended at once: what is due in hours,
// what was never tried, what is in memory and what is not. What is in flight goes on.
func TestWhatIsOpenEndsWithItsEndpoint(t *testing.T) {
	for name, c := range map[string]struct {
		restarted []bool
		end       func(b *backlog) error
		reason    webhook.Reason
		status    int // of what was in flight
		flying    webhook.Reason
	}{
		"endpoint disabled": {[]bool{false, true}, func(b *backlog) error {
			_, err := b.eng.UpdateEndpoint(context.Background(), "acme", b.endpoint.ID, func(ep *webhook.Endpoint) error { ep.Disabled = true; return nil })
			return err
		}, webhook.EndpointDisabled, http.StatusInternalServerError, webhook.EndpointDisabled},
		"endpoint deleted": {[]bool{true}, func(b *backlog) error {
			return b.eng.DeleteEndpoint(context.Background(), "acme", b.endpoint.ID)
		}, webhook.EndpointDeleted, http.StatusInternalServerError, webhook.EndpointDeleted},
		"tenant deleted": {[]bool{false}, func(b *backlog) error {
			return b.eng.DeleteTenant(context.Background(), "acme")
		}, webhook.TenantDeleted, http.StatusOK, ""},
		"receiver gone": {[]bool{true}, func(b *backlog) error {
			b.release <- http.StatusGone
			return nil
		}, webhook.EndpointDisabled, http.StatusGone, webhook.ReceiverGone},
	} {
		for _, restart := range c.restarted {
			t.Run(fmt.Sprintf("%s, restarted %v", name, restart), func(t *testing.T) {
				b := newBacklog(t, restart)
				flying := slots
				began := time.Now()
				if err := c.end(b); err != nil {
					t.Fatal(err)
				}
				want := map[webhook.Reason]int{c.reason: b.waiting + neverTried - slots}
				open := b.waiting + neverTried - slots
				if c.status == http.StatusGone {
					want[webhook.ReceiverGone]++
					open, flying = open+1, flying-1
				}
				if got := b.reasons(t, open); !maps.Equal(got, want) {
					t.Errorf("ended: %v, want %v", got, want)
				}
				t.Logf("%d deliveries were ended %v after the call began", open, time.Since(began).Round(time.Millisecond))
				for range flying {
					b.release <- c.status
				}
				if got := b.reasons(t, flying); !maps.Equal(got, map[webhook.Reason]int{c.flying: flying}) {
					t.Errorf("in flight: %v, want %d %q", got, flying, c.flying)
				}
				if lanes := must[[]store.Lane](t)(b.store.Lanes(t.Context(), 0, 9)); len(lanes) > 0 {
					t.Errorf("still open: %+v", lanes)
				}
				if more := len(b.receiver.got); more > 0 {
					t.Errorf("%d requests after the end", more)
				}
			})
		}
	}
}

// A breaker that is open keeps attempts back, but not the end.
func TestParkedDeliveriesEndWithTheirEndpointToo(t *testing.T) {
	r := receive(t, func(*http.Request) int { return http.StatusInternalServerError })
	st := watchedStore{openStore(t, t.TempDir()), make(chan store.Outcome, 100_000)}
	eng, _ := start(t, st, neohook.Options{Keyset: must[[]byte](t)(neohook.NewKeyset()), Schedule: webhook.Schedule{6 * time.Hour}})
	createTenant(t, eng, "acme")
	endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL})
	const count = 3000
	publishMany(t, eng, "acme", count)
	last := publish(t, eng, "acme", `{}`)
	standing(t, eng, last, endpoint.ID, webhook.Parked)
	must[webhook.Endpoint](t)(eng.UpdateEndpoint(t.Context(), "acme", endpoint.ID, func(ep *webhook.Endpoint) error { ep.Disabled = true; return nil }))
	for ended := 0; ended < count+1; {
		if o := st.next(t); o.State == webhook.Cancelled && o.Reason == webhook.EndpointDisabled {
			ended++
		}
	}
	if tried := len(r.got); tried > 100 {
		t.Errorf("%d requests at a receiver that always fails", tried)
	}
}

// What waits goes to the address, and is signed with the keys, that the endpoint has when
// it is sent; its schedule stays as it was planned.
func TestWhatIsOpenGoesByTheURLAndTheSecretOfItsTime(t *testing.T) {
	var fail atomic.Bool
	fail.Store(true)
	r := receive(t, func(*http.Request) int {
		if fail.Load() {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	eng, _ := start(t, openStore(t, t.TempDir()), neohook.Options{Schedule: slices.Repeat(webhook.Schedule{200 * time.Millisecond}, 18), Jitter: -1})
	createTenant(t, eng, "acme")
	before := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL + "/before"})
	event := publish(t, eng, "acme", `{}`)
	r.next(t)
	due := standing(t, eng, event, before.ID, webhook.Waiting)

	must[webhook.Endpoint](t)(eng.UpdateEndpoint(t.Context(), "acme", before.ID, func(ep *webhook.Endpoint) error { ep.URL = r.URL + "/after"; return nil }))
	if err := eng.RotateSecret(t.Context(), "acme", before.ID, "", time.Hour); err != nil {
		t.Fatal(err)
	}
	now := must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", event.ID, before.ID))
	if now.Tried == due.Tried && now.State == webhook.Waiting && !now.DueAt.Equal(due.DueAt) {
		t.Errorf("due at %v, was %v", now.DueAt, due.DueAt)
	}
	verify := func(got request, secret webhook.Secret) error {
		return must[*signature.Verifier](t)(signature.NewVerifier(secret)).Verify(got.header, got.body, time.Now())
	}
	after := must[webhook.Endpoint](t)(eng.Endpoint(t.Context(), "acme", before.ID))
	// Attempts may have begun before both changes had returned; the next one has not.
	got := r.next(t)
	for tries := 0; tries < 5 && verify(got, after.Secret) != nil; tries++ {
		got = r.next(t)
	}
	if got.path != "/after" {
		t.Errorf("sent to %s", got.path)
	}
	if verify(got, before.Secret) != nil || verify(got, after.Secret) != nil || before.Secret == after.Secret {
		t.Errorf("with the old key: %v; with the new one: %v", verify(got, before.Secret), verify(got, after.Secret))
	}

	must[webhook.Endpoint](t)(eng.UpdateEndpoint(t.Context(), "acme", before.ID, func(ep *webhook.Endpoint) error {
		ep.Secret, ep.RetiringSecrets = signature.Generate(), nil
		return nil
	}))
	last := must[webhook.Endpoint](t)(eng.Endpoint(t.Context(), "acme", before.ID))
	for got = r.next(t); verify(got, after.Secret) == nil; got = r.next(t) { // begun before
	}
	fail.Store(false)
	if err := verify(got, last.Secret); err != nil {
		t.Error(err)
	}
	standing(t, eng, event, before.ID, webhook.Succeeded)
}

// What the endpoint no longer hears of is cancelled when its turn comes, unsent; what it
// hears of goes on. A filter that is put back in time takes nothing away.
func TestWhatIsOpenIsSentOnlyIfTheFilterStillLetsIt(t *testing.T) {
	adapter := newProbe()
	eng, _ := start(t, openStore(t, t.TempDir()), neohook.Options{
		Adapter: adapter, Schedule: webhook.Schedule{0, 0, 0, 0}, EndpointConcurrency: 1, Grace: time.Nanosecond,
	})
	createTenant(t, eng, "acme")
	endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://a.example/"})
	publishType := func(kind string) webhook.Event {
		return must[webhook.Event](t)(eng.Publish(t.Context(), webhook.Event{Tenant: "acme", Type: kind, Payload: []byte(`{}`)}))
	}
	hear := func(types ...string) {
		t.Helper()
		must[webhook.Endpoint](t)(eng.UpdateEndpoint(t.Context(), "acme", endpoint.ID, func(ep *webhook.Endpoint) error { ep.EventTypes = types; return nil }))
	}
	failed, kept, dropped := publishType("a"), publishType("b"), publishType("a")
	<-adapter.attempts
	hear("b")
	adapter.answers <- webhook.Result{StatusCode: 500} // in flight while it changed
	<-adapter.attempts
	adapter.answers <- webhook.Result{StatusCode: 200, Success: true}
	if got := standing(t, eng, failed, endpoint.ID, webhook.Cancelled); got.Reason != webhook.FilterChanged || got.Tried != 1 {
		t.Errorf("tried before: %+v", got)
	}
	if got := standing(t, eng, dropped, endpoint.ID, webhook.Cancelled); got.Reason != webhook.FilterChanged || got.Tried != 0 {
		t.Errorf("never tried: %+v", got)
	}
	standing(t, eng, kept, endpoint.ID, webhook.Succeeded)

	first, second := publishType("b"), publishType("b")
	<-adapter.attempts
	hear("a")
	hear("a", "b")
	for range 2 {
		adapter.answers <- webhook.Result{StatusCode: 200, Success: true}
	}
	standing(t, eng, first, endpoint.ID, webhook.Succeeded)
	standing(t, eng, second, endpoint.ID, webhook.Succeeded)
}
