package adapter_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/neohook/neohook/adapter"
	"github.com/neohook/neohook/adapter/breaker"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/adapter/monitor"
	"github.com/neohook/neohook/adapter/retry"
	"github.com/neohook/neohook/webhook"
)

// Adapters nest: here a breaker is watched, and deliveries are retried through both.
func Example() {
	inside := memadapter.New(memadapter.Reply{StatusCode: 503}, memadapter.Reply{})
	guarded := breaker.New(inside, breaker.Options{})
	watched := monitor.New(guarded, monitor.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})

	endpoint := &webhook.Endpoint{ID: "ep_orders", URL: "https://api.example.com/orders"}
	event := &webhook.Event{ID: webhook.NewEventID(), Type: "order.completed", Payload: []byte(`{"order_id":"order-123"}`)}
	delivery := webhook.NewDelivery(event, endpoint)
	delivery.Backoff.Base = time.Millisecond

	outcome := retry.Deliver(context.Background(), watched, delivery, endpoint, retry.Options{})
	fmt.Println(outcome.Status, "after", outcome.Attempts)
	fmt.Println("success rate", watched.Summary().SuccessRate, "breaker", guarded.State(endpoint))
	// Output:
	// success after 2
	// success rate 0.5 breaker closed
}

// As reaches what is wrapped.
func ExampleAs() {
	var a webhook.Adapter = monitor.New(breaker.New(memadapter.New(), breaker.Options{}), monitor.Options{})
	guarded, ok := adapter.As[*breaker.Adapter](a)
	fmt.Println(ok, guarded.State(&webhook.Endpoint{ID: "ep_orders"}))
	// Output:
	// true closed
}

// Notifier is a service of a program. It takes any adapter, and so can be tested with one
// in memory.
type Notifier struct{ Adapter webhook.Adapter }

// Paid tells an endpoint that an invoice was paid.
func (n Notifier) Paid(ctx context.Context, endpoint *webhook.Endpoint, invoice string) error {
	event := &webhook.Event{ID: webhook.NewEventID(), Type: "invoice.paid", Payload: []byte(`{"invoice":"` + invoice + `"}`)}
	if result := n.Adapter.Deliver(ctx, webhook.NewDelivery(event, endpoint), endpoint); !result.Success {
		return fmt.Errorf("invoice %s: %s", invoice, result.ErrorMessage())
	}
	return nil
}

// A service is handed its adapter: the one over HTTP in the program, one in memory in its
// tests.
func Example_dependencyInjection() {
	mem := memadapter.New(memadapter.Reply{}, memadapter.Reply{StatusCode: 404})
	service := Notifier{Adapter: mem}
	endpoint := &webhook.Endpoint{ID: webhook.NewEndpointID(), URL: "https://api.example.com/invoices"}

	fmt.Println(service.Paid(context.Background(), endpoint, "17"))
	fmt.Println(service.Paid(context.Background(), endpoint, "18"))
	fmt.Printf("%s\n", mem.Requests()[0].Delivery.Payload)
	// Output:
	// <nil>
	// invoice 18: the receiver answered 404 Not Found
	// {"invoice":"17"}
}
