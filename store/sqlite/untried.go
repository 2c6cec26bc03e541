package sqlite

import (
	"context"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Of each event of a tenant: whether it can be sent, whether a delivery to the endpoint is
// open, how that ended, and, where it may never have been tried, whether it was after all.
const (
	untriedColumns = `SELECT ` + eventColumns + `, payload IS NOT NULL,
		EXISTS (SELECT 1 FROM delivery WHERE delivery.endpoint = ?4 AND delivery.event = event.key),
		history.state, history.reason, history.tried, history.ended_at,
		iif(history.state IS NULL OR history.state = 7,
			EXISTS (SELECT 1 FROM attempt WHERE attempt.event = event.key AND attempt.endpoint = ?4), NULL)
		FROM event_span CROSS JOIN strip
		CROSS JOIN event ON event.strip = (event_span.span << 6) + strip.nth AND event.tenant = event_span.tenant
		LEFT JOIN history ON history.event = event.key AND history.endpoint = ?4`
	untriedUpSQL   = untriedColumns + eventsUpWhere
	untriedDownSQL = untriedColumns + eventsDownWhere
)

// candidate is an event that may never have been sent to an endpoint.
type candidate struct {
	store.EndpointDelivery
	untried bool
}

func scanCandidate(endpoint store.EndpointKey) func(*row) candidate {
	return func(r *row) candidate {
		var c candidate
		c.Of = scanEvent(r)
		sendable, open := r.bool(), r.bool()
		c.DeliveryRecord = store.DeliveryRecord{
			Event: c.Of.Key, Endpoint: endpoint,
			State: webhook.State(r.int()), Reason: webhook.Reason(r.text()), Tried: int(r.int()), EndedAt: r.timeOrZero(), //nolint:gosec // a State was stored
		}
		tried := r.bool()
		c.untried = sendable && (c.Of.Only == 0 || c.Of.Only == endpoint) && !open && !tried && (c.State == 0 || c.State == webhook.Cancelled)
		return c
	}
}

// UntriedAtEndpoint lists the events of a tenant that were never sent to an endpoint.
func (s *Store) UntriedAtEndpoint(ctx context.Context, tenant store.TenantKey, endpoint store.EndpointKey, filter store.EventFilter, page store.Page) (listed store.Listed[store.EndpointDelivery], err error) {
	query, _ := walk(page, untriedUpSQL, untriedDownSQL)
	err = s.read(ctx, func(ctx context.Context, c *conn) error {
		after, until, err := bounds(ctx, c, acceptance, page, filter.From, filter.To)
		if err != nil {
			return err
		}
		found, err := list(ctx, c, page.Limit, listing[candidate]{
			scan:  scanCandidate(endpoint),
			match: func(c *candidate) bool { return c.untried && filter.Match(&c.Of) },
			place: func(c *candidate) (int64, time.Time) { return int64(c.Event), c.Of.AcceptedAt },
		}, query, int64(tenant), after, until, int64(endpoint))
		listed = store.Listed[store.EndpointDelivery]{
			Last: found.Last, LastAt: found.LastAt, Examined: found.Examined, Done: found.Done,
		}
		for i := range found.Items {
			listed.Items = append(listed.Items, found.Items[i].EndpointDelivery)
		}
		return err
	})
	return listed, err
}
