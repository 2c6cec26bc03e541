package dispatch

import (
	"context"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
)

// read reads a page, and payloads for as many of its deliveries as the request allows.
func (d *Dispatcher) read(ctx context.Context, request lane.PageRequest) (lane.Page, error) {
	page := lane.Page{PageRequest: request}
	var err error
	if page.Settings, err = d.endpoints.Settings(ctx, request.Tenant, request.Endpoint); err != nil {
		return page, err
	}
	var open []store.Open
	switch request.Kind {
	case lane.SettingsPage:
		return page, nil
	case lane.SendPage:
		return page, d.readSends(ctx, &page)
	case lane.FreshPage:
		fresh, err := d.backlog.Fresh(ctx, request.Endpoint, request.From, request.Limit)
		if err != nil {
			return page, err
		}
		open, page.Next, page.More = fresh.Deliveries, fresh.Next, fresh.More
	case lane.WaitingPage:
		waiting, err := d.backlog.Waiting(ctx, request.Endpoint, request.Behind, request.Limit)
		if err != nil {
			return page, err
		}
		open, page.More = waiting, len(waiting) == request.Limit
	}
	for _, o := range open {
		page.Deliveries = append(page.Deliveries, lane.Delivery{
			Tenant: request.Tenant, Endpoint: request.Endpoint, Event: o.Event, Tried: o.Tried, Due: o.RetryAt,
		})
	}
	if request.Kind == lane.FreshPage {
		return page, d.loadPayloads(ctx, page.Deliveries, request.Bytes)
	}
	return page, nil // what waits may wait long, and is read when it is sent
}

// readSends reads a page of sends.
func (d *Dispatcher) readSends(ctx context.Context, page *lane.Page) error {
	sends, err := d.backlog.SendsOf(ctx, page.Endpoint, page.Behind, page.Limit)
	if err != nil {
		return err
	}
	page.More = len(sends) == page.Limit
	for i := range sends {
		page.Deliveries = append(page.Deliveries, lane.Delivery{
			Tenant: page.Tenant, Endpoint: page.Endpoint, Event: sends[i].Event,
			Send: sends[i].Key, Retried: sends[i].Retried, Tried: sends[i].Tried, Due: sends[i].DueAt,
		})
	}
	return nil
}

// loadPayloads brings payloads along for the first of the deliveries, a few at a time
// until they exceed the bytes allowed. The others are read one by one when they are sent.
func (d *Dispatcher) loadPayloads(ctx context.Context, deliveries []lane.Delivery, bytes int64) error {
	const step = 64
	keys := make([]store.EventKey, 0, step)
	for len(deliveries) > 0 && bytes > 0 {
		n := min(step, len(deliveries))
		keys = keys[:0]
		for _, delivery := range deliveries[:n] {
			keys = append(keys, delivery.Event)
		}
		payloads, err := d.backlog.Payloads(ctx, keys)
		if err != nil {
			return err
		}
		for i := range payloads {
			if bytes -= int64(len(payloads[i].Body)); payloads[i].Event != 0 && bytes > 0 {
				deliveries[i].Payload = &payloads[i]
			}
		}
		deliveries = deliveries[n:]
	}
	return nil
}
