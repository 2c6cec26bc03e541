package job

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Store is what a Runner needs of one.
type Store interface {
	store.Jobs
	store.Deliveries
	Sums(ctx context.Context, query store.SumQuery) ([]store.Sum, error)
	InsertExpunge(ctx context.Context, organisation string, expunge store.Expunge) (store.Expunge, error)
	Tenants(ctx context.Context, organisation string, page store.Page) ([]store.Tenant, error)
	Delivery(ctx context.Context, endpoint store.EndpointKey, event store.EventKey) (store.DeliveryRecord, error)
	Tenant(ctx context.Context, organisation string, key store.TenantKey) (store.Tenant, error)
	Endpoint(ctx context.Context, tenant store.TenantKey, key store.EndpointKey) (store.Endpoint, error)
	Endpoints(ctx context.Context, tenant store.TenantKey, page store.Page) ([]store.Endpoint, error)
}

// Writer stores in order with all else that lanes are told of; see commit.Writer.
type Writer interface {
	Do(ctx context.Context, concerned []store.Lane, do func(context.Context) error) error
}

// Made is what a step has stored: with keys, and without what it could not make.
type Made struct {
	Tenant    store.TenantKey
	Sends     []store.Send
	Openings  []store.Opening
	Cancelled []store.DeliveryRef
	// Announced is how much was put into the outbox.
	Announced int
}

// Parts are what a Runner works with.
type Parts struct {
	Store  Store
	Writer Writer
	// Told hands what was made to the lanes. It is called in the writer's turn.
	Told func(now time.Time, made *Made)
	// Announce returns what is told of each delivery that a job of an organisation cancels.
	Announce func(organisation string, tenant store.TenantKey) []store.Announcement
	// Owns, if set, says whether the jobs of a tenant are this node's to run.
	Owns func(store.TenantKey) bool
	// Busy says that there is more to do than can be done at once: jobs then slow down.
	Busy func() bool
	// Expunge has an Expunge carried out, and returns what is closed when that is done.
	Expunge func(store.Expunge) <-chan struct{}
	// ID names a job in the log, and TenantID a tenant in what was counted.
	ID       func(*store.Job) webhook.JobID
	TenantID func(*store.Tenant) webhook.TenantID
	Log      *slog.Logger
}

// Limits bound what jobs do. The zero value is the defaults.
type Limits struct {
	// Batch is how many deliveries a step sends or cancels at most; 0 = 128.
	Batch int
	// Untried is how many of a job's may wait for their first attempt at an endpoint; 0 =
	// 256. Open is how many may be under way in all, those that wait for a retry included;
	// 0 = 10,000.
	Untried, Open int
	// Examine is how many deliveries a job looks at a second; 0 = 20,000.
	Examine int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Batch: cmp.Or(l.Batch, 128), Untried: cmp.Or(l.Untried, 256), Open: cmp.Or(l.Open, 10_000), Examine: cmp.Or(l.Examine, 20_000),
	}
}

// KeepEnded is how long a job is kept after its end; store.MostEndedJobs are kept of a
// tenant.
const KeepEnded = 30 * 24 * time.Hour

// Runner runs jobs. Make one with New and Run it once; its other methods are safe for
// concurrent use.
type Runner struct {
	Parts
	limits Limits
	bell   chan struct{}

	examined, made atomic.Uint64
	count          atomic.Int64 // of those that run

	running []*run // of the one goroutine
	swept   time.Time

	mu     sync.Mutex
	added  []store.Job
	doubts bool                      // whether there are others
	ended  map[store.JobKey]struct{} // by somebody else
}

// run is a job that runs, and when its next step may be.
type run struct {
	*walk
	at     time.Time
	failed int       // times in a row that the store did not answer
	made   time.Time // when the last step was
	stored time.Time // and the last that was stored
	// doubtful is a step that may have been stored, or not.
	doubtful *store.JobStep
}

// New returns a Runner.
func New(parts Parts, limits Limits) *Runner {
	return &Runner{
		Parts: parts, limits: limits.withDefaults(),
		bell: make(chan struct{}, 1), ended: make(map[store.JobKey]struct{}),
	}
}

// Stats are what jobs have done since the Runner was made.
type Stats struct {
	Running        int
	Examined, Made uint64
}

// Stats returns the counts.
func (r *Runner) Stats() Stats {
	return Stats{Running: int(r.count.Load()), Examined: r.examined.Load(), Made: r.made.Load()}
}

// Add runs a job that was stored.
func (r *Runner) Add(job store.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.added = append(r.added, job)
	ring(r.bell)
}

// Look says that a job may have been stored that was not added.
func (r *Runner) Look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubts = true
	ring(r.bell)
}

// Ended says that a job was cancelled in the store.
func (r *Runner) Ended(key store.JobKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended[key] = struct{}{}
	ring(r.bell)
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Run runs the jobs that are stored, and those that are added, until ctx ends. What they
// have come to by then is stored, and the next Run goes on from there.
func (r *Runner) Run(ctx context.Context) {
	r.load(ctx)
	for ctx.Err() == nil {
		r.takeIn(ctx)
		r.count.Store(int64(len(r.running)))
		next := r.next()
		if next == nil {
			wait(ctx, r.bell, 0)
			continue
		}
		if left := time.Until(next.at); left > 0 {
			wait(ctx, r.bell, left)
			continue
		}
		r.turn(ctx, next)
	}
}

// wait returns after some time, 0 being for ever, when the bell rings, or when ctx ends.
func wait(ctx context.Context, bell <-chan struct{}, length time.Duration) {
	var passed <-chan time.Time
	if length > 0 {
		timer := time.NewTimer(length)
		defer timer.Stop()
		passed = timer.C
	}
	select {
	case <-ctx.Done():
	case <-bell:
	case <-passed:
	}
}

// load reads what an earlier Run has left.
func (r *Runner) load(ctx context.Context) {
	for failed := 1; ctx.Err() == nil; failed++ {
		err := r.loadAll(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			r.Log.WarnContext(ctx, "jobs could not be read, trying again", "error", err)
		}
		wait(ctx, nil, pause(failed))
	}
}

func (r *Runner) loadAll(ctx context.Context) error {
	const limit = 100
	for after := store.JobKey(0); ; {
		jobs, err := r.Store.RunningJobs(ctx, after, limit)
		if err != nil {
			return err
		}
		for _, job := range jobs {
			r.begin(job)
			after = job.Key
		}
		if len(jobs) < limit {
			break
		}
	}
	return nil
}

// sweep deletes jobs that ended long ago. It is done when one begins, so that a Runner
// without any asks nothing of the store.
func (r *Runner) sweep(ctx context.Context) {
	const (
		often = time.Hour
		most  = 1000
	)
	now := time.Now()
	if now.Sub(r.swept) < often {
		return
	}
	r.swept = now
	if _, err := r.Store.SweepJobs(ctx, now.Add(-KeepEnded), most); err != nil && ctx.Err() == nil {
		r.Log.WarnContext(ctx, "old jobs could not be deleted, trying again later", "error", err)
	}
}

// begin takes a job in, unless it is there.
func (r *Runner) begin(job store.Job) {
	if r.Owns != nil && !r.Owns(job.Tenant) {
		return
	}
	if slices.ContainsFunc(r.running, func(other *run) bool { return other.job.Key == job.Key }) {
		return
	}
	now := time.Now()
	r.running = append(r.running, &run{walk: newWalk(job), at: now, stored: now})
}

// takeIn takes in what others have told.
func (r *Runner) takeIn(ctx context.Context) {
	r.mu.Lock()
	added, doubts, ended := r.added, r.doubts, r.ended
	r.added, r.doubts, r.ended = nil, false, make(map[store.JobKey]struct{})
	r.mu.Unlock()
	if doubts {
		r.load(ctx)
	}
	for _, job := range added {
		r.begin(job)
	}
	if len(added) > 0 {
		r.sweep(ctx)
	}
	r.running = slices.DeleteFunc(r.running, func(other *run) bool {
		_, is := ended[other.job.Key]
		return is || r.Owns != nil && !r.Owns(other.job.Tenant)
	})
}

// next is the job whose step is due first; nil if there is none.
func (r *Runner) next() (first *run) {
	for _, candidate := range r.running {
		if first == nil || candidate.at.Before(first.at) {
			first = candidate
		}
	}
	return first
}

func (r *Runner) drop(done *run) {
	r.running = slices.DeleteFunc(r.running, func(other *run) bool { return other == done })
}

// turn makes a step of a job, and sets when the next may be.
func (r *Runner) turn(ctx context.Context, of *run) {
	const (
		yield   = 50 * time.Millisecond
		longest = time.Second // between two steps, however busy
	)
	now := time.Now()
	if r.Busy() && now.Sub(of.made) < longest {
		of.at = now.Add(yield)
		return
	}
	of.made = now
	rest, err := r.step(ctx, of, now)
	switch {
	case err == nil:
		of.failed = 0
		of.at = later(of.at, now).Add(rest)
	case errors.Is(err, errOver):
		r.drop(of)
	case errors.Is(err, store.ErrStale), errors.Is(err, store.ErrNotFound):
		r.reread(ctx, of)
	case errors.Is(err, store.ErrCommitUnknown):
		of.at = now.Add(pause(1))
		r.reread(ctx, of)
	default:
		of.failed++
		of.at = now.Add(pause(of.failed))
		if ctx.Err() == nil {
			r.Log.WarnContext(ctx, "job could not go on, trying again", "job_id", r.ID(&of.job), "error", err)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// pause is how long to wait where the store has failed so often in a row.
func pause(failed int) time.Duration {
	const first, longest = 250 * time.Millisecond, 30 * time.Second
	return min(first<<min(failed-1, 10), longest)
}

// reread goes on from what is stored of a job: somebody else has changed it, or it is not
// known whether its last step was stored. What was looked at since is looked at again.
func (r *Runner) reread(ctx context.Context, of *run) {
	job, err := r.Store.Job(ctx, of.job.Organisation, of.job.Key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		r.drop(of)
		return
	case err == nil:
		err = r.settle(ctx, of, job.Version)
	}
	switch {
	case err != nil:
		of.failed++
		of.at = time.Now().Add(pause(of.failed))
		of.job.Version = unknownVersion
	case job.State != webhook.JobRunning:
		r.drop(of)
	default:
		of.walk, of.failed, of.doubtful = newWalk(job), 0, nil
	}
}

// unknownVersion is of a job that is to be read again before its next step.
const unknownVersion = 0

// settle is for a step of which it was not known whether it was stored: the lanes have
// read what it made, and are told here what it cancelled.
func (r *Runner) settle(ctx context.Context, of *run, version int64) error {
	if of.doubtful == nil || of.doubtful.Version >= version {
		return nil
	}
	made := Made{Tenant: of.job.Tenant}
	for _, ref := range of.doubtful.Cancels {
		record, err := r.Store.Delivery(ctx, ref.Endpoint, ref.Event)
		switch {
		case err == nil && record.State.Ended():
			made.Cancelled = append(made.Cancelled, ref)
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	return r.Writer.Do(ctx, nil, func(context.Context) error {
		r.Told(time.Now(), &made)
		return nil
	})
}
