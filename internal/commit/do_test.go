package commit

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/internal/outcome"
	"github.com/neohook/neohook/store"
)

func TestChangesAreMadeBetweenBatchesAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{takes: 10 * time.Millisecond}
		r := run(t, l)
		var made []int
		var callers sync.WaitGroup
		for i := range 5 {
			callers.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				if err := r.writer.Do(t.Context(), nil, func(context.Context) error {
					if !l.mu.TryLock() {
						t.Error("a change is made in the midst of a commit")
					} else {
						l.mu.Unlock()
					}
					made = append(made, i) // the race detector says whether it is alone
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		for range 10 {
			callers.Go(func() { r.submit(t, "any") })
			time.Sleep(time.Millisecond)
		}
		callers.Wait()
		if !slices.Equal(made, []int{0, 1, 2, 3, 4}) {
			t.Errorf("changes were made in the order %v", made)
		}
	})
}

func TestPublishersDoNotWaitForManyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 10 * time.Millisecond
		r := run(t, &ledger{takes: takes})
		var callers sync.WaitGroup
		for range 10 * mostWaiting {
			callers.Go(func() {
				if err := r.writer.Do(t.Context(), nil, func(context.Context) error { time.Sleep(takes); return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		r.submit(t, "any")
		if took := time.Since(start); took > 2*takes {
			t.Errorf("an event waited %v, want at most the change that was being made and its own commit", took)
		}
		callers.Wait()
	})
}

func TestChangeOfUnknownFateHasItsLanesReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &ledger{})
		lanes := []store.Lane{{Tenant: 1, Endpoint: 7}, {Tenant: 1, Endpoint: 9}}
		for _, want := range []error{nil, errDisk} {
			if err := r.writer.Do(t.Context(), lanes, func(context.Context) error { return want }); !errors.Is(err, want) {
				t.Errorf("err = %v, want %v", err, want)
			}
		}
		if len(r.told.reread) != 0 {
			t.Errorf("endpoints read again: %v, want none", r.told.reread)
		}
		err := r.writer.Do(t.Context(), lanes, func(context.Context) error { return store.ErrCommitUnknown })
		if !errors.Is(err, store.ErrCommitUnknown) {
			t.Errorf("err = %v, want ErrCommitUnknown", err)
		}
		if !slices.Equal(r.told.reread, []store.EndpointKey{7, 9}) {
			t.Errorf("endpoints read again: %v, want [7 9]", r.told.reread)
		}
	})
}

func TestChangeWaitsUntilNoOutcomeIsInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unknown := 1
		l := &ledger{unread: 8, fault: func(*store.Batch) error {
			if unknown--; unknown >= 0 {
				return store.ErrCommitUnknown // though it stored the batch
			}
			return nil
		}}
		r := run(t, l)
		sent := done(0)
		sent.Outcome.Send = 5
		r.outcomes.Put(time.Now(), done(1))
		r.outcomes.Put(time.Now(), sent)
		time.Sleep(100 * time.Millisecond)
		if err := r.writer.Do(t.Context(), nil, func(context.Context) error {
			if len(r.told.recorded) != 2 {
				t.Errorf("a change is made while %d of 2 outcomes are known to be stored", len(r.told.recorded))
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if l.tried[1] != 1 || l.sent[5] != 1 {
			t.Errorf("outcomes stored so often: %v and %v, want once each", l.tried, l.sent)
		}
	})
}

func TestWhoGivesUpOnAChangeOrIsTooLateHasNothingDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := intake.New(intake.Limits{Bytes: 1, Wait: time.Second})
		w := New(&ledger{}, in, outcome.New(), &told{}, Limits{}, slog.New(slog.DiscardHandler))
		never := func(context.Context) error {
			t.Error("it was done all the same")
			return nil
		}
		hasty, giveUp := context.WithTimeout(t.Context(), time.Second)
		defer giveUp()
		if err := w.Do(hasty, nil, never); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v before Run, want that of the context", err)
		}
		running, stop := context.WithCancel(t.Context())
		ended, begun, end := make(chan error), make(chan struct{}), make(chan struct{})
		go func() { ended <- w.Run(running) }()
		begins, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			first <- w.Do(begins, nil, func(ctx context.Context) error {
				close(begun)
				<-end
				return ctx.Err()
			})
		}()
		<-begun
		go func() { second <- w.Do(t.Context(), nil, never) }()
		synctest.Wait()
		cancel()
		stop()
		close(end)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := <-first; err != nil {
			t.Errorf("err = %v of a change that had begun, want none", err)
		}
		if err := <-second; !errors.Is(err, ErrStopped) {
			t.Errorf("err = %v of a change that had not, want ErrStopped", err)
		}
		if err := w.Do(t.Context(), nil, never); !errors.Is(err, ErrStopped) {
			t.Errorf("err = %v after Run, want ErrStopped", err)
		}
	})
}
