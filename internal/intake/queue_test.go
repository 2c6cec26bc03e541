package intake

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/neohook/neohook/store"
)

func event(bytes int) store.Accept { return store.Accept{Payload: make([]byte, bytes)} }

// submit publishes in the background; the error comes when it is answered.
func submit(ctx context.Context, q *Queue, accept store.Accept) <-chan error {
	answer := make(chan error, 1)
	go func() {
		_, err := q.Submit(ctx, accept)
		answer <- err
	}()
	return answer
}

// answer gives items their verdict.
func answer(items []*Item) {
	for _, item := range items {
		item.Done(store.Verdict{}, nil)
	}
}

func isOverloaded(err error) bool {
	_, overloaded := errors.AsType[*OverloadedError](err)
	return overloaded
}

func TestPublisherWithoutAPlaceWaitsInTurnAndIsTurnedAwayInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: 3 * rowBytes, Wait: time.Second})
		first := submit(t.Context(), q, event(2*rowBytes))
		synctest.Wait()
		committing := q.Take(10, 1<<20)
		start := time.Now()
		if err := <-submit(t.Context(), q, event(0)); !isOverloaded(err) {
			t.Fatalf("err = %v, want *OverloadedError", err)
		}
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("turned away after %v, want 1s", waited)
		}
		patient := submit(t.Context(), q, event(0))
		synctest.Wait()
		if q.Len() != 0 {
			t.Error("an event has a place where there is none")
		}
		answer(committing)
		synctest.Wait()
		taken := q.Take(10, 1<<20)
		if len(taken) != 1 {
			t.Fatalf("%d items after a place came free, want 1", len(taken))
		}
		answer(taken)
		if err := errors.Join(<-first, <-patient); err != nil {
			t.Error(err)
		}
	})
}

func TestEventThatIsNotTakenInTimeIsTurnedAwayAndNeverCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: 1 << 20, Wait: 5 * time.Second})
		err := <-submit(t.Context(), q, event(1))
		overloaded, ok := errors.AsType[*OverloadedError](err)
		if !ok || overloaded.RetryAfter != 5*time.Second {
			t.Errorf("err = %#v, want overloaded for the 5 s that events wait", err)
		}
		if q.Len() != 0 || q.Stats() != (Stats{Limits: q.limits, Delay: 5 * time.Second}) {
			t.Errorf("something is left: %+v", q.Stats())
		}
	})
}

func TestFloodOfOneTenantIsBoundedAndKeepsNobodyElseWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 100
		q := New(Limits{Bytes: room * rowBytes, Outside: room * rowBytes, Wait: time.Second})
		ctx, giveUp := context.WithCancel(t.Context())
		flood := make(chan error, 10*room)
		for range 10 * room {
			go func() {
				_, err := q.Submit(ctx, store.Accept{Tenant: 1})
				flood <- err
			}()
		}
		synctest.Wait()
		s := q.Stats()
		if s.Events != room/2 || s.Outside.Events != room/2 || len(flood) != 9*room {
			t.Errorf("of a flood %d have a place, %d wait and %d are turned away; want %d, %d, %d",
				s.Events, s.Outside.Events, len(flood), room/2, room/2, 9*room)
		}
		others := make(map[store.TenantKey]<-chan error)
		for tenant := store.TenantKey(2); tenant < 7; tenant++ {
			others[tenant] = submit(t.Context(), q, store.Accept{Tenant: tenant})
		}
		synctest.Wait()
		batch := q.Take(10, 1<<20)
		answer(batch)
		for tenant, answered := range others {
			select {
			case err := <-answered:
				if err != nil {
					t.Errorf("tenant %d: %v", tenant, err)
				}
			case <-time.After(time.Millisecond):
				t.Errorf("tenant %d is not in the next batch of 10", tenant)
			}
		}
		giveUp()
		synctest.Wait()
		if s := q.Stats(); s.Tenants != 0 || s.Bytes != 0 || s.Outside.Bytes != 0 {
			t.Errorf("something is left: %+v", s)
		}
	})
}

func TestThoseWhoWaitForAPlaceTakeTurnsByTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: 4 * rowBytes, Outside: 100 * rowBytes, Wait: time.Second})
		var order []string
		for _, tenant := range []store.TenantKey{9, 8, 7} { // each has a place, being committed
			submit(t.Context(), q, store.Accept{Tenant: tenant})
			synctest.Wait()
		}
		held := q.Take(10, 1<<20)
		for _, name := range []string{"a1", "a2", "a3", "a4", "b1", "b2", "c1"} {
			submit(t.Context(), q, store.Accept{Tenant: store.TenantKey(name[0]), Type: name})
			synctest.Wait()
		}
		for taken := q.Take(1, 1<<20); len(taken) > 0; taken = q.Take(1, 1<<20) {
			order = append(order, taken[0].Accept.Type)
			answer(taken)
			synctest.Wait()
		}
		answer(held)
		if got, want := strings.Join(order, " "), "a1 a2 b1 c1 a3 b2 a4"; got != want {
			t.Errorf("order %s, want %s", got, want)
		}
	})
}

func TestLargeEventIsNotOvertakenForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: 10 * rowBytes, Wait: time.Minute})
		var small []*Item
		for tenant := store.TenantKey(10); tenant < 15; tenant++ {
			submit(t.Context(), q, store.Accept{Tenant: tenant})
			synctest.Wait()
			small = append(small, q.Take(1, 1)...)
		}
		submit(t.Context(), q, store.Accept{Tenant: 1, Payload: make([]byte, 8*rowBytes)})
		synctest.Wait()
		for tenant := store.TenantKey(20); tenant < 30; tenant++ {
			submit(t.Context(), q, store.Accept{Tenant: tenant})
		}
		synctest.Wait()
		answer(small)
		synctest.Wait()
		taken := q.Take(1, 1<<20)
		if len(taken) != 1 || taken[0].Accept.Tenant != 1 {
			t.Errorf("%d taken, want the large one first", len(taken))
		}
		for ; len(taken) > 0; taken = q.Take(1, 1<<20) {
			answer(taken)
			synctest.Wait()
		}
	})
}

func TestCloseTurnsAwayThoseWithoutAPlaceAndKeepsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: rowBytes, Outside: 10 * rowBytes, Wait: time.Minute})
		has := submit(t.Context(), q, event(0))
		synctest.Wait()
		waits := submit(t.Context(), q, event(0))
		synctest.Wait()
		q.Close()
		if err := <-waits; !errors.Is(err, ErrStopped) {
			t.Errorf("err = %v, want ErrStopped", err)
		}
		answer(q.Take(10, 1<<20))
		if err := <-has; err != nil {
			t.Error(err)
		}
		if err := <-submit(t.Context(), q, event(0)); !errors.Is(err, ErrStopped) {
			t.Errorf("err = %v after Close, want ErrStopped", err)
		}
	})
}

// Whatever is submitted, taken and given up: nothing is lost, the bounds hold, and a
// tenant's events are taken in order.
func TestQueueHoldsItsPromisesOverRandomRuns(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limits := Limits{Bytes: 8 * rowBytes, Outside: 4 * rowBytes, Wait: time.Hour}
		q := New(limits)
		open := map[*Item]bool{}
		taken := map[store.TenantKey]time.Time{}
		for step := range rapid.IntRange(1, 80).Draw(r, "steps") {
			switch rapid.IntRange(0, 2).Draw(r, "step") {
			case 0:
				item := &Item{since: time.Unix(int64(step), 0)}
				item.Accept.Tenant = store.TenantKey(rapid.IntRange(1, 4).Draw(r, "tenant"))
				item.size = rapid.Int64Range(1, 3).Draw(r, "size") * rowBytes
				item.link.of = item
				for range rapid.IntRange(0, 3).Draw(r, "more") {
					item.rest = append(item.rest, new(Item))
				}
				if q.add(item) == nil {
					open[item] = true
				}
			case 1:
				count := rapid.IntRange(1, 3).Draw(r, "count")
				batch := q.Take(count, 1<<20)
				if len(batch) > count && len(batch) > batch[0].count() {
					r.Fatalf("%d taken in place of %d", len(batch), count)
				}
				for len(batch) > 0 {
					item := batch[0]
					if !open[item] || item.since.Before(taken[item.Accept.Tenant]) {
						r.Fatalf("taken twice, after it was given up, or out of order")
					}
					if !slices.Equal(batch[1:item.count()], item.rest) {
						r.Fatalf("what was submitted together is not taken together")
					}
					taken[item.Accept.Tenant] = item.since
					delete(open, item)
					batch = batch[item.count():]
					q.leave(item)
				}
			case 2:
				for item := range open {
					if q.withdraw(item) {
						q.leave(item)
						delete(open, item)
					}
					break
				}
			}
			s, events := q.Stats(), 0
			for item := range open {
				events += item.count()
			}
			if s.Bytes > limits.Bytes || s.Outside.Bytes > limits.Outside || s.Events+s.Outside.Events != events {
				r.Fatalf("%+v, with %d open", s, events)
			}
			if s.Outside.Events > 0 && s.Bytes == 0 {
				r.Fatal("somebody waits for a place though all are free")
			}
		}
	})
}

func BenchmarkSubmit(b *testing.B) {
	q := New(Limits{Bytes: 64 << 20, Wait: 5 * time.Second})
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-q.Bell():
				answer(q.Take(512, 8<<20))
			}
		}
	}()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := q.Submit(b.Context(), store.Accept{Tenant: 1}); err != nil {
				b.Fatal(err)
			}
		}
	})
	close(stop)
}

func TestEventLargerThanTheQueueHasItToItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: 2 * rowBytes, Wait: time.Second})
		large := submit(t.Context(), q, event(50*rowBytes))
		synctest.Wait()
		q.Take(1, 1)[0].Done(store.Verdict{}, nil)
		if err := <-large; err != nil {
			t.Error(err)
		}
	})
}

// batch submits several events together in the background.
func batch(ctx context.Context, q *Queue, payloads ...string) <-chan []Answer {
	answers := make(chan []Answer, 1)
	accepts := make([]store.Accept, len(payloads))
	for i, payload := range payloads {
		accepts[i].Payload = []byte(payload)
	}
	go func() {
		got, err := q.SubmitAll(ctx, accepts)
		if err != nil {
			got = []Answer{{Err: err}}
		}
		answers <- got
	}()
	return answers
}

func TestEventsSubmittedTogetherAreTakenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: 1 << 20, Wait: time.Second})
		first := submit(t.Context(), q, event(1))
		synctest.Wait()
		three := batch(t.Context(), q, "a", "b", "c")
		synctest.Wait()
		last := submit(t.Context(), q, event(1))
		synctest.Wait()
		var got []string
		for range 2 { // the three do not fit beside the first, and exceed the bound alone
			taken := q.Take(2, 1<<20)
			text := ""
			for i, item := range taken {
				text += string(item.Accept.Payload)
				if i == 1 {
					item.Done(store.Verdict{}, errors.New("bad"))
				} else {
					item.Done(store.Verdict{Kind: store.Accepted, Event: store.EventKey(i)}, nil)
				}
			}
			got = append(got, text)
		}
		if want := []string{"\x00", "abc"}; !slices.Equal(got, want) {
			t.Errorf("taken %q, want %q", got, want)
		}
		answers := <-three
		if len(answers) != 3 || answers[0].Err != nil || answers[1].Err == nil || answers[2].Verdict.Event != 2 {
			t.Errorf("answers %+v", answers)
		}
		answer(q.Take(9, 1<<20))
		if err := errors.Join(<-first, <-last); err != nil {
			t.Error(err)
		}
	})
}

func TestEventsSubmittedTogetherAreTurnedAwayTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: 1 << 20, Wait: time.Second})
		late := <-batch(t.Context(), q, "a", "b")
		if len(late) != 1 || !isOverloaded(late[0].Err) {
			t.Errorf("answers %+v, want overloaded", late)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone := batch(ctx, q, "a", "b")
		synctest.Wait()
		cancel()
		if got := <-gone; len(got) != 1 || !errors.Is(got[0].Err, context.Canceled) {
			t.Errorf("answers %+v, want Canceled", got)
		}
		if s := q.Stats(); s.Events != 0 || s.Tenants != 0 || s.Bytes != 0 {
			t.Errorf("something is left: %+v", s)
		}
	})
}

func TestPublisherThatGaveUpIsNotCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: 1 << 20, Wait: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		gone, stays := submit(ctx, q, event(1)), submit(t.Context(), q, event(2))
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v, want Canceled", err)
		}
		taken := q.Take(10, 1<<20)
		if len(taken) != 1 || len(taken[0].Accept.Payload) != 2 {
			t.Fatalf("%d items taken, want the other one alone", len(taken))
		}
		taken[0].Done(store.Verdict{}, nil)
		if err := <-stays; err != nil {
			t.Error(err)
		}
	})
}

func TestPublisherThatGivesUpDuringTheCommitLearnsItsOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: 1 << 20, Wait: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		told := submit(ctx, q, event(1))
		synctest.Wait()
		taken := q.Take(1, 1)
		cancel()
		synctest.Wait()
		taken[0].Done(store.Verdict{Kind: store.Accepted, Event: 9}, nil)
		if err := <-told; err != nil {
			t.Errorf("err = %v for an event that was stored", err)
		}
	})
}

func TestTakeKeepsToItsBoundsAndTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: 1 << 20, Wait: time.Second})
		for bytes := 1; bytes <= 6; bytes++ {
			submit(t.Context(), q, event(bytes))
			synctest.Wait()
		}
		var got []int
		for _, bounds := range []struct {
			count int
			bytes int64
		}{{2, 100}, {9, 8}, {9, 1}, {9, 1}} { // 1 2 · 3 4 · 5 · 6
			taken := q.Take(bounds.count, bounds.bytes)
			got = append(got, len(taken))
			for _, item := range taken {
				item.Done(store.Verdict{}, nil)
			}
		}
		if want := [4]int{2, 2, 1, 1}; [4]int(got) != want {
			t.Errorf("took %v, want %v", got, want)
		}
	})
}

func TestEnteredEventsAreTakenInTheirOrderAndAnsweredEach(t *testing.T) {
	q := New(Limits{Bytes: 6 * rowBytes, Wait: time.Second}) // half of it each, inside and outside
	var entered []*Item
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		item, err := q.Enter(store.Accept{Type: name})
		if err != nil {
			t.Fatal(err)
		}
		entered = append(entered, item)
	}
	var got strings.Builder
	for n := 0; n < len(entered); {
		taken := q.Take(2, 1<<20)
		for _, item := range taken {
			got.WriteString(item.Accept.Type)
			item.Done(store.Verdict{Event: store.EventKey(n + 1)}, nil)
			verdict, err := q.Await(t.Context(), entered[n])
			if n++; err != nil || verdict.Event != store.EventKey(n) {
				t.Errorf("event %d: %v, %v", n, verdict, err)
			}
		}
	}
	if got.String() != "abcde" {
		t.Errorf("taken in the order %s", got.String())
	}
	if stats := q.Stats(); stats.Bytes != 0 || stats.Events != 0 {
		t.Errorf("afterwards there is %+v", stats)
	}
	q.Close()
	if item, err := q.Enter(store.Accept{}); item != nil || !errors.Is(err, ErrStopped) {
		t.Errorf("after Close: %v, %v", item, err)
	}
}
