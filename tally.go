package neohook

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/internal/commit"
	"github.com/neohook/neohook/internal/feed"
	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/internal/outcome"
	"github.com/neohook/neohook/internal/quota"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// tally counts what passes. It stands between the writer and the store, and between the
// writer and the lanes: what is counted is what is stored.
type tally struct {
	accepted, replayed, deliveries, promoted atomic.Uint64
	commits                                  atomic.Uint64 // begun

	mu          sync.Mutex
	refused     map[Refusal]uint64
	attempts    map[AttemptKind]uint64
	ended       map[Ending]uint64
	failures    uint64 // of commits
	commitTime  Histogram
	events      Histogram
	outcomes    Histogram
	attemptTime Histogram
	firstDelay  Histogram
}

// The bounds of the histograms, chosen to tell a disk that syncs in 0.1 ms from one that
// needs 3, and a receiver that answers in 10 ms from one that needs a second.
var (
	commitBounds  = []float64{.0002, .0005, .001, .002, .005, .01, .025, .05, .1, .25, 1, 5}
	batchBounds   = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
	attemptBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	delayBounds   = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600}
)

func newTally() *tally {
	return &tally{
		refused: make(map[Refusal]uint64), attempts: make(map[AttemptKind]uint64), ended: make(map[Ending]uint64),
		commitTime: newHistogram(commitBounds), events: newHistogram(batchBounds), outcomes: newHistogram(batchBounds),
		attemptTime: newHistogram(attemptBounds), firstDelay: newHistogram(delayBounds),
	}
}

func newHistogram(bounds []float64) Histogram {
	return Histogram{Bounds: bounds, Counts: make([]uint64, len(bounds)+1)}
}

func (h *Histogram) observe(value float64) {
	at, _ := slices.BinarySearch(h.Bounds, value) // a bound is within its own bucket
	h.Counts[at]++
	h.Sum += value
}

func (h *Histogram) clone() Histogram {
	return Histogram{Bounds: h.Bounds, Counts: slices.Clone(h.Counts), Sum: h.Sum}
}

// accept counts an event that is stored, now or by the request that this one repeats.
func (t *tally) accept(kind store.VerdictKind) {
	if kind == store.Replayed {
		t.replayed.Add(1)
	} else {
		t.accepted.Add(1)
	}
}

// refuse counts an event that was not accepted.
func (t *tally) refuse(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused[refusalOf(err)]++
}

func refusalOf(err error) Refusal {
	var overloaded *OverloadedError
	var invalid *webhook.InvalidError
	switch {
	case errors.As(err, &overloaded):
		return Refusal(overloaded.Cause)
	case errors.As(err, &invalid), errors.Is(err, ErrPayload):
		return Invalid
	case errors.Is(err, store.ErrFull):
		return Refusal(DiskFull)
	case errors.Is(err, ErrBacklogFull):
		return BacklogFull
	case errors.Is(err, ErrNotFound), errors.Is(err, webhook.ErrMalformedID):
		return UnknownTenant
	case errors.Is(err, ErrConflict), errors.Is(err, ErrKeyReused):
		return Conflicting
	case errors.Is(err, ErrStopped), errors.Is(err, store.ErrClosed):
		return Stopped
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return GivenUp
	}
	return StoreFailed
}

// watchedStore is what the writer sees of the store.
type watchedStore struct {
	commit.Store
	tally *tally
	// announced is told how many events were put into the outbox.
	announced func(n int)
}

// Commit counts and times the commits.
func (w watchedStore) Commit(ctx context.Context, batch *store.Batch) ([]store.Verdict, error) {
	start := time.Now()
	verdicts, err := w.Store.Commit(ctx, batch)
	took := time.Since(start)
	w.announced(announcements(batch.Outcomes))
	t := w.tally
	t.commits.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failures++
		return verdicts, err
	}
	t.commitTime.observe(took.Seconds())
	t.events.observe(float64(len(batch.Accepts)))
	t.outcomes.observe(float64(len(batch.Outcomes)))
	return verdicts, nil
}

// announcements counts them, and those that the store may leave out.
func announcements(outcomes []store.Outcome) (n int) {
	for i := range outcomes {
		if outcomes[i].Announce != nil {
			n++
		}
		if outcomes[i].AnnounceFailing != nil {
			n++
		}
	}
	return n
}

// watchedLanes is what the writer sees of the lanes.
type watchedLanes struct {
	commit.Lanes
	tally *tally
	quota *quota.Quota
	feed  *feed.Feed
}

// Committed counts what was recorded.
func (w watchedLanes) Committed(now time.Time, accepted []lane.Delivery, recorded []outcome.Done) {
	w.tally.deliveries.Add(uint64(len(accepted)))
	w.tally.record(recorded)
	for i := range recorded {
		if out := &recorded[i].Outcome; out.Send == 0 && out.State.Ended() {
			w.quota.End(recorded[i].Outcome.Tenant, 1)
		}
	}
	w.feed.Add(recorded)
	w.Lanes.Committed(now, accepted, recorded)
}

// end counts a delivery that ended otherwise than by an outcome.
func (t *tally) end(state webhook.State, reason webhook.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended[Ending{state, reason}]++
}

func (t *tally) record(recorded []outcome.Done) {
	if len(recorded) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range recorded {
		out := &recorded[i].Outcome
		if out.Send == 0 && out.State.Ended() {
			t.ended[Ending{out.State, out.Reason}]++
		}
		if out.Attempt == nil {
			continue
		}
		t.attempts[t.kindOf(out.Attempt)]++
		t.attemptTime.observe(out.Attempt.Duration.Seconds())
		if payload := recorded[i].Delivery.Payload; payload != nil && out.Send == 0 && out.Attempt.Number == 1 {
			t.firstDelay.observe(out.Attempt.StartedAt.Sub(payload.AcceptedAt).Seconds())
		}
	}
}

// kindOf tells the kind of an attempt. Codes that adapters make up are counted apart as
// long as they are few. The mutex is held.
func (t *tally) kindOf(a *store.Attempt) AttemptKind {
	kind := AttemptKind{Outcome: AttemptFailed, Code: a.Code}
	switch {
	case a.Succeeded:
		return AttemptKind{Outcome: AttemptSucceeded}
	case a.StatusCode == http.StatusTooManyRequests, a.StatusCode == http.StatusServiceUnavailable:
		kind.Outcome = AttemptThrottled
	case a.TimedOut:
		kind.Outcome = AttemptTimedOut
	}
	const most = 64
	if _, known := t.attempts[kind]; !known && len(t.attempts) >= most {
		kind.Code = webhook.FaultOther
	}
	return kind
}

// add adds the counts to s.
func (t *tally) add(s *Stats) {
	s.Publish.Accepted, s.Publish.Replayed = t.accepted.Load(), t.replayed.Load()
	s.Publish.Deliveries, s.Deferred.Promoted = t.deliveries.Load(), t.promoted.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Publish.Refused = maps.Clone(t.refused)
	s.Store.CommitFailures = t.failures
	s.Store.CommitTime, s.Store.Events, s.Store.Outcomes = t.commitTime.clone(), t.events.clone(), t.outcomes.clone()
	s.Attempts.Made, s.Attempts.Ended = maps.Clone(t.attempts), maps.Clone(t.ended)
	s.Attempts.Duration, s.Attempts.FirstDelay = t.attemptTime.clone(), t.firstDelay.clone()
}
