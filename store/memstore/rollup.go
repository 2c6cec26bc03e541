package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// counting is what was counted, all of it by the minute, and by which types.
type counting struct {
	sums  map[countPlace]*store.Counts
	types map[store.TenantKey]map[string]struct{}
}

type countPlace struct {
	start    time.Time // of the minute
	tenant   store.TenantKey
	endpoint store.EndpointKey // 0 for the tenant's events
	typ      string            // "" is all beyond the first types
}

func newCounting() counting {
	return counting{sums: make(map[countPlace]*store.Counts), types: make(map[store.TenantKey]map[string]struct{})}
}

// counts is for what happened at an instant to an event of a tenant.
func (c *counting) counts(at time.Time, ev *store.Event, endpoint store.EndpointKey) *store.Counts {
	types := c.types[ev.Tenant]
	if types == nil {
		types = make(map[string]struct{})
		c.types[ev.Tenant] = types
	}
	typ := ev.Type
	if _, known := types[typ]; !known && len(types) >= store.MaxTypes {
		typ = ""
	} else {
		types[typ] = struct{}{}
	}
	place := countPlace{store.Minute.Start(instant(at)), ev.Tenant, endpoint, typ}
	if c.sums[place] == nil {
		c.sums[place] = new(store.Counts)
	}
	return c.sums[place]
}

func (c *counting) event(ev *store.Event) { c.counts(ev.AcceptedAt, ev, 0)[store.EventsAccepted]++ }

func (c *counting) delivery(ev *store.Event, d *store.DeliveryRecord) {
	c.counts(ev.AcceptedAt, ev, d.Endpoint)[store.DeliveriesMade]++
}

func (c *counting) ending(ev *store.Event, d *store.DeliveryRecord) {
	c.counts(d.EndedAt, ev, d.Endpoint).AddEnding(d.State, 1)
}

func (c *counting) recovery(ev *store.Event, d *store.DeliveryRecord) {
	c.counts(d.RecoveredAt, ev, d.Endpoint)[store.Recovered]++
}

func (c *counting) attempt(ev *store.Event, a *store.LoggedAttempt) {
	c.counts(a.StartedAt, ev, a.Endpoint).AddAttempt(&a.Attempt, 1)
}

// Sums returns what was counted, by start, then type.
func (s *Store) Sums(ctx context.Context, query store.SumQuery) ([]store.Sum, error) {
	return get(ctx, s, "Sums", func(db *state) ([]store.Sum, error) {
		type key struct {
			start time.Time
			typ   string
		}
		sums := make(map[key]*store.Counts)
		for place, counts := range db.counting.sums {
			start := query.Unit.Start(place.start)
			if place.tenant != query.Tenant || query.Endpoint != 0 && place.endpoint != query.Endpoint ||
				query.Type != "" && place.typ != query.Type || start.Before(query.From) || !start.Before(query.To) {
				continue
			}
			var of key
			if query.Each {
				of.start = start
			}
			if query.ByType {
				of.typ = place.typ
			}
			if sums[of] == nil {
				sums[of] = new(store.Counts)
			}
			sums[of].Add(counts)
		}
		var found []store.Sum
		for of, counts := range sums {
			if *counts != (store.Counts{}) {
				found = append(found, store.Sum{Start: of.start, Type: of.typ, Counts: *counts})
			}
		}
		slices.SortFunc(found, func(a, b store.Sum) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Type, b.Type)) })
		return found, nil
	})
}

// CompactRollups deletes what is beyond the time of days. It knows no other units.
func (s *Store) CompactRollups(ctx context.Context, now time.Time) (bool, error) {
	return put(ctx, s, "CompactRollups", func(db *state) (bool, error) {
		db.counting.drop(now)
		return false, nil
	})
}

func (c *counting) drop(now time.Time) {
	end := store.Day.Start(now.Add(-store.Day.Kept()))
	maps.DeleteFunc(c.sums, func(place countPlace, _ *store.Counts) bool { return place.start.Before(end) })
}

// Recount counts all anew from history.
func (s *Store) Recount(ctx context.Context, now time.Time) (store.Recounted, error) {
	return put(ctx, s, "Recount", func(db *state) (found store.Recounted, _ error) {
		before := db.counting.sums
		db.counting.sums = make(map[countPlace]*store.Counts)
		found.Events, found.Attempts = db.countHistory()
		db.counting.drop(now)
		for place := range before {
			db.recountPlace(place, before, &found)
		}
		for place := range db.counting.sums {
			if before[place] == nil {
				db.recountPlace(place, before, &found)
			}
		}
		return found, nil
	})
}

func (db *state) countHistory() (events, attempts int64) {
	c := &db.counting
	for _, key := range sorted(db.events) {
		c.event(db.events[key])
	}
	for _, deliveries := range db.deliveries {
		for _, d := range deliveries {
			ev := db.events[d.Event]
			if ev == nil {
				continue
			}
			c.delivery(ev, d)
			if d.State.Ended() {
				c.ending(ev, d)
			}
			if !d.RecoveredAt.IsZero() {
				c.recovery(ev, d)
			}
		}
	}
	for _, a := range db.attempts {
		if ev := db.events[a.Event]; ev != nil {
			c.attempt(ev, a)
			attempts++
		}
	}
	return int64(len(db.events)), attempts
}

// recountPlace holds what was counted before to what is counted now.
func (db *state) recountPlace(place countPlace, before map[countPlace]*store.Counts, found *store.Recounted) {
	var is, should store.Counts
	if counts := before[place]; counts != nil {
		is = *counts
	}
	if counts := db.counting.sums[place]; counts != nil {
		should = *counts
	}
	whole := db.whole[place.tenant]
	for what := range should {
		since := whole.events
		if store.Count(what).OfAttempts() { //nolint:gosec // there are some fifty
			since = whole.attempts
		}
		if place.start.Before(since) {
			should[what] = is[what]
		}
	}
	db.counting.sums[place] = &should
	found.Rollups++
	if should == is {
		return
	}
	found.Wrong++
	if found.Off == nil {
		found.Off = make(map[store.Unit]store.Counts)
	}
	off := found.Off[store.Minute]
	for what := range off {
		off[what] += should[what] - is[what]
	}
	found.Off[store.Minute] = off
}

// wholeSince says from which instants on a tenant's history is whole.
type wholeSince struct{ attempts, events time.Time }

// swept is told of what a sweep deletes, by when it was: see wholeSince. Zero is nothing.
func (db *state) swept(tenant store.TenantKey, attempt, event time.Time) {
	whole := db.whole[tenant]
	whole.attempts, whole.events = later(whole.attempts, attempt), later(whole.events, event)
	db.whole[tenant] = whole
}

// later is the day behind an instant, if that is later than since.
func later(since, at time.Time) time.Time {
	if at.IsZero() {
		return since
	}
	if day := store.Day.Start(at).Add(store.Day.Length()); day.After(since) {
		return day
	}
	return since
}

// expunged takes back what was counted of an event that is about to be deleted for good.
func (db *state) expunged(ev *store.Event) {
	c := &db.counting
	gone := newCounting()
	gone.types = c.types
	gone.event(ev)
	for _, deliveries := range db.deliveries {
		if d := deliveries[ev.Key]; d != nil {
			gone.delivery(ev, d)
			if d.State.Ended() {
				gone.ending(ev, d)
			}
			if !d.RecoveredAt.IsZero() {
				gone.recovery(ev, d)
			}
		}
	}
	for _, a := range db.attempts {
		if a.Event == ev.Key {
			gone.attempt(ev, a)
		}
	}
	for place, counts := range gone.sums {
		if sum := c.sums[place]; sum != nil {
			for what, n := range counts {
				sum[what] -= n
			}
		}
	}
}

// forgetCounts deletes what was counted of a tenant.
func (db *state) forgetCounts(tenant store.TenantKey) {
	maps.DeleteFunc(db.counting.sums, func(place countPlace, _ *store.Counts) bool { return place.tenant == tenant })
	delete(db.counting.types, tenant)
	delete(db.whole, tenant)
}
