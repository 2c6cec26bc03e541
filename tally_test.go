package neohook

import (
	"context"
	"testing"
	"time"

	"github.com/neohook/neohook/internal/feed"
	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/internal/outcome"
	"github.com/neohook/neohook/internal/quota"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// nothing is a store and lanes that do nothing, so that what is measured is the counting.
type nothing struct{}

func (nothing) Commit(_ context.Context, batch *store.Batch) ([]store.Verdict, error) {
	return nil, nil
}

func (nothing) Delivery(context.Context, store.EndpointKey, store.EventKey) (store.DeliveryRecord, error) {
	return store.DeliveryRecord{}, nil
}

func (nothing) Send(context.Context, store.SendKey) (store.Send, error) {
	return store.Send{}, nil
}

func (nothing) AttemptsOfEvent(context.Context, store.EventKey, store.AttemptFilter, store.Page) (store.Listed[store.LoggedAttempt], error) {
	return store.Listed[store.LoggedAttempt]{}, nil
}
func (nothing) Committed(time.Time, []lane.Delivery, []outcome.Done) {}
func (nothing) Reread(time.Time, []store.Lane)                       {}

// BenchmarkTally is all the counting for an event that is published, committed in a
// batch of 16 and delivered at once: ns/op is per event.
func BenchmarkTally(b *testing.B) {
	const batch = 16
	t := newTally()
	st, lanes := watchedStore{nothing{}, t, func(int) {}}, watchedLanes{nothing{}, t, quota.New(0, nil), feed.New(feed.Limits{})}
	done := make([]outcome.Done, batch)
	for i := range done {
		done[i] = outcome.Done{
			Delivery: lane.Delivery{Payload: &store.Payload{AcceptedAt: time.Now()}},
			Outcome: store.Outcome{State: webhook.Succeeded, Attempt: &store.Attempt{
				Number: 1, Succeeded: true, StatusCode: 204, StartedAt: time.Now(), Duration: time.Millisecond,
			}},
		}
	}
	accepted := make([]lane.Delivery, batch)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		t.accept(store.Accepted)
		if n%batch == 0 {
			_, _ = st.Commit(b.Context(), &store.Batch{})
			lanes.Committed(time.Time{}, accepted, done)
		}
	}
}

func TestAttemptsAreCountedByWhatCameOfThem(t *testing.T) {
	tests := map[string]struct {
		attempt store.Attempt
		want    AttemptKind
	}{
		"success":           {store.Attempt{Succeeded: true, StatusCode: 200}, AttemptKind{Outcome: AttemptSucceeded}},
		"refusal":           {store.Attempt{StatusCode: 500}, AttemptKind{Outcome: AttemptFailed}},
		"sent too much":     {store.Attempt{StatusCode: 429}, AttemptKind{Outcome: AttemptThrottled}},
		"no time for us":    {store.Attempt{StatusCode: 503}, AttemptKind{Outcome: AttemptThrottled}},
		"no answer in time": {store.Attempt{Code: webhook.FaultResponseTimeout, TimedOut: true}, AttemptKind{AttemptTimedOut, webhook.FaultResponseTimeout}},
		"nobody there":      {store.Attempt{Code: webhook.FaultRefused}, AttemptKind{AttemptFailed, webhook.FaultRefused}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := newTally().kindOf(&test.attempt); got != test.want {
				t.Errorf("counted as %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestCodesThatAdaptersMakeUpDoNotFillTheMemory(t *testing.T) {
	tally := newTally()
	for i := range 1000 {
		code := webhook.FaultCode(time.Duration(i).String())
		tally.record([]outcome.Done{{Outcome: store.Outcome{Attempt: &store.Attempt{Code: code}}}})
	}
	var all uint64
	for _, n := range tally.attempts {
		all += n
	}
	if len(tally.attempts) > 65 || all != 1000 {
		t.Errorf("%d attempts in %d kinds, want 1000 in at most 65", all, len(tally.attempts))
	}
}

func TestHistogramCountsABoundInItsOwnBucket(t *testing.T) {
	h := newHistogram([]float64{1, 2})
	for _, value := range []float64{0, 1, 1.5, 2, 3} {
		h.observe(value)
	}
	if h.Counts[0] != 2 || h.Counts[1] != 2 || h.Counts[2] != 1 || h.Sum != 7.5 {
		t.Errorf("%+v", h)
	}
}
