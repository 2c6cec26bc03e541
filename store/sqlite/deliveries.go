package sqlite

import (
	"context"
	"iter"
	"slices"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// A delivery at an endpoint is in one of two tables, each read in the order of the events'
// keys. An open one is 1, pending, or 3, waiting. Ended ones are found by the spans that
// the endpoint has any in, or, where those that succeeded are not asked for, in an index
// of the others.
const (
	openAtEndpoint  = `SELECT delivery.event, iif(retry_at IS NULL, 1, 3), NULL, tried, retry_at, NULL, NULL, ` + deliveryOthers + ` FROM delivery`
	endedAtEndpoint = `SELECT history.event, state, reason, tried, NULL, ended_at, recovered_at, ` + deliveryOthers

	deliveryOthers  = eventColumns + `, ` + ownColumns
	deliveryOfEvent = ` CROSS JOIN event ON event.key = delivery.event LEFT JOIN attempt ON attempt.key =
		(SELECT max(made.key) FROM attempt AS made WHERE made.event = delivery.event AND made.endpoint = ?1)`
	historyOfEvent = ` CROSS JOIN event ON event.key = history.event LEFT JOIN attempt ON attempt.key =
		(SELECT max(made.key) FROM attempt AS made WHERE made.event = history.event AND made.endpoint = ?1)`
	historyInSpans = ` FROM history_span CROSS JOIN strip CROSS JOIN history INDEXED BY history_endpoint
		ON history.strip = (history_span.span << 6) + strip.nth AND history.endpoint = history_span.endpoint`
	historyNotSucceeded = ` FROM history INDEXED BY history_failed`

	openAtEndpointUpSQL = openAtEndpoint + deliveryOfEvent + `
		WHERE delivery.endpoint = ?1 AND delivery.event > ?2 AND delivery.event <= ?3 ORDER BY delivery.event`
	openAtEndpointDownSQL = openAtEndpoint + deliveryOfEvent + `
		WHERE delivery.endpoint = ?1 AND delivery.event < ?2 AND delivery.event >= ?3 ORDER BY delivery.event DESC`
	endedAtEndpointUpSQL = endedAtEndpoint + historyInSpans + historyOfEvent + `
		WHERE history_span.endpoint = ?1 AND history_span.span BETWEEN ?2 >> 13 AND ?3 >> 13 AND history.event > ?2 AND history.event <= ?3
		ORDER BY history_span.span, strip.nth, history.event`
	endedAtEndpointDownSQL = endedAtEndpoint + historyInSpans + historyOfEvent + `
		WHERE history_span.endpoint = ?1 AND history_span.span BETWEEN ?3 >> 13 AND ?2 >> 13 AND history.event < ?2 AND history.event >= ?3
		ORDER BY history_span.span DESC, strip.nth DESC, history.event DESC`
	failedAtEndpointUpSQL = endedAtEndpoint + historyNotSucceeded + historyOfEvent + `
		WHERE history.endpoint = ?1 AND state <> 5 AND history.event > ?2 AND history.event <= ?3 ORDER BY history.event`
	failedAtEndpointDownSQL = endedAtEndpoint + historyNotSucceeded + historyOfEvent + `
		WHERE history.endpoint = ?1 AND state <> 5 AND history.event < ?2 AND history.event >= ?3 ORDER BY history.event DESC`
)

func scanAtEndpoint(r *row, endpoint store.EndpointKey) store.EndpointDelivery {
	d := store.EndpointDelivery{DeliveryRecord: store.DeliveryRecord{
		Event: store.EventKey(r.int()), Endpoint: endpoint,
		State: webhook.State(r.int()), Reason: webhook.Reason(r.text()), Tried: int(r.int()), //nolint:gosec // a State was stored
		RetryAt: r.timeOrZero(), EndedAt: r.timeOrZero(), RecoveredAt: r.timeOrZero(),
	}}
	d.Of = scanEvent(r)
	if r.values[r.at] != nil {
		last := scanOwn(r)
		d.Last = &last
	}
	return d
}

// queries chooses what to read of deliveries, by what the filter may match.
func queries(filter *store.DeliveryFilter, descending bool) (chosen []string) {
	choose := func(up, down string) {
		if descending {
			up = down
		}
		chosen = append(chosen, up)
	}
	if filter.Examines(webhook.Pending) || filter.Examines(webhook.Waiting) {
		choose(openAtEndpointUpSQL, openAtEndpointDownSQL)
	}
	switch {
	case filter.Examines(webhook.Succeeded):
		choose(endedAtEndpointUpSQL, endedAtEndpointDownSQL)
	case filter.Examines(webhook.Exhausted) || filter.Examines(webhook.Cancelled):
		choose(failedAtEndpointUpSQL, failedAtEndpointDownSQL)
	}
	return chosen
}

// DeliveriesAtEndpoint lists where events stand at an endpoint.
func (s *Store) DeliveriesAtEndpoint(ctx context.Context, endpoint store.EndpointKey, filter store.DeliveryFilter, page store.Page) (listed store.Listed[store.EndpointDelivery], err error) {
	// One instant for all: a delivery may go from one table to the other between two.
	err = s.snapshot(ctx, func(ctx context.Context, c *conn) error {
		after, until, err := bounds(ctx, c, acceptance, page, filter.From, filter.To)
		if err != nil {
			return err
		}
		var sources []iter.Seq2[*row, error]
		for _, query := range queries(&filter, page.Descending) {
			sources = append(sources, c.rows(ctx, query, int64(endpoint), after, until))
		}
		if listed, err = listDeliveries(ctx, c, merge(sources, page.Descending), endpoint, &filter, page.Limit); err != nil || !filter.WithPayload {
			return err
		}
		return loadPayloads(ctx, c, &listed, func(d *store.EndpointDelivery) *store.Event { return &d.Of })
	})
	return listed, err
}

// listDeliveries is list for rows that are in several tables.
func listDeliveries(ctx context.Context, c *conn, rows iter.Seq2[*row, error], endpoint store.EndpointKey, filter *store.DeliveryFilter, limit int) (store.Listed[store.EndpointDelivery], error) {
	var page store.Listed[store.EndpointDelivery]
	for r, err := range rows {
		if err != nil {
			return store.Listed[store.EndpointDelivery]{}, err
		}
		if len(page.Items) >= limit || page.Examined == mostExamined {
			return page, nil
		}
		d := scanAtEndpoint(r, endpoint)
		if r.err != nil {
			return store.Listed[store.EndpointDelivery]{}, r.err
		}
		page.Examined++
		page.Last, page.LastAt = int64(d.Event), d.Of.AcceptedAt
		match := filter.Match(&d)
		if match && filter.ByFailure() {
			if match, err = failedThen(ctx, c, filter, &d); err != nil {
				return store.Listed[store.EndpointDelivery]{}, err
			}
		}
		if match {
			page.Items = append(page.Items, d)
		}
	}
	page.Done = true
	return page, nil
}

const attemptsOfDeliverySQL = `SELECT ` + ownColumns + ` FROM attempt WHERE event = ?1 AND attempt.endpoint = ?2`

// failedThen says whether a delivery has a failed attempt that the filter asks for. Mostly
// the latest one tells.
func failedThen(ctx context.Context, c *conn, filter *store.DeliveryFilter, d *store.EndpointDelivery) (bool, error) {
	if d.Last == nil || filter.MatchFailure(d.Last) {
		return d.Last != nil, nil
	}
	made, err := all(ctx, c, scanOwn, attemptsOfDeliverySQL, int64(d.Event), int64(d.Endpoint))
	return slices.ContainsFunc(made, func(a store.Attempt) bool { return filter.MatchFailure(&a) }), err
}

// merge joins walks that are each in the order of the first column, which is a key, into
// one in that order.
func merge(sources []iter.Seq2[*row, error], descending bool) iter.Seq2[*row, error] {
	if len(sources) == 1 {
		return sources[0]
	}
	return func(yield func(*row, error) bool) {
		heads := make([]head, 0, len(sources))
		for _, source := range sources {
			next, stop := iter.Pull2(source)
			defer stop()
			if h := (head{next: next}); h.advance() {
				heads = append(heads, h)
			}
		}
		for len(heads) > 0 {
			at := 0
			for i := range heads {
				if heads[i].err != nil || (heads[i].key < heads[at].key) != descending && heads[i].key != heads[at].key {
					at = i
				}
			}
			if !yield(heads[at].row, heads[at].err) || heads[at].err != nil {
				return
			}
			if !heads[at].advance() {
				heads = append(heads[:at], heads[at+1:]...)
			}
		}
	}
}

// head is the first row of what is left of a walk.
type head struct {
	next func() (*row, error, bool)
	row  *row
	err  error
	key  int64
}

// advance goes on to the next row, and returns false if there is none.
func (h *head) advance() (there bool) {
	h.row, h.err, there = h.next()
	if there && h.err == nil {
		h.key = h.row.int()
		h.row.at = 0
	}
	return there
}
