package lane

import (
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

func TestSurveyTellsWhatDueDeliveriesWaitFor(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := map[string]struct {
		settings Settings
		result   *Result // of an attempt before; nil = none
		begin    int     // attempts in flight
		want     Wait
	}{
		"their turn":            {Settings{Concurrency: 2}, nil, 0, ForTurn},
		"the endpoint's slots":  {Settings{Concurrency: 2}, nil, 2, ForEndpoint},
		"the one before":        {Settings{Concurrency: 1, Ordered: true}, nil, 1, ForPredecessor},
		"their rate":            {Settings{Concurrency: 2, Rate: 1}, nil, 0, ForRate},
		"the receiver's wish":   {Settings{Concurrency: 2}, &Result{Verdict: Throttled, Ends: true, HoldUntil: start.Add(time.Hour)}, 0, ForReceiver},
		"to be ended, not sent": {Settings{Concurrency: 2, Closed: true}, nil, 0, ForTurn},
		"to be resumed":         {Settings{Concurrency: 2}, nil, 0, ForResume},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := New(Limits{Attempts: 100, Unrecorded: 100, Rows: 100, Bytes: 1 << 20, Page: 10})
			b.Advance(start.Add(-time.Hour))
			number := store.EventKey(0)
			offer := func() {
				number++
				payload := &store.Payload{Event: number, AcceptedAt: start.Add(-time.Minute)}
				b.Offer(start, Delivery{Tenant: 1, Endpoint: 1, Event: number, Payload: payload}, test.settings)
			}
			if test.result != nil || test.want == ForRate {
				offer()
				d, given := b.Begin(start)
				if !given {
					t.Fatal("the first did not begin")
				}
				result := Result{Verdict: Success, Ends: true}
				if test.result != nil {
					result = *test.result
				}
				b.Finish(start, d, result)
				b.Record(start, d, time.Time{})
			}
			for range test.begin {
				offer()
				b.Begin(start)
			}
			const due = 3
			for range due {
				offer()
			}
			b.Pause(start, test.want == ForResume)
			s := b.Survey(start, func() {})
			for wait := range s.Due {
				want := Due{}
				if Wait(wait) == test.want {
					want = Due{Endpoints: 1, Deliveries: due, Oldest: time.Minute}
				}
				if s.Due[wait] != want {
					t.Errorf("for %d wait %+v, want %+v", wait, s.Due[wait], want)
				}
			}
		})
	}
}

func TestSurveyTellsOfAnOpenBreakerAndOfRetries(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := New(Limits{Attempts: 100, Unrecorded: 100, Rows: 1000, Bytes: 1 << 20, Page: 10})
	for number := range store.EventKey(openAfter + 5) {
		b.Offer(now, Delivery{Tenant: 1, Endpoint: 1, Event: number + 1}, Settings{Concurrency: 1})
	}
	for d, given := b.Begin(now); given; d, given = b.Begin(now) {
		b.Finish(now, d, Result{Verdict: Failure})
		b.Record(now, d, now.Add(time.Hour))
	}
	s := b.Survey(now, func() {})
	if s.Due[ForBreaker].Deliveries != 5 || s.Retries != openAfter {
		t.Errorf("%d wait for the breaker and %d for their time, want 5 and %d", s.Due[ForBreaker].Deliveries, s.Retries, openAfter)
	}
}

func TestSurveyGoesOnWhileLanesComeAndGo(t *testing.T) {
	const lanes = 5000
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := New(Limits{Attempts: 100, Unrecorded: 2 * lanes, Rows: 10 * lanes, Bytes: 1 << 20, Page: 10})
	next := store.EndpointKey(0)
	offer := func() {
		next++
		b.Offer(now, Delivery{Tenant: 1, Endpoint: next, Event: 1}, Settings{Concurrency: 1})
	}
	for range lanes {
		offer()
	}
	pauses := 0
	s := b.Survey(now, func() {
		pauses++
		for range 50 {
			d, _ := b.Begin(now)
			b.Finish(now, d, Result{Verdict: Success, Ends: true})
			b.Record(now, d, time.Time{})
			offer()
		}
	})
	if n := s.Due[ForTurn].Endpoints; n < lanes-50*pauses || n > lanes+50*pauses || pauses == 0 {
		t.Errorf("%d endpoints seen in %d stretches, of %d", n, pauses, lanes)
	}
}

func BenchmarkSurvey(b *testing.B) {
	const lanes = 100_000
	now := time.Now()
	board := New(Limits{Attempts: 100, Unrecorded: 100, Rows: 10 * lanes, Bytes: 1 << 30, Page: 10})
	for endpoint := range store.EndpointKey(lanes) {
		board.Offer(now, Delivery{Tenant: store.TenantKey(endpoint % 100), Endpoint: endpoint, Event: 1}, Settings{Concurrency: 1})
	}
	for b.Loop() {
		board.Survey(now, func() {})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lanes, "ns/lane")
}
