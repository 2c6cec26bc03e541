package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// A job's row is written again and again while it runs, and each time a row is left behind,
// for as long as anybody's transaction is open. The last one is found at once by who goes
// through them backwards, and not by who asks for the key alone. Who changes it has locked it
// in a statement before, so that it is the one that is seen.
const (
	newestJob  = `FROM (SELECT * FROM job WHERE key >= $1 AND key <= $1 ORDER BY key DESC LIMIT 1) AS job`
	lockJobSQL = `SELECT FROM job WHERE key >= $1 AND key <= $1 ORDER BY key DESC LIMIT 1 FOR NO KEY UPDATE`
	thisJob    = `ctid = (SELECT ctid FROM job WHERE key >= $1 AND key <= $1 ORDER BY key DESC LIMIT 1)`
)

const (
	jobColumns = `key, organisation, tenant, endpoint, kind, spec, through, created_at, state, error, at_endpoint, at_event, at_time,
		later_endpoints, later_events, examined, matched, updated_at, ended_at, made, succeeded, failed, version`
	listedJob      = `SELECT ` + jobColumns + `, NULL::bytea FROM job `
	jobByKeySQL    = `SELECT ` + jobColumns + `, result ` + newestJob
	jobSQL         = `SELECT * FROM (SELECT ` + jobColumns + `, result ` + newestJob + `) AS job WHERE organisation = $2`
	jobsOfAll      = listedJob + `WHERE (organisation, key) > ($1, $2) AND (organisation, key) < ($1, $3)`
	jobsOfTenant   = listedJob + `WHERE (organisation, tenant, key) > ($1, $2, $3) AND (organisation, tenant, key) < ($1, $2, $4)`
	runningJobsSQL = listedJob + `WHERE state = 1 AND key > $1 ORDER BY key LIMIT $2`
)

var (
	jobsSQL = ways{
		up:   jobsOfAll + ` ORDER BY organisation, key LIMIT $4`,
		down: jobsOfAll + ` ORDER BY organisation DESC, key DESC LIMIT $4`,
	}
	jobsOfTenantSQL = ways{
		up:   jobsOfTenant + ` ORDER BY organisation, tenant, key LIMIT $5`,
		down: jobsOfTenant + ` ORDER BY organisation DESC, tenant DESC, key DESC LIMIT $5`,
	}
)

func scanJob(row pgx.CollectableRow) (j store.Job, err error) {
	var reason *string
	var laterEndpoints []store.EndpointKey
	var laterEvents []store.EventKey
	var at, ended *time.Time
	err = row.Scan(&j.Key, &j.Organisation, &j.Tenant, &j.Endpoint, &j.Kind, &j.Spec, &j.Through, &j.CreatedAt, &j.State, &reason,
		&j.At.Endpoint, &j.At.Event, &at, &laterEndpoints, &laterEvents, &j.Examined, &j.Matched, &j.UpdatedAt, &ended,
		&j.Made, &j.Succeeded, &j.Failed, &j.Version, &j.Result)
	j.CreatedAt, j.UpdatedAt, j.AtTime, j.EndedAt = j.CreatedAt.UTC(), j.UpdatedAt.UTC(), utcOrZero(at), utcOrZero(ended)
	j.Error = orZero(reason)
	for i := range laterEndpoints {
		j.Later = append(j.Later, store.DeliveryRef{Endpoint: laterEndpoints[i], Event: laterEvents[i]})
	}
	return j, err
}

// Job returns a job of an organisation, or ErrNotFound.
func (s *Store) Job(ctx context.Context, organisation string, key store.JobKey) (store.Job, error) {
	return readFirst(ctx, s, scanJob, jobSQL, key, organisation)
}

func placeOfJob(j *store.Job) (int64, time.Time) { return int64(j.Key), j.CreatedAt }

// Jobs lists an organisation's jobs.
func (s *Store) Jobs(ctx context.Context, organisation string, filter store.JobFilter, page store.Page) (listed store.Listed[store.Job], err error) {
	query, args := jobsSQL.of(page), []any{organisation}
	if filter.Tenant != 0 {
		query, args = jobsOfTenantSQL.of(page), append(args, filter.Tenant)
	}
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		listed, err = list(ctx, page, everything.walk(page), listing[store.Job]{
			read: plain(q, scanJob, query, placeOfJob, args...),
			match: func(j *store.Job) bool {
				return (len(filter.States) == 0 || slices.Contains(filter.States, j.State)) &&
					(len(filter.Kinds) == 0 || slices.Contains(filter.Kinds, j.Kind))
			},
			place: placeOfJob,
		})
		return err
	})
	return listed, err
}

// RunningJobs lists the running jobs of all organisations.
func (s *Store) RunningJobs(ctx context.Context, after store.JobKey, limit int) ([]store.Job, error) {
	return readAll(ctx, s, scanJob, runningJobsSQL, after, limit)
}

const (
	insertJobSQL = `INSERT INTO job (` + jobColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, NULL, 0, 0, NULL, NULL, NULL, 0, 0, $9, NULL, 0, 0, 0, 1)`
	lockJobEndpointSQL = `SELECT key FROM endpoint WHERE key = $1 AND tenant = $2 AND deleted_at IS NULL FOR SHARE`
	boundJobsSQL       = `DELETE FROM job WHERE key IN (
		SELECT key FROM job WHERE (organisation, tenant, key) > ($1, $2, 0) AND (organisation, tenant, key) < ($1, $2 + 1, 0) AND state <> 1
		ORDER BY organisation DESC, tenant DESC, key DESC LIMIT 10 OFFSET $3)`
)

// InsertJob stores a running job. Nobody is waited for while anything is locked.
func (s *Store) InsertJob(ctx context.Context, job store.Job, once *store.Once) (store.Job, error) {
	through, err := s.settled(ctx)
	if err != nil {
		return store.Job{}, err
	}
	job.Through = through
	err = s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) error {
		if err := claim(ctx, tx, once, job.Tenant); err != nil {
			return err
		}
		if err := jobHasItsPlace(ctx, tx, &job); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertJobSQL, job.Key, job.Organisation, job.Tenant, job.Endpoint, job.Kind, listOrNull(job.Spec),
			job.Through, instant(job.CreatedAt), instant(job.UpdatedAt)); err != nil {
			return err
		}
		kept := store.MostEndedJobs
		if job.Tenant == 0 {
			kept = store.MostEndedCounts
		}
		if _, err := tx.Exec(ctx, boundJobsSQL, job.Organisation, job.Tenant, kept); err != nil {
			return err
		}
		p.of(store.Signal{Kind: store.SignalJob, Tenant: job.Tenant, Job: job.Key})
		job, err = first(ctx, tx, scanJob, jobByKeySQL, job.Key)
		return err
	})
	if err != nil {
		return store.Job{}, err
	}
	return job, nil
}

// jobHasItsPlace returns ErrNotFound for a tenant or an endpoint that is not there.
func jobHasItsPlace(ctx context.Context, tx pgx.Tx, job *store.Job) error {
	if job.Tenant == 0 {
		return nil
	}
	if _, err := first(ctx, tx, scanKey, lockOwnerSQL, job.Tenant, job.Organisation); err != nil || job.Endpoint == 0 {
		return err
	}
	_, err := first(ctx, tx, scanKey, lockJobEndpointSQL, job.Endpoint, job.Tenant)
	return err
}

// Whoever draws a key has a lock on the sequence from before until the end of the
// transaction, in which the event is stored. So what was drawn is settled once all have
// ended that have such a lock now.
const (
	drawnKeySQL = `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM event_key`
	drawingSQL  = `SELECT virtualtransaction FROM pg_locks
		WHERE locktype = 'relation' AND relation = $1::text::regclass AND mode = 'RowExclusiveLock' AND granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND ($2::text[] IS NULL OR virtualtransaction = ANY ($2))`
)

// mostSettling bounds how long a job waits for those who are publishing: longer than any of
// their transactions may take.
const mostSettling = mostTransaction + 5*time.Second

// settled returns the highest key of an event that was drawn, and waits until every event up
// to it is there or never will be.
func (s *Store) settled(ctx context.Context) (drawn store.EventKey, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, mostSettling,
		fmt.Errorf("postgres: those who were publishing have not ended in %v", mostSettling))
	defer cancel()
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		if drawn, err = first(ctx, q, pgx.RowTo[store.EventKey], drawnKeySQL); err != nil {
			return err
		}
		const soon, late = time.Millisecond, 50 * time.Millisecond
		left, err := all(ctx, q, pgx.RowTo[string], drawingSQL, "event_key", []string(nil))
		for pause := soon; err == nil && len(left) > 0; pause = min(2*pause, late) {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			left, err = all(ctx, q, pgx.RowTo[string], drawingSQL, "event_key", left)
		}
		return err
	})
	return drawn, err
}

const (
	jobStandsSQL = `SELECT version, state ` + newestJob
	stepJobSQL   = `UPDATE job SET state = $3, error = $4, at_endpoint = $5, at_event = $6, at_time = $7, later_endpoints = $8, later_events = $9,
			examined = $10, matched = $11, updated_at = $12, ended_at = $13, made = made + $14, version = version + 1, result = $15
		WHERE ` + thisJob + ` AND version = $2 AND state = 1`
)

// StepJob stores a step and what it makes. The job's row comes last, as it does for who
// counts what the job has made.
func (s *Store) StepJob(ctx context.Context, now time.Time, step store.JobStep) (made store.JobMade, err error) {
	err = s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) error {
		var counted counted
		made = store.JobMade{}
		// Else all would be made first, and then undone.
		if err := jobStands(ctx, tx, step.Job, step.Version); err != nil {
			return err
		}
		sends := slices.Clone(step.Sends)
		for i := range sends {
			sends[i].Job = step.Job
		}
		var err error
		if made.Sends, err = insertSends(ctx, tx, sends); err != nil {
			return err
		}
		if made.Opened, err = open(ctx, tx, step.Openings, step.Job, &counted); err != nil {
			return err
		}
		if made.Cancelled, err = cancel(ctx, tx, now, step.Cancels, webhook.CancelAsked, &counted, step.Announce); err != nil {
			return err
		}
		if err := stepJob(ctx, tx, &step, countMade(&made)); err != nil {
			return err
		}
		p.made(sends, made.Sends)
		p.opened(step.Openings, made.Opened)
		if err := p.cancelled(ctx, tx, step.Cancels, made.Cancelled); err != nil {
			return err
		}
		return counted.save(ctx, tx, now)
	})
	if err != nil {
		return store.JobMade{}, err
	}
	return made, nil
}

func countMade(made *store.JobMade) (count int64) {
	for _, key := range made.Sends {
		if key != 0 {
			count++
		}
	}
	for _, is := range slices.Concat(made.Opened, made.Cancelled) {
		if is {
			count++
		}
	}
	return count
}

// jobStands returns ErrStale for a job that is not running in a version, or ErrNotFound.
func jobStands(ctx context.Context, tx pgx.Tx, key store.JobKey, version int64) error {
	stored, err := first(ctx, tx, func(row pgx.CollectableRow) (j store.Job, err error) {
		return j, row.Scan(&j.Version, &j.State)
	}, jobStandsSQL, key)
	if err == nil && (stored.Version != version || stored.State != webhook.JobRunning) {
		return store.ErrStale
	}
	return err
}

// stepJob takes a job on that has made so much in this step.
func stepJob(ctx context.Context, tx pgx.Tx, step *store.JobStep, made int64) error {
	p := &step.Progress
	var laterEndpoints []store.EndpointKey
	var laterEvents []store.EventKey
	for _, ref := range p.Later {
		laterEndpoints, laterEvents = append(laterEndpoints, ref.Endpoint), append(laterEvents, ref.Event)
	}
	if _, err := tx.Exec(ctx, lockJobSQL, step.Job); err != nil {
		return err
	}
	stepped, err := tx.Exec(ctx, stepJobSQL, step.Job, step.Version, p.State, orNull(p.Error), p.At.Endpoint, p.At.Event, instantOrNull(p.AtTime),
		laterEndpoints, laterEvents, p.Examined, p.Matched, instant(p.UpdatedAt), instantOrNull(p.EndedAt), made, listOrNull(p.Result))
	if err != nil || stepped.RowsAffected() == 1 {
		return err
	}
	if err := jobStands(ctx, tx, step.Job, step.Version); err != nil {
		return err
	}
	return store.ErrStale
}

const cancelJobSQL = `UPDATE job SET state = 3, error = $3, updated_at = $4, ended_at = $4, version = version + 1
	WHERE ` + thisJob + ` AND organisation = $2 AND state = 1`

// CancelJob ends a running job.
func (s *Store) CancelJob(ctx context.Context, organisation string, key store.JobKey, reason string, now time.Time) (job store.Job, err error) {
	err = s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) error {
		if _, err := tx.Exec(ctx, lockJobSQL, key); err != nil {
			return err
		}
		ended, err := tx.Exec(ctx, cancelJobSQL, key, organisation, orNull(reason), instant(now))
		if err != nil {
			return err
		}
		job, err = first(ctx, tx, scanJob, jobSQL, key, organisation)
		if ended.RowsAffected() > 0 {
			p.of(store.Signal{Kind: store.SignalJob, Tenant: job.Tenant, Job: key})
		}
		return err
	})
	if err != nil {
		return store.Job{}, err
	}
	return job, nil
}

const (
	// What a job has made and is open still is a send, or waits.
	// How many have ended it counts itself.
	jobOpenSQL = `SELECT made - succeeded - failed ` + newestJob
	// Of those that were not tried the keys are looked at from a key on.
	untriedSendsSQL = `SELECT key FROM send WHERE job <> 0 AND tried = 0
		AND (job, endpoint, key) >= ($1, $2, $3) AND (job, endpoint, key) < ($1, $2 + 1, 0) ORDER BY job, endpoint, key LIMIT $4`
	untriedOpenedSQL = `SELECT event FROM waiting WHERE job <> 0 AND tried = 0
		AND (job, endpoint, event) >= ($1, $2, $3) AND (job, endpoint, event) < ($1, $2 + 1, 0) ORDER BY job, endpoint, event LIMIT $4`
)

// untriedWalk remembers the first of what jobs have made for endpoints and was not tried: none
// before it will ever be, as a job makes what it makes in the order of keys. So those which
// are gone are not walked over again.
type untriedWalk struct {
	mu   sync.Mutex
	from map[madeFor][2]int64 // keys of sends, and of events
}

type madeFor struct {
	job      store.JobKey
	endpoint store.EndpointKey
}

func (w *untriedWalk) place(of madeFor) [2]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.from[of]
}

func (w *untriedWalk) moved(of madeFor, to [2]int64) {
	const most = 10_000
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.from == nil || len(w.from) >= most {
		w.from = make(map[madeFor][2]int64)
	}
	w.from[of] = to
}

// JobOpen counts what a job has made and is open still.
func (s *Store) JobOpen(ctx context.Context, key store.JobKey, endpoint store.EndpointKey, limit int) (open, untried int, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		open, err = first(ctx, q, pgx.RowTo[int], jobOpenSQL, key)
		if errors.Is(err, pgx.ErrNoRows) {
			open, err = 0, nil
		}
		if err != nil {
			return err
		}
		of := madeFor{key, endpoint}
		from := s.untried.place(of)
		for i, query := range [...]string{untriedSendsSQL, untriedOpenedSQL} {
			found, err := all(ctx, q, scanKey, query, key, endpoint, from[i], limit)
			if err != nil {
				return err
			}
			if untried += len(found); len(found) > 0 {
				from[i] = found[0]
			}
		}
		s.untried.moved(of, from)
		return nil
	})
	return min(open, limit), min(untried, limit), err
}

const sweepJobsSQL = `DELETE FROM job WHERE key IN (
	SELECT key FROM job WHERE ended_at < $1 ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED)`

// SweepJobs deletes jobs that ended before an instant. What they have opened goes on.
func (s *Store) SweepJobs(ctx context.Context, before time.Time, limit int) (swept int, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		deleted, err := tx.Exec(ctx, sweepJobsSQL, instant(before), limit)
		swept = int(deleted.RowsAffected())
		return err
	})
	return swept, err
}
