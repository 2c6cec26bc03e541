package storetest

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/neohook/neohook/store"
)

// read does the same to both and compares the answers.
func read[V any](p *pair, what string, do func(store.Store) (V, error)) {
	p.Helper()
	tested, testedErr := do(p.tested)
	model, modelErr := do(p.model)
	agree(p, what, tested, model, testedErr, modelErr)
}

func (p *pair) readDirectory(rt *rapid.T) {
	p.T = rt
	t, ep := p.tenant(), p.endpoint()
	organisation, tenantUID, endpointUID := p.organisation(), p.uid(), p.uid()
	page := store.Page{Limit: rapid.IntRange(1, 4).Draw(rt, "limit"), Descending: p.chance(50)}
	if p.chance(50) {
		page.After = int64(t.Key)
	}
	read(p, "Tenant", func(st store.Store) (store.Tenant, error) { return st.Tenant(p.Context(), organisation, t.Key) })
	read(p, "TenantByUID", func(st store.Store) (store.Tenant, error) {
		return st.TenantByUID(p.Context(), organisation, tenantUID)
	})
	read(p, "Tenants", func(st store.Store) ([]store.Tenant, error) { return st.Tenants(p.Context(), organisation, page) })
	read(p, "Endpoint", func(st store.Store) (store.Endpoint, error) { return st.Endpoint(p.Context(), t.Key, ep.Key) })
	read(p, "EndpointByUID", func(st store.Store) (store.Endpoint, error) { return st.EndpointByUID(p.Context(), t.Key, endpointUID) })
	read(p, "Endpoints", func(st store.Store) ([]store.Endpoint, error) { return st.Endpoints(p.Context(), t.Key, page) })
	read(p, "Routes", func(st store.Store) (store.Routes, error) {
		routes, err := st.Routes(p.Context(), t.Key)
		routes.Version = 0
		return routes, err
	})
}

func (p *pair) readEvents(rt *rapid.T) {
	p.T = rt
	tenant, uid, key := p.tenant().Key, p.uid(), p.event()
	filter := store.EventFilter{WithPayload: p.chance(50)}
	if p.chance(30) {
		filter.Types = []string{p.pick("a", "b")}
	}
	if p.chance(30) {
		filter.Channel = p.pick("eu", "us")
	}
	if p.chance(30) {
		filter.Tag = p.pick("x", "y", "z")
	}
	if p.chance(30) {
		filter.From = p.now.Add(-time.Minute)
	}
	read(p, "EventByUID", func(st store.Store) (store.Event, error) { return st.EventByUID(p.Context(), tenant, uid) })
	read(p, "Event", func(st store.Store) (store.Event, error) { return st.Event(p.Context(), tenant, p.own(st, key)) })
	read(p, "Payloads", func(st store.Store) ([]store.Payload, error) {
		return st.Payloads(p.Context(), []store.EventKey{p.own(st, key), 0, p.own(st, key)})
	})
	page := store.Page{Limit: rapid.IntRange(1, 5).Draw(rt, "limit"), Descending: p.chance(50)}
	after := key
	if p.chance(50) {
		after = 0
	}
	read(p, "Events", func(st store.Store) (store.Listed[store.Event], error) {
		page.After = int64(p.own(st, after))
		listed, err := st.Events(p.Context(), tenant, filter, page)
		if st == p.tested {
			listed.Last = int64(lookUp(p.events, store.EventKey(listed.Last)))
		}
		return listed, err
	})
}

// own translates the tested store's event key for one of the two.
func (p *pair) own(st store.Store, key store.EventKey) store.EventKey {
	if st == p.model {
		return p.events[key]
	}
	return key
}

func (p *pair) readAttempts(rt *rapid.T) {
	p.T = rt
	ep, event := p.endpoint().Key, p.event()
	filter := store.AttemptFilter{WithResponse: p.chance(50), NoStatus: p.chance(20)}
	if p.chance(30) {
		filter.Endpoint = p.endpoint().Key
	}
	if p.chance(30) {
		filter.StatusClass = rapid.SampledFrom([]int{200, 300, 400, 500}).Draw(rt, "class")
	}
	if p.chance(30) {
		succeeded := p.chance(50)
		filter.Succeeded = &succeeded
	}
	if p.chance(30) {
		filter.Types = []string{p.pick("a", "b")}
	}
	page := store.Page{Limit: rapid.IntRange(1, 5).Draw(rt, "limit"), Descending: p.chance(50)}
	own := func(st store.Store, listed store.Listed[store.LoggedAttempt], err error) (store.Listed[store.LoggedAttempt], error) {
		if st == p.tested {
			listed.Last = int64(lookUp(p.attempts, store.AttemptKey(listed.Last)))
		}
		return listed, err
	}
	read(p, "AttemptsAtEndpoint", func(st store.Store) (store.Listed[store.LoggedAttempt], error) {
		listed, err := st.AttemptsAtEndpoint(p.Context(), ep, filter, page)
		return own(st, listed, err)
	})
	read(p, "AttemptsOfEvent", func(st store.Store) (store.Listed[store.LoggedAttempt], error) {
		listed, err := st.AttemptsOfEvent(p.Context(), p.own(st, event), filter, page)
		return own(st, listed, err)
	})
}

func (p *pair) readDelivery(rt *rapid.T) {
	p.T = rt
	ep, event := p.endpoint().Key, p.event()
	read(p, "Delivery", func(st store.Store) (store.DeliveryRecord, error) {
		return st.Delivery(p.Context(), ep, p.own(st, event))
	})
	page := store.Page{Limit: rapid.IntRange(1, 5).Draw(rt, "limit"), Descending: p.chance(50), After: int64(p.endpoint().Key)}
	if p.chance(50) {
		page.After = 0
	}
	tenant := p.tenant().Key
	read(p, "DeliveriesOfEvent", func(st store.Store) ([]store.DatedDelivery, error) {
		found, err := st.DeliveriesOfEvent(p.Context(), tenant, p.own(st, event), page)
		for i := range found {
			found[i].Event = 0 // it is the store's own
		}
		return found, err
	})
}

func (p *pair) readSums(rt *rapid.T) {
	p.T = rt
	unit := rapid.SampledFrom([]store.Unit{store.Minute, store.Hour, store.Day}).Draw(rt, "unit")
	tenant := p.tenant()
	if _, err := p.model.Tenant(p.Context(), tenant.Organisation, tenant.Key); err != nil {
		return // what is counted of it may be gone or not
	}
	q := store.SumQuery{
		Tenant: tenant.Key, Unit: unit, To: unit.Start(p.now).Add(unit.Length()),
		From: unit.Start(p.now.Add(-unit.Kept())).Add(unit.Length()),
		Each: p.chance(50), ByType: p.chance(50),
	}
	if p.chance(50) {
		q.Endpoint = p.endpoint().Key
	}
	if p.chance(30) {
		q.Type = p.pick("a", "b", "c")
	}
	if p.chance(30) {
		q.From = unit.Start(p.now.Add(-time.Duration(rapid.IntRange(0, 40).Draw(rt, "hours")) * time.Hour))
	}
	read(p, "Sums", func(st store.Store) ([]store.Sum, error) { return st.Sums(p.Context(), q) })
}

// compareBacklog looks at all that is open, after each operation.
func (p *pair) compareBacklog(rt *rapid.T) {
	p.T = rt
	read(p, "FailingEndpoints", func(st store.Store) ([]store.FailingEndpoint, error) { return st.FailingEndpoints(p.Context(), 0, 100) })
	read(p, "Lanes", func(st store.Store) ([]store.Lane, error) { return st.Lanes(p.Context(), 0, 100) })
	p.compareDeferred()
	p.compareOutbox()
	for _, ep := range p.endpoints {
		what := fmt.Sprint(" of endpoint ", ep.Key)
		read(p, "Waiting"+what, func(st store.Store) ([]store.Open, error) { return st.Waiting(p.Context(), ep.Key, store.Moment{}, 3) })
		read(p, "SendsOf"+what, func(st store.Store) ([]store.Send, error) { return st.SendsOf(p.Context(), ep.Key, store.Moment{}, 3) })
		read(p, "Fresh"+what, func(st store.Store) ([]store.Open, error) { return p.fresh(st, ep.Key) })
	}
}

// fresh walks an endpoint's fresh deliveries. A store may put any number of them on a page,
// up to as many as it is to examine.
func (p *pair) fresh(st store.Store, ep store.EndpointKey) (found []store.Open, err error) {
	const examine = 3
	for from, more := store.EventKey(0), true; more; {
		page, err := st.Fresh(p.Context(), ep, from, examine)
		if err != nil {
			return nil, err
		}
		if len(page.Deliveries) > examine || page.More && page.Next <= from {
			p.Fatalf("Fresh from %d: %+v", from, page)
		}
		found = append(found, page.Deliveries...)
		from, more = page.Next, page.More
	}
	return found, nil
}
