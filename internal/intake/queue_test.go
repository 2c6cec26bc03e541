package intake

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

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

func TestPublisherWithoutAPlaceWaitsInTurnAndIsTurnedAwayInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Limits{Bytes: 3 * rowBytes, Wait: time.Second})
		first := submit(t.Context(), q, event(2*rowBytes))
		synctest.Wait()
		start := time.Now()
		if err := <-submit(t.Context(), q, event(0)); !errors.Is(err, ErrOverloaded) {
			t.Fatalf("err = %v, want ErrOverloaded", err)
		}
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("turned away after %v, want 1s", waited)
		}
		patient := submit(t.Context(), q, event(0))
		synctest.Wait()
		for _, item := range q.Take(10, 1<<20) {
			item.Done(store.Verdict{}, nil)
		}
		synctest.Wait()
		taken := q.Take(10, 1<<20)
		if len(taken) != 1 {
			t.Fatalf("%d items after a place came free, want 1", len(taken))
		}
		taken[0].Done(store.Verdict{}, nil)
		if err := errors.Join(<-first, <-patient); err != nil {
			t.Error(err)
		}
	})
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
		answer := submit(ctx, q, event(1))
		synctest.Wait()
		taken := q.Take(1, 1)
		cancel()
		synctest.Wait()
		taken[0].Done(store.Verdict{Kind: store.Accepted, Event: 9}, nil)
		if err := <-answer; err != nil {
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
