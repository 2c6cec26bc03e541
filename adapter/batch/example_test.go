package batch_test

import (
	"context"
	"fmt"

	"github.com/neohook/neohook/adapter/batch"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/webhook"
)

// A hundred deliveries to five hosts, one of which fails.
func ExampleDeliver() {
	adapter := memadapter.New()
	adapter.ScriptFor("ep_3", memadapter.Reply{StatusCode: 500})

	jobs := make([]batch.Job, 100)
	for i := range jobs {
		endpoint := &webhook.Endpoint{
			ID:  webhook.EndpointID(fmt.Sprintf("ep_%d", i%5)),
			URL: fmt.Sprintf("https://api%d.example.com/webhook", i%5),
		}
		event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}
		jobs[i] = batch.Job{Delivery: webhook.NewDelivery(event, endpoint), Endpoint: endpoint}
	}
	results := batch.Deliver(context.Background(), adapter, jobs, batch.Options{
		Limit: 20,
		Progress: func(p batch.Progress) {
			if p.Done%50 == 0 {
				fmt.Printf("%d of %d\n", p.Done, p.Total)
			}
		},
	})
	successful, failed := results.Count()
	fmt.Printf("Batch complete: %d successful, %d failed\n", successful, failed)
	fmt.Println(results[3].ErrorMessage())
	// Output:
	// 50 of 100
	// 100 of 100
	// Batch complete: 80 successful, 20 failed
	// the receiver answered 500 Internal Server Error
}

func ExampleVerify() {
	adapter := memadapter.New()
	adapter.ScriptFor("ep_2", memadapter.Reply{Fault: webhook.FaultRefused})
	endpoints := []webhook.Endpoint{
		{ID: "ep_1", Name: "Orders", URL: "https://api.example.com/orders"},
		{ID: "ep_2", Name: "Invoices", URL: "https://api.example.com/invoices"},
	}
	for _, v := range batch.Verify(context.Background(), adapter, endpoints, batch.Options{}) {
		if v.Result.Success {
			fmt.Printf("%s: HTTP %d\n", v.EndpointName, v.Result.StatusCode)
		} else {
			fmt.Printf("%s: %s\n", v.EndpointName, v.Result.ErrorMessage())
		}
	}
	// Output:
	// Orders: HTTP 200
	// Invoices: the request failed as it was told to: refused
}

// One event for all endpoints that want to hear of it.
func ExampleEvent() {
	adapter := memadapter.New()
	adapter.ScriptFor("ep_2", memadapter.Reply{StatusCode: 410})
	event := &webhook.Event{Type: "order.completed", Payload: []byte(`{"order_id":"order-123"}`)}
	var listening []webhook.Endpoint
	for _, endpoint := range []webhook.Endpoint{
		{ID: "ep_1", URL: "https://one.example.com/hook"},
		{ID: "ep_2", URL: "https://two.example.com/hook"},
		{ID: "ep_3", URL: "https://three.example.com/hook", EventTypes: []string{"invoice.paid"}},
	} {
		if endpoint.Hears(event.Type, event.Channels) {
			listening = append(listening, endpoint)
		}
	}
	for _, sent := range batch.Event(context.Background(), adapter, event, listening, batch.Options{}) {
		fmt.Println(sent.EndpointID, sent.Success, sent.Info.StatusCode)
	}
	// Output:
	// ep_1 true 200
	// ep_2 false 410
}
