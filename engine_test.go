package neohook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

// loopback lets an engine reach the test's own receivers.
var loopback = egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

func openStore(t testing.TB, folder string) store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(folder, "neohook.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// start runs an engine until stop, or the end of the test.
func start(t testing.TB, st store.Store, opts neohook.Options) (eng *neohook.Engine, stop func()) {
	t.Helper()
	if opts.Adapter == nil {
		opts.Egress = loopback
	}
	eng, err := neohook.New(t.Context(), st, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- eng.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return eng, stop
}

// receiver is a real server that keeps what it gets.
type receiver struct {
	*httptest.Server
	got chan request
}

type request struct {
	header http.Header
	body   []byte
	path   string
}

// receive starts a receiver that answers with what status returns.
func receive(t *testing.T, status func(r *http.Request) int) *receiver {
	t.Helper()
	r := &receiver{got: make(chan request, 100_000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.got <- request{req.Header, body, req.URL.Path}
		code := http.StatusNoContent
		if status != nil {
			code = status(req)
		}
		w.WriteHeader(code)
	}))
	t.Cleanup(r.Close)
	return r
}

// next waits for a request.
func (r *receiver) next(t *testing.T) request {
	t.Helper()
	select {
	case got := <-r.got:
		return got
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrived in 20 s")
		return request{}
	}
}

func createTenant(t *testing.T, eng *neohook.Engine, uid string) webhook.Tenant {
	t.Helper()
	tenant, err := eng.CreateTenant(t.Context(), webhook.Tenant{Name: uid, UID: uid})
	if err != nil {
		t.Fatal(err)
	}
	return tenant
}

func createEndpoint(t *testing.T, eng *neohook.Engine, tenant webhook.TenantID, endpoint webhook.Endpoint) webhook.Endpoint {
	t.Helper()
	endpoint, err := eng.CreateEndpoint(t.Context(), tenant, endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return endpoint
}

func publish(t *testing.T, eng *neohook.Engine, tenant webhook.TenantID, payload string) webhook.Event {
	t.Helper()
	event, err := eng.Publish(t.Context(), webhook.Event{Tenant: tenant, Type: "invoice.paid", Payload: []byte(payload)})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// attempts waits until an event has at least count attempts.
func attempts(t *testing.T, eng *neohook.Engine, event webhook.Event, count int) []webhook.Attempt {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		list, err := eng.AttemptsOfEvent(t.Context(), event.Tenant, event.ID, neohook.AttemptFilter{WithResponse: true}, neohook.Page{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) >= count {
			return list.Items
		}
		select {
		case <-deadline:
			t.Fatalf("%d attempts after 20 s, want %d", len(list.Items), count)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestEventArrivesByteForByteAndSigned(t *testing.T) {
	eng, _ := start(t, openStore(t, t.TempDir()), neohook.Options{})
	r := receive(t, nil)
	tenant := createTenant(t, eng, "acme")
	endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL, Headers: map[string]string{"X-Own": "value"}})

	const payload = "{ \"amount\" : 1.50,\n\t\"name\":\"\\u00e9\u00e9\", \"big\":12345678901234567890 }"
	event := publish(t, eng, "acme", payload)
	if event.Tenant != tenant.ID || event.AcceptedAt.IsZero() {
		t.Errorf("Publish returned tenant %q, accepted at %v", event.Tenant, event.AcceptedAt)
	}
	got := r.next(t)
	if string(got.body) != payload {
		t.Errorf("arrived %q, want %q", got.body, payload)
	}
	if id := got.header.Get("webhook-id"); id != string(event.ID) {
		t.Errorf("webhook-id = %q, want %q", id, event.ID)
	}
	if value := got.header.Get("X-Own"); value != "value" {
		t.Errorf("the endpoint's own header is %q", value)
	}
	verifier, err := signature.NewVerifier(endpoint.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify(got.header, got.body, time.Now()); err != nil {
		t.Error(err)
	}
	log := attempts(t, eng, event, 1)
	if a := log[0]; !a.Succeeded || a.StatusCode != 204 || a.Number != 1 || a.Endpoint != endpoint.ID || a.Event != event.ID || a.Duration <= 0 {
		t.Errorf("logged %+v", a)
	}
}

func TestEventGoesToTheEndpointsThatHearOfItFromTheNextPublishOn(t *testing.T) {
	eng, _ := start(t, openStore(t, t.TempDir()), neohook.Options{})
	r := receive(t, nil)
	createTenant(t, eng, "acme")
	createTenant(t, eng, "other")
	createEndpoint(t, eng, "other", webhook.Endpoint{URL: r.URL + "/other"})
	createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL + "/orders", EventTypes: []string{"order.paid"}})
	publish(t, eng, "acme", `{"n":1}`) // nobody hears of it
	for i := range 20 {
		path := fmt.Sprintf("/%d", i)
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL + path})
		publish(t, eng, "acme", `{"n":2}`)
		if got := r.next(t); got.path != path {
			t.Fatalf("arrived at %s, want %s", got.path, path)
		}
		if _, err := eng.UpdateEndpoint(t.Context(), "acme", endpoint.ID, func(ep *webhook.Endpoint) error {
			ep.Disabled = true
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, eng, "acme", `{"n":3}`)
	select {
	case got := <-r.got:
		t.Errorf("something arrived at %s", got.path)
	default:
	}
}

func TestFailedAttemptIsMadeAgainAfterARestart(t *testing.T) {
	folder := t.TempDir()
	fails := 2
	r := receive(t, func(*http.Request) int {
		if fails--; fails >= 0 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	// The first wait outlasts the first engine; the second is over at once.
	opts := neohook.Options{Schedule: webhook.Schedule{time.Second, time.Millisecond}, Jitter: -1}
	st := openStore(t, folder)
	eng, stop := start(t, st, opts)
	createTenant(t, eng, "acme")
	createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL})
	event := publish(t, eng, "acme", `{}`)
	r.next(t)
	stop()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	eng, _ = start(t, openStore(t, folder), opts)
	first, second := r.next(t), r.next(t)
	if a, b := first.header.Get("webhook-id"), second.header.Get("webhook-id"); a != string(event.ID) || b != a {
		t.Errorf("webhook-id of the retries: %q and %q, want %q", a, b, event.ID)
	}
	log := attempts(t, eng, event, 3)
	slices.SortFunc(log, func(a, b webhook.Attempt) int { return a.Number - b.Number })
	for i, a := range log {
		if a.Number != i+1 || a.Succeeded != (i == 2) {
			t.Errorf("attempt %d: number %d, succeeded %v", i, a.Number, a.Succeeded)
		}
	}
	if wait := log[1].StartedAt.Sub(log[0].StartedAt); wait < time.Second {
		t.Errorf("made again after %v, before it was due", wait)
	}
}

func TestReceiverThatIsGoneForGoodIsDisabled(t *testing.T) {
	eng, _ := start(t, openStore(t, t.TempDir()), neohook.Options{Schedule: webhook.Schedule{0, 0, 0}})
	r := receive(t, func(*http.Request) int { return http.StatusGone })
	createTenant(t, eng, "acme")
	endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL})
	event := publish(t, eng, "acme", `{}`)
	if log := attempts(t, eng, event, 1); len(log) != 1 || log[0].StatusCode != 410 {
		t.Errorf("logged %+v, want a single 410", log)
	}
	found, err := eng.Endpoint(t.Context(), "acme", endpoint.ID)
	if err != nil || !found.Disabled {
		t.Errorf("the endpoint's Disabled = %v, %v", found.Disabled, err)
	}
}

func TestPrivateReceiverIsNotReachedUnlessAllowed(t *testing.T) {
	r := receive(t, nil)
	eng, err := neohook.New(t.Context(), openStore(t, t.TempDir()), neohook.Options{Schedule: webhook.Schedule{}})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = eng.Run(t.Context()) }()
	createTenant(t, eng, "acme")
	createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL})
	event := publish(t, eng, "acme", `{}`)
	a := attempts(t, eng, event, 1)[0]
	if a.Succeeded || a.Code != webhook.FaultBlockedAddress || !strings.Contains(string(a.Response), "127.0.0.1") {
		t.Errorf("logged %q: %s", a.Code, a.Response)
	}
	if len(r.got) > 0 {
		t.Error("the receiver was reached")
	}
}

func TestRepeatUnderAOnceReturnsTheFirstEvent(t *testing.T) {
	folder := t.TempDir()
	st := openStore(t, folder)
	eng, stop := start(t, st, neohook.Options{})
	r := receive(t, nil)
	createTenant(t, eng, "acme")
	createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL})
	event := webhook.Event{Tenant: "acme", Type: "invoice.paid", Payload: []byte(`{}`), UID: "own"}
	once := neohook.Once{Key: "k", Request: []byte("a")}

	var ids sync.Map
	var publishers sync.WaitGroup
	for range 50 {
		publishers.Go(func() {
			got, err := eng.Once(once).Publish(t.Context(), event)
			if err != nil {
				t.Error(err)
			}
			ids.Store(got.ID, got.AcceptedAt)
		})
	}
	publishers.Wait()
	stop()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	eng, _ = start(t, openStore(t, folder), neohook.Options{})
	got, err := eng.Once(once).Publish(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	ids.Store(got.ID, got.AcceptedAt)
	count := 0
	ids.Range(func(_, at any) bool {
		count++
		return at.(time.Time).Equal(got.AcceptedAt)
	})
	if count != 1 {
		t.Errorf("51 publishes of one event gave %d ids", count)
	}
	if _, err := eng.Once(neohook.Once{Key: "k", Request: []byte("b")}).Publish(t.Context(), event); !errors.Is(err, neohook.ErrKeyReused) {
		t.Errorf("another request under the same key: %v, want ErrKeyReused", err)
	}
	if _, err := eng.Publish(t.Context(), event); !errors.Is(err, neohook.ErrConflict) {
		t.Errorf("the same UID again: %v, want ErrConflict", err)
	}
	r.next(t)
	if len(r.got) > 0 {
		t.Errorf("%d further requests arrived", len(r.got))
	}
}

func TestPublishRefusesWhatIsWrongAndNamesAllOfIt(t *testing.T) {
	eng, _ := start(t, openStore(t, t.TempDir()), neohook.Options{MaxPayloadBytes: 10})
	createTenant(t, eng, "acme")
	_, err := eng.Publish(t.Context(), webhook.Event{
		ID: "msg_1", Tenant: "acme", Type: "no spaces", UID: "msg_x",
		Channels: []string{"1", "2", "3", "4", "5", "6"}, Payload: []byte("12345678901"),
	})
	var bad *webhook.InvalidError
	if !errors.As(err, &bad) {
		t.Fatalf("err = %v, want an InvalidError", err)
	}
	var fields []string
	for _, field := range bad.Fields {
		fields = append(fields, field.Field)
	}
	slices.Sort(fields)
	if want := []string{"channels", "id", "payload", "type", "uid"}; !slices.Equal(fields, want) {
		t.Errorf("fields %v, want %v", fields, want)
	}
	if _, err := eng.Publish(t.Context(), webhook.Event{Tenant: "nobody", Type: "x"}); !errors.Is(err, neohook.ErrNotFound) {
		t.Errorf("unknown tenant: %v, want ErrNotFound", err)
	}
	if _, err := eng.In("org_other").Publish(t.Context(), webhook.Event{Tenant: "acme", Type: "x"}); !errors.Is(err, neohook.ErrNotFound) {
		t.Errorf("another organisation's tenant: %v, want ErrNotFound", err)
	}
}

func TestPublishAfterTheEndIsTurnedAway(t *testing.T) {
	eng, stop := start(t, openStore(t, t.TempDir()), neohook.Options{})
	createTenant(t, eng, "acme")
	stop()
	if _, err := eng.Publish(t.Context(), webhook.Event{Tenant: "acme", Type: "x"}); !errors.Is(err, neohook.ErrStopped) {
		t.Errorf("err = %v, want ErrStopped", err)
	}
	if err := eng.Run(t.Context()); err == nil {
		t.Error("a second Run was allowed")
	}
}

func TestBacklogBeyondMemoryArrivesWholeAndInOrder(t *testing.T) {
	folder := t.TempDir()
	open := make(chan struct{})
	var order []string
	var mu sync.Mutex
	r := receive(t, func(req *http.Request) int {
		<-open
		mu.Lock()
		defer mu.Unlock()
		order = append(order, req.Header.Get("webhook-id"))
		return http.StatusOK
	})
	t.Cleanup(func() {
		select {
		case <-open:
		default:
			close(open)
		}
	})
	st := openStore(t, folder)
	eng, _ := start(t, st, neohook.Options{EndpointConcurrency: 1, MaxMemoryBytes: 16 << 10})
	createTenant(t, eng, "acme")
	createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL})
	const count = 1000
	var want []string
	for i := range count {
		want = append(want, string(publish(t, eng, "acme", fmt.Sprintf(`{"n":%d,"pad":"%0200d"}`, i, i)).ID))
	}
	close(open)
	for range count {
		r.next(t)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(order, want[:len(order)]) {
		t.Error("events arrived out of the order of their publishing")
	}
}
