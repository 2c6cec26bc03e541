package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func TestUnitsBeginInUTC(t *testing.T) {
	at := time.Date(2026, 3, 29, 1, 30, 59, 999, time.FixedZone("", 5400))
	tests := map[store.Unit]time.Time{
		store.Minute: time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC),
		store.Hour:   time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC),
		store.Day:    time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC),
	}
	for unit, want := range tests {
		if got := unit.Start(at); got != want {
			t.Errorf("unit %d of %v begins at %v, want %v", unit, at, got, want)
		}
	}
	if got := store.Day.Start(at.Add(-time.Minute)); got != time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC) {
		t.Errorf("the day before begins at %v", got)
	}
}

func TestAttemptsAreCountedByWhatCameOfThem(t *testing.T) {
	const first = store.LatencyFirst
	tests := map[string]struct {
		attempt store.Attempt
		want    map[store.Count]int64
	}{
		"success at once":       {store.Attempt{Succeeded: true, StatusCode: 200}, map[store.Count]int64{store.AttemptsSucceeded: 1, first: 1}},
		"as long as a bound":    {store.Attempt{Succeeded: true, Duration: time.Millisecond + 999}, map[store.Count]int64{store.AttemptsSucceeded: 1, store.AttemptMicroseconds: 1000, first: 1}},
		"longer than a bound":   {store.Attempt{Succeeded: true, Duration: time.Millisecond + 1000}, map[store.Count]int64{store.AttemptsSucceeded: 1, store.AttemptMicroseconds: 1001, first + 1: 1}},
		"longer than all":       {store.Attempt{Succeeded: true, Duration: time.Hour}, map[store.Count]int64{store.AttemptsSucceeded: 1, store.AttemptMicroseconds: 3600e6, first + store.Count(len(store.Latencies)): 1}},
		"asked for":             {store.Attempt{Succeeded: true, Trigger: webhook.Manual}, map[store.Count]int64{store.AttemptsSucceeded: 1, store.AttemptsManual: 1, first: 1}},
		"informed":              {store.Attempt{StatusCode: 101}, map[store.Count]int64{store.AttemptsFailed1xx: 1, first: 1}},
		"answer too long":       {store.Attempt{StatusCode: 200}, map[store.Count]int64{store.AttemptsFailed2xx: 1, first: 1}},
		"sent elsewhere":        {store.Attempt{StatusCode: 302}, map[store.Count]int64{store.AttemptsFailed3xx: 1, first: 1}},
		"refused":               {store.Attempt{StatusCode: 404}, map[store.Count]int64{store.AttemptsFailed4xx: 1, first: 1}},
		"sent too much":         {store.Attempt{StatusCode: 429}, map[store.Count]int64{store.AttemptsFailed4xx: 1, store.AttemptsThrottled: 1, first: 1}},
		"no time for us":        {store.Attempt{StatusCode: 503}, map[store.Count]int64{store.AttemptsFailed5xx: 1, store.AttemptsThrottled: 1, first: 1}},
		"status of no class":    {store.Attempt{StatusCode: 999}, map[store.Count]int64{store.AttemptsFailedOther: 1, first: 1}},
		"nobody there":          {store.Attempt{Code: webhook.FaultRefused}, map[store.Count]int64{store.AttemptsWithoutStatus: 1, first: 1}},
		"no answer in time":     {store.Attempt{TimedOut: true}, map[store.Count]int64{store.AttemptsWithoutStatus: 1, store.AttemptsTimedOut: 1, first: 1}},
		"answer that ended not": {store.Attempt{StatusCode: 200, TimedOut: true}, map[store.Count]int64{store.AttemptsFailed2xx: 1, store.AttemptsTimedOut: 1, first: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got, want store.Counts
			got.AddAttempt(&test.attempt, 1)
			for count, n := range test.want {
				want[count] = n
			}
			if got != want {
				t.Errorf("counted as %v, want %v", got, want)
			}
			got.AddAttempt(&test.attempt, -1)
			if got != (store.Counts{}) {
				t.Errorf("taken back, %v is left", got)
			}
		})
	}
}

func TestLatenciesAscendInMicroseconds(t *testing.T) {
	if !slices.IsSorted(store.Latencies[:]) {
		t.Errorf("bounds are %v", store.Latencies)
	}
	for _, bound := range store.Latencies {
		if bound != bound.Truncate(time.Microsecond) {
			t.Errorf("bound %v can't be met by what is kept", bound)
		}
	}
}
