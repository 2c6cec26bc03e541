package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Attempts are read by themselves. Their events and endpoints are looked up then, as many of
// them have the same.
const (
	ownColumns = `attempt.event, attempt.key, attempt.number, attempt.trigger, attempt.url, attempt.succeeded, attempt.status_code,
		attempt.code, attempt.timed_out, attempt.started_at, attempt.duration`
	loggedColumns = `SELECT ` + ownColumns + `, attempt.endpoint, CASE WHEN $2 OR octet_length(response) = 0 THEN response END FROM `

	attemptSQL = loggedColumns + `attempt WHERE event = $1 AND key = $3`

	// ofDelivery is the condition for the attempts of a delivery: by the primary key, and not
	// by the index of the endpoint's attempts, which would do it for endpoint = and key >.
	ofDelivery         = `(event, endpoint, key) > ($1, $3, $4) AND (event, endpoint, key) < ($1, $3, $5)`
	attemptsOfDelivery = loggedColumns + `attempt WHERE event = $1 AND ` + ofDelivery + ` ORDER BY event, endpoint`

	// The attempts of an event are by endpoint. What is put in order is the keys alone.
	keysOfEvent     = `(SELECT endpoint, key FROM attempt WHERE event = $1 AND key > $3 AND key < $4 ORDER BY key`
	attemptsOfEvent = ` LIMIT $5) AS wanted CROSS JOIN LATERAL (SELECT * FROM attempt WHERE event = $1
			AND (event, endpoint, key) = ($1, wanted.endpoint, wanted.key) LIMIT 1) AS attempt ORDER BY wanted.key`

	attemptsOfEndpoint = loggedColumns + `attempt WHERE (endpoint, key) > ($1, $3) AND (endpoint, key) < ($1, $4) ORDER BY endpoint`
)

var (
	attemptsOfDeliverySQL = ways{
		up:   attemptsOfDelivery + `, key LIMIT $6`,
		down: attemptsOfDelivery + ` DESC, key DESC LIMIT $6`,
	}
	attemptsOfEventSQL = ways{
		up:   loggedColumns + keysOfEvent + attemptsOfEvent,
		down: loggedColumns + keysOfEvent + ` DESC` + attemptsOfEvent + ` DESC`,
	}
	attemptsAtEndpointSQL = ways{
		up:   attemptsOfEndpoint + `, key LIMIT $5`,
		down: attemptsOfEndpoint + ` DESC, key DESC LIMIT $5`,
	}
)

const datedAttempts = `SELECT key AS found, started_at AS dated FROM attempt WHERE (endpoint, key) < ($2 + 1, 0) AND `

var beginningSQL = search(
	datedAttempts+`(endpoint, key) > ($2, 0) ORDER BY endpoint, key LIMIT 1`,
	datedAttempts+`(endpoint, key) > ($2, 0) ORDER BY endpoint DESC, key DESC LIMIT 1`,
	datedAttempts+`(endpoint, key) >= ($2, probe.key) ORDER BY endpoint, key LIMIT 1`,
)

func placeOfAttempt(a *store.LoggedAttempt) (int64, time.Time) { return int64(a.Key), a.StartedAt }

// scanOwnAnd reads ownColumns, and more behind them.
func scanOwnAnd(row pgx.CollectableRow, event *store.EventKey, a *store.Attempt, more ...any) error {
	var code *string
	var duration int64
	err := row.Scan(append([]any{
		event, &a.Key, &a.Number, &a.Trigger, &a.URL, &a.Succeeded, &a.StatusCode, &code, &a.TimedOut, &a.StartedAt, &duration,
	}, more...)...)
	if code != nil {
		a.Code = webhook.FaultCode(*code)
	}
	a.StartedAt, a.Duration = a.StartedAt.UTC(), micros(duration)
	return err
}

// scanAttempt reads what is the attempt's own. An empty response is one that was expunged.
func scanAttempt(row pgx.CollectableRow) (a store.LoggedAttempt, err error) {
	var response []byte
	err = scanOwnAnd(row, &a.Event, &a.Attempt, &a.Endpoint, &response)
	if a.Expunged = response != nil && len(response) == 0; !a.Expunged {
		a.Response = response
	}
	return a, err
}

// Attempt returns an attempt of an event, or ErrNotFound.
func (s *Store) Attempt(ctx context.Context, event store.EventKey, key store.AttemptKey) (found store.LoggedAttempt, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		one, err := all(ctx, q, scanAttempt, attemptSQL, event, true, key)
		if err != nil {
			return err
		}
		if one, err = complete(ctx, q, one); err != nil {
			return err
		}
		if len(one) == 0 {
			return store.ErrNotFound
		}
		found = one[0]
		return nil
	})
	return found, err
}

const createdSQL = `SELECT key, created_at FROM endpoint WHERE key = ANY ($1)`

// complete adds to attempts what they were made for. One is gone with its event, or endpoint.
func complete(ctx context.Context, q querier, attempts []store.LoggedAttempt) ([]store.LoggedAttempt, error) {
	keys := make([]store.EventKey, len(attempts))
	var endpoints []store.EndpointKey
	for i := range attempts {
		keys[i] = attempts[i].Event
		if !slices.Contains(endpoints, attempts[i].Endpoint) {
			endpoints = append(endpoints, attempts[i].Endpoint)
		}
	}
	events, err := loadEvents(ctx, q, keys)
	if err != nil {
		return nil, err
	}
	created, err := loadCreated(ctx, q, endpoints)
	if err != nil {
		return nil, err
	}
	there := attempts[:0]
	for i := range attempts {
		a := &attempts[i]
		ev, isEvent := events[a.Event]
		at, isEndpoint := created[a.Endpoint]
		if isEvent && isEndpoint {
			a.EventType, a.Channels, a.Tags, a.EventAcceptedAt, a.EndpointCreatedAt = ev.Type, ev.Channels, ev.Tags, ev.AcceptedAt, at
			there = append(there, *a)
		}
	}
	return there, nil
}

// loadCreated reads when endpoints were created, deleted ones too.
func loadCreated(ctx context.Context, q querier, endpoints []store.EndpointKey) (map[store.EndpointKey]time.Time, error) {
	rows, err := q.Query(ctx, createdSQL, endpoints)
	if err != nil {
		return nil, err
	}
	created := make(map[store.EndpointKey]time.Time, len(endpoints))
	var key store.EndpointKey
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&key, &at}, func() error {
		created[key] = at.UTC()
		return nil
	})
	return created, err
}

// AttemptsOfEvent lists the attempts of an event.
func (s *Store) AttemptsOfEvent(ctx context.Context, event store.EventKey, filter store.AttemptFilter, page store.Page) (store.Listed[store.LoggedAttempt], error) {
	query, args := attemptsOfEventSQL.of(page), []any{event, filter.WithResponse}
	if filter.Endpoint != 0 {
		query, args = attemptsOfDeliverySQL.of(page), append(args, filter.Endpoint)
	}
	return s.attempts(ctx, filter, page, nil, query, args...)
}

// AttemptsAtEndpoint lists the attempts made at an endpoint.
func (s *Store) AttemptsAtEndpoint(ctx context.Context, endpoint store.EndpointKey, filter store.AttemptFilter, page store.Page) (store.Listed[store.LoggedAttempt], error) {
	filter.Endpoint = 0
	beginning := &dates{fromSQL: beginningSQL, args: []any{endpoint}}
	return s.attempts(ctx, filter, page, beginning, attemptsAtEndpointSQL.of(page), endpoint, filter.WithResponse)
}

// attempts lists attempts by a query; narrowed, if by is not nil, to those in the filter's
// time.
func (s *Store) attempts(ctx context.Context, filter store.AttemptFilter, page store.Page, by *dates, query string, args ...any) (listed store.Listed[store.LoggedAttempt], err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		keys := everything
		if by != nil {
			if keys, err = by.between(ctx, q, filter.From, filter.To); err != nil {
				return err
			}
		}
		read := plain(q, scanAttempt, query, placeOfAttempt, args...)
		listed, err = list(ctx, page, keys.walk(page), listing[store.LoggedAttempt]{
			read: func(ctx context.Context, keys between, limit int) (part[store.LoggedAttempt], error) {
				got, err := read(ctx, keys, limit)
				if err != nil {
					return got, err
				}
				got.items, err = complete(ctx, q, got.items)
				return got, err
			},
			match: filter.Match,
			place: placeOfAttempt,
		})
		return err
	})
	return listed, err
}
