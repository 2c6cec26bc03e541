// Package failing knows which endpoints have had no success since a failure, and says
// when that has gone on for too long.
//
// It is judged by attempts, not by the clock: an endpoint to which nothing is sent is not
// disabled, and between its failures nothing has to wake. What has to outlive the process
// is written with the outcome of the attempt that changes it; a working endpoint costs no
// statement and no memory.
package failing

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Notice says that an endpoint has failed for a part of the time that it may.
type Notice struct {
	Tenant   store.TenantKey
	Endpoint store.EndpointKey
	Since    time.Time
	// At is when the attempt ended that brought it to light.
	At time.Time
	// Percent is 50, 90, or 100, by which the endpoint is to be disabled.
	Percent int
}

// failure is of an endpoint that fails, with the bucket of its tenant, if that is known.
type failure struct {
	store.Failing
	bucket store.Bucket
}

// Watch knows the failing endpoints of a node. It is safe for concurrent use.
type Watch struct {
	after time.Duration
	bell  chan struct{}

	mu      sync.Mutex
	failing map[store.EndpointKey]failure
	notices map[store.EndpointKey]Notice // the latest of each that was not taken
}

// New returns a Watch that gives an endpoint so much time; negative is for ever.
func New(after time.Duration) *Watch {
	return &Watch{
		after: after, bell: make(chan struct{}, 1),
		failing: make(map[store.EndpointKey]failure), notices: make(map[store.EndpointKey]Notice),
	}
}

// Load reads the endpoints that fail. It comes before the first Judge.
func (w *Watch) Load(ctx context.Context, st store.Failures) error {
	return w.load(0, func(after store.EndpointKey, limit int) ([]store.FailingEndpoint, error) {
		return st.FailingEndpoints(ctx, after, limit)
	})
}

// Own reads the endpoints that fail of the tenants of buckets. It comes before an outcome
// of theirs is judged. list is the FailingIn of a store.Cluster.
func (w *Watch) Own(ctx context.Context, buckets []store.Bucket, list func(ctx context.Context, buckets []store.Bucket, after store.EndpointKey, limit int) ([]store.FailingEndpoint, error)) error {
	w.Disown(buckets)
	if some, err := list(ctx, buckets, 0, 1); err != nil || len(some) == 0 {
		return err // most of the time there are none
	}
	for _, bucket := range buckets {
		err := w.load(bucket, func(after store.EndpointKey, limit int) ([]store.FailingEndpoint, error) {
			return list(ctx, []store.Bucket{bucket}, after, limit)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Reread forgets those of a bucket's tenants that do not fail any more, by what others have
// stored. list is as for Own.
func (w *Watch) Reread(ctx context.Context, bucket store.Bucket, list func(ctx context.Context, buckets []store.Bucket, after store.EndpointKey, limit int) ([]store.FailingEndpoint, error)) error {
	w.mu.Lock()
	some := false
	for _, f := range w.failing {
		some = some || f.bucket == bucket
	}
	w.mu.Unlock()
	if !some {
		return nil
	}
	const limit = 1000
	fails := make(map[store.EndpointKey]bool)
	for after := store.EndpointKey(0); ; {
		found, err := list(ctx, []store.Bucket{bucket}, after, limit)
		if err != nil {
			return err
		}
		for _, f := range found {
			fails[f.Endpoint], after = true, f.Endpoint
		}
		if len(found) < limit {
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for endpoint, f := range w.failing {
		if f.bucket == bucket && !fails[endpoint] {
			delete(w.failing, endpoint)
			delete(w.notices, endpoint)
		}
	}
	return nil
}

// Disown forgets what is known of the tenants of buckets.
func (w *Watch) Disown(buckets []store.Bucket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for endpoint, f := range w.failing {
		if slices.Contains(buckets, f.bucket) {
			delete(w.failing, endpoint)
			delete(w.notices, endpoint)
		}
	}
}

func (w *Watch) load(bucket store.Bucket, list func(after store.EndpointKey, limit int) ([]store.FailingEndpoint, error)) error {
	const limit = 1000
	for after := store.EndpointKey(0); ; {
		found, err := list(after, limit)
		if err != nil {
			return err
		}
		w.mu.Lock()
		for _, f := range found {
			w.failing[f.Endpoint] = failure{f.Failing, bucket}
			after = f.Endpoint
		}
		w.mu.Unlock()
		if len(found) < limit {
			return nil
		}
	}
}

// Judge notes what an outcome says of its endpoint, and in the outcome what is to be
// stored of that. Outcomes are judged in the order in which they are stored, each once. It
// returns the Notice that it has left, or nil.
func (w *Watch) Judge(o *store.Outcome) (left *Notice) {
	if o.Attempt == nil || o.Attempt.Trigger != webhook.Scheduled {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	was, fails := w.failing[o.Endpoint]
	switch {
	case o.Attempt.Succeeded && fails:
		delete(w.failing, o.Endpoint)
		o.Failing = new(store.Failing)
	case o.Attempt.Succeeded, o.Reason == webhook.ReceiverGone: // which disables it at once
	default:
		now := was.Failing
		at := o.Attempt.StartedAt.Add(o.Attempt.Duration)
		if !fails {
			now.Since = at
		}
		left = w.tell(o, &now, at)
		if now != was.Failing {
			w.failing[o.Endpoint] = failure{now, store.BucketOf(o.Tenant)}
			o.Failing = &now
		}
	}
	return left
}

// tell leaves a notice where a mark of the time is passed. That of 100 percent is left
// again with each failure, in case the endpoint could not be disabled before.
func (w *Watch) tell(o *store.Outcome, f *store.Failing, at time.Time) *Notice {
	const half, most, all = 50, 90, 100
	if w.after < 0 {
		return nil
	}
	percent := 0
	switch passed := at.Sub(f.Since); {
	case passed >= w.after:
		percent = all
	case passed >= w.after/10*9:
		percent = most
	case passed >= w.after/2:
		percent = half
	}
	if percent <= f.Told {
		return nil
	}
	f.Told = min(percent, most)
	left := Notice{Tenant: o.Tenant, Endpoint: o.Endpoint, Since: f.Since, At: at, Percent: percent}
	w.notices[o.Endpoint] = left
	select {
	case w.bell <- struct{}{}:
	default:
	}
	return &left
}

// Since returns when the first failure of an endpoint since its last success ended; zero
// is that it works.
func (w *Watch) Since(endpoint store.EndpointKey) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failing[endpoint].Since
}

// Forget makes endpoints ones that work, as when they were disabled, enabled, paused,
// resumed or deleted.
func (w *Watch) Forget(endpoints ...store.EndpointKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, endpoint := range endpoints {
		delete(w.failing, endpoint)
		delete(w.notices, endpoint)
	}
}

// ForgetAll makes all endpoints ones that work, as when everything was paused or resumed.
func (w *Watch) ForgetAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.failing)
	clear(w.notices)
}

// Next waits for notices and takes them, or returns nil when ctx has ended.
func (w *Watch) Next(ctx context.Context) []Notice {
	for {
		w.mu.Lock()
		notices := slices.SortedFunc(maps.Values(w.notices), func(a, b Notice) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
		clear(w.notices)
		w.mu.Unlock()
		if len(notices) > 0 {
			return notices
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.bell:
		}
	}
}
