package breaker_test

import (
	"context"
	"fmt"

	"github.com/neohook/neohook/adapter/breaker"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/webhook"
)

// The receiver is down: after three failures nothing is sent to it for half a minute.
func Example() {
	adapter := memadapter.New(memadapter.Reply{StatusCode: 503})
	guarded := breaker.New(adapter, breaker.Options{
		Failures: 3,
		Changed:  func(c breaker.Change) { fmt.Printf("%s: %s, was %s\n", c.Key, c.To, c.From) },
	})
	endpoint := &webhook.Endpoint{ID: "ep_orders", URL: "https://api.example.com/orders"}
	event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}
	for range 5 {
		result := guarded.Deliver(context.Background(), webhook.NewDelivery(event, endpoint), endpoint)
		if result.Fault != nil {
			fmt.Println(result.Fault.Code)
		} else {
			fmt.Println(result.StatusCode)
		}
	}
	fmt.Println(len(adapter.Requests()), "were sent")
	// Output:
	// 503
	// 503
	// ep_orders: open, was closed
	// 503
	// breaker_open
	// breaker_open
	// 3 were sent
}
