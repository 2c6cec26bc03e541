package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"pgregory.net/rapid"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func (w *world) newJob(tenant store.TenantKey, ep store.EndpointKey) store.Job {
	w.Helper()
	return store.Job{
		Key: store.JobKey(w.key()), Organisation: organisation, Tenant: tenant, Endpoint: ep,
		Kind: webhook.JobRecover, Spec: []byte(`{"rate":1}`), CreatedAt: w.now,
		JobProgress: store.JobProgress{UpdatedAt: w.now},
	}
}

// job stores a job over a tenant.
func (w *world) job(tenant store.TenantKey, ep store.EndpointKey) store.Job {
	w.Helper()
	return mustGet[store.Job](w)(w.InsertJob(w.ctx, w.newJob(tenant, ep), nil))
}

func (w *world) jobNow(key store.JobKey) store.Job {
	w.Helper()
	return mustGet[store.Job](w)(w.Job(w.ctx, organisation, key))
}

// stepOf is the step that follows a job, as it is, and changes nothing but the progress.
func (w *world) stepOf(job store.Job) store.JobStep {
	progress := job.JobProgress
	progress.Examined += 10
	progress.Matched += 5
	progress.UpdatedAt = w.now
	return store.JobStep{Job: job.Key, Version: job.Version, Progress: progress}
}

func (w *world) step(step store.JobStep) store.JobMade {
	w.Helper()
	return mustGet[store.JobMade](w)(w.StepJob(w.ctx, w.now, step))
}

func jobComesBackAsStored(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	for _, job := range []store.Job{w.newJob(tenant, ep), w.newJob(tenant, 0)} {
		job.Kind = webhook.JobCancel
		job.CreatedAt = w.now.Add(999) // cut to the microsecond
		stored := mustGet[store.Job](w)(w.InsertJob(w.ctx, job, nil))
		job.CreatedAt = w.now
		job.State, job.Version, job.Through = webhook.JobRunning, 1, stored.Through
		same(w, "inserted", stored, job)
		same(w, "Job", w.jobNow(job.Key), job)
		w.now = w.now.Add(time.Minute)

		step := w.stepOf(job)
		step.Progress.At, step.Progress.AtTime = store.DeliveryRef{Endpoint: ep, Event: 7}, w.now.Add(time.Second+999)
		step.Progress.Error = "for now"
		step.Progress.Later = []store.DeliveryRef{{Endpoint: ep}, {Endpoint: 9, Event: 8}}
		w.step(step)
		job.JobProgress, job.Version = step.Progress, 2
		job.AtTime = w.now.Add(time.Second)
		same(w, "stepped", w.jobNow(job.Key), job)
		same(w, "running", mustGet[[]store.Job](w)(w.RunningJobs(w.ctx, job.Key-1, 1)), []store.Job{job})

		step = w.stepOf(job)
		step.Progress.State, step.Progress.EndedAt = webhook.JobFailed, w.now
		w.step(step)
		job.JobProgress, job.Version = step.Progress, 3
		same(w, "ended", w.jobNow(job.Key), job)
		same(w, "running", len(mustGet[[]store.Job](w)(w.RunningJobs(w.ctx, 0, 9))), 0)
	}
}

func jobIsItsOrganisationsOnly(w *world) {
	tenant := w.tenant()
	job := w.job(tenant, 0)
	_, err := w.Job(w.ctx, "org_other", job.Key)
	w.is("Job", err, store.ErrNotFound)
	_, err = w.CancelJob(w.ctx, "org_other", job.Key, "", w.now)
	w.is("CancelJob", err, store.ErrNotFound)
	same(w, "Jobs", len(mustGet[store.Listed[store.Job]](w)(w.Jobs(w.ctx, "org_other", store.JobFilter{Tenant: tenant}, store.Page{Limit: 9})).Items), 0)
	same(w, "it runs", w.jobNow(job.Key).State, webhook.JobRunning)
	foreign := w.newJob(tenant, 0)
	foreign.Organisation = "org_other"
	_, err = w.InsertJob(w.ctx, foreign, nil)
	w.is("InsertJob for a foreign tenant", err, store.ErrNotFound)
}

func jobNeedsItsTenantAndEndpoint(w *world) {
	tenant, other := w.tenant(), w.tenant()
	ep, gone := w.endpoint(tenant), w.endpoint(tenant)
	w.must(w.DeleteEndpoint(w.ctx, tenant, gone, w.now))
	insert := func(tenant store.TenantKey, ep store.EndpointKey) error {
		_, err := w.InsertJob(w.ctx, w.newJob(tenant, ep), nil)
		return err
	}
	w.is("deleted endpoint", insert(tenant, gone), store.ErrNotFound)
	w.is("another's endpoint", insert(other, ep), store.ErrNotFound)
	w.is("none", insert(tenant, ep), nil)
	w.must(w.DeleteTenant(w.ctx, tenant, w.now))
	w.is("deleted tenant", insert(tenant, 0), store.ErrNotFound)
	same(w, "those stored", len(mustGet[[]store.Job](w)(w.RunningJobs(w.ctx, 0, 9))), 1)
}

func repeatedJobIsInsertedOnce(w *world) {
	tenant := w.tenant()
	once := w.once(1, time.Hour)
	mustGet[store.Job](w)(w.InsertJob(w.ctx, w.newJob(tenant, 0), once))
	_, err := w.InsertJob(w.ctx, w.newJob(tenant, 0), once)
	w.replayed("again", err, store.ReplayError{Answer: []byte("answer")})
	same(w, "jobs", len(mustGet[[]store.Job](w)(w.RunningJobs(w.ctx, 0, 9))), 1)
	refused := w.once(2, time.Hour)
	_, err = w.InsertJob(w.ctx, w.newJob(999_999, 0), refused)
	w.is("for nobody", err, store.ErrNotFound)
	w.is("and leaves no once", w.Replay(w.ctx, refused, w.now), nil)
}

// jobIsForWhatWasAcknowledgedBefore stores jobs while others publish.
func jobIsForWhatWasAcknowledgedBefore(w *world) {
	tenant := w.tenant()
	accept := w.accept(tenant)
	var highest atomic.Int64 // of those acknowledged
	stop := make(chan struct{})
	type frozen struct {
		through store.EventKey
		events  int
	}
	visible := func(through store.EventKey) (count int) {
		walkList(w, 250, false, func(page store.Page) (store.Listed[store.Event], error) {
			return w.Events(w.ctx, tenant, store.EventFilter{}, page)
		}, func(ev store.Event) (int64, time.Time) {
			if ev.Key <= through {
				count++
			}
			return int64(ev.Key), ev.AcceptedAt
		})
		return count
	}
	var jobs []frozen
	w.together(4, func(number int) {
		if number == 0 {
			defer close(stop)
			for range 8 {
				before := store.EventKey(highest.Load())
				job, err := w.InsertJob(w.ctx, w.newJob(tenant, 0), nil)
				if err != nil {
					w.Error(err)
					return
				}
				if job.Through < before {
					w.Errorf("a job is for events up to %d, though %d was acknowledged before", job.Through, before)
				}
				jobs = append(jobs, frozen{job.Through, visible(job.Through)})
			}
			return
		}
		for {
			select {
			case <-stop:
				return
			default:
			}
			verdicts, err := w.Commit(w.ctx, &store.Batch{Now: w.now, Accepts: []store.Accept{accept, accept, accept}})
			if err != nil {
				w.Error(err)
				return
			}
			key := int64(verdicts[2].Event)
			for seen := highest.Load(); key > seen && !highest.CompareAndSwap(seen, key); seen = highest.Load() {
			}
		}
	})
	for _, job := range jobs {
		same(w, fmt.Sprint("events up to ", job.through), visible(job.through), job.events)
	}
	later := w.publish(1, tenant)[0]
	if job := w.job(tenant, 0); job.Through < later {
		w.Errorf("a job is for events up to %d, though %d was acknowledged before", job.Through, later)
	}
}

func stepIsStoredWithWhatItMakes(w *world) {
	tenant, other := w.tenant(), w.tenant()
	ep, neighbour, deleted := w.endpoint(tenant), w.endpoint(tenant), w.endpoint(tenant)
	sent := w.publish(3, tenant, ep, neighbour)
	missing := w.publish(2, tenant)
	foreign := w.publish(1, other)[0]
	w.must(w.DeleteEndpoint(w.ctx, tenant, deleted, w.now))
	w.record(w.outcome(tenant, neighbour, sent[2], 0, webhook.Succeeded))
	job := w.job(tenant, 0)
	w.now = w.now.Add(time.Hour)

	step := w.stepOf(job)
	step.Progress.At = store.DeliveryRef{Endpoint: ep, Event: sent[2]}
	step.Sends = []store.Send{
		{Tenant: tenant, Endpoint: ep, Event: sent[0], Retried: true, DueAt: w.now},
		{Tenant: tenant, Endpoint: deleted, Event: sent[0], DueAt: w.now},
		{Tenant: tenant, Endpoint: ep, Event: foreign, DueAt: w.now},
		{Tenant: tenant, Endpoint: ep, Event: sent[1], Job: 999, DueAt: w.now},
	}
	step.Openings = []store.Opening{
		{Tenant: tenant, Endpoint: ep, Event: missing[0], DueAt: w.now},
		{Tenant: tenant, Endpoint: ep, Event: sent[0], DueAt: w.now},
		{Tenant: tenant, Endpoint: deleted, Event: missing[1], DueAt: w.now},
	}
	step.Cancels = []store.DeliveryRef{{Endpoint: neighbour, Event: sent[0]}, {Endpoint: neighbour, Event: sent[2]}, {Endpoint: neighbour, Event: missing[1]}}
	step.Announce = []store.Announcement{{Organisation: "org_operator", TenantUID: organisation, Type: "message.cancelled", About: store.About{Tenant: tenant}}}
	made := w.step(step)
	same(w, "opened", made.Opened, []bool{true, false, false})
	same(w, "cancelled", made.Cancelled, []bool{true, false, false})
	open := mustGet[[]store.Send](w)(w.SendsOf(w.ctx, ep, store.Moment{}, 9))
	if len(open) != 2 {
		w.Fatalf("open sends: %+v", open)
	}
	same(w, "keys", made.Sends, []store.SendKey{open[0].Key, 0, 0, open[1].Key})
	same(w, "send", open[0], store.Send{Key: open[0].Key, Tenant: tenant, Endpoint: ep, Event: sent[0], Job: job.Key, Retried: true, DueAt: w.now})
	same(w, "second send", open[1], store.Send{Key: open[1].Key, Tenant: tenant, Endpoint: ep, Event: sent[1], Job: job.Key, DueAt: w.now})
	same(w, "opening", w.delivery(ep, missing[0]), store.DeliveryRecord{Endpoint: ep, Event: missing[0], State: webhook.Waiting, RetryAt: w.now})
	same(w, "cancelled delivery", w.delivery(neighbour, sent[0]),
		store.DeliveryRecord{Endpoint: neighbour, Event: sent[0], State: webhook.Cancelled, Reason: webhook.CancelAsked, EndedAt: w.now})
	announced := mustGet[[]store.Announced](w)(w.Outbox(w.ctx, 0, 9))
	if len(announced) != 1 || announced[0].About != (store.About{Tenant: tenant, Endpoint: neighbour, Event: sent[0]}) {
		w.Errorf("announced %+v, want the one that was cancelled", announced)
	}
	stepped := w.jobNow(job.Key)
	same(w, "progress", stepped.JobProgress, step.Progress)
	same(w, "made", []int64{stepped.Made, stepped.Succeeded, stepped.Failed, stepped.Version}, []int64{4, 0, 0, 2})
}

func staleStepChangesNothing(w *world) {
	tenant := w.tenant()
	ep, neighbour := w.endpoint(tenant), w.endpoint(tenant)
	event := w.publish(1, tenant, ep)[0]
	job := w.job(tenant, 0)
	full := func(job store.Job) store.JobStep {
		step := w.stepOf(job)
		step.Sends = []store.Send{{Tenant: tenant, Endpoint: ep, Event: event, DueAt: w.now}}
		step.Openings = []store.Opening{{Tenant: tenant, Endpoint: neighbour, Event: event, DueAt: w.now}}
		step.Cancels = []store.DeliveryRef{{Endpoint: ep, Event: event}}
		return step
	}
	unchanged := func(what string) {
		w.Helper()
		same(w, what+": sends", len(mustGet[[]store.Send](w)(w.SendsOf(w.ctx, ep, store.Moment{}, 9))), 0)
		same(w, what+": delivery", w.delivery(ep, event).State, webhook.Pending)
		_, err := w.Delivery(w.ctx, neighbour, event)
		w.is(what+": opening", err, store.ErrNotFound)
		same(w, what+": made", w.jobNow(job.Key).Made, 0)
	}
	w.step(w.stepOf(job))
	_, err := w.StepJob(w.ctx, w.now, full(job))
	w.is("a step behind another", err, store.ErrStale)
	unchanged("behind another")
	ahead := w.jobNow(job.Key)
	ahead.Version++
	_, err = w.StepJob(w.ctx, w.now, full(ahead))
	w.is("a step of the future", err, store.ErrStale)
	mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, job.Key, "enough", w.now))
	_, err = w.StepJob(w.ctx, w.now, full(w.jobNow(job.Key)))
	w.is("a step of a cancelled job", err, store.ErrStale)
	unchanged("cancelled")
	missing := full(job)
	missing.Job += 1000
	_, err = w.StepJob(w.ctx, w.now, missing)
	w.is("a step of no job", err, store.ErrNotFound)
	unchanged("no job")
}

func cancelledJobHasEnded(w *world) {
	tenant := w.tenant()
	job := w.job(tenant, 0)
	w.now = w.now.Add(time.Second)
	cancelled := mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, job.Key, "enough", w.now))
	job.State, job.Error, job.UpdatedAt, job.EndedAt, job.Version = webhook.JobCancelled, "enough", w.now, w.now, 2
	same(w, "cancelled", cancelled, job)
	w.now = w.now.Add(time.Second)
	same(w, "again", mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, job.Key, "more", w.now)), job)
	same(w, "stored", w.jobNow(job.Key), job)
	finished := w.job(tenant, 0)
	step := w.stepOf(finished)
	step.Progress.State, step.Progress.EndedAt = webhook.JobFinished, w.now
	w.step(step)
	same(w, "one that has finished", mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, finished.Key, "more", w.now)).State, webhook.JobFinished)
	_, err := w.CancelJob(w.ctx, organisation, finished.Key+1000, "", w.now)
	w.is("of no job", err, store.ErrNotFound)
}

func jobCountsWhatBecameOfWhatItMade(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	sent, missing := w.publish(4, tenant, ep), w.publish(4, tenant)
	job, other := w.job(tenant, 0), w.job(tenant, 0)
	step := w.stepOf(job)
	for _, event := range sent {
		step.Sends = append(step.Sends, store.Send{Tenant: tenant, Endpoint: ep, Event: event, Retried: true, DueAt: w.now})
	}
	for _, event := range missing {
		step.Openings = append(step.Openings, store.Opening{Tenant: tenant, Endpoint: ep, Event: event, DueAt: w.now})
	}
	made := w.step(step)
	w.step(w.stepOf(other))
	counts := func(what string, want ...int64) {
		w.Helper()
		now := w.jobNow(job.Key)
		open, untried, err := w.JobOpen(w.ctx, job.Key, ep, 99)
		w.must(err)
		same(w, what, []int64{now.Made, now.Succeeded, now.Failed, int64(open), int64(untried)}, want)
		open, untried, err = w.JobOpen(w.ctx, other.Key, ep, 99)
		w.must(err)
		same(w, what+", the other job", []int{open, untried}, []int{0, 0})
	}
	counts("nothing tried", 8, 0, 0, 8, 8)
	open, untried, err := w.JobOpen(w.ctx, job.Key, ep, 3)
	w.must(err)
	same(w, "up to a limit", []int{open, untried}, []int{3, 3})
	open, untried, err = w.JobOpen(w.ctx, job.Key, ep+1000, 99)
	w.must(err)
	same(w, "at another endpoint", []int{open, untried}, []int{8, 0})

	of := func(send int, tried int, state webhook.State) store.Outcome {
		o := w.outcome(tenant, ep, sent[send], tried, state)
		o.Send, o.Attempt.Trigger = made.Sends[send], webhook.Manual
		return o
	}
	w.record(of(0, 0, webhook.Waiting), of(1, 0, webhook.Succeeded), w.outcome(tenant, ep, missing[0], 0, webhook.Waiting))
	counts("tried", 8, 1, 0, 7, 5)
	w.record(of(0, 1, webhook.Succeeded), of(2, 0, webhook.Exhausted),
		w.outcome(tenant, ep, missing[0], 1, webhook.Succeeded), w.outcome(tenant, ep, missing[1], 0, webhook.Exhausted))
	counts("ended", 8, 3, 2, 3, 3)
	w.record(of(1, 0, webhook.Succeeded), of(2, 0, webhook.Exhausted), w.outcome(tenant, ep, missing[1], 0, webhook.Exhausted))
	counts("ended again", 8, 3, 2, 3, 3)
	mustGet[[]bool](w)(w.Cancel(w.ctx, w.now, []store.DeliveryRef{{Endpoint: ep, Event: missing[2]}}))
	counts("one cancelled", 8, 3, 3, 2, 2)
	mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, job.Key, "enough", w.now))
	unsent := of(3, 0, webhook.Cancelled)
	unsent.Attempt = nil
	manual := w.outcome(tenant, ep, missing[3], 0, webhook.Succeeded)
	manual.Attempt.Trigger = webhook.Manual // closes it
	w.record(unsent, manual)
	counts("also for a job that has ended", 8, 4, 4, 0, 0)
}

func jobsPageBothWays(w *world) {
	tenant, other := w.tenant(), w.tenant()
	var all, ofTenant, ended []int64
	for i := range 7 {
		of := []store.TenantKey{tenant, tenant, other}[i%3]
		job := w.job(of, 0)
		all = append(all, int64(job.Key))
		if of == tenant {
			ofTenant = append(ofTenant, int64(job.Key))
		}
		if i%2 == 0 {
			mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, job.Key, "", w.now))
			ended = append(ended, int64(job.Key))
		}
	}
	place := func(j store.Job) (int64, time.Time) { return int64(j.Key), j.CreatedAt }
	for what, c := range map[string]struct {
		filter store.JobFilter
		want   []int64
	}{
		"all":        {store.JobFilter{}, all},
		"a tenant's": {store.JobFilter{Tenant: tenant}, ofTenant},
		"ended":      {store.JobFilter{States: []webhook.JobState{webhook.JobCancelled, webhook.JobFailed}}, ended},
		"a kind":     {store.JobFilter{Kinds: []webhook.JobKind{webhook.JobRecover}}, all},
		"no kind":    {store.JobFilter{Kinds: []webhook.JobKind{webhook.JobCancel}}, nil},
	} {
		read := func(page store.Page) (store.Listed[store.Job], error) {
			return w.Jobs(w.ctx, organisation, c.filter, page)
		}
		for _, limit := range []int{1, 3, 9} {
			same(w, what, walkList(w, limit, false, read, place), c.want)
			same(w, what+", down", walkList(w, limit, true, read, place), reversed(c.want))
		}
	}
	running := pages(w, 2, false, func(page store.Page) ([]store.Job, error) {
		return w.RunningJobs(w.ctx, store.JobKey(page.After), page.Limit)
	}, func(j store.Job) int64 { return int64(j.Key) })
	same(w, "running", running, []int64{all[1], all[3], all[5]})
}

func endedJobsGo(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	start := w.now
	var jobs []store.Job
	for i := range 4 {
		w.now = start.Add(time.Duration(i) * time.Hour)
		job := w.job(tenant, 0)
		jobs = append(jobs, job)
		if i < 3 {
			mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, job.Key, "", w.now))
		}
	}
	event := w.publish(1, tenant)[0]
	step := w.stepOf(jobs[3])
	step.Openings = []store.Opening{{Tenant: tenant, Endpoint: ep, Event: event, DueAt: w.now}}
	w.step(step)
	same(w, "none before", mustGet[int](w)(w.SweepJobs(w.ctx, start, 9)), 0)
	same(w, "one", mustGet[int](w)(w.SweepJobs(w.ctx, start.Add(2*time.Hour), 1)), 1)
	same(w, "the other", mustGet[int](w)(w.SweepJobs(w.ctx, start.Add(2*time.Hour), 9)), 1)
	_, err := w.Job(w.ctx, organisation, jobs[0].Key)
	w.is("gone", err, store.ErrNotFound)
	same(w, "ended later", w.jobNow(jobs[2].Key).State, webhook.JobCancelled)
	same(w, "none that runs", mustGet[int](w)(w.SweepJobs(w.ctx, start.Add(99*time.Hour), 9)), 1)
	open, untried, err := w.JobOpen(w.ctx, jobs[3].Key, ep, 9)
	w.must(err)
	same(w, "nor what it has open", []int{open, untried}, []int{1, 1})
	w.record(w.outcome(tenant, ep, event, 0, webhook.Succeeded))
	same(w, "which is counted", w.jobNow(jobs[3].Key).Succeeded, 1)
}

func oldestEndedJobsGoForNewOnes(w *world) {
	tenant, other := w.tenant(), w.tenant()
	spared, first := w.job(other, 0), w.job(tenant, 0)
	mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, spared.Key, "", w.now))
	running := w.job(tenant, 0)
	mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, first.Key, "", w.now))
	for range store.MostEndedJobs {
		mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, w.job(tenant, 0).Key, "", w.now))
	}
	same(w, "while there is no other", w.jobNow(first.Key).State, webhook.JobCancelled)
	w.job(tenant, 0)
	_, err := w.Job(w.ctx, organisation, first.Key)
	w.is("the oldest", err, store.ErrNotFound)
	same(w, "another tenant's", w.jobNow(spared.Key).State, webhook.JobCancelled)
	same(w, "one that runs", w.jobNow(running.Key).State, webhook.JobRunning)
}

// jobOfNoTenantIsItsOrganisations is a job that counts, whose result may be large.
func jobOfNoTenantIsItsOrganisations(w *world) {
	tenant := w.tenant()
	insert := func(organisation string, once *store.Once) store.Job {
		made := w.newJob(0, 0)
		made.Organisation, made.Kind = organisation, webhook.JobUsage
		return mustGet[store.Job](w)(w.InsertJob(w.ctx, made, once))
	}
	once := w.once(1, time.Hour)
	job := insert(organisation, once)
	_, err := w.InsertJob(w.ctx, w.newJob(0, 0), once)
	w.replayed("again", err, store.ReplayError{Answer: []byte("answer")})
	same(w, "running", mustGet[[]store.Job](w)(w.RunningJobs(w.ctx, 0, 9)), []store.Job{job})
	list := func(filter store.JobFilter) []store.Job {
		return mustGet[store.Listed[store.Job]](w)(w.Jobs(w.ctx, organisation, filter, store.Page{Limit: 250})).Items
	}
	same(w, "listed", list(store.JobFilter{}), []store.Job{job})
	same(w, "of a tenant", len(list(store.JobFilter{Tenant: tenant})), 0)

	step := w.stepOf(job)
	step.Progress.State, step.Progress.EndedAt = webhook.JobFinished, w.now
	step.Progress.Result = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	w.step(step)
	job.JobProgress, job.Version = step.Progress, 2
	same(w, "ended", w.jobNow(job.Key), job)
	same(w, "cancelled too late", mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, job.Key, "late", w.now)), job)
	listed := job
	listed.Result = nil
	same(w, "listed", list(store.JobFilter{}), []store.Job{listed})

	end := func(job store.Job) {
		mustGet[store.Job](w)(w.CancelJob(w.ctx, job.Organisation, job.Key, "", w.now))
	}
	foreign := insert("org_other", nil)
	end(foreign)
	for range store.MostEndedCounts {
		end(insert("org_other", nil))
	}
	end(w.job(tenant, 0))
	insert(organisation, nil)
	same(w, "where others have many", w.jobNow(job.Key).State, webhook.JobFinished)
	for range store.MostEndedCounts {
		end(insert(organisation, nil))
	}
	insert(organisation, nil)
	_, err = w.Job(w.ctx, organisation, job.Key)
	w.is("the oldest", err, store.ErrNotFound)
	same(w, "a tenant's", len(list(store.JobFilter{Tenant: tenant})), 1)
}

func jobSurvivesReopen(w *world, reopen func() *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	sent, missing := w.publish(1, tenant, ep)[0], w.publish(1, tenant)[0]
	job := w.job(tenant, ep)
	step := w.stepOf(job)
	step.Progress.At = store.DeliveryRef{Endpoint: ep, Event: sent}
	step.Sends = []store.Send{{Tenant: tenant, Endpoint: ep, Event: sent, DueAt: w.now}}
	step.Openings = []store.Opening{{Tenant: tenant, Endpoint: ep, Event: missing, DueAt: w.now}}
	w.step(step)
	stepped := w.jobNow(job.Key)
	w = reopen()
	same(w, "running", mustGet[[]store.Job](w)(w.RunningJobs(w.ctx, 0, 9)), []store.Job{stepped})
	open, untried, err := w.JobOpen(w.ctx, job.Key, ep, 9)
	w.must(err)
	same(w, "open", []int{open, untried}, []int{2, 2})
	w.record(w.outcome(tenant, ep, missing, 0, webhook.Succeeded))
	same(w, "counted", w.jobNow(job.Key).Succeeded, 1)
	if later := w.publish(1, tenant)[0]; later <= stepped.Through {
		w.Errorf("event %d is published, and a job from before is for events up to %d", later, stepped.Through)
	}
}

func (p *pair) pickJob() store.Job {
	if len(p.jobs) == 0 || p.chance(5) {
		return store.Job{Key: 999_999_999, Organisation: "org_a"}
	}
	return rapid.SampledFrom(p.jobs).Draw(p.T, "job")
}

func (p *pair) insertJob(rt *rapid.T) {
	p.T = rt
	t := p.tenant()
	job := store.Job{
		Key: store.JobKey(p.key()), Organisation: t.Organisation, Tenant: t.Key, CreatedAt: p.now,
		Kind:        rapid.SampledFrom([]webhook.JobKind{webhook.JobRecover, webhook.JobCancel}).Draw(rt, "kind"),
		JobProgress: store.JobProgress{UpdatedAt: p.now},
	}
	switch {
	case p.chance(40):
		job.Endpoint = p.endpoint().Key
	case p.chance(20):
		job.Tenant, job.Kind = 0, webhook.JobUsage
	}
	once := p.once('c')
	tested, testedErr := p.tested.InsertJob(p.Context(), job, once)
	model, modelErr := p.model.InsertJob(p.Context(), job, once)
	for _, event := range p.inserted {
		if testedErr == nil && tested.Through < event {
			rt.Fatalf("a job is for events up to %d, and not for %d", tested.Through, event)
		}
	}
	tested.Through, model.Through = 0, 0
	agree(p, "InsertJob", tested, model, testedErr, modelErr)
	if testedErr == nil {
		p.jobs = append(p.jobs, tested)
	}
}

func (p *pair) stepJob(rt *rapid.T) {
	p.T = rt
	job := p.pickJob()
	stored, err := p.model.Job(p.Context(), job.Organisation, job.Key)
	if err == nil {
		job = stored
	}
	step := store.JobStep{Job: job.Key, Version: p.version(job.Version - 1), Progress: job.JobProgress}
	step.Progress.Examined += 3
	step.Progress.UpdatedAt = p.now
	step.Progress.State = webhook.JobRunning
	if p.chance(10) {
		step.Progress.State, step.Progress.EndedAt, step.Progress.Result = webhook.JobFinished, p.now, []byte(p.pick("", "[]"))
	}
	ref := func() store.DeliveryRef { return store.DeliveryRef{Endpoint: p.endpoint().Key, Event: p.event()} }
	step.Progress.At, step.Progress.Later = ref(), nil
	if p.chance(30) {
		step.Progress.Later = []store.DeliveryRef{ref()}
	}
	for range rapid.IntRange(0, 2).Draw(rt, "sends") {
		at := ref()
		step.Sends = append(step.Sends, store.Send{Endpoint: at.Endpoint, Event: at.Event, Retried: p.chance(50), DueAt: p.now})
	}
	for range rapid.IntRange(0, 2).Draw(rt, "openings") {
		at := ref()
		step.Openings = append(step.Openings, store.Opening{Endpoint: at.Endpoint, Event: at.Event, DueAt: p.now.Add(time.Duration(at.Event) * time.Microsecond)})
	}
	for range rapid.IntRange(0, 1).Draw(rt, "cancels") {
		step.Cancels = append(step.Cancels, ref())
	}
	own := func(st store.Store) store.JobStep {
		own := step
		own.Progress.At.Event = p.own(st, own.Progress.At.Event)
		own.Progress.Later = slices.Clone(step.Progress.Later)
		for i := range own.Progress.Later {
			own.Progress.Later[i].Event = p.own(st, own.Progress.Later[i].Event)
		}
		own.Sends, own.Openings, own.Cancels = nil, nil, nil
		for _, s := range step.Sends {
			s.Event = p.own(st, s.Event)
			own.Sends = append(own.Sends, s)
		}
		for _, o := range step.Openings {
			o.Event = p.own(st, o.Event)
			own.Openings = append(own.Openings, o)
		}
		for _, c := range step.Cancels {
			c.Event = p.own(st, c.Event)
			own.Cancels = append(own.Cancels, c)
		}
		return own
	}
	tested, testedErr := p.tested.StepJob(p.Context(), p.now, own(p.tested))
	model, modelErr := p.model.StepJob(p.Context(), p.now, own(p.model))
	for i, key := range tested.Sends {
		if i < len(model.Sends) && key != 0 {
			p.sends[key] = model.Sends[i]
			sent := step.Sends[i]
			sent.Key = key
			p.sent = append(p.sent, sent)
		}
	}
	agree(p, "StepJob", tested, model, testedErr, modelErr)
}

func (p *pair) cancelJob(rt *rapid.T) {
	p.T = rt
	if p.chance(60) { // they would have ended too soon
		return
	}
	job, reason := p.pickJob(), p.pick("", "enough")
	tested, testedErr := p.tested.CancelJob(p.Context(), job.Organisation, job.Key, reason, p.now)
	model, modelErr := p.model.CancelJob(p.Context(), job.Organisation, job.Key, reason, p.now)
	tested.Through, model.Through = 0, 0
	agree(p, "CancelJob", tested, model, testedErr, modelErr)
}

func (p *pair) readJobs(rt *rapid.T) {
	p.T = rt
	job, organisation, ep := p.pickJob(), p.organisation(), p.endpoint().Key
	var filter store.JobFilter
	if p.chance(50) {
		filter.Tenant = p.tenant().Key
	}
	if p.chance(30) {
		filter.States = []webhook.JobState{webhook.JobRunning}
	}
	if p.chance(30) {
		filter.Kinds = []webhook.JobKind{webhook.JobCancel}
	}
	page := store.Page{Limit: rapid.IntRange(1, 4).Draw(rt, "limit"), Descending: p.chance(50)}
	if p.chance(50) {
		page.After = int64(job.Key)
	}
	read(p, "Jobs", func(st store.Store) (store.Listed[store.Job], error) {
		listed, err := st.Jobs(p.Context(), organisation, filter, page)
		for i := range listed.Items {
			listed.Items[i].Through = 0
		}
		return listed, err
	})
	read(p, "Job", func(st store.Store) (store.Job, error) {
		found, err := st.Job(p.Context(), organisation, job.Key)
		found.Through, found.At.Event = 0, 0 // which each store knows by keys of its own
		for i := range found.Later {
			found.Later[i].Event = 0
		}
		return found, err
	})
	read(p, "JobOpen", func(st store.Store) ([2]int, error) {
		open, untried, err := st.JobOpen(p.Context(), job.Key, ep, 3)
		return [2]int{open, untried}, err
	})
	if p.chance(20) {
		before := p.now.Add(-time.Duration(rapid.IntRange(0, 10).Draw(rt, "minutes")) * time.Minute)
		_ = p.change("SweepJobs", func(st store.Store) error {
			_, err := st.SweepJobs(p.Context(), before, 100)
			return err
		})
	}
}
