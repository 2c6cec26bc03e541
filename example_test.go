package neohook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

// A program that tells its customers what happens: an engine over SQLite, a customer
// with an endpoint, an event, and what the customer's server makes of it.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	dir, err := os.MkdirTemp("", "neohook")
	check(err)
	defer os.RemoveAll(dir)

	st, err := sqlite.Open(ctx, filepath.Join(dir, "neohook.db"))
	check(err)
	defer st.Close()
	eng, err := neohook.New(ctx, st, neohook.Options{
		// Receivers in private networks are refused unless they are allowed.
		Egress: egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	check(err)
	ended := make(chan error)
	go func() { ended <- eng.Run(ctx) }()

	// The customer's server. It knows the secret of the endpoint.
	secret := signature.Generate()
	verifier, err := signature.NewVerifier(secret)
	check(err)
	got := make(chan string)
	server := httptest.NewServer(verifier.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		check(err)
		got <- string(body)
	})))
	defer server.Close()

	_, err = eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"})
	check(err)
	_, err = eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{
		URL: server.URL, Secret: secret, EventTypes: []string{"invoice.paid"},
	})
	check(err)
	_, err = eng.Publish(ctx, webhook.Event{
		Tenant: "acme", Type: "invoice.paid", Payload: []byte(`{"invoice": 4711}`),
	})
	check(err) // without an error it is on disk, and will be delivered
	fmt.Println("received:", <-got)

	stop()
	check(<-ended) // what was in flight has ended
	// Output: received: {"invoice": 4711}
}

// An endpoint with a policy of its own, and what it says of a delivery.
func ExampleOrganisation_Delivery() {
	ctx, stop := context.WithCancel(context.Background())
	keyset, err := neohook.NewKeyset()
	check(err)
	// In memory, and with a receiver that takes nothing before the third attempt.
	eng, err := neohook.New(ctx, memstore.New(), neohook.Options{
		Keyset: keyset, Adapter: memadapter.New(memadapter.Reply{StatusCode: 500}, memadapter.Reply{StatusCode: 500}, memadapter.Reply{StatusCode: 204}),
	})
	check(err)
	ended := make(chan error)
	go func() { ended <- eng.Run(ctx) }()

	_, err = eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"})
	check(err)
	endpoint, err := eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{
		URL:      "https://acme.example/hook",
		Ordered:  true, // one at a time, strictly by acceptance
		Schedule: webhook.Backoff{MaxAttempts: 5, Base: 10 * time.Millisecond}.Schedule(),
		// What the receiver will never take need not be sent again.
		FinalStatuses: []int{400, 422},
	})
	check(err)
	recorded, err := eng.Follow(ctx, "acme", neohook.FollowOptions{})
	check(err)
	defer recorded.Close()
	event, err := eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "invoice.paid", Payload: []byte(`{}`)})
	check(err)

	var standing webhook.Standing
	for !standing.State.Ended() {
		_, _, err = recorded.Next(ctx) // there is more to see
		check(err)
		standing, err = eng.Delivery(ctx, "acme", event.ID, endpoint.ID)
		check(err)
	}
	fmt.Println(standing.State)
	for _, attempt := range standing.Attempts {
		fmt.Println(attempt.Number, attempt.StatusCode)
	}
	stop()
	check(<-ended)
	// Output:
	// succeeded
	// 1 500
	// 2 500
	// 3 204
}

// An event type with a schema that payloads are held to.
func ExampleOrganisation_CreateEventType() {
	ctx := context.Background()
	keyset, err := neohook.NewKeyset()
	check(err)
	eng, err := neohook.New(ctx, memstore.New(), neohook.Options{Keyset: keyset, CheckPayloads: true})
	check(err)
	_, err = eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"})
	check(err)

	_, err = eng.CreateEventType(ctx, webhook.EventType{
		Name: "invoice.paid", Description: "An invoice was paid in full.", Group: "invoice",
		Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{
			"type": "object",
			"required": ["invoice"],
			"properties": {"lines": {"items": {"properties": {"quantity": {"type": "integer"}}}}},
			"examples": [{"invoice": 4711}]
		}`)},
	})
	check(err)
	_, err = eng.Publish(ctx, webhook.Event{
		Tenant: "acme", Type: "invoice.paid", Payload: []byte(`{"lines": [{"quantity": 1}, {"quantity": "many"}]}`),
	})
	var misfit *neohook.PayloadError
	if errors.As(err, &misfit) {
		for _, fault := range misfit.Faults {
			fmt.Println("/"+strings.Join(fault.Path, "/"), fault.Message)
		}
	}
	// Output:
	// / must have "invoice"
	// /lines/[1]/quantity must be of type integer
}

// An event that a receiver had refused for good is sent to it once more.
func ExampleOrganisation_Resend() {
	ctx, stop := context.WithCancel(context.Background())
	keyset, err := neohook.NewKeyset()
	check(err)
	// In memory, and with a receiver that is mended after the first request.
	eng, err := neohook.New(ctx, memstore.New(), neohook.Options{
		Keyset: keyset, Adapter: memadapter.New(memadapter.Reply{StatusCode: 400}, memadapter.Reply{StatusCode: 204}),
	})
	check(err)
	ended := make(chan error)
	go func() { ended <- eng.Run(ctx) }()

	_, err = eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"})
	check(err)
	_, err = eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{UID: "main", URL: "https://acme.example/hook", FinalStatuses: []int{400}})
	check(err)
	recorded, err := eng.Follow(ctx, "acme", neohook.FollowOptions{})
	check(err)
	defer recorded.Close()
	event, err := eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "invoice.paid", Payload: []byte(`{}`)})
	check(err)

	until := func(done func(webhook.Standing) bool) (standing webhook.Standing) {
		for !done(standing) {
			_, _, err = recorded.Next(ctx) // there is more to see
			check(err)
			standing, err = eng.Delivery(ctx, "acme", event.ID, "main")
			check(err)
		}
		return standing
	}
	fmt.Println(until(func(s webhook.Standing) bool { return s.State.Ended() }).State)

	// A click on a button may come twice: the key makes it one.
	once := eng.Once(neohook.Once{Key: "resend-" + string(event.ID)})
	check(once.Resend(ctx, "acme", event.ID, "main"))
	check(once.Resend(ctx, "acme", event.ID, "main"))
	recovered := until(func(s webhook.Standing) bool { return !s.RecoveredAt.IsZero() })
	fmt.Println(recovered.State, "and recovered, after", len(recovered.Attempts), "attempts")
	stop()
	check(<-ended)
	// Output:
	// exhausted
	// exhausted and recovered, after 2 attempts
}

// A receiver was down for a while. When it is mended, what has failed is sent again.
func ExampleOrganisation_Recover() {
	ctx, stop := context.WithCancel(context.Background())
	keyset, err := neohook.NewKeyset()
	check(err)
	adapter := memadapter.New(memadapter.Reply{StatusCode: 503})
	eng, err := neohook.New(ctx, memstore.New(), neohook.Options{
		Keyset: keyset, Adapter: adapter, Schedule: webhook.Schedule{}, // no retries
	})
	check(err)
	ended := make(chan error)
	go func() { ended <- eng.Run(ctx) }()

	_, err = eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"})
	check(err)
	_, err = eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{UID: "main", URL: "https://acme.example/hook"})
	check(err)
	recorded, err := eng.Follow(ctx, "acme", neohook.FollowOptions{})
	check(err)
	defer recorded.Close()
	since := time.Now()
	for range 3 {
		_, err = eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "invoice.paid", Payload: []byte(`{}`)})
		check(err)
	}
	for lost := 0; lost < 3; {
		list, _, err := recorded.Next(ctx)
		check(err)
		lost += len(list)
	}

	adapter.Script(memadapter.Reply{StatusCode: 204})
	preview, err := eng.PreviewRecover(ctx, "acme", "main", neohook.Window{Since: since})
	check(err)
	fmt.Println("would send", preview.Matched)
	job, err := eng.Recover(ctx, "acme", "main", neohook.Window{Since: since})
	check(err)
	for job.State == webhook.JobRunning {
		job, err = eng.Job(ctx, job.ID)
		check(err)
		<-time.After(time.Millisecond)
	}
	fmt.Println(job.State, "having sent", job.Progress.Made)
	stop()
	check(<-ended)
	// Output:
	// would send 3
	// finished having sent 3
}

// A reminder that is sent in a week, unless the invoice is paid before.
func ExampleOrganisation_CancelEvent() {
	ctx, stop := context.WithCancel(context.Background())
	keyset, err := neohook.NewKeyset()
	check(err)
	eng, err := neohook.New(ctx, memstore.New(), neohook.Options{Keyset: keyset, Adapter: memadapter.New()})
	check(err)
	ended := make(chan error)
	go func() { ended <- eng.Run(ctx) }()
	_, err = eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"})
	check(err)

	_, err = eng.Publish(ctx, webhook.Event{
		Tenant: "acme", UID: "reminder-4711", Type: "invoice.due", Tags: []string{"invoice-4711"},
		DeliverAt: time.Now().Add(7 * 24 * time.Hour), Payload: []byte(`{"invoice": 4711}`),
	})
	check(err)
	check(eng.CancelEvent(ctx, "acme", "reminder-4711"))

	found, err := eng.Events(ctx, "acme", neohook.EventFilter{Tag: "invoice-4711"}, neohook.Page{})
	check(err)
	for _, event := range found.Items {
		fmt.Println(event.UID, "cancelled:", !event.CancelledAt.IsZero())
	}
	stop()
	check(<-ended)
	// Output: reminder-4711 cancelled: true
}

// An operator who is told of what happens to the endpoints of the customers.
func ExampleOrganisation_Operational() {
	ctx, stop := context.WithCancel(context.Background())
	keyset, err := neohook.NewKeyset()
	check(err)
	adapter := memadapter.New()
	eng, err := neohook.New(ctx, memstore.New(), neohook.Options{Keyset: keyset, Adapter: adapter})
	check(err)
	ended := make(chan error)
	go func() { ended <- eng.Run(ctx) }()

	acting, tenant, err := eng.Operational(ctx)
	check(err)
	_, err = acting.CreateEndpoint(ctx, tenant, webhook.Endpoint{
		URL: "https://operator.example/hook", EventTypes: []string{"endpoint.created", "endpoint.disabled"},
	})
	check(err)

	_, err = eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"})
	check(err)
	_, err = eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{UID: "main", URL: "https://acme.example/hook"})
	check(err)
	check(adapter.Wait(ctx, 1))
	var told struct {
		Type string
		Data struct{ AppUID, EndpointUID string }
	}
	check(json.Unmarshal(adapter.Requests()[0].Delivery.Payload, &told))
	fmt.Println(told.Type, "of", told.Data.AppUID, told.Data.EndpointUID)
	stop()
	check(<-ended)
	// Output: endpoint.created of acme main
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
