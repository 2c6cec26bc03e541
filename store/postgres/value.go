package postgres

import (
	"time"

	"github.com/neohook/neohook/webhook"
)

// Go values as arguments, where nothing is NULL, and back.

func orNull[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

func orZero[T any](value *T) (v T) {
	if value != nil {
		v = *value
	}
	return v
}

// instant is what the server keeps of an instant: microseconds.
func instant(at time.Time) time.Time { return at.UTC().Truncate(time.Microsecond) }

func instantOrNull(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = instant(at)
	return &at
}

func utcOrZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}

func listOrNull[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func mapOrNull(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}

// waits are a schedule in microseconds; nil for nil only.
func waits(schedule webhook.Schedule) []int64 {
	if schedule == nil {
		return nil
	}
	list := make([]int64, len(schedule))
	for i, wait := range schedule {
		list[i] = wait.Microseconds()
	}
	return list
}

func scheduleOf(waits []int64) webhook.Schedule {
	if waits == nil {
		return nil
	}
	schedule := make(webhook.Schedule, len(waits))
	for i, wait := range waits {
		schedule[i] = micros(wait)
	}
	return schedule
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// scanTimes puts into the empty places of a row, in order, what NULL is the zero time of.
// What it returns is to be called when the row has been scanned.
func scanTimes(into []any, times ...*time.Time) func() {
	read := make([]*time.Time, len(times))
	next := 0
	for i := range into {
		if into[i] == nil {
			into[i] = &read[next]
			next++
		}
	}
	return func() {
		for i, at := range times {
			*at = utcOrZero(read[i])
		}
	}
}
