package neohook

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// CountEndpoint returns what happened at an endpoint.
func (o *Organisation) CountEndpoint(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID, span Span) (Counts, error) {
	owner, found, err := o.endpoint(ctx, tenant, endpoint)
	if err != nil {
		return Counts{}, err
	}
	at := now()
	if span, err = span.fill(at); err != nil {
		return Counts{}, err
	}
	return o.count(ctx, store.SumQuery{Tenant: owner.Key, Endpoint: found.Key, Unit: span.finest(at)}, span)
}

// CountTenant returns what happened to a tenant's events, at all its endpoints, deleted
// ones included.
func (o *Organisation) CountTenant(ctx context.Context, tenant webhook.TenantID, span Span) (Counts, error) {
	owner, err := o.tenant(ctx, tenant)
	if err != nil {
		return Counts{}, err
	}
	at := now()
	if span, err = span.fill(at); err != nil {
		return Counts{}, err
	}
	return o.count(ctx, store.SumQuery{Tenant: owner.Key, Unit: span.finest(at)}, span)
}

// count asks for the one sum over a span.
func (o *Organisation) count(ctx context.Context, query store.SumQuery, span Span) (Counts, error) {
	span = span.widen(query.Unit)
	query.From, query.To = span.From, span.To
	sums, err := o.engine.store.Sums(ctx, query)
	if err != nil {
		return Counts{}, fmt.Errorf("neohook: counts: %w", err)
	}
	var all store.Counts
	for i := range sums {
		all.Add(&sums[i].Counts)
	}
	return countsOf(span.From, span.To, &all), nil
}

// TenantCounts is what happened to a tenant's events.
type TenantCounts struct {
	Tenant webhook.Tenant
	Counts
}

// CountTenants returns what happened to the events of each of the organisation's tenants,
// in whole days of UTC, in the order of their creation.
func (o *Organisation) CountTenants(ctx context.Context, span Span, page Page) (List[TenantCounts], error) {
	span, err := span.fill(now())
	if err != nil {
		return List[TenantCounts]{}, err
	}
	tenants, err := o.Tenants(ctx, page)
	if err != nil {
		return List[TenantCounts]{}, err
	}
	list := List[TenantCounts]{Last: tenants.Last, Done: tenants.Done, Items: make([]TenantCounts, len(tenants.Items))}
	for i, tenant := range tenants.Items {
		key, _, err := o.engine.records.IDs.ParseTenant(tenant.ID)
		if err != nil {
			return List[TenantCounts]{}, err
		}
		list.Items[i].Tenant = tenant
		list.Items[i].Counts, err = o.count(ctx, store.SumQuery{Tenant: key, Unit: store.Day}, span)
		if err != nil {
			return List[TenantCounts]{}, err
		}
	}
	return list, nil
}

// TypeCounts is what happened to events of a type.
type TypeCounts struct {
	// Type is "" for all those beyond the first 1,000 types that a tenant has used.
	Type string
	Counts
}

// CountTypes returns what happened to events by their types, by name, in whole days of
// UTC; of one tenant or, for "", of all tenants of the organisation together. Then it
// looks at each of them, some 0.1 ms each.
func (o *Organisation) CountTypes(ctx context.Context, tenant webhook.TenantID, span Span) ([]TypeCounts, error) {
	span, err := span.fill(now())
	if err != nil {
		return nil, err
	}
	span = span.widen(store.Day)
	byType := make(map[string]*store.Counts)
	if tenant != "" {
		owner, err := o.tenant(ctx, tenant)
		if err != nil {
			return nil, err
		}
		err = o.addTypes(ctx, owner.Key, span, byType)
		return listTypes(byType, span), err
	}
	if err := checkOrganisation(o.id); err != nil {
		return nil, err
	}
	for page := (store.Page{Limit: MaxPageLimit}); ; {
		tenants, err := o.engine.store.Tenants(ctx, string(o.id), page)
		if err != nil {
			return nil, translate(err, "tenants of", string(o.id))
		}
		for i := range tenants {
			if err := o.addTypes(ctx, tenants[i].Key, span, byType); err != nil {
				return nil, err
			}
			page.After = int64(tenants[i].Key)
		}
		if len(tenants) < page.Limit {
			return listTypes(byType, span), nil
		}
	}
}

func (o *Organisation) addTypes(ctx context.Context, tenant store.TenantKey, span Span, into map[string]*store.Counts) error {
	sums, err := o.engine.store.Sums(ctx, store.SumQuery{Tenant: tenant, Unit: store.Day, From: span.From, To: span.To, ByType: true})
	if err != nil {
		return fmt.Errorf("neohook: counts: %w", err)
	}
	for i := range sums {
		if into[sums[i].Type] == nil {
			into[sums[i].Type] = new(store.Counts)
		}
		into[sums[i].Type].Add(&sums[i].Counts)
	}
	return nil
}

func listTypes(byType map[string]*store.Counts, span Span) []TypeCounts {
	list := make([]TypeCounts, 0, len(byType))
	for name, counts := range byType {
		list = append(list, TypeCounts{Type: name, Counts: countsOf(span.From, span.To, counts)})
	}
	slices.SortFunc(list, func(a, b TypeCounts) int { return strings.Compare(a.Type, b.Type) })
	return list
}

// MaxSeries is the most units of a Series.
const MaxSeries = 1500

// SeriesQuery asks for what happened unit by unit.
type SeriesQuery struct {
	Tenant webhook.TenantID
	// Endpoint narrows to one; "" is the whole tenant. Type narrows to one; "" is all.
	Endpoint webhook.EndpointID
	Type     string
	Unit     Unit
	// Span is widened to whole units, which must not be more than MaxSeries, or from a
	// time of which the unit is not kept. A zero From is an hour before To for minutes, a
	// day for hours, and DefaultSpan for days.
	Span
}

// defaultUnits is how many units a Series without a From has.
var defaultUnits = map[Unit]int{PerMinute: 60, PerHour: 24, PerDay: 28}

// Series returns what happened unit by unit, those included in which nothing did.
func (o *Organisation) Series(ctx context.Context, query SeriesQuery) ([]Counts, error) {
	sums, err := o.seriesQuery(ctx, &query)
	if err != nil {
		return nil, err
	}
	found, err := o.engine.store.Sums(ctx, sums)
	if err != nil {
		return nil, fmt.Errorf("neohook: counts: %w", err)
	}
	series := make([]Counts, 0, MaxSeries)
	for from := sums.From; from.Before(sums.To); from = from.Add(sums.Unit.Length()) {
		var counts store.Counts
		if len(found) > 0 && found[0].Start.Equal(from) {
			counts, found = found[0].Counts, found[1:]
		}
		series = append(series, countsOf(from, from.Add(sums.Unit.Length()), &counts))
	}
	return series, nil
}

// seriesQuery checks a query, and returns it as the store knows it.
func (o *Organisation) seriesQuery(ctx context.Context, query *SeriesQuery) (store.SumQuery, error) {
	out := store.SumQuery{Type: query.Type, Each: true}
	if query.Type != "" && !webhook.IsName(query.Type) {
		var bad webhook.InvalidError
		bad.Add("type", "must be an event type, of a-z A-Z 0-9 - _ and dot")
		return out, bad.Err()
	}
	owner, err := o.tenant(ctx, query.Tenant)
	if err != nil {
		return out, err
	}
	out.Tenant = owner.Key
	if query.Endpoint != "" {
		_, found, err := o.endpoint(ctx, query.Tenant, query.Endpoint)
		if err != nil {
			return out, err
		}
		out.Endpoint = found.Key
	}
	var known bool
	if out.Unit, known = units[query.Unit]; !known {
		var bad webhook.InvalidError
		bad.Add("unit", `must be "minute", "hour" or "day"`)
		return out, bad.Err()
	}
	span, err := query.units(now(), out.Unit)
	out.From, out.To = span.From, span.To
	return out, err
}

// units is the span of a query in whole units.
func (q *SeriesQuery) units(at time.Time, unit store.Unit) (Span, error) {
	span := q.Span
	if span.To.IsZero() {
		span.To = at
	}
	if span.From.IsZero() {
		span.From = span.To.Add(-time.Duration(defaultUnits[q.Unit]) * unit.Length())
	}
	span, err := span.fill(at)
	if err != nil {
		return span, err
	}
	span = span.widen(unit)
	var bad webhook.InvalidError
	if n := span.To.Sub(span.From) / unit.Length(); n > MaxSeries {
		bad.Add("from", fmt.Sprintf("must be at most %d units before to, it is %d: ask for a longer unit", MaxSeries, n))
	}
	if least := oldest(unit, at); span.From.Before(least) {
		bad.Add("from", fmt.Sprintf("must not be before %s for this unit: ask for a longer one", least.Format(time.RFC3339)))
	}
	return span, bad.Err()
}

// Recounted is what Recount found.
type Recounted struct {
	// Events and Attempts were counted.
	Events, Attempts int64
	// Rollups is how many sums are stored of what was counted, and Wrong how many of them
	// were, and are not any more.
	Rollups, Wrong int64
}

// Recount counts all anew from the history that is there, in place of what is stored. It
// is for a store whose counts are in doubt. Publishing may have to wait meanwhile, some
// seconds for each million of events.
func (e *Engine) Recount(ctx context.Context) (Recounted, error) {
	found, err := e.store.Recount(ctx, now())
	if err != nil {
		return Recounted{}, fmt.Errorf("neohook: recount: %w", err)
	}
	return Recounted{Events: found.Events, Attempts: found.Attempts, Rollups: found.Rollups, Wrong: found.Wrong}, nil
}
