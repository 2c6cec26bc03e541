package sqlite

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const (
	insertJobSQL = `INSERT INTO job (key, organisation, tenant, endpoint, kind, spec, through, created_at,
			state, error, at_endpoint, at_event, at_time, later, examined, matched, updated_at, ended_at, made, succeeded, failed, version, result)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, NULL, 0, 0, NULL, NULL, 0, 0, ?, NULL, 0, 0, 0, 1, NULL)`
	jobOfSQL     = `SELECT 1 FROM tenant WHERE key = ?1 AND organisation = ?2 AND deleted_at IS NULL`
	jobAtSQL     = `SELECT 1 FROM endpoint WHERE key = ?1 AND tenant = ?2 AND deleted_at IS NULL`
	boundJobsSQL = `DELETE FROM job WHERE key IN (
		SELECT key FROM job WHERE tenant = ?1 AND state <> 1 ORDER BY key DESC LIMIT 10 OFFSET ?2)`
	boundCountsSQL = `DELETE FROM job WHERE key IN (
		SELECT key FROM job WHERE tenant = 0 AND +organisation = ?1 AND state <> 1 ORDER BY key DESC LIMIT 10 OFFSET ?2)`
)

// InsertJob stores a running job. There is one writer, so no key is under way while it
// writes: the highest that was drawn bounds what the job is for.
func (s *Store) InsertJob(ctx context.Context, job store.Job, once *store.Once) (store.Job, error) {
	err := s.write(ctx, func(ctx context.Context, w *writer) error {
		if err := w.claim(ctx, once, job.Tenant); err != nil {
			return err
		}
		if err := w.jobHasItsPlace(ctx, &job); err != nil {
			return err
		}
		job.Through = store.EventKey(w.events.next - 1)
		if _, err := w.exec(ctx, insertJobSQL, int64(job.Key), job.Organisation, int64(job.Tenant), int64(job.Endpoint),
			int64(job.Kind), blobOrNull(job.Spec), int64(job.Through), micros(job.CreatedAt), micros(job.UpdatedAt)); err != nil {
			return err
		}
		if err := w.boundJobs(ctx, &job); err != nil {
			return err
		}
		var err error
		job, err = first(ctx, w.conn, scanJob, jobByKeySQL, int64(job.Key))
		return err
	})
	if err != nil {
		return store.Job{}, err
	}
	return job, nil
}

// jobHasItsPlace returns ErrNotFound for a tenant or an endpoint that is not there.
func (w *writer) jobHasItsPlace(ctx context.Context, job *store.Job) error {
	if job.Tenant == 0 {
		return nil
	}
	there, err := w.has(ctx, jobOfSQL, int64(job.Tenant), job.Organisation)
	if err == nil && there && job.Endpoint != 0 {
		there, err = w.has(ctx, jobAtSQL, int64(job.Endpoint), int64(job.Tenant))
	}
	if err == nil && !there {
		err = store.ErrNotFound
	}
	return err
}

// boundJobs deletes some ended jobs where there are too many beside this one.
func (w *writer) boundJobs(ctx context.Context, job *store.Job) (err error) {
	if job.Tenant == 0 {
		_, err = w.exec(ctx, boundCountsSQL, job.Organisation, int64(store.MostEndedCounts))
	} else {
		_, err = w.exec(ctx, boundJobsSQL, int64(job.Tenant), int64(store.MostEndedJobs))
	}
	return err
}

const (
	jobColumns = `SELECT key, organisation, tenant, endpoint, kind, spec, through, created_at,
		state, error, at_endpoint, at_event, at_time, later, examined, matched, updated_at, ended_at, made, succeeded, failed, version`
	wholeJob         = jobColumns + `, result FROM job `
	listedJob        = jobColumns + `, NULL FROM job `
	jobByKeySQL      = wholeJob + `WHERE key = ?`
	jobSQL           = wholeJob + `WHERE key = ? AND organisation = ?`
	jobsUpSQL        = listedJob + `WHERE organisation = ?1 AND key > ?2 ORDER BY key`
	jobsDownSQL      = listedJob + `WHERE organisation = ?1 AND key < ?2 ORDER BY key DESC`
	jobsOfTenantUp   = listedJob + `WHERE organisation = ?1 AND key > ?2 AND tenant = ?3 ORDER BY key`
	jobsOfTenantDown = listedJob + `WHERE organisation = ?1 AND key < ?2 AND tenant = ?3 ORDER BY key DESC`
	runningJobsSQL   = listedJob + `WHERE state = 1 AND key > ? ORDER BY key LIMIT ?`
)

func scanJob(r *row) store.Job {
	job := store.Job{
		Key: store.JobKey(r.int()), Organisation: r.text(), Tenant: store.TenantKey(r.int()), Endpoint: store.EndpointKey(r.int()),
		Kind: webhook.JobKind(r.int()), Spec: r.blob(), Through: store.EventKey(r.int()), CreatedAt: r.time(), //nolint:gosec // a JobKind was stored
		JobProgress: store.JobProgress{
			State: webhook.JobState(r.int()), Error: r.text(), //nolint:gosec // a JobState was stored
			At:     store.DeliveryRef{Endpoint: store.EndpointKey(r.int()), Event: store.EventKey(r.int())},
			AtTime: r.timeOrZero(), Later: r.deliveries(), Examined: r.int(), Matched: r.int(), UpdatedAt: r.time(), EndedAt: r.timeOrZero(),
		},
		Made: r.int(), Succeeded: r.int(), Failed: r.int(), Version: r.int(),
	}
	job.Result = r.blob()
	return job
}

// Job returns a job of an organisation, or ErrNotFound.
func (s *Store) Job(ctx context.Context, organisation string, key store.JobKey) (store.Job, error) {
	return readFirst(ctx, s, scanJob, jobSQL, int64(key), organisation)
}

// Jobs lists an organisation's jobs.
func (s *Store) Jobs(ctx context.Context, organisation string, filter store.JobFilter, page store.Page) (listed store.Listed[store.Job], err error) {
	query, after := walk(page, jobsUpSQL, jobsDownSQL)
	args := []any{organisation, after}
	if filter.Tenant != 0 {
		query, _ = walk(page, jobsOfTenantUp, jobsOfTenantDown)
		args = append(args, int64(filter.Tenant))
	}
	err = s.read(ctx, func(ctx context.Context, c *conn) (err error) {
		listed, err = list(ctx, c, page.Limit, listing[store.Job]{
			scan: scanJob,
			match: func(j *store.Job) bool {
				return (len(filter.States) == 0 || slices.Contains(filter.States, j.State)) &&
					(len(filter.Kinds) == 0 || slices.Contains(filter.Kinds, j.Kind))
			},
			place: func(j *store.Job) (int64, time.Time) { return int64(j.Key), j.CreatedAt },
		}, query, args...)
		return err
	})
	return listed, err
}

// RunningJobs lists the running jobs of all organisations.
func (s *Store) RunningJobs(ctx context.Context, after store.JobKey, limit int) ([]store.Job, error) {
	return readAll(ctx, s, scanJob, runningJobsSQL, int64(after), int64(limit))
}

const (
	stepJobSQL = `UPDATE job SET state = ?3, error = ?4, at_endpoint = ?5, at_event = ?6, at_time = ?7, later = ?8,
			examined = ?9, matched = ?10, updated_at = ?11, ended_at = ?12, made = made + ?13, version = version + 1, result = ?14
		WHERE key = ?1 AND version = ?2 AND state = 1`
	insertOpeningSQL = `INSERT INTO job_opening (endpoint, event, job) VALUES (?, ?, ?)`
)

// StepJob stores a step and what it makes.
func (s *Store) StepJob(ctx context.Context, now time.Time, step store.JobStep) (made store.JobMade, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		if err := w.sends.reserve(ctx, w.conn, len(step.Sends)); err != nil {
			return err
		}
		count := int64(0)
		for i := range step.Sends {
			send := step.Sends[i]
			send.Job = step.Job
			key, err := w.insertSend(ctx, &send)
			switch {
			case errors.Is(err, store.ErrNotFound):
				key = 0
			case err != nil:
				return err
			default:
				count++
			}
			made.Sends = append(made.Sends, key)
		}
		for i := range step.Openings {
			is, err := w.openForJob(ctx, &step.Openings[i], step.Job)
			if err != nil {
				return err
			}
			count += integer(is)
			made.Opened = append(made.Opened, is)
		}
		cancelled, err := w.cancelAll(ctx, now, step.Cancels, step.Announce)
		if err != nil {
			return err
		}
		for _, is := range cancelled {
			count += integer(is)
		}
		made.Cancelled = cancelled
		return w.stepJob(ctx, &step, count)
	})
	if err != nil {
		return store.JobMade{}, err
	}
	return made, nil
}

func (w *writer) openForJob(ctx context.Context, o *store.Opening, job store.JobKey) (bool, error) {
	is, err := w.openLater(ctx, o)
	if err != nil || !is {
		return false, err
	}
	w.jobOpenings.forget()
	_, err = w.exec(ctx, insertOpeningSQL, int64(o.Endpoint), int64(o.Event), int64(job))
	return true, err
}

// stepJob takes a job on that has made so much in this step.
func (w *writer) stepJob(ctx context.Context, step *store.JobStep, made int64) error {
	p := &step.Progress
	stepped, err := w.exec(ctx, stepJobSQL, int64(step.Job), step.Version, int64(p.State), textOrNull(p.Error),
		int64(p.At.Endpoint), int64(p.At.Event), microsOrNull(p.AtTime), deliveriesOrNull(p.Later), p.Examined, p.Matched,
		micros(p.UpdatedAt), microsOrNull(p.EndedAt), made, blobOrNull(p.Result))
	if err != nil || stepped == 1 {
		return err
	}
	if _, err := first(ctx, w.conn, scanJob, jobByKeySQL, int64(step.Job)); err != nil {
		return err
	}
	return store.ErrStale
}

const cancelJobSQL = `UPDATE job SET state = 3, error = ?3, updated_at = ?4, ended_at = ?4, version = version + 1
	WHERE key = ?1 AND organisation = ?2 AND state = 1`

// CancelJob ends a running job.
func (s *Store) CancelJob(ctx context.Context, organisation string, key store.JobKey, reason string, now time.Time) (job store.Job, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		if _, err := w.exec(ctx, cancelJobSQL, int64(key), organisation, textOrNull(reason), micros(now)); err != nil {
			return err
		}
		job, err = first(ctx, w.conn, scanJob, jobSQL, int64(key), organisation)
		return err
	})
	if err != nil {
		return store.Job{}, err
	}
	return job, nil
}

const (
	jobOpenSQL = `SELECT count(*) FROM (
		SELECT 1 FROM send INDEXED BY send_job WHERE job = ?1 AND job <> 0
		UNION ALL
		SELECT 1 FROM job_opening CROSS JOIN delivery
			ON delivery.endpoint = job_opening.endpoint AND delivery.event = job_opening.event WHERE job_opening.job = ?1
		LIMIT ?2)`
	jobUntriedSQL = `SELECT count(*) FROM (
		SELECT 1 FROM send INDEXED BY send_job WHERE job = ?1 AND job <> 0 AND endpoint = ?3 AND tried = 0
		UNION ALL
		SELECT 1 FROM job_opening CROSS JOIN delivery
			ON delivery.endpoint = job_opening.endpoint AND delivery.event = job_opening.event
			WHERE job_opening.job = ?1 AND job_opening.endpoint = ?3 AND delivery.tried = 0
		LIMIT ?2)`
)

// JobOpen counts what a job has made and is open still.
func (s *Store) JobOpen(ctx context.Context, key store.JobKey, endpoint store.EndpointKey, limit int) (open, untried int, err error) {
	err = s.read(ctx, func(ctx context.Context, c *conn) error {
		all, err := first(ctx, c, (*row).int, jobOpenSQL, int64(key), int64(limit))
		if err != nil {
			return err
		}
		few, err := first(ctx, c, (*row).int, jobUntriedSQL, int64(key), int64(limit), int64(endpoint))
		open, untried = int(all), int(few)
		return err
	})
	return open, untried, err
}

const (
	sweepJobsSQL = `DELETE FROM job WHERE key IN (SELECT key FROM job WHERE ended_at < ?1 LIMIT ?2)`
	// Of jobs that are gone, and of deliveries that are gone without having ended.
	sweepOpeningsSQL = `DELETE FROM job_opening WHERE NOT EXISTS (
		SELECT 1 FROM delivery WHERE delivery.endpoint = job_opening.endpoint AND delivery.event = job_opening.event)`
)

// SweepJobs deletes jobs that ended before an instant.
func (s *Store) SweepJobs(ctx context.Context, before time.Time, limit int) (swept int, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		deleted, err := w.exec(ctx, sweepJobsSQL, micros(before), int64(limit))
		swept = int(deleted)
		if err != nil {
			return err
		}
		w.jobOpenings.forget()
		_, err = w.exec(ctx, sweepOpeningsSQL)
		return err
	})
	return swept, err
}

const countJobSQL = `UPDATE job SET succeeded = succeeded + ?2, failed = failed + ?3 WHERE key = ?1`

// countJob counts how something ended that a job has made.
func (w *writer) countJob(ctx context.Context, job int64, succeeded bool) error {
	_, err := w.exec(ctx, countJobSQL, job, integer(succeeded), integer(!succeeded))
	return err
}

// jobOpenings is how many deliveries are known to be open that a job has opened. Mostly
// there are none, and then nothing is asked of those that end.
type jobOpenings struct {
	count int64
	known bool
}

func (n *jobOpenings) forget() { n.known = false }

const (
	countOpeningsSQL = `SELECT count(*) FROM job_opening`
	openingJobSQL    = `SELECT job FROM job_opening WHERE endpoint = ?1 AND event = ?2`
	endOpeningSQL    = `DELETE FROM job_opening WHERE endpoint = ?1 AND event = ?2`
)

// endOpening counts a delivery that has ended for the job that opened it, if one did.
func (w *writer) endOpening(ctx context.Context, o *store.Outcome, state webhook.State) (err error) {
	if !w.jobOpenings.known {
		if w.jobOpenings.count, err = first(ctx, w.conn, (*row).int, countOpeningsSQL); err != nil {
			return err
		}
		w.jobOpenings.known = true
	}
	if w.jobOpenings.count == 0 {
		return nil
	}
	job, err := first(ctx, w.conn, (*row).int, openingJobSQL, int64(o.Endpoint), int64(o.Event))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := w.exec(ctx, endOpeningSQL, int64(o.Endpoint), int64(o.Event)); err != nil {
		return err
	}
	w.jobOpenings.count--
	return w.countJob(ctx, job, state == webhook.Succeeded)
}
