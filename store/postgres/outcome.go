package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// recording is the part of a commit that carries outcomes out.
//
// They are taken in waves, in each of which a delivery has one outcome at most. Those of a
// wave are carried out together: first on the deliveries as they are expected to be, in
// statements that store what follows too; then, where one was not as expected, and for
// manual attempts and sends, as late ones.
//
// That a delivery is open says that its event is there: who deletes an event deletes it
// before its deliveries, and what else is of it after them. A late outcome locks its
// event against that.
type recording struct {
	outcomes []store.Outcome
	now      time.Time
	waves    [][]int
	results  []result
	events   map[store.EventKey]countedEvent // that were looked up
	touched  []store.EventKey
	jobs     endedOfJobs
}

// result is what became of an outcome.
type result struct {
	fits    bool // the delivery was as expected
	moved   bool // or was closed or recovered
	ended   webhook.State
	recover bool
	logged  bool
	attempt store.AttemptKey
	job     int64 // that is to be told of the ending
	// What the lane's owner is to be told: that the delivery, or the send, goes on waiting,
	// or that the send has ended.
	waits, sendEnded bool
}

// countedEvent is what must be known of an event to count what becomes of it.
type countedEvent struct {
	tenant    store.TenantKey
	eventType string
}

func newRecording(outcomes []store.Outcome, now time.Time) recording {
	r := recording{outcomes: outcomes, now: now, results: make([]result, len(outcomes)), jobs: make(endedOfJobs), events: make(map[store.EventKey]countedEvent)}
	seen := make(map[store.DeliveryRef]int, len(outcomes))
	for i := range outcomes {
		ref := refOf(&outcomes[i])
		nth := seen[ref]
		seen[ref]++
		if nth == len(r.waves) {
			r.waves = append(r.waves, nil)
		}
		r.waves[nth] = append(r.waves[nth], i)
	}
	return r
}

func refOf(o *store.Outcome) store.DeliveryRef {
	return store.DeliveryRef{Endpoint: o.Endpoint, Event: o.Event}
}

// scheduled says that an outcome is of the delivery's own schedule, or of no attempt.
func scheduled(o *store.Outcome) bool {
	return o.Send == 0 && (o.Attempt == nil || o.Attempt.Trigger == webhook.Scheduled)
}

func succeeded(o *store.Outcome) bool { return o.Attempt != nil && o.Attempt.Succeeded }

// begin carries the first wave out as it is expected to fit.
func (r *recording) begin(batch *pgx.Batch) {
	r.drawAttempts(batch)
	if len(r.waves) > 0 {
		r.fit(batch, r.waves[0])
	}
}

// finish does what is left. Most often nothing is.
func (r *recording) finish(ctx context.Context, conn *pgx.Conn) error {
	for n, wave := range r.waves {
		if n > 0 {
			batch := new(pgx.Batch)
			r.fit(batch, wave)
			if err := send(ctx, conn, batch); err != nil {
				return err
			}
		}
		if err := r.catchUp(ctx, conn, wave); err != nil {
			return err
		}
	}
	return r.lookUp(ctx, conn)
}

func (r *recording) catchUp(ctx context.Context, conn *pgx.Conn, wave []int) error {
	// One that was opened later, or left behind, is not where fresh ones are.
	again := r.unfit(wave, func(o *store.Outcome) bool { return scheduled(o) && o.Tried == 0 })
	if len(again) > 0 {
		batch := new(pgx.Batch)
		r.fitWaiting(batch, again)
		if err := send(ctx, conn, batch); err != nil {
			return err
		}
	}
	late := r.unfit(wave, func(o *store.Outcome) bool { return o.Attempt != nil || o.Send != 0 })
	if len(late) == 0 {
		return nil
	}
	batch := new(pgx.Batch)
	r.late(batch, late)
	if err := send(ctx, conn, batch); err != nil {
		return err
	}
	for _, i := range late {
		_, there := r.events[r.outcomes[i].Event]
		r.results[i].logged = there && r.outcomes[i].Attempt != nil
	}
	return nil
}

func (r *recording) unfit(wave []int, which func(*store.Outcome) bool) (places []int) {
	for _, i := range wave {
		if !r.results[i].fits && which(&r.outcomes[i]) {
			places = append(places, i)
		}
	}
	return places
}

// fit carries out what is of the schedule where the delivery is as expected: fresh, if
// nothing was tried, and else waiting.
func (r *recording) fit(batch *pgx.Batch, wave []int) {
	var fresh, waiting []int
	for _, i := range wave {
		switch o := &r.outcomes[i]; {
		case !scheduled(o):
		case o.Tried == 0:
			fresh = append(fresh, i)
		default:
			waiting = append(waiting, i)
		}
	}
	if len(fresh) > 0 {
		batch.Queue(endFreshSQL, r.columns(fresh).args(r.now)...).Query(eachRow(r.scanFit))
	}
	r.fitWaiting(batch, waiting)
}

func (r *recording) fitWaiting(batch *pgx.Batch, places []int) {
	var ended, again []int
	for _, i := range places {
		if r.outcomes[i].State.Ended() {
			ended = append(ended, i)
		} else {
			again = append(again, i)
		}
	}
	if len(ended) > 0 {
		batch.Queue(endWaitingSQL, r.columns(ended).args(r.now)...).Query(eachRow(r.scanFit))
	}
	if len(again) > 0 {
		batch.Queue(waitAgainSQL, r.columns(again).args(r.now)...).Query(eachRow(r.scanFit))
	}
}

// In the order of outcomeColumns.args. The deletion returns what is to be inserted, so that
// nothing has to be joined: of what it deletes the planner knows little, as it is young.
const (
	fromOutcomes = `unnest($2::int[], $3::bigint[], $4::bigint[], $5::int[], $6::int[], $7::smallint[], $8::text[], $9::timestamptz[])
		AS o (place, at, event, expected, tried, state, reason, retry_at)`
	storeEndedSQL = `ended AS (INSERT INTO history (event, endpoint, state, reason, tried, ended_at)
			SELECT event, at, state, nullif(reason, ''), tried, $1::timestamptz FROM moved WHERE state <> 3)
		SELECT place, job FROM moved`

	endFreshSQL = `WITH moved AS (DELETE FROM delivery USING ` + fromOutcomes + `
			WHERE delivery.endpoint = o.at AND delivery.event = o.event RETURNING o.*, 0::bigint AS job),
		again AS (INSERT INTO waiting (endpoint, event, tried, retry_at, job) SELECT at, event, tried, retry_at, 0 FROM moved WHERE state = 3),
		` + storeEndedSQL
	endWaitingSQL = `WITH moved AS (DELETE FROM waiting USING ` + fromOutcomes + `
			WHERE waiting.endpoint = o.at AND waiting.event = o.event AND waiting.tried = o.expected RETURNING o.*, waiting.job),
		` + storeEndedSQL
	waitAgainSQL = `UPDATE waiting SET tried = o.tried, retry_at = o.retry_at FROM ` + fromOutcomes + `
		WHERE waiting.endpoint = o.at AND waiting.event = o.event AND waiting.tried = o.expected AND $1::timestamptz IS NOT NULL
		RETURNING place, 0::bigint`
)

// scanFit reads which outcomes have fit.
func (r *recording) scanFit(rows pgx.Rows) error {
	var place int
	var job int64
	if err := rows.Scan(&place, &job); err != nil {
		return err
	}
	o, result := &r.outcomes[place], &r.results[place]
	result.fits, result.moved = true, true
	if o.State.Ended() {
		result.ended, result.job = o.State, job
	} else {
		result.waits = true
	}
	result.logged = o.Attempt != nil
	return nil
}

// outcomeColumns are outcomes as arrays, one for each column.
type outcomeColumns struct {
	places            []int32
	endpoints, events []int64
	expected, tried   []int32
	states            []int16
	reasons           []string
	retryAt           []*time.Time
}

// columns puts outcomes into the order in which their rows are locked.
func (r *recording) columns(places []int) *outcomeColumns {
	slices.SortFunc(places, func(a, b int) int { return compareRefs(refOf(&r.outcomes[a]), refOf(&r.outcomes[b])) })
	c := new(outcomeColumns)
	for _, i := range places {
		c.append(i, &r.outcomes[i])
	}
	return c
}

func compareRefs(a, b store.DeliveryRef) int {
	return cmp.Or(cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Event, b.Event))
}

func (c *outcomeColumns) append(place int, o *store.Outcome) {
	tried := o.Tried
	if o.Attempt != nil && o.Attempt.Trigger == webhook.Scheduled && o.Send == 0 {
		tried++
	}
	state, reason := webhook.Waiting, webhook.Reason("")
	var retryAt *time.Time
	if o.State.Ended() {
		state = o.State
	} else {
		retryAt = new(instant(o.RetryAt))
	}
	if state == webhook.Cancelled {
		reason = o.Reason
	}
	c.places = append(c.places, int32(place)) //nolint:gosec // a batch is small
	c.endpoints, c.events = append(c.endpoints, int64(o.Endpoint)), append(c.events, int64(o.Event))
	c.expected, c.tried = append(c.expected, int32(o.Tried)), append(c.tried, int32(tried)) //nolint:gosec // a schedule is short
	c.states, c.reasons, c.retryAt = append(c.states, int16(state)), append(c.reasons, string(reason)), append(c.retryAt, retryAt)
}

func (c *outcomeColumns) args(now time.Time) []any {
	return []any{now, c.places, c.endpoints, c.events, c.expected, c.tried, c.states, c.reasons, c.retryAt}
}

const countedEventsSQL = `SELECT key, tenant, type FROM event WHERE key = ANY ($1)`

// lookUp finds out what must be known to count outcomes that do not say it themselves.
func (r *recording) lookUp(ctx context.Context, conn *pgx.Conn) error {
	var unknown []store.EventKey
	for i := range r.outcomes {
		o := &r.outcomes[i]
		if _, known := r.events[o.Event]; (o.Tenant == 0 || o.EventType == "") && !known {
			unknown = append(unknown, o.Event)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	batch := new(pgx.Batch)
	batch.Queue(countedEventsSQL, unknown).Query(eachRow(r.scanEvent))
	return send(ctx, conn, batch)
}

func (r *recording) scanEvent(rows pgx.Rows) error { return scanCounted(rows, r.events) }

func scanCounted(rows pgx.Rows, into map[store.EventKey]countedEvent) error {
	var key store.EventKey
	var of countedEvent
	err := rows.Scan(&key, &of.tenant, &of.eventType)
	into[key] = of
	return err
}

// of says whose an outcome is, and of which type.
func (r *recording) of(o *store.Outcome) countedEvent {
	if o.Tenant == 0 || o.EventType == "" {
		return r.events[o.Event]
	}
	return countedEvent{o.Tenant, o.EventType}
}

// tell posts what came of an outcome.
func (r *recording) tell(o *store.Outcome, result *result, told *post) {
	signal := store.Signal{Kind: store.SignalEnded, Tenant: r.of(o).tenant, Endpoint: o.Endpoint, Event: o.Event}
	if result.ended != 0 {
		told.of(signal)
	}
	if result.sendEnded {
		signal.Send = o.Send
		told.of(signal)
	}
	if result.waits {
		told.of(store.Signal{Kind: store.SignalWaiting, Tenant: signal.Tenant, Endpoint: o.Endpoint, Due: o.RetryAt})
	}
}

// store logs the attempts, counts what came of the outcomes, for jobs too, and posts it.
func (r *recording) store(batch *pgx.Batch, counted *counted, told *post) {
	for i := range r.outcomes {
		o, result := &r.outcomes[i], &r.results[i]
		r.tell(o, result, told)
		if !result.logged && result.ended == 0 && !result.recover && result.job == 0 {
			continue
		}
		r.touched = append(r.touched, o.Event)
		of := r.of(o)
		if result.logged {
			counted.counts(o.Attempt.StartedAt, of.tenant, o.Endpoint, of.eventType).AddAttempt(o.Attempt, 1)
		}
		if result.ended != 0 {
			counted.counts(r.now, of.tenant, o.Endpoint, of.eventType).AddEnding(result.ended, 1)
		}
		if result.recover {
			counted.counts(r.now, of.tenant, o.Endpoint, of.eventType)[store.Recovered]++
		}
		r.jobs.add(result.job, result.ended == webhook.Succeeded)
	}
	r.logAttempts(batch)
	r.jobs.queue(batch)
}
