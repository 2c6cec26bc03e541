package neohook_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/neohook/neohook/webhook"
)

// The chaos of several nodes is that of one, over a store that they share: they crash, stand
// still for longer than their lease and go on, join and leave, at any call of the store.

// A run that fails is tried again by CHAOS_SEED=n GOMAXPROCS=1 go test -count=20 -run TestNodesChaos .
func TestNodesChaosLeavesEveryEventDeliveredOrEndedWithAReason(t *testing.T) {
	first, count := uint64(1), uint64(15)
	if text := os.Getenv("CHAOS_NODE_RUNS"); text != "" {
		count = number(t, text)
	}
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		first, count = number(t, text), 1
	}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprintf("CHAOS_SEED=%d", seed), func(t *testing.T) {
			inFakeTime(t, func(t *testing.T) { runChaos(t, seed, 2+int(seed%3)) }) //nolint:gosec // small
		})
	}
}

// Nodes look around every second or so: in fake time, too, their days are long.

// sick is how long receivers misbehave.
func (c *chaos) sick() time.Duration {
	if c.several > 0 {
		return time.Hour
	}
	return sick
}

// longest is the longest time for which a receiver asks to be left alone.
func (c *chaos) longest() time.Duration {
	if c.several > 0 {
		return 10 * time.Minute
	}
	return 100 * time.Hour
}

// hopeless is when what has not ended never will.
func (c *chaos) hopeless() time.Duration {
	if c.several > 0 {
		return 12 * time.Hour
	}
	return hopeless
}

// slack is how long a change through one node may be news to another, where what is wrong
// keeps them from hearing of it.
func (c *chaos) slack() time.Duration {
	if c.several > 0 {
		return 30 * time.Second
	}
	return 0
}

// inTime takes those attempts out of a log that were recorded late: another node had made
// the attempt of the same number meanwhile, as the one that had made it before could not
// record it in time.
func (c *chaos) inTime(log []webhook.Attempt) (inTime, late []webhook.Attempt) {
	if c.several == 0 {
		return log, nil
	}
	numbers := make(map[int]bool)
	for _, l := range log {
		if numbers[l.Number] {
			late = append(late, l)
			continue
		}
		numbers[l.Number] = true
		inTime = append(inTime, l)
	}
	return inTime, late
}

// judgeOrderOfNodes wants an event that was acknowledged before another's publish began to
// be sent first to an ordered endpoint, whichever nodes they were published through.
func (c *chaos) judgeOrderOfNodes(endpoint *chaosEndpoint) {
	events := make(map[webhook.EventID]*chaosEvent)
	for _, event := range c.events {
		events[event.got.ID] = event
	}
	sent := make(map[webhook.EventID]time.Time)
	for _, a := range c.attempts {
		event := events[a.event]
		if a.endpoint != endpoint || a.manual || event == nil || !event.due.IsZero() || c.wasResent(a) {
			continue
		}
		if _, again := sent[a.event]; again {
			continue
		}
		for id, at := range sent {
			if other := events[id]; event.acked.Before(other.began) {
				c.t.Errorf("%s: %s, acknowledged %v from the start, is sent at %v, and %s, published from %v on, was at %v", endpoint.wish.UID,
					a.event, event.acked.Sub(c.start), a.began.Sub(c.start), id, other.began.Sub(c.start), at.Sub(c.start))
			}
		}
		sent[a.event] = a.began
	}
}
