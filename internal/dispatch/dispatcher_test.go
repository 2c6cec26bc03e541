package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/internal/outcome"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// shelf is the open deliveries and sends of endpoint 1.
type shelf struct {
	mu    sync.Mutex
	open  []store.Open
	sends []store.Send
	fails int // so many of the next readings
}

func (s *shelf) Lanes(_ context.Context, after store.EndpointKey, _ int) ([]store.Lane, error) {
	if after > 0 || len(s.open)+len(s.sends) == 0 {
		return nil, nil
	}
	return []store.Lane{{Endpoint: 1, Tenant: 1}}, nil
}

func (s *shelf) Fresh(_ context.Context, _ store.EndpointKey, from store.EventKey, limit int) (store.FreshPage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails > 0 {
		s.fails--
		return store.FreshPage{}, errors.New("disk error")
	}
	var page store.FreshPage
	for i, open := range s.open {
		if open.Event < from {
			continue
		}
		if page.Next = open.Event + 1; open.Tried == 0 {
			page.Deliveries = append(page.Deliveries, open)
		}
		if limit--; limit == 0 {
			page.More = i < len(s.open)-1
			break
		}
	}
	return page, nil
}

func (s *shelf) Waiting(_ context.Context, _ store.EndpointKey, from store.Moment, limit int) ([]store.Open, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := slices.DeleteFunc(slices.Clone(s.open), func(o store.Open) bool { return o.Tried == 0 || o.RetryAt.Before(from.At) })
	slices.SortFunc(waiting, func(a, b store.Open) int { return a.RetryAt.Compare(b.RetryAt) })
	return waiting[:min(limit, len(waiting))], nil
}

func (s *shelf) SendsOf(_ context.Context, _ store.EndpointKey, from store.Moment, limit int) ([]store.Send, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sends := slices.DeleteFunc(slices.Clone(s.sends), func(send store.Send) bool { return send.DueAt.Before(from.At) })
	slices.SortFunc(sends, func(a, b store.Send) int { return a.DueAt.Compare(b.DueAt) })
	return sends[:min(limit, len(sends))], nil
}

func (s *shelf) Payloads(_ context.Context, keys []store.EventKey) ([]store.Payload, error) {
	payloads := make([]store.Payload, len(keys))
	for i, key := range keys {
		payloads[i] = store.Payload{Event: key, Body: []byte("{}")}
	}
	return payloads, nil
}

// receiver is a Sender that takes its time and notes when it was called.
type receiver struct {
	takes time.Duration
	again bool // what is sent is to be sent again
	mu    sync.Mutex
	got   []store.EventKey
	most  int // in flight at a time
	now   int
}

func (r *receiver) Send(ctx context.Context, d lane.Delivery) (store.Outcome, lane.Result, error) {
	r.mu.Lock()
	r.got = append(r.got, d.Event)
	r.now++
	r.most = max(r.most, r.now)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.now--
		r.mu.Unlock()
	}()
	select {
	case <-time.After(r.takes):
		return store.Outcome{Event: d.Event, State: webhook.Succeeded}, lane.Result{Verdict: lane.Success, Ends: !r.again}, nil
	case <-ctx.Done():
		return store.Outcome{}, lane.Result{}, ctx.Err()
	}
}

// sent waits until nothing moves and returns what was sent so far.
func (r *receiver) sent() []store.EventKey {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

var limits = lane.Limits{Attempts: 100, Unrecorded: 100, Rows: 1000, Bytes: 1 << 20, Page: 4}

// three is the concurrency of every endpoint.
type three struct{}

func (three) Known(store.TenantKey, store.EndpointKey) lane.Settings {
	return lane.Settings{Concurrency: 3}
}

func (three) Settings(context.Context, store.TenantKey, store.EndpointKey) (lane.Settings, error) {
	return lane.Settings{Concurrency: 3}, nil
}

// run runs a Dispatcher; stop ends it and returns how long that took.
func run(t *testing.T, s *shelf, r *receiver, grace time.Duration) (d *Dispatcher, out *outcome.Queue, stop func() time.Duration) {
	out = outcome.New()
	d = New(limits, s, three{}, r, out, slog.New(slog.DiscardHandler))
	if err := d.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		d.Run(ctx, grace)
		close(ended)
	}()
	stop = func() time.Duration {
		start := time.Now()
		cancel()
		<-ended
		return time.Since(start)
	}
	return d, out, stop
}

func accepted(events ...store.EventKey) []lane.Delivery {
	var deliveries []lane.Delivery
	for _, event := range events {
		deliveries = append(deliveries, lane.Delivery{Tenant: 1, Endpoint: 1, Event: event, Payload: &store.Payload{Event: event}})
	}
	return deliveries
}

// record says that all finished attempts are stored.
func record(d *Dispatcher, out *outcome.Queue) {
	d.Committed(time.Now(), nil, out.Take(time.Now(), 1000))
}

func TestCommittedDeliveriesAreSentAtOnceWithinTheConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{takes: time.Second}
		d, out, stop := run(t, &shelf{}, r, time.Minute)
		d.Committed(time.Now(), accepted(1, 2, 3, 4, 5, 6, 7), nil)
		time.Sleep(3*time.Second + time.Millisecond)
		record(d, out)
		stop()
		got := sorted(r.sent())
		if want := []store.EventKey{1, 2, 3, 4, 5, 6, 7}; !slices.Equal(got, want) || r.most != 3 {
			t.Errorf("sent %v, %d at a time; want %v, 3", got, r.most, want)
		}
		if stats := d.Stats(); stats != (lane.Stats{}) {
			t.Errorf("afterwards the board holds %+v", stats)
		}
	})
}

func TestRetryIsSentAtTheInstantItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{again: true}
		d, out, stop := run(t, &shelf{}, r, time.Minute)
		start := time.Now()
		d.Committed(start, accepted(1), nil)
		synctest.Wait()
		done := out.Take(start, 1)
		done[0].Outcome.RetryAt = start.Add(10 * time.Hour)
		d.Committed(start, nil, done)
		time.Sleep(10*time.Hour - time.Millisecond)
		if len(r.sent()) != 1 {
			t.Fatalf("sent %d times before it was due", len(r.sent()))
		}
		time.Sleep(time.Millisecond)
		if len(r.sent()) != 2 {
			t.Fatal("not sent at the instant it was due")
		}
		record(d, out)
		stop()
	})
}

func TestBacklogIsSentAfterAStartInOrderThenWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{fails: 2} // readings that fail are made again
		start := time.Now()
		for event := store.EventKey(1); event <= 11; event++ {
			open := store.Open{Event: event}
			if event%5 == 0 {
				open.Tried, open.RetryAt = 1, start.Add(time.Hour)
			}
			s.open = append(s.open, open)
		}
		r := &receiver{takes: time.Millisecond}
		d, out, stop := run(t, s, r, time.Minute)
		s.mu.Lock()
		s.open = append(s.open, store.Open{Event: 12})
		s.mu.Unlock()
		d.Committed(time.Now(), accepted(12), nil)
		for range 20 {
			time.Sleep(time.Second)
			record(d, out)
		}
		if want := []store.EventKey{1, 2, 3, 4, 6, 7, 8, 9, 11, 12}; !slices.Equal(sorted(r.sent()), want) {
			t.Errorf("sent %v, want %v", r.sent(), want)
		}
		time.Sleep(time.Hour)
		record(d, out)
		if got := sorted(r.sent()[10:]); !slices.Equal(got, []store.EventKey{5, 10}) {
			t.Errorf("after an hour %v were sent, want 5 and 10", got)
		}
		stop()
	})
}

func sorted(keys []store.EventKey) []store.EventKey {
	return slices.Sorted(slices.Values(keys))
}

func TestStoppingLetsAttemptsFinishAndBeginsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{takes: 10 * time.Second}
		d, out, stop := run(t, &shelf{}, r, 30*time.Second)
		d.Committed(time.Now(), accepted(1, 2, 3, 4, 5), nil)
		time.Sleep(time.Second)
		if took := stop(); took != 9*time.Second {
			t.Errorf("the end took %v, want 9s: the rest of the attempts in flight", took)
		}
		if count, _ := out.Waiting(); count != 3 || len(r.sent()) != 3 {
			t.Errorf("%d sent, %d outcomes; want the 3 that were in flight", len(r.sent()), count)
		}
	})
}

func TestStoppingCutsAttemptsOffAfterTheGraceAndDoesNotCountThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{takes: time.Hour}
		d, out, stop := run(t, &shelf{}, r, 30*time.Second)
		d.Committed(time.Now(), accepted(1, 2), nil)
		time.Sleep(time.Second)
		if took := stop(); took != 30*time.Second {
			t.Errorf("the end took %v, want the grace of 30s", took)
		}
		if count, _ := out.Waiting(); count != 0 {
			t.Errorf("%d outcomes of attempts that were cut off", count)
		}
	})
}

func TestOutcomeMayBeRecordedAsSoonAsItIsQueued(t *testing.T) {
	d, out, stop := run(t, &shelf{}, &receiver{}, time.Minute)
	const wave = 100 // fits into memory, as the shelf is empty
	for first := store.EventKey(1); first <= 20_000; first += wave {
		for event := first; event < first+wave; event++ {
			d.Committed(time.Now(), accepted(event), nil)
		}
		for n := 0; n < wave; {
			<-out.Bell()
			done := out.Take(time.Now(), wave)
			d.Committed(time.Now(), nil, done)
			n += len(done)
		}
	}
	stop()
	if stats := d.Stats(); stats != (lane.Stats{}) {
		t.Errorf("afterwards the board holds %+v", stats)
	}
}
