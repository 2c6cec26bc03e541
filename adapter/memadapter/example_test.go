package memadapter_test

import (
	"context"
	"fmt"

	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/webhook"
)

// In a test of your own the adapter stands where the real one will be.
func Example() {
	mem := memadapter.New(
		memadapter.Reply{StatusCode: 503}, // first this,
		memadapter.Reply{},                // then 200 again and again
	)
	endpoint := &webhook.Endpoint{ID: webhook.NewEndpointID(), URL: "https://api.example.com/webhook"}
	event := &webhook.Event{ID: webhook.NewEventID(), Type: "test.event", Payload: []byte(`{"id":123}`)}
	delivery := webhook.NewDelivery(event, endpoint)

	for range 2 {
		result := mem.Deliver(context.Background(), delivery, endpoint)
		fmt.Println(result.Success, result.StatusCode)
	}
	for _, request := range mem.Requests() {
		fmt.Printf("%s to %s\n", request.Delivery.Payload, request.Endpoint.URL)
	}
	// Output:
	// false 503
	// true 200
	// {"id":123} to https://api.example.com/webhook
	// {"id":123} to https://api.example.com/webhook
}
