package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const (
	insertAttemptSQL = `INSERT INTO attempt (key, event, endpoint, number, trigger, url,
			succeeded, status_code, code, timed_out, started_at, duration, response)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertAttemptSpanSQL = `INSERT OR IGNORE INTO attempt_span (endpoint, span) VALUES (?, ?)`
)

func (w *writer) insertAttempt(ctx context.Context, o *store.Outcome) (store.AttemptKey, error) {
	a, key := o.Attempt, w.attempts.draw()
	if err := w.revisit(ctx, o.Event); err != nil {
		return 0, err
	}
	if err := w.attemptSpans.note(ctx, w.conn, int64(o.Endpoint), key); err != nil {
		return 0, err
	}
	_, err := w.exec(ctx, insertAttemptSQL, key, int64(o.Event), int64(o.Endpoint),
		int64(a.Number), int64(a.Trigger), a.URL, integer(a.Succeeded), int64(a.StatusCode),
		textOrNull(string(a.Code)), integer(a.TimedOut), micros(a.StartedAt), a.Duration.Microseconds(), blobOrNull(a.Response))
	if err != nil {
		return 0, err
	}
	return store.AttemptKey(key), w.countAttempt(ctx, o)
}

// An attempt is read with its event and its endpoint, by their keys.
const (
	ownColumns     = `attempt.key, number, trigger, attempt.url, succeeded, status_code, code, timed_out, started_at, duration`
	attemptColumns = `SELECT ` + ownColumns + `,
			attempt.event, attempt.endpoint, event.type, event.channels, event.tags, event.accepted_at, endpoint.created_at,
			CASE WHEN ?3 OR length(response) = 0 THEN response END `
	attemptOthers = ` CROSS JOIN event ON event.key = attempt.event CROSS JOIN endpoint ON endpoint.key = attempt.endpoint `

	attemptSQL = attemptColumns + `FROM attempt` + attemptOthers + `WHERE attempt.event = ?1 AND attempt.key = ?2`

	// The attempts of an event at one endpoint are in order. Those at all of them are not:
	// as many keys as a page may examine are read of each first, from one endpoint to the
	// next in the index, and then, in the order of an array, the attempts themselves.
	attemptsOfDelivery        = attemptColumns + `FROM attempt` + attemptOthers + `WHERE attempt.event = ?1 AND attempt.endpoint = ?4 `
	attemptsOfDeliveryUpSQL   = attemptsOfDelivery + `AND attempt.key > ?2 ORDER BY attempt.key`
	attemptsOfDeliveryDownSQL = attemptsOfDelivery + `AND attempt.key < ?2 ORDER BY attempt.key DESC`
	attemptEndpointsSQL       = `WITH RECURSIVE place (endpoint) AS (
			SELECT min(endpoint) FROM attempt WHERE event = ?1
			UNION ALL
			SELECT (SELECT min(endpoint) FROM attempt WHERE event = ?1 AND endpoint > place.endpoint) FROM place WHERE place.endpoint IS NOT NULL
		)
		SELECT endpoint FROM place WHERE endpoint IS NOT NULL`
	attemptKeysUpSQL   = `SELECT key FROM attempt WHERE event = ? AND endpoint = ? AND key > ? ORDER BY key LIMIT ?`
	attemptKeysDownSQL = `SELECT key FROM attempt WHERE event = ? AND endpoint = ? AND key < ? ORDER BY key DESC LIMIT ?`
	attemptsSQL        = attemptColumns + `FROM json_each(?1) AS wanted CROSS JOIN attempt ON attempt.key = wanted.value` + attemptOthers

	attemptAtEndpoint = attemptColumns + `FROM attempt_span CROSS JOIN strip
		CROSS JOIN attempt ON attempt.strip = (attempt_span.span << 6) + strip.nth AND attempt.endpoint = attempt_span.endpoint` + attemptOthers
	attemptsAtEndpointUpSQL = attemptAtEndpoint + `
		WHERE attempt_span.endpoint = ?1 AND attempt_span.span BETWEEN ?2 >> 13 AND ?4 >> 13 AND attempt.key > ?2 AND attempt.key <= ?4
		ORDER BY attempt_span.span, strip.nth, attempt.key`
	attemptsAtEndpointDownSQL = attemptAtEndpoint + `
		WHERE attempt_span.endpoint = ?1 AND attempt_span.span BETWEEN ?4 >> 13 AND ?2 >> 13 AND attempt.key < ?2 AND attempt.key >= ?4
		ORDER BY attempt_span.span DESC, strip.nth DESC, attempt.key DESC`
)

// scanOwn reads ownColumns.
func scanOwn(r *row) store.Attempt {
	return store.Attempt{
		Key: store.AttemptKey(r.int()), Number: int(r.int()), Trigger: webhook.Trigger(r.int()), URL: r.text(), //nolint:gosec // a Trigger was stored
		Succeeded: r.bool(), StatusCode: int(r.int()), Code: webhook.FaultCode(r.text()), TimedOut: r.bool(),
		StartedAt: r.time(), Duration: r.duration(),
	}
}

func scanAttempt(r *row) store.LoggedAttempt {
	return store.LoggedAttempt{
		Attempt: scanOwn(r),
		Event:   store.EventKey(r.int()), Endpoint: store.EndpointKey(r.int()),
		EventType: r.text(), Channels: r.strings(), Tags: r.strings(),
		EventAcceptedAt: r.time(), EndpointCreatedAt: r.time(),
	}
}

func scanAttemptWithResponse(r *row) store.LoggedAttempt {
	attempt := scanAttempt(r)
	response := r.blob()
	if attempt.Expunged = response != nil && len(response) == 0; !attempt.Expunged {
		attempt.Response = response
	}
	return attempt
}

// Attempt returns an attempt of an event, or ErrNotFound.
func (s *Store) Attempt(ctx context.Context, event store.EventKey, key store.AttemptKey) (store.LoggedAttempt, error) {
	return readFirst(ctx, s, scanAttemptWithResponse, attemptSQL, int64(event), int64(key), int64(1))
}

// AttemptsOfEvent lists the attempts of an event.
func (s *Store) AttemptsOfEvent(ctx context.Context, event store.EventKey, filter store.AttemptFilter, page store.Page) (listed store.Listed[store.LoggedAttempt], err error) {
	// One instant: an attempt that is recorded between two statements, with a lower key than
	// another one, would be on no page.
	err = s.snapshot(ctx, func(ctx context.Context, c *conn) (err error) {
		if filter.Endpoint != 0 {
			query, after := walk(page, attemptsOfDeliveryUpSQL, attemptsOfDeliveryDownSQL)
			listed, err = listAttempts(ctx, c, filter, page.Limit, query, int64(event), after, int64(filter.Endpoint))
			return err
		}
		keys, err := attemptKeys(ctx, c, event, page)
		if err != nil {
			return err
		}
		listed, err = listAttempts(ctx, c, filter, page.Limit, attemptsSQL, encode(keys), nil)
		return err
	})
	return listed, err
}

// attemptKeys returns the next attempts of an event in the order of a page, one more than it
// may examine.
func attemptKeys(ctx context.Context, c *conn, event store.EventKey, page store.Page) ([]int64, error) {
	endpoints, err := all(ctx, c, (*row).int, attemptEndpointsSQL, int64(event))
	if err != nil {
		return nil, err
	}
	const most = mostExamined + 1
	query, after := walk(page, attemptKeysUpSQL, attemptKeysDownSQL)
	var keys []int64
	for _, endpoint := range endpoints {
		at, err := all(ctx, c, (*row).int, query, int64(event), endpoint, after, int64(most))
		if err != nil {
			return nil, err
		}
		keys = append(keys, at...)
	}
	slices.Sort(keys)
	if page.Descending {
		slices.Reverse(keys)
	}
	return keys[:min(len(keys), most)], nil
}

// AttemptsAtEndpoint lists the attempts made at an endpoint.
func (s *Store) AttemptsAtEndpoint(ctx context.Context, endpoint store.EndpointKey, filter store.AttemptFilter, page store.Page) (listed store.Listed[store.LoggedAttempt], err error) {
	filter.Endpoint = 0
	query, _ := walk(page, attemptsAtEndpointUpSQL, attemptsAtEndpointDownSQL)
	err = s.read(ctx, func(ctx context.Context, c *conn) error {
		after, until, err := bounds(ctx, c, beginning, page, filter.From, filter.To)
		if err != nil {
			return err
		}
		listed, err = listAttempts(ctx, c, filter, page.Limit, query, int64(endpoint), after, until)
		return err
	})
	return listed, err
}

func listAttempts(ctx context.Context, c *conn, filter store.AttemptFilter, limit int, query string, of, after any, more ...any) (store.Listed[store.LoggedAttempt], error) {
	return list(ctx, c, limit, listing[store.LoggedAttempt]{
		scan:  scanAttemptWithResponse,
		match: filter.Match,
		place: func(a *store.LoggedAttempt) (int64, time.Time) { return int64(a.Key), a.StartedAt },
	}, query, append([]any{of, after, integer(filter.WithResponse)}, more...)...)
}
