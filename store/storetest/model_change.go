package storetest

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func (p *pair) insertTenant(rt *rapid.T) {
	p.T = rt
	t := store.Tenant{
		Key: store.TenantKey(p.key()), Organisation: p.organisation(), UID: p.uid(), Name: p.pick("one", "two"), CreatedAt: p.now,
		Retention: p.retention(),
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
	if p.chance(30) {
		t.Retention = p.retention()
	}
	t.Paused = p.chance(20)
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
	once, announce := p.once('c'), p.announcements()
	if p.change("InsertEndpoint", func(st store.Store) error { return st.InsertEndpoint(p.Context(), ep, once, announce...) }) == nil {
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
	ep.Paused = p.chance(20)
	once, announce := p.once('c'), p.announcements()
	_ = p.change("UpdateEndpoint", func(st store.Store) error { return st.UpdateEndpoint(p.Context(), ep, once, announce...) })
}

func (p *pair) deleteEndpoint(rt *rapid.T) {
	p.T = rt
	ep := p.endpoint()
	if p.chance(10) {
		ep.Tenant = p.tenant().Key
	}
	announce := p.announcements()
	_ = p.change("DeleteEndpoint", func(st store.Store) error {
		return st.DeleteEndpoint(p.Context(), ep.Tenant, ep.Key, p.now, announce...)
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
	if p.chance(30) {
		a.Tags = []string{p.pick("x", "y"), "z"}
	}
	if p.chance(25) {
		// No two are due at the same instant, so that their order is known.
		p.deferrals++
		a.DeliverAt = p.now.Add(time.Duration(rapid.IntRange(1, 200_000).Draw(p.T, "deferred"))*time.Millisecond + time.Duration(p.deferrals)*time.Microsecond)
	}
	if p.chance(20) {
		a.PayloadTTL = time.Duration(rapid.IntRange(1, 3).Draw(p.T, "payload TTL")) * modelLeap
	}
	a.RepeatOnly = p.chance(5)
	if p.chance(10) {
		a.Only = p.endpoint().Key
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
	if p.chance(30) {
		o.Announce = p.announcement()
	}
	if p.chance(30) {
		o.AnnounceFailing = p.announcement()
	}
	if p.chance(10) && o.State == webhook.Cancelled {
		return o
	}
	o.Attempt = &store.Attempt{
		Number: o.Tried + 1, StatusCode: rapid.SampledFrom([]int{0, 200, 302, 404, 503}).Draw(p.T, "status"),
		Response: []byte(p.pick("", "answer")), StartedAt: p.now, Duration: time.Millisecond,
	}
	o.Attempt.Succeeded = o.State == webhook.Succeeded
	if p.chance(20) { // it began a while ago
		o.Attempt.StartedAt = p.now.Add(-time.Duration(rapid.IntRange(0, 3000).Draw(p.T, "ago")) * time.Minute)
	}
	if p.chance(10) {
		o.Attempt.Trigger = webhook.Manual
	}
	if len(p.sent) > 0 && p.chance(30) {
		p.ofSend(&o)
	}
	return o
}

// ofSend makes an outcome one of a send, as a rule of its next attempt.
func (p *pair) ofSend(o *store.Outcome) {
	send := rapid.SampledFrom(p.sent).Draw(p.T, "send")
	o.Endpoint, o.Event, o.Send = send.Endpoint, send.Event, send.Key
	o.Attempt.Trigger = webhook.Manual
	open, err := p.tested.SendsOf(p.Context(), send.Endpoint, store.Moment{}, 100)
	if err != nil {
		p.Fatal(err)
	}
	if i := slices.IndexFunc(open, func(s store.Send) bool { return s.Key == send.Key }); i >= 0 && !p.chance(20) {
		o.Tried = open[i].Tried
	}
}

func (p *pair) commit(rt *rapid.T) {
	p.T = rt
	tested := store.Batch{Now: p.now}
	for range rapid.IntRange(0, 4).Draw(rt, "accepts") {
		tested.Accepts = append(tested.Accepts, p.accept())
	}
	for range rapid.IntRange(0, 4).Draw(rt, "outcomes") {
		o := p.outcome()
		if ev := p.stored(o.Event); ev.Type != "" && p.chance(50) { // else the store looks it up
			o.Tenant, o.EventType = ev.Tenant, ev.Type
		}
		tested.Outcomes = append(tested.Outcomes, o)
	}
	model := store.Batch{Now: p.now}
	for _, row := range p.someAnnounced() {
		accept := p.accept()
		accept.From = row.Key
		tested.Accepts = append(tested.Accepts, accept)
	}
	for _, a := range tested.Accepts { // each knows the version that its own store has
		if routes, err := p.model.Routes(p.Context(), a.Tenant); err == nil && routes.Version == a.RouteVersion {
			own, err := p.tested.Routes(p.Context(), a.Tenant)
			agree(p, "Routes", 0, 0, err, nil)
			a.RouteVersion = own.Version
		}
		model.Accepts = append(model.Accepts, a)
	}
	tested.Accepts, model.Accepts = model.Accepts, tested.Accepts
	for i := range model.Accepts {
		model.Accepts[i].From = p.rows[model.Accepts[i].From]
	}
	for _, o := range tested.Outcomes {
		o.Event, o.Send = p.events[o.Event], p.sends[o.Send]
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

func (p *pair) insertSends(rt *rapid.T) {
	p.T = rt
	var sends []store.Send
	var openings []store.Opening
	for range rapid.IntRange(0, 3).Draw(rt, "sends") {
		sends = append(sends, store.Send{
			Tenant: p.tenant().Key, Endpoint: p.endpoint().Key, Event: p.event(), Job: store.JobKey(rapid.IntRange(0, 2).Draw(rt, "job")),
			Retried: p.chance(50), DueAt: p.now.Add(time.Duration(rapid.IntRange(0, 9).Draw(rt, "due")) * time.Second),
		})
	}
	for range rapid.IntRange(0, 3).Draw(rt, "openings") {
		o := store.Opening{Endpoint: p.endpoint().Key, Event: p.event()}
		// No two of an endpoint are due at the same instant, so that their order is known.
		o.DueAt = p.now.Add(time.Duration(o.Event) * time.Microsecond)
		openings = append(openings, o)
	}
	once := p.once('c')
	type answer struct {
		keys   []store.SendKey
		opened []bool
	}
	insert := func(st store.Store) (a answer, err error) {
		ownSends, ownOpenings := slices.Clone(sends), slices.Clone(openings)
		for i := range ownSends {
			ownSends[i].Event = p.own(st, sends[i].Event)
		}
		for i := range ownOpenings {
			ownOpenings[i].Event = p.own(st, openings[i].Event)
		}
		a.keys, a.opened, err = st.InsertSends(p.Context(), p.now, ownSends, ownOpenings, once)
		return a, err
	}
	got, gotErr := insert(p.tested)
	want, wantErr := insert(p.model)
	for i, key := range got.keys {
		if i < len(want.keys) {
			p.sends[key] = want.keys[i]
			sends[i].Key = key
			p.sent = append(p.sent, sends[i])
		}
	}
	agree(p, "InsertSends, the keys", got.keys, want.keys, gotErr, wantErr)
	agree(p, "InsertSends, what was opened", got.opened, want.opened, gotErr, wantErr)
}

func (p *pair) cancel(rt *rapid.T) {
	p.T = rt
	var refs []store.DeliveryRef
	for range rapid.IntRange(0, 3).Draw(rt, "deliveries") {
		refs = append(refs, store.DeliveryRef{Endpoint: p.endpoint().Key, Event: p.event()})
	}
	announce := p.announcements()
	read(p, "Cancel", func(st store.Store) ([]bool, error) {
		own := slices.Clone(refs)
		for i := range own {
			own[i].Event = p.own(st, refs[i].Event)
		}
		return st.Cancel(p.Context(), p.now, own, announce...)
	})
}

func (p *pair) setPaused(rt *rapid.T) {
	p.T = rt
	paused := p.chance(50)
	made := store.Instance{SealedIDSecret: []byte{1}, CreatedAt: p.now}
	read(p, "InitInstance", func(st store.Store) (store.Instance, error) { return st.InitInstance(p.Context(), made) })
	_ = p.change("SetPaused", func(st store.Store) error { return st.SetPaused(p.Context(), paused) })
}

// stored is an event as the model has it, or none.
func (p *pair) stored(event store.EventKey) store.Event {
	for _, tenant := range p.tenants {
		if ev, err := p.model.Event(p.Context(), tenant.Key, p.events[event]); err == nil {
			return ev
		}
	}
	return store.Event{}
}

func (p *pair) compact(rt *rapid.T) {
	p.T = rt
	for _, st := range []store.Store{p.tested, p.model} {
		for more := true; more; {
			var err error
			if more, err = st.CompactRollups(p.Context(), p.now); err != nil {
				p.Fatal(err)
			}
			if p.chance(20) && st == p.tested { // in the middle of it
				break
			}
		}
	}
}

// recount finds nothing wrong in either.
func (p *pair) recount(rt *rapid.T) {
	p.T = rt
	read(p, "Recount", func(st store.Store) (store.Recounted, error) {
		found, err := st.Recount(p.Context(), p.now)
		if found.Wrong != 0 {
			p.Errorf("%d of %d rollups were wrong: %v", found.Wrong, found.Rollups, found.Off)
		}
		found.Rollups = 0 // each store has its own
		return found, err
	})
}
