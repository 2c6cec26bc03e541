package retention

import (
	"testing"
	"time"
)

func TestClockThatJumpsIsNotActedOn(t *testing.T) {
	const h = time.Hour
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type reading struct {
		elapsed, wall time.Duration // since the start, by each clock
		want          bool
	}
	for name, readings := range map[string][]reading{
		"runs evenly":          {{0, 0, true}, {h, h, true}, {100 * h, 100 * h, true}},
		"is slewed for months": {{h, h + time.Minute, true}, {2 * h, 3 * h, true}, {3 * h, 5 * h, true}, {4 * h, 7 * h, true}},
		"is set by an hour":    {{h, 2 * h, true}, {2 * h, 2 * h, true}},
		"jumps ahead, and runs evenly from then on": {
			{h, 9000 * h, false}, {2 * h, 9001 * h, false}, {7*h - 1, 9006*h - 1, false}, {7 * h, 9006 * h, true}, {8 * h, 9007 * h, true}},
		"jumps back, and runs evenly from then on": {
			{100 * h, 1 * h, false}, {105 * h, 6 * h, false}, {106 * h, 7 * h, true}},
		"jumps and comes back":        {{h, 9000 * h, false}, {2 * h, 9001 * h, false}, {3 * h, 3 * h, true}},
		"jumps and comes nearly back": {{h, 9000 * h, false}, {3 * h, 3*h + 50*time.Minute, true}, {4 * h, 5*h + 30*time.Minute, true}},
		"jumps again and again": {
			{h, 10 * h, false}, {5 * h, 50 * h, false}, {8 * h, 53 * h, false}, {11 * h, 56 * h, true}},
		"jumps back from where it was trusted in the end": {
			{h, 10 * h, false}, {7 * h, 16 * h, true}, {8 * h, 8 * h, false}},
	} {
		c := newClock(start)
		for i, r := range readings {
			if got := c.judge(start.Add(r.wall), r.elapsed); got != r.want {
				t.Errorf("%s: reading %d: %v, want %v", name, i, got, r.want)
			}
		}
	}
}
