package storetest

import (
	"cmp"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Time goes on by milliseconds, except that each sweep leaps ahead. As all times of
// retention are whole leaps, and a sweep is half-way through one, nothing is due so
// shortly before a sweep that a store may still keep it.
const modelLeap = 10 * day

var modelBegins = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// retention is none, or a tenant's own.
func (p *pair) retention() webhook.Retention {
	if p.chance(60) {
		return webhook.Retention{}
	}
	some := func() time.Duration { return time.Duration(rapid.IntRange(0, 4).Draw(p.T, "leaps")) * modelLeap }
	return webhook.Retention{Payloads: some(), Attempts: some(), Events: some()}
}

func (p *pair) sweep(rt *rapid.T) {
	p.T = rt
	if p.chance(50) { // there would be too little left
		return
	}
	next := modelBegins.Add(p.now.Sub(modelBegins).Truncate(modelLeap) + modelLeap)
	p.now = next.Add(-modelLeap / 2)
	defaults := webhook.Retention{Payloads: 2 * modelLeap, Attempts: time.Duration(rapid.IntRange(2, 3).Draw(rt, "attempts")) * modelLeap, Events: 3 * modelLeap}
	budget := time.Duration(rapid.IntRange(0, 1).Draw(rt, "budget")) * time.Millisecond
	for range 3 { // what is deleted of the directory goes when the rest has gone
		for _, st := range []store.Store{p.tested, p.model} {
			for more := true; more; {
				swept, err := st.Sweep(p.Context(), p.now, defaults, budget)
				if err != nil {
					rt.Fatalf("Sweep: %v", err)
				}
				more = swept.More
			}
		}
		p.now = p.now.Add(store.MostLate)
	}
	p.now = next
}

// inOrder sorts what was open, as no order is promised.
func inOrder(turns []store.Turn) []store.Turn {
	slices.SortFunc(turns, func(a, b store.Turn) int {
		return cmp.Or(cmp.Compare(a.Event, b.Event), cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Send, b.Send))
	})
	return turns
}

func (p *pair) expunge(rt *rapid.T) {
	p.T = rt
	event, tenant := p.event(), p.tenant().Key
	if owner, known := p.ownerOf(event); known && !p.chance(10) {
		tenant = owner
	}
	switch p.pick("payload", "event", "response") {
	case "payload":
		read(p, "ExpungePayload", func(st store.Store) ([]store.Turn, error) {
			open, err := st.ExpungePayload(p.Context(), p.now, tenant, p.own(st, event))
			return inOrder(open), err
		})
	case "event":
		if p.chance(50) {
			return
		}
		read(p, "ExpungeEvent", func(st store.Store) ([]store.Turn, error) {
			open, err := st.ExpungeEvent(p.Context(), p.now, tenant, p.own(st, event))
			return inOrder(open), err
		})
	case "response":
		var keys []store.AttemptKey
		for key := range p.attempts {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		attempt := rapid.SampledFrom(keys).Draw(rt, "attempt")
		_ = p.change("ExpungeResponse", func(st store.Store) error {
			if st == p.model {
				return st.ExpungeResponse(p.Context(), p.own(st, event), p.attempts[attempt])
			}
			return st.ExpungeResponse(p.Context(), event, attempt)
		})
	}
}

func (p *pair) expungeTenant(rt *rapid.T) {
	p.T = rt
	if p.chance(80) { // they would be gone too soon
		return
	}
	t := p.tenant()
	asked := store.Expunge{Tenant: t.Key, Everything: p.chance(50), AskedAt: p.now}
	read(p, "Expunge", func(st store.Store) ([]store.Turn, error) {
		stored, err := st.InsertExpunge(p.Context(), t.Organisation, asked)
		if err != nil {
			return nil, err
		}
		var open []store.Turn
		for done := false; !done; {
			var some []store.Turn
			if some, done, err = st.ExpungeStep(p.Context(), p.now, stored.Key, 0); err != nil {
				return nil, err
			}
			open = append(open, some...)
		}
		return inOrder(open), st.Scrub(p.Context())
	})
}
