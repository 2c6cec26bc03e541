package dispatch

import (
	"context"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
)

const (
	// together is how many pages are read at a time, where what others have accepted is read
	// for one endpoint after another.
	together = 64
	// rowsTogether bounds their deliveries, but for leastRows of each.
	rowsTogether = 1024
	leastRows    = 8
)

// takePages returns what the Board wants to have read next: one page, or several where that
// is less work.
func (d *Dispatcher) takePages() (requests []lane.PageRequest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	most := 1
	if d.share != nil {
		most = together
	}
	for len(requests) < most {
		request, wanted := d.board.TakePage()
		if !wanted {
			break
		}
		requests = append(requests, request)
	}
	return requests
}

// readAll reads the pages of requests, in any order. With an error, which is that of some,
// there is a page for each all the same.
func (d *Dispatcher) readAll(ctx context.Context, requests []lane.PageRequest) (pages []lane.Page, failed error) {
	var fresh, others []lane.PageRequest
	for _, request := range requests {
		if request.Kind == lane.FreshPage {
			fresh = append(fresh, request)
		} else {
			others = append(others, request)
		}
	}
	if len(fresh) > 1 {
		var err error
		if pages, err = d.readFresh(ctx, fresh); err == nil {
			fresh = nil // else each by itself, so that none suffers from another
		}
	}
	for _, request := range append(fresh, others...) {
		page, err := d.read(ctx, request)
		if err != nil {
			page, failed = lane.Page{PageRequest: request, Failed: true}, err
		}
		pages = append(pages, page)
	}
	return pages, failed
}

// readFresh reads fresh deliveries of several endpoints together, less of each the more they
// are. The payloads have to do with what one of them may bring along.
func (d *Dispatcher) readFresh(ctx context.Context, requests []lane.PageRequest) ([]lane.Page, error) {
	pages, from := make([]lane.Page, len(requests)), make([]store.FreshFrom, len(requests))
	limit, bytes := max(leastRows, rowsTogether/len(requests)), requests[0].Bytes
	for i, request := range requests {
		pages[i].PageRequest = request
		from[i] = store.FreshFrom{Endpoint: request.Endpoint, From: request.From}
		limit, bytes = min(limit, request.Limit), min(bytes, request.Bytes)
		var err error
		if pages[i].Settings, err = d.endpoints.Settings(ctx, request.Tenant, request.Endpoint); err != nil {
			return nil, err
		}
	}
	found, err := d.share.FreshOf(ctx, from, limit)
	if err != nil {
		return nil, err
	}
	var all []lane.Delivery
	for i := range found {
		pages[i].Next, pages[i].More = found[i].Next, found[i].More
		all = appendOpen(all, &requests[i], found[i].Deliveries)
	}
	if err := d.loadPayloads(ctx, all, bytes); err != nil {
		return nil, err
	}
	for i := range found {
		count := len(found[i].Deliveries)
		pages[i].Deliveries, all = all[:count:count], all[count:]
	}
	return pages, nil
}

func appendOpen(to []lane.Delivery, request *lane.PageRequest, open []store.Open) []lane.Delivery {
	for _, o := range open {
		to = append(to, lane.Delivery{
			Tenant: request.Tenant, Endpoint: request.Endpoint, Event: o.Event, Tried: o.Tried, Due: o.RetryAt,
		})
	}
	return to
}

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
	page.Deliveries = appendOpen(nil, &request, open)
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
