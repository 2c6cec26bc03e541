package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func cleanJob(j store.Job) store.Job {
	j.Spec, j.Result = blob(j.Spec), blob(j.Result)
	if j.Later = slices.Clone(j.Later); len(j.Later) == 0 {
		j.Later = nil
	}
	j.CreatedAt, j.UpdatedAt, j.EndedAt, j.AtTime = instant(j.CreatedAt), instant(j.UpdatedAt), instantOrZero(j.EndedAt), instantOrZero(j.AtTime)
	return j
}

// listedJob is a job as lists return it.
func listedJob(j store.Job) store.Job {
	j.Result = nil
	return cleanJob(j)
}

// InsertJob stores a running job.
func (s *Store) InsertJob(ctx context.Context, job store.Job, once *store.Once) (store.Job, error) {
	if err := ctx.Err(); err != nil {
		return store.Job{}, err
	}
	through, err := s.settled(ctx)
	if err != nil {
		return store.Job{}, err
	}
	return put(ctx, s, "InsertJob", func(db *state) (store.Job, error) {
		if err := db.replayed(once, onceNow(once)); err != nil {
			return store.Job{}, err
		}
		if _, err := db.tenantOf(job.Organisation, job.Tenant); job.Tenant != 0 && err != nil {
			return store.Job{}, err
		}
		if _, err := db.endpoint(job.Tenant, job.Endpoint); job.Endpoint != 0 && err != nil {
			return store.Job{}, err
		}
		stored := cleanJob(store.Job{
			Key: job.Key, Organisation: job.Organisation, Tenant: job.Tenant, Endpoint: job.Endpoint, Kind: job.Kind, Spec: job.Spec,
			Through: through, CreatedAt: job.CreatedAt, Version: 1,
			JobProgress: store.JobProgress{State: webhook.JobRunning, UpdatedAt: job.UpdatedAt},
		})
		db.jobs[job.Key] = &stored
		db.boundJobs(&stored)
		db.post(store.Signal{Kind: store.SignalJob, Tenant: job.Tenant, Job: job.Key})
		db.claimChange(once, job.Tenant)
		return cleanJob(stored), nil
	})
}

// boundJobs deletes some ended jobs where there are too many beside this one.
func (db *state) boundJobs(made *store.Job) {
	ended, most := 0, store.MostEndedJobs
	if made.Tenant == 0 {
		most = store.MostEndedCounts
	}
	for _, key := range slices.Backward(sorted(db.jobs)) {
		if j := db.jobs[key]; j.Tenant == made.Tenant && j.Organisation == made.Organisation && j.State != webhook.JobRunning {
			if ended++; ended > most && ended <= most+10 {
				delete(db.jobs, key)
			}
		}
	}
}

func (db *state) job(organisation string, key store.JobKey) (*store.Job, error) {
	if j := db.jobs[key]; j != nil && j.Organisation == organisation {
		return j, nil
	}
	return nil, store.ErrNotFound
}

// StepJob stores a step and what it makes.
func (s *Store) StepJob(ctx context.Context, now time.Time, step store.JobStep) (store.JobMade, error) {
	return put(ctx, s, "StepJob", func(db *state) (made store.JobMade, _ error) {
		j := db.jobs[step.Job]
		switch {
		case j == nil:
			return made, store.ErrNotFound
		case j.Version != step.Version || j.State != webhook.JobRunning:
			return made, store.ErrStale
		}
		j.JobProgress = step.Progress
		j.Version++
		for _, send := range step.Sends {
			key := store.SendKey(0)
			if send.Job = step.Job; db.sendable(send.Endpoint, send.Event) {
				key = db.insertSend(&send)
				j.Made++
			}
			made.Sends = append(made.Sends, key)
		}
		for i := range step.Openings {
			is := db.openDelivery(&step.Openings[i])
			if is {
				db.openings[store.DeliveryRef{Endpoint: step.Openings[i].Endpoint, Event: step.Openings[i].Event}] = step.Job
				j.Made++
			}
			made.Opened = append(made.Opened, is)
		}
		for _, ref := range step.Cancels {
			is := db.cancel(ref, now, step.Announce)
			if is {
				j.Made++
			}
			made.Cancelled = append(made.Cancelled, is)
		}
		*j = cleanJob(*j)
		return made, nil
	})
}

// CancelJob ends a running job.
func (s *Store) CancelJob(ctx context.Context, organisation string, key store.JobKey, reason string, now time.Time) (store.Job, error) {
	return put(ctx, s, "CancelJob", func(db *state) (store.Job, error) {
		j, err := db.job(organisation, key)
		if err != nil {
			return store.Job{}, err
		}
		if j.State == webhook.JobRunning {
			j.State, j.Error, j.UpdatedAt, j.EndedAt = webhook.JobCancelled, reason, instant(now), instant(now)
			j.Version++
			db.post(store.Signal{Kind: store.SignalJob, Tenant: j.Tenant, Job: key})
		}
		return cleanJob(*j), nil
	})
}

// Job returns a job of an organisation, or ErrNotFound.
func (s *Store) Job(ctx context.Context, organisation string, key store.JobKey) (store.Job, error) {
	return get(ctx, s, "Job", func(db *state) (store.Job, error) {
		j, err := db.job(organisation, key)
		if err != nil {
			return store.Job{}, err
		}
		return cleanJob(*j), nil
	})
}

// Jobs lists an organisation's jobs.
func (s *Store) Jobs(ctx context.Context, organisation string, filter store.JobFilter, page store.Page) (store.Listed[store.Job], error) {
	return get(ctx, s, "Jobs", func(db *state) (store.Listed[store.Job], error) {
		var keys []int64
		for _, key := range sorted(db.jobs) {
			if j := db.jobs[key]; j.Organisation == organisation && (filter.Tenant == 0 || j.Tenant == filter.Tenant) {
				keys = append(keys, int64(key))
			}
		}
		return examine(keys, page, func(key int64) (store.Job, time.Time, bool) {
			j := listedJob(*db.jobs[store.JobKey(key)])
			return j, j.CreatedAt, (len(filter.States) == 0 || slices.Contains(filter.States, j.State)) &&
				(len(filter.Kinds) == 0 || slices.Contains(filter.Kinds, j.Kind))
		}), nil
	})
}

// RunningJobs lists the running jobs of all organisations.
func (s *Store) RunningJobs(ctx context.Context, after store.JobKey, limit int) ([]store.Job, error) {
	return get(ctx, s, "RunningJobs", func(db *state) (found []store.Job, _ error) {
		for _, key := range sorted(db.jobs) {
			if j := db.jobs[key]; key > after && j.State == webhook.JobRunning && len(found) < limit {
				found = append(found, listedJob(*j))
			}
		}
		return found, nil
	})
}

// JobOpen counts what a job has made and is open still.
func (s *Store) JobOpen(ctx context.Context, key store.JobKey, ep store.EndpointKey, limit int) (open, untried int, err error) {
	err = s.do(ctx, "JobOpen", func(db *state) error {
		count := func(at store.EndpointKey, tried int) {
			open = min(open+1, limit)
			if at == ep && tried == 0 {
				untried = min(untried+1, limit)
			}
		}
		for _, send := range db.sends {
			if send.Job == key {
				count(send.Endpoint, send.Tried)
			}
		}
		for ref, job := range db.openings {
			if d := db.deliveries[ref.Endpoint][ref.Event]; job == key && d != nil && !d.State.Ended() {
				count(d.Endpoint, d.Tried)
			}
		}
		return nil
	})
	return open, untried, err
}

// SweepJobs deletes jobs that ended before an instant.
func (s *Store) SweepJobs(ctx context.Context, before time.Time, limit int) (int, error) {
	return put(ctx, s, "SweepJobs", func(db *state) (swept int, _ error) {
		ended := slices.DeleteFunc(sorted(db.jobs), func(key store.JobKey) bool {
			return db.jobs[key].EndedAt.IsZero() || !db.jobs[key].EndedAt.Before(instant(before))
		})
		slices.SortStableFunc(ended, func(a, b store.JobKey) int { return db.jobs[a].EndedAt.Compare(db.jobs[b].EndedAt) })
		for _, key := range ended[:min(limit, len(ended))] {
			delete(db.jobs, key)
			swept++
		}
		return swept, nil
	})
}

// countJob counts how something ended that a job has made.
func (db *state) countJob(job store.JobKey, succeeded bool) {
	switch j := db.jobs[job]; {
	case j == nil:
	case succeeded:
		j.Succeeded++
	default:
		j.Failed++
	}
}

// countOpening counts a delivery that has ended for the job that opened it, if one did.
func (db *state) countOpening(ref store.DeliveryRef, state webhook.State) {
	if job, is := db.openings[ref]; is {
		delete(db.openings, ref)
		db.countJob(job, state == webhook.Succeeded)
	}
}
