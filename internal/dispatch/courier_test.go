package dispatch

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
)

func odd(event store.EventKey) bool { return event%2 == 1 }

func TestForgottenDeliveriesAreNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{takes: 10 * time.Second}
		d, out, stop := run(t, &shelf{}, r, time.Minute)
		d.Committed(time.Now(), accepted(1, 2, 3, 4, 5, 6, 7), nil)
		d.Forget(time.Now(), 2, odd) // of another tenant
		synctest.Wait()
		d.Forget(time.Now(), 1, odd)
		time.Sleep(25 * time.Second)
		record(d, out)
		stop()
		if got, want := sorted(r.sent()), []store.EventKey{1, 2, 3, 4, 6}; !slices.Equal(got, want) {
			t.Errorf("sent %v, want %v: the first three were in flight", got, want)
		}
		if stats := d.Stats(); stats != (lane.Stats{}) {
			t.Errorf("afterwards the board holds %+v", stats)
		}
	})
}

func TestCutWaitsForAttemptsThatEndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{takes: time.Second}
		d, out, stop := run(t, &shelf{}, r, time.Minute)
		d.Committed(time.Now(), accepted(1, 2, 3), nil)
		synctest.Wait()
		start := time.Now()
		if err := d.Cut(t.Context(), 1, odd, time.Minute); err != nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v, want nil after 1s", err, time.Since(start))
		}
		start = time.Now()
		if err := d.Cut(t.Context(), 1, odd, time.Minute); err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %v, want nil at once: nothing is in flight", err, time.Since(start))
		}
		synctest.Wait() // for the third
		if count, _ := out.Waiting(); count != 3 {
			t.Errorf("%d outcomes, want 3", count)
		}
		record(d, out)
		stop()
	})
}

func TestCutEndsOnlyWhatItNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{takes: time.Minute}
		d, out, stop := run(t, &shelf{}, r, time.Hour)
		d.Committed(time.Now(), accepted(1, 2, 3), nil)
		synctest.Wait()
		d.Forget(time.Now(), 1, odd)
		if err := d.Cut(t.Context(), 2, odd, time.Second); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := d.Cut(t.Context(), 1, odd, time.Second); err != nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v, want nil after 1s", err, time.Since(start))
		}
		if count, _ := out.Waiting(); count != 0 {
			t.Errorf("%d outcomes of attempts that were cut off", count)
		}
		d.Committed(time.Now(), accepted(4), nil) // who was cut off goes on
		time.Sleep(2 * time.Minute)
		done := out.Take(time.Now(), 9)
		d.Committed(time.Now(), nil, done)
		stop()
		if len(done) != 2 || done[0].Delivery.Event != 2 || done[1].Delivery.Event != 4 {
			t.Errorf("outcomes %+v, want those of 2 and 4", done)
		}
		if stats := d.Stats(); stats != (lane.Stats{}) {
			t.Errorf("afterwards the board holds %+v", stats)
		}
	})
}

// stubborn is a Sender that does not heed its context.
type stubborn struct{ receiver }

func (s *stubborn) Send(ctx context.Context, d lane.Delivery) (store.Outcome, lane.Result, error) {
	return s.receiver.Send(context.WithoutCancel(ctx), d)
}

func TestContextEndsTheWaitForAnAdapterThatDoesNotLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, out, stop := run(t, &shelf{}, &receiver{}, time.Minute)
		d.sender = &stubborn{receiver{takes: time.Minute}}
		d.Committed(time.Now(), accepted(1), nil)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := d.Cut(ctx, 1, odd, time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want %v", err, context.DeadlineExceeded)
		}
		time.Sleep(time.Hour)
		record(d, out)
		stop()
	})
}
