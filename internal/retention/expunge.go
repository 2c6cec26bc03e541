package retention

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/internal/outage"
	"github.com/neohook/neohook/store"
)

// Expunge deletes something that takes one transaction, do, which returns what was open of
// it. gone says which of the tenant's events have nothing open any more when do has
// returned nil. When Expunge returns nil, nothing of it is in the store's files, and
// nothing of it will be sent; with an error, do it again.
func (k *Keeper) Expunge(ctx context.Context, write func(context.Context, func(context.Context) error) error, tenant store.TenantKey, gone func(store.EventKey) bool, do func(context.Context) ([]store.Turn, error)) error {
	err := write(ctx, func(ctx context.Context) error {
		open, err := do(ctx)
		if errors.Is(err, store.ErrCommitUnknown) {
			k.Lanes.Review(time.Now(), tenant)
		}
		if err != nil {
			return err
		}
		// All, and not what was open: this may be the second time, after a commit whose
		// fate was unknown.
		k.Lanes.Forget(time.Now(), tenant, gone)
		k.Ended(open)
		return nil
	})
	if err != nil {
		return err
	}
	if err := k.Lanes.Cut(ctx, tenant, gone, patience); err != nil {
		return err
	}
	if k.Heard != nil {
		k.Heard(ctx, tenant)
	}
	return k.Store.Scrub(ctx)
}

// Await returns when an Expunge that is stored is done. The error is that of ctx, or
// ErrStopped: it will be done all the same.
func (k *Keeper) Await(ctx context.Context, asked store.Expunge) error {
	select {
	case <-k.Done(asked):
		return nil
	case <-k.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Done has an Expunge carried out that is stored, and returns what is closed when that is
// done: no more of it is being sent, and nothing of it is in the store's files.
func (k *Keeper) Done(asked store.Expunge) <-chan struct{} {
	done := make(chan struct{})
	k.mu.Lock()
	k.waiting[asked.Key] = append(k.waiting[asked.Key], done)
	k.mu.Unlock()
	select {
	case k.bell <- struct{}{}:
	default:
	}
	return done
}

// expungeAll carries out what is asked for.
func (k *Keeper) expungeAll(ctx context.Context) {
	// A crash may have come between the last step of one and the end.
	var scrubbing outage.Watch
	for err := k.Store.Scrub(ctx); err != nil && ctx.Err() == nil; err = k.Store.Scrub(ctx) {
		if scrubbing.News(err) {
			k.Log.WarnContext(ctx, "what was expunged may be left in the store's files, trying again", "error", err)
		}
		pause(ctx, afterFailure)
	}
	var away outage.Watch
	for ctx.Err() == nil {
		some, err := k.expungeSome(ctx)
		news := away.News(err)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			if news {
				k.Log.WarnContext(ctx, "what is to be expunged could not be deleted, trying again", "error", err)
			}
			pause(ctx, afterFailure)
		case !some:
			select {
			case <-ctx.Done():
			case <-k.bell:
			}
		}
	}
}

// expungeSome carries out what is stored by now, and says whether there was anything.
func (k *Keeper) expungeSome(ctx context.Context) (some bool, err error) {
	// Who waits for what is done has asked before the list is read.
	k.mu.Lock()
	waiting := k.waiting
	k.waiting = make(map[store.ExpungeKey][]chan struct{})
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		for key, more := range waiting { // as it failed
			k.waiting[key] = append(k.waiting[key], more...)
		}
	}()
	const most = 100
	asked, err := k.Store.Expunges(ctx, 0, most)
	if err != nil {
		return false, err
	}
	for i, one := range asked {
		k.note(func(s *Stats) { s.Expunges = len(asked) - i })
		if err := k.carryOut(ctx, one); err != nil {
			return false, err
		}
		for _, done := range waiting[one.Key] {
			close(done)
		}
		delete(waiting, one.Key)
	}
	k.note(func(s *Stats) { s.Expunges = 0 })
	if len(asked) < most { // what else somebody waits for was done before
		for _, all := range waiting {
			for _, done := range all {
				close(done)
			}
		}
		clear(waiting)
	}
	return len(asked) > 0, nil
}

// carryOut does all of one.
func (k *Keeper) carryOut(ctx context.Context, one store.Expunge) error {
	gone := func(event store.EventKey) bool { return one.Everything || event <= one.Through }
	for done := false; !done; {
		err := k.Writer.Do(ctx, nil, func(ctx context.Context) error {
			now := time.Now()
			open, ended, err := k.Store.ExpungeStep(ctx, now, one.Key, budget)
			if errors.Is(err, store.ErrCommitUnknown) {
				k.Lanes.Review(now, one.Tenant)
			}
			if err != nil {
				return err
			}
			done = ended
			k.forget(now, one.Tenant, open)
			k.Ended(open)
			return nil
		})
		if err != nil {
			return err
		}
		if !done && !pause(ctx, rest) {
			return ctx.Err()
		}
	}
	// Once more for all, as a step of an earlier Run may not have reached the lanes.
	err := k.Writer.Do(ctx, nil, func(context.Context) error {
		k.Lanes.Forget(time.Now(), one.Tenant, gone)
		return nil
	})
	if err != nil {
		return err
	}
	if err := k.Lanes.Cut(ctx, one.Tenant, gone, patience); err != nil {
		return err
	}
	if k.Heard != nil {
		k.Heard(ctx, one.Tenant)
	}
	return k.Store.Scrub(ctx)
}

// forget has the lanes let go of what was open.
func (k *Keeper) forget(now time.Time, tenant store.TenantKey, open []store.Turn) {
	if len(open) == 0 {
		return
	}
	events := make(map[store.EventKey]struct{}, len(open))
	for _, turn := range open {
		events[turn.Event] = struct{}{}
	}
	k.Lanes.Forget(now, tenant, func(event store.EventKey) bool { _, is := events[event]; return is })
}
