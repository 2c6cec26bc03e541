package dispatch

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
)

func TestSendsAreFoundAfterAStartAndSentWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &shelf{}
		for i := range 9 { // more than two pages
			s.sends = append(s.sends, store.Send{
				Key: store.SendKey(i + 1), Tenant: 1, Endpoint: 1, Event: store.EventKey(100 + i), Tried: i, Retried: true,
				DueAt: start.Add(time.Duration(i) * time.Minute),
			})
		}
		r := &receiver{}
		d, out, stop := run(t, s, r, time.Minute)
		for i := range 9 {
			if got, want := r.sent(), i+1; len(got) != want || got[i] != store.EventKey(100+i) {
				t.Fatalf("after %v the events %v were sent", time.Since(start), got)
			}
			taken := out.Take(time.Now(), 1)
			if of := taken[0].Delivery; of.Send != store.SendKey(i+1) || of.Tried != i || !of.Retried {
				t.Errorf("given out as %+v", of)
			}
			s.mu.Lock()
			s.sends = s.sends[1:]
			s.mu.Unlock()
			d.Committed(time.Now(), nil, taken)
			time.Sleep(time.Minute)
		}
		stop()
	})
}

func TestAwaitedSendsAndDeliveriesAreSentWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := &receiver{}
		d, out, stop := run(t, &shelf{}, r, time.Minute)
		d.Await(start, []lane.Delivery{
			{Tenant: 1, Endpoint: 1, Event: 7, Due: start.Add(time.Hour)},
			{Tenant: 1, Endpoint: 1, Event: 7, Send: 3, Due: start},
		})
		if got := r.sent(); !slices.Equal(got, []store.EventKey{7}) {
			t.Fatalf("sent %v at once, want event 7 by its send", got)
		}
		record(d, out)
		time.Sleep(time.Hour)
		if got := r.sent(); len(got) != 2 {
			t.Errorf("sent %v after an hour, want the delivery too", got)
		}
		record(d, out)
		stop()
	})
}

func TestSendThatSucceedsEndsTheDeliveryInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := &receiver{}
		d, out, stop := run(t, &shelf{}, r, time.Minute)
		d.Await(start, []lane.Delivery{
			{Tenant: 1, Endpoint: 1, Event: 7, Due: start.Add(time.Hour)},
			{Tenant: 1, Endpoint: 1, Event: 8, Due: start.Add(time.Hour)},
			{Tenant: 1, Endpoint: 1, Event: 7, Send: 3, Due: start},
			{Tenant: 1, Endpoint: 1, Event: 8, Send: 4, Due: start},
		})
		synctest.Wait()
		done := out.Take(start, 2)
		for i := range done {
			done[i].Outcome.Attempt = &store.Attempt{Succeeded: done[i].Delivery.Event == 7}
		}
		d.Committed(start, nil, done)
		time.Sleep(2 * time.Hour)
		if got := r.sent(); len(got) != 3 || got[2] != 8 {
			t.Errorf("sent %v, want events 7 and 8 by their sends, and then 8 once more", got)
		}
		record(d, out)
		stop()
		if stats := d.Stats(); stats != (lane.Stats{}) {
			t.Errorf("afterwards the board holds %+v", stats)
		}
	})
}

func TestDroppedDeliveryIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{takes: time.Second}
		d, out, stop := run(t, &shelf{}, r, time.Minute)
		d.Committed(time.Now(), accepted(1, 2, 3, 4, 5), nil)
		synctest.Wait() // three are in flight
		d.Drop(time.Now(), []store.DeliveryRef{{Endpoint: 1, Event: 3}, {Endpoint: 1, Event: 4}, {Endpoint: 9, Event: 5}})
		time.Sleep(5 * time.Second)
		if got := sorted(r.sent()); !slices.Equal(got, []store.EventKey{1, 2, 3, 5}) {
			t.Errorf("sent %v, want all but 4", got)
		}
		record(d, out)
		stop()
	})
}

func TestNothingBeginsWhileEverythingIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{takes: time.Second}
		d, out, stop := run(t, &shelf{}, r, time.Minute)
		d.Committed(time.Now(), accepted(1, 2, 3, 4), nil)
		synctest.Wait()
		d.Pause(time.Now(), true)
		d.Committed(time.Now(), accepted(5), nil)
		time.Sleep(time.Hour)
		if got := r.sent(); len(got) != 3 {
			t.Errorf("sent %v, want the three that were in flight", got)
		}
		if sight := d.Look(time.Now(), 1, 5); sight.Wait != lane.ForResume {
			t.Errorf("event 5 waits for %v, want to be resumed", sight.Wait)
		}
		d.Pause(time.Now(), false)
		time.Sleep(2 * time.Second)
		if got := sorted(r.sent()); !slices.Equal(got, []store.EventKey{1, 2, 3, 4, 5}) {
			t.Errorf("sent %v once resumed", got)
		}
		record(d, out)
		stop()
	})
}
