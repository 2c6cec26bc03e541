package sqlite

import (
	"context"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const insertAttemptSQL = `INSERT INTO attempt (key, event, endpoint, number, trigger, url,
		succeeded, status_code, code, started_at, duration, response)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func (w *writer) insertAttempt(ctx context.Context, o *store.Outcome) error {
	a := o.Attempt
	_, err := w.exec(ctx, insertAttemptSQL, w.attempts.draw(), int64(o.Event), int64(o.Endpoint),
		int64(a.Number), int64(a.Trigger), a.URL, integer(a.Succeeded), int64(a.StatusCode),
		textOrNull(string(a.Code)), micros(a.StartedAt), a.Duration.Microseconds(), blobOrNull(a.Response))
	return err
}

// An attempt is read with its event and its endpoint, by their keys.
const (
	attemptSelect = `SELECT attempt.key, number, trigger, attempt.url, succeeded, status_code, code, started_at, duration,
			attempt.event, attempt.endpoint, event.type, event.channels, event.accepted_at, endpoint.created_at,
			CASE WHEN ?3 THEN response END
		FROM attempt CROSS JOIN event ON event.key = attempt.event CROSS JOIN endpoint ON endpoint.key = attempt.endpoint `
	attemptSQL                = attemptSelect + `WHERE attempt.event = ?1 AND attempt.key = ?2`
	attemptsOfEventUpSQL      = attemptSelect + `WHERE attempt.event = ?1 AND attempt.key > ?2 ORDER BY attempt.key`
	attemptsOfEventDownSQL    = attemptSelect + `WHERE attempt.event = ?1 AND attempt.key < ?2 ORDER BY attempt.key DESC`
	attemptsAtEndpointUpSQL   = attemptSelect + `WHERE attempt.endpoint = ?1 AND attempt.key > ?2 ORDER BY attempt.key`
	attemptsAtEndpointDownSQL = attemptSelect + `WHERE attempt.endpoint = ?1 AND attempt.key < ?2 ORDER BY attempt.key DESC`
)

func scanAttempt(r *row) store.LoggedAttempt {
	return store.LoggedAttempt{
		Attempt: store.Attempt{
			Key: store.AttemptKey(r.int()), Number: int(r.int()), Trigger: webhook.Trigger(r.int()), URL: r.text(), //nolint:gosec // a Trigger was stored
			Succeeded: r.bool(), StatusCode: int(r.int()), Code: webhook.FaultCode(r.text()),
			StartedAt: r.time(), Duration: r.duration(),
		},
		Event: store.EventKey(r.int()), Endpoint: store.EndpointKey(r.int()),
		EventType: r.text(), Channels: r.strings(),
		EventAcceptedAt: r.time(), EndpointCreatedAt: r.time(),
	}
}

func scanAttemptWithResponse(r *row) store.LoggedAttempt {
	attempt := scanAttempt(r)
	attempt.Response = r.blob()
	return attempt
}

// Attempt returns an attempt of an event, or ErrNotFound.
func (s *Store) Attempt(ctx context.Context, event store.EventKey, key store.AttemptKey) (store.LoggedAttempt, error) {
	return readFirst(ctx, s, scanAttemptWithResponse, attemptSQL, int64(event), int64(key), int64(1))
}

// AttemptsOfEvent lists the attempts of an event.
func (s *Store) AttemptsOfEvent(ctx context.Context, event store.EventKey, filter store.AttemptFilter, page store.Page) (store.Listed[store.LoggedAttempt], error) {
	query, after := walk(page, attemptsOfEventUpSQL, attemptsOfEventDownSQL)
	return s.attempts(ctx, filter, page.Limit, query, int64(event), after)
}

// AttemptsAtEndpoint lists the attempts made at an endpoint.
func (s *Store) AttemptsAtEndpoint(ctx context.Context, endpoint store.EndpointKey, filter store.AttemptFilter, page store.Page) (store.Listed[store.LoggedAttempt], error) {
	filter.Endpoint = 0
	query, after := walk(page, attemptsAtEndpointUpSQL, attemptsAtEndpointDownSQL)
	return s.attempts(ctx, filter, page.Limit, query, int64(endpoint), after)
}

func (s *Store) attempts(ctx context.Context, filter store.AttemptFilter, limit int, query string, of, after int64) (listed store.Listed[store.LoggedAttempt], err error) {
	err = s.read(ctx, func(ctx context.Context, c *conn) (err error) {
		listed, err = list(ctx, c, limit, listing[store.LoggedAttempt]{
			scan:  scanAttemptWithResponse,
			match: filter.Match,
			place: func(a *store.LoggedAttempt) (int64, time.Time) { return int64(a.Key), a.StartedAt },
		}, query, of, after, integer(filter.WithResponse))
		return err
	})
	return listed, err
}
