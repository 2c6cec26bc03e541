package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// Model does the same random operations on a store and on package memstore, and compares
// every answer. openAt is as for RunDurable: now and then the store is opened anew.
func Model(t *testing.T, openAt func(t *testing.T, folder string) store.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		folder := t.TempDir()
		p := &pair{
			T: rt, tested: openAt(t, folder), model: memstore.New(),
			now:      time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
			events:   map[store.EventKey]store.EventKey{0: 0},
			attempts: map[store.AttemptKey]store.AttemptKey{0: 0},
		}
		defer func() { _ = p.tested.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"":               p.compareBacklog,
			"insertTenant":   p.insertTenant,
			"updateTenant":   p.updateTenant,
			"deleteTenant":   p.deleteTenant,
			"insertEndpoint": p.insertEndpoint,
			"updateEndpoint": p.updateEndpoint,
			"deleteEndpoint": p.deleteEndpoint,
			"commit":         p.commit,
			"commitAgain":    p.commit, // as it is what a store mostly does
			"replay":         p.replay,
			"readDirectory":  p.readDirectory,
			"readEvents":     p.readEvents,
			"readAttempts":   p.readAttempts,
			"readDelivery":   p.readDelivery,
			"tick": func(rt *rapid.T) {
				p.now = p.now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(rt, "ms")) * time.Millisecond)
			},
			"reopen": func(rt *rapid.T) {
				if err := p.tested.Close(); err != nil {
					rt.Fatal(err)
				}
				p.tested = openAt(t, folder)
			},
		})
	})
}

// pair is a store and its model. Keys of the directory are drawn so that both have the
// same; those of events and attempts are translated, as a store may leave some out.
type pair struct {
	*rapid.T
	tested, model store.Store
	now           time.Time

	tenants   []store.Tenant
	endpoints []store.Endpoint
	inserted  []store.EventKey // the tested store's

	events   map[store.EventKey]store.EventKey // the tested store's to the model's
	attempts map[store.AttemptKey]store.AttemptKey
}

// agree compares two answers, or two errors.
func agree[V any](p *pair, what string, tested, model V, testedErr, modelErr error) {
	p.Helper()
	if !sameError(testedErr, modelErr) {
		p.Fatalf("%s: %v, the model says %v", what, testedErr, modelErr)
	}
	got := p.translate(reflect.ValueOf(&tested).Elem()).Interface()
	if testedErr == nil && !reflect.DeepEqual(got, any(model)) {
		p.Fatalf("%s:\n  got %+v\nmodel %+v", what, got, model)
	}
}

func sameError(a, b error) bool {
	var replayA, replayB *store.ReplayError
	if errors.As(a, &replayA) && errors.As(b, &replayB) {
		return reflect.DeepEqual(replayA, replayB)
	}
	for _, known := range []error{store.ErrNotFound, store.ErrConflict, store.ErrStale, store.ErrClosed} {
		if errors.Is(a, known) && errors.Is(b, known) {
			return true
		}
	}
	return a == nil && b == nil
}

// translate copies an answer with the model's keys in place of the tested store's.
func (p *pair) translate(v reflect.Value) reflect.Value {
	switch key := v.Interface().(type) {
	case store.EventKey:
		return reflect.ValueOf(lookUp(p.events, key))
	case store.AttemptKey:
		return reflect.ValueOf(lookUp(p.attempts, key))
	case time.Time:
		return v
	}
	switch v.Kind() { //nolint:exhaustive // the others hold no key
	case reflect.Struct:
		copied := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			copied.Field(i).Set(p.translate(v.Field(i)))
		}
		return copied
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return v
		}
		copied := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			copied.Index(i).Set(p.translate(v.Index(i)))
		}
		return copied
	}
	return v
}

// lookUp gives an unknown key back as one that the model has not.
func lookUp[K ~int64](known map[K]K, key K) K {
	if translated, is := known[key]; is {
		return translated
	}
	return -key
}

// change does the same to both and compares the errors.
func (p *pair) change(what string, do func(store.Store) error) error {
	p.Helper()
	err := do(p.tested)
	agree(p, what, 0, 0, err, do(p.model))
	return err
}

// key draws a key that is the same in both.
func (p *pair) key() int64 {
	tested, err := p.tested.NewKey(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	for {
		model, err := p.model.NewKey(p.Context())
		if err != nil {
			p.Fatal(err)
		}
		if model == tested {
			return tested
		}
		if model > tested {
			p.Fatalf("key %d was given before", tested)
		}
	}
}

func (p *pair) pick(from ...string) string { return rapid.SampledFrom(from).Draw(p.T, "choice") }

func (p *pair) chance(percent int) bool { return rapid.IntRange(0, 99).Draw(p.T, "percent") < percent }

func (p *pair) organisation() string { return p.pick("org_a", "org_a", "org_a", "org_b") }

func (p *pair) uid() string { return p.pick("", "", "x", "y", "z") }

// once is nil, or one of few of a kind, so that there are repeats.
func (p *pair) once(kind byte) *store.Once {
	if p.chance(40) {
		return nil
	}
	number := rapid.IntRange(0, 11).Draw(p.T, "once")
	once := &store.Once{
		Hash: [16]byte{byte(number * 37), kind, 15: byte(number)}, Now: p.now,
		TTL:    []time.Duration{10 * time.Second, time.Minute, time.Hour}[number%3],
		Answer: []byte(p.pick("", "one", "two")),
	}
	if p.chance(10) {
		once.Body[0] = 1
	}
	return once
}

func (p *pair) tenant() store.Tenant {
	if len(p.tenants) == 0 || p.chance(5) {
		return store.Tenant{Key: 999_999_999, Organisation: "org_a"}
	}
	return rapid.SampledFrom(p.tenants).Draw(p.T, "tenant")
}

func (p *pair) endpoint() store.Endpoint {
	if len(p.endpoints) == 0 || p.chance(5) {
		return store.Endpoint{Key: 999_999_999, Tenant: p.tenant().Key}
	}
	return rapid.SampledFrom(p.endpoints).Draw(p.T, "endpoint")
}

func (p *pair) event() store.EventKey {
	if len(p.inserted) == 0 {
		return 0
	}
	return rapid.SampledFrom(p.inserted).Draw(p.T, "event")
}

// version is the one behind that which is stored, or another.
func (p *pair) version(stored int64) int64 {
	if p.chance(15) {
		return int64(rapid.IntRange(0, 5).Draw(p.T, "version"))
	}
	return stored + 1
}

func (p *pair) insertTenant(rt *rapid.T) {
	p.T = rt
	t := store.Tenant{
		Key: store.TenantKey(p.key()), Organisation: p.organisation(), UID: p.uid(), Name: p.pick("one", "two"), CreatedAt: p.now,
	}
	once := p.once('c')
	if p.change("InsertTenant", func(st store.Store) error { return st.InsertTenant(p.Context(), t, once) }) == nil {
		p.tenants = append(p.tenants, t)
	}
}

func (p *pair) updateTenant(rt *rapid.T) {
	p.T = rt
	t := p.tenant()
	if stored, err := p.model.Tenant(p.Context(), t.Organisation, t.Key); err == nil {
		t = stored
	}
	t.Version, t.UID, t.UpdatedAt = p.version(t.Version), p.uid(), p.now
	t.Metadata = map[string]string{"a": p.pick("b", "c")}
	if p.chance(5) {
		t.Organisation = "org_other"
	}
	_ = p.change("UpdateTenant", func(st store.Store) error { return st.UpdateTenant(p.Context(), t) })
}

func (p *pair) deleteTenant(rt *rapid.T) {
	p.T = rt
	if p.chance(70) { // they would be gone too soon
		return
	}
	t := p.tenant()
	_ = p.change("DeleteTenant", func(st store.Store) error { return st.DeleteTenant(p.Context(), t.Key, p.now) })
}

func (p *pair) insertEndpoint(rt *rapid.T) {
	p.T = rt
	ep := store.Endpoint{
		Key: store.EndpointKey(p.key()), Tenant: p.tenant().Key, UID: p.uid(), URL: "https://example.com", CreatedAt: p.now,
		Disabled: p.chance(20),
	}
	once := p.once('c')
	if p.change("InsertEndpoint", func(st store.Store) error { return st.InsertEndpoint(p.Context(), ep, once) }) == nil {
		p.endpoints = append(p.endpoints, ep)
	}
}

func (p *pair) updateEndpoint(rt *rapid.T) {
	p.T = rt
	ep := p.endpoint()
	if stored, err := p.model.Endpoint(p.Context(), ep.Tenant, ep.Key); err == nil {
		ep = stored
	}
	ep.Version, ep.UID, ep.UpdatedAt = p.version(ep.Version), p.uid(), p.now
	ep.Channels = []string{p.pick("eu", "us")}
	if p.chance(20) {
		ep.Disabled = !ep.Disabled
	}
	once := p.once('c')
	_ = p.change("UpdateEndpoint", func(st store.Store) error { return st.UpdateEndpoint(p.Context(), ep, once) })
}

func (p *pair) deleteEndpoint(rt *rapid.T) {
	p.T = rt
	ep := p.endpoint()
	if p.chance(10) {
		ep.Tenant = p.tenant().Key
	}
	_ = p.change("DeleteEndpoint", func(st store.Store) error {
		return st.DeleteEndpoint(p.Context(), ep.Tenant, ep.Key, p.now)
	})
}

func (p *pair) accept() store.Accept {
	a := store.Accept{
		Tenant: p.tenant().Key, UID: p.uid(), Type: p.pick("a", "b"), Once: p.once('e'),
		Payload: []byte(p.pick("", "x", "yy")),
	}
	if p.chance(30) {
		a.Channels = []string{p.pick("eu", "us")}
	}
	routes, err := p.model.Routes(p.Context(), a.Tenant)
	if err == nil && !p.chance(5) {
		a.RouteVersion = routes.Version
	}
	for _, ep := range routes.Endpoints {
		if !ep.Disabled && p.chance(70) {
			a.Endpoints = append(a.Endpoints, ep.Key)
		}
	}
	return a
}

func (p *pair) outcome() store.Outcome {
	o := store.Outcome{
		Endpoint: p.endpoint().Key, Event: p.event(), Reason: webhook.ReceiverGone,
		State: rapid.SampledFrom([]webhook.State{
			webhook.Waiting, webhook.Waiting, webhook.Succeeded, webhook.Exhausted, webhook.Cancelled,
		}).Draw(p.T, "state"),
		Tried: rapid.IntRange(0, 3).Draw(p.T, "tried"),
	}
	if stored, err := p.model.Delivery(p.Context(), o.Endpoint, p.events[o.Event]); err == nil && !p.chance(20) {
		o.Tried = stored.Tried
	}
	if o.State == webhook.Waiting {
		// No two of an endpoint are due at the same instant, so that their order is known.
		o.RetryAt = p.now.Add(time.Duration(rapid.IntRange(0, 100_000).Draw(p.T, "due"))*time.Millisecond + time.Duration(o.Event)*time.Microsecond)
	}
	if p.chance(30) {
		o.Failing = &store.Failing{Told: rapid.SampledFrom([]int{0, 50, 90}).Draw(p.T, "told")}
		if p.chance(70) {
			o.Failing.Since = p.now
		}
	}
	if p.chance(10) && o.State == webhook.Cancelled {
		return o
	}
	o.Attempt = &store.Attempt{
		Number: o.Tried + 1, StatusCode: rapid.SampledFrom([]int{0, 200, 302, 404, 503}).Draw(p.T, "status"),
		Response: []byte(p.pick("", "answer")), StartedAt: p.now, Duration: time.Millisecond,
	}
	o.Attempt.Succeeded = o.State == webhook.Succeeded
	if p.chance(10) {
		o.Attempt.Trigger = webhook.Manual
	}
	return o
}

func (p *pair) commit(rt *rapid.T) {
	p.T = rt
	tested := store.Batch{Now: p.now}
	for range rapid.IntRange(0, 4).Draw(rt, "accepts") {
		tested.Accepts = append(tested.Accepts, p.accept())
	}
	for range rapid.IntRange(0, 4).Draw(rt, "outcomes") {
		tested.Outcomes = append(tested.Outcomes, p.outcome())
	}
	model := store.Batch{Now: p.now}
	for _, a := range tested.Accepts { // each knows the version that its own store has
		if routes, err := p.model.Routes(p.Context(), a.Tenant); err == nil && routes.Version == a.RouteVersion {
			own, err := p.tested.Routes(p.Context(), a.Tenant)
			agree(p, "Routes", 0, 0, err, nil)
			a.RouteVersion = own.Version
		}
		model.Accepts = append(model.Accepts, a)
	}
	tested.Accepts, model.Accepts = model.Accepts, tested.Accepts
	for _, o := range tested.Outcomes {
		o.Event = p.events[o.Event]
		model.Outcomes = append(model.Outcomes, o)
	}
	got, gotErr := p.tested.Commit(p.Context(), &tested)
	want, wantErr := p.model.Commit(p.Context(), &model)
	for i, verdict := range got {
		if _, known := p.events[verdict.Event]; !known && i < len(want) {
			p.events[verdict.Event] = want[i].Event
			p.inserted = append(p.inserted, verdict.Event)
		}
	}
	agree(p, "Commit", got, want, gotErr, wantErr)
	for _, o := range tested.Outcomes {
		p.learnAttempts(o.Endpoint)
	}
}

// learnAttempts pairs the attempts at an endpoint: the first with the first, and so on.
func (p *pair) learnAttempts(ep store.EndpointKey) {
	all := store.Page{Limit: 10_000}
	got, gotErr := p.tested.AttemptsAtEndpoint(p.Context(), ep, store.AttemptFilter{}, all)
	want, wantErr := p.model.AttemptsAtEndpoint(p.Context(), ep, store.AttemptFilter{}, all)
	for i, attempt := range got.Items {
		if i < len(want.Items) {
			p.attempts[attempt.Key] = want.Items[i].Key
		}
	}
	agree(p, "AttemptsAtEndpoint", got.Items, want.Items, gotErr, wantErr)
}

func (p *pair) replay(rt *rapid.T) {
	p.T = rt
	if once := p.once('c'); once != nil {
		_ = p.change("Replay", func(st store.Store) error { return st.Replay(p.Context(), once, p.now) })
	}
}

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

// compareBacklog looks at all that is open, after each operation.
func (p *pair) compareBacklog(rt *rapid.T) {
	p.T = rt
	read(p, "FailingEndpoints", func(st store.Store) ([]store.FailingEndpoint, error) { return st.FailingEndpoints(p.Context(), 0, 100) })
	read(p, "Lanes", func(st store.Store) ([]store.Lane, error) { return st.Lanes(p.Context(), 0, 100) })
	for _, ep := range p.endpoints {
		what := fmt.Sprint(" of endpoint ", ep.Key)
		read(p, "Waiting"+what, func(st store.Store) ([]store.Open, error) { return st.Waiting(p.Context(), ep.Key, 3) })
		read(p, "Fresh"+what, func(st store.Store) (store.FreshPage, error) {
			page, err := st.Fresh(p.Context(), ep.Key, 0, 3)
			if page.More { // any key up to the next open one is right
				page.Next = 0
			}
			return page, err
		})
	}
}
