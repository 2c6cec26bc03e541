package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// What a transaction stores it also counts, at the place where the row is inserted, so
// that no door leads past it. What was counted is saved at the end of the transaction.

// place is what a rollup is for: a unit's start, in units since 1970, and whose it is.
type place struct {
	start    int64
	tenant   store.TenantKey
	endpoint store.EndpointKey // 0 for the tenant's events
	typ      int64             // see rollup_type; 0 is all types that have no number
}

// minuteOf is the number of the minute that an instant, in microseconds, is in.
func minuteOf(micros int64) int64 { return floorDiv(micros, time.Minute.Microseconds()) }

// floorDiv rounds down, before 1970 too.
func floorDiv(a, b int64) int64 {
	quotient := a / b
	if a%b < 0 {
		quotient--
	}
	return quotient
}

// counts is what the transaction under way has counted so far at an instant.
func (w *writer) counts(ctx context.Context, at int64, tenant store.TenantKey, endpoint store.EndpointKey, eventType string) (*store.Counts, error) {
	typ, err := w.typeNumber(ctx, tenant, eventType)
	if err != nil {
		return nil, err
	}
	where := place{start: minuteOf(at), tenant: tenant, endpoint: endpoint, typ: typ}
	counts := w.counted[where]
	if counts == nil {
		counts = w.newCounts()
		w.counted[where] = counts
	}
	return counts, nil
}

// newCounts takes one of those that earlier transactions have used.
func (w *writer) newCounts() *store.Counts {
	if w.counted == nil {
		w.counted = make(map[place]*store.Counts)
	}
	used := len(w.counted)
	if used == len(w.spare) {
		w.spare = append(w.spare, new(store.Counts))
	}
	*w.spare[used] = store.Counts{}
	return w.spare[used]
}

// forgetCounts is for the end of a transaction, or one that was undone.
func (w *writer) forgetCounts() {
	const most = 1 << 12
	if len(w.counted) > most { // hold no more than is used every day
		w.counted, w.spare = nil, nil
	}
	clear(w.counted)
}

func (w *writer) count(ctx context.Context, at int64, tenant store.TenantKey, endpoint store.EndpointKey, eventType string, what store.Count) error {
	counts, err := w.counts(ctx, at, tenant, endpoint, eventType)
	if err == nil {
		counts[what]++
	}
	return err
}

// countedEvent is what must be known of an event to count what becomes of it.
type countedEvent struct {
	tenant     store.TenantKey
	eventType  string
	acceptedAt int64
}

const countedEventSQL = `SELECT tenant, type, accepted_at FROM event WHERE key = ?`

// countedEvent looks an event up; found is false for one that is gone, and nothing that
// comes of it is counted.
func (w *writer) countedEvent(ctx context.Context, key store.EventKey) (event countedEvent, found bool, err error) {
	event, err = first(ctx, w.conn, func(r *row) countedEvent {
		return countedEvent{tenant: store.TenantKey(r.int()), eventType: r.text(), acceptedAt: r.int()}
	}, countedEventSQL, int64(key))
	if errors.Is(err, store.ErrNotFound) {
		return event, false, nil
	}
	return event, err == nil, err
}

// countsOf is counts for what came of an outcome.
func (w *writer) countsOf(ctx context.Context, at int64, o *store.Outcome) (*store.Counts, error) {
	tenant, eventType := o.Tenant, o.EventType
	if eventType == "" || tenant == 0 {
		event, found, err := w.countedEvent(ctx, o.Event)
		if err != nil {
			return nil, err
		}
		if !found {
			return new(store.Counts), nil // of no place
		}
		tenant, eventType = event.tenant, event.eventType
	}
	return w.counts(ctx, at, tenant, o.Endpoint, eventType)
}

// countAttempt counts the attempt of an outcome.
func (w *writer) countAttempt(ctx context.Context, o *store.Outcome) error {
	counts, err := w.countsOf(ctx, micros(o.Attempt.StartedAt), o)
	if err == nil {
		counts.AddAttempt(o.Attempt, 1)
	}
	return err
}

// countOpening counts a delivery that is opened after its event was accepted, with it.
func (w *writer) countOpening(ctx context.Context, endpoint store.EndpointKey, key store.EventKey) error {
	event, found, err := w.countedEvent(ctx, key)
	if err != nil || !found {
		return err
	}
	return w.count(ctx, event.acceptedAt, event.tenant, endpoint, event.eventType, store.DeliveriesMade)
}

// countRecovery counts that a send succeeded for a delivery that had ended otherwise.
func (w *writer) countRecovery(ctx context.Context, o *store.Outcome, now time.Time) error {
	counts, err := w.countsOf(ctx, micros(now), o)
	if err == nil {
		counts[store.Recovered]++
	}
	return err
}

// countEnding counts that the delivery of an outcome has ended.
func (w *writer) countEnding(ctx context.Context, o *store.Outcome, state webhook.State, now time.Time) error {
	counts, err := w.countsOf(ctx, micros(now), o)
	if err == nil {
		counts.AddEnding(state, 1)
	}
	return err
}

// typeOf is a tenant's event type.
type typeOf struct {
	tenant store.TenantKey
	name   string
}

const (
	typeNumberSQL  = `SELECT number FROM rollup_type WHERE tenant = ? AND type = ?`
	countTypesSQL  = `SELECT count(*) FROM rollup_type WHERE tenant = ?`
	insertTypeSQL  = `INSERT INTO rollup_type (tenant, type, number) VALUES (?, ?, ?)`
	typesOfSQL     = `SELECT type, number FROM rollup_type WHERE tenant = ?`
	deleteTypesSQL = `DELETE FROM rollup_type WHERE tenant = ?`
)

// mostTypes bounds what the writer remembers of types.
const mostTypes = 1 << 16

// typeNumber returns the number under which a tenant's type is counted, and gives it one
// if it is among the first.
func (w *writer) typeNumber(ctx context.Context, tenant store.TenantKey, name string) (int64, error) {
	of := typeOf{tenant, name}
	if number, known := w.types[of]; known {
		return number, nil
	}
	number, err := first(ctx, w.conn, (*row).int, typeNumberSQL, int64(tenant), name)
	if errors.Is(err, store.ErrNotFound) {
		number, err = w.newTypeNumber(ctx, of)
	}
	if err != nil {
		return 0, err
	}
	if w.types == nil || len(w.types) >= mostTypes {
		w.types = make(map[typeOf]int64)
	}
	w.types[of] = number
	return number, nil
}

func (w *writer) newTypeNumber(ctx context.Context, of typeOf) (int64, error) {
	known, err := first(ctx, w.conn, (*row).int, countTypesSQL, int64(of.tenant))
	if err != nil || known >= store.MaxTypes {
		return 0, err
	}
	_, err = w.exec(ctx, insertTypeSQL, int64(of.tenant), of.name, known+1)
	return known + 1, err
}
