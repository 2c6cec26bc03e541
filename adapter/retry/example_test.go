package retry_test

import (
	"context"
	"fmt"
	"time"

	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/adapter/retry"
	"github.com/neohook/neohook/webhook"
)

// The first attempt is answered with 503, the second with 200.
func ExampleDeliver() {
	adapter := memadapter.New(memadapter.Reply{StatusCode: 503}, memadapter.Reply{})
	endpoint := &webhook.Endpoint{ID: webhook.NewEndpointID(), URL: "https://api.example.com/webhook"}
	event := &webhook.Event{ID: webhook.NewEventID(), Type: "invoice.paid", Payload: []byte(`{"invoice":17}`)}
	delivery := webhook.NewDelivery(event, endpoint)
	delivery.Backoff = webhook.Backoff{MaxAttempts: 3, Base: 10 * time.Millisecond, Multiplier: 2}

	outcome := retry.Deliver(context.Background(), adapter, delivery, endpoint, retry.Options{
		BeforeWait: func(failed webhook.Result, wait time.Duration) {
			fmt.Printf("attempt %d: %s; again in %v\n", failed.Attempt, failed.ErrorMessage(), wait)
		},
	})
	fmt.Println(outcome.Status, outcome.Attempts, outcome.Response.StatusCode)
	// Output:
	// attempt 1: the receiver answered 503 Service Unavailable; again in 10ms
	// success 2 200
}
