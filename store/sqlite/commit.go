package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Commit stores a batch in one transaction: first what is accepted, then what came of
// deliveries.
func (s *Store) Commit(ctx context.Context, batch *store.Batch) ([]store.Verdict, error) {
	verdicts := make([]store.Verdict, len(batch.Accepts))
	err := s.write(ctx, func(ctx context.Context, w *writer) (err error) {
		w.moves = false
		if err := w.events.reserve(ctx, w.conn, len(batch.Accepts)); err != nil {
			return err
		}
		if err := w.attempts.reserve(ctx, w.conn, len(batch.Outcomes)); err != nil {
			return err
		}
		for i := range batch.Accepts {
			if verdicts[i], err = w.accept(ctx, &batch.Accepts[i], batch.Now); err != nil {
				return err
			}
		}
		for i := range batch.Outcomes {
			if err := w.record(ctx, &batch.Outcomes[i], batch.Now); err != nil {
				return err
			}
		}
		return w.saveLedger(ctx, batch.Now)
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

// accept stores an event with its deliveries, or says why not.
func (w *writer) accept(ctx context.Context, a *store.Accept, now time.Time) (store.Verdict, error) {
	if a.Bytes() > store.MaxEventBytes {
		return store.Verdict{Kind: store.TooLarge}, nil
	}
	if a.From != 0 {
		if there, err := w.inOutbox(ctx, a.From); err != nil || !there {
			return store.Verdict{Kind: store.Gone}, err
		}
	}
	if a.Once != nil {
		before, is, err := w.published(ctx, a.Once, now)
		switch {
		case err != nil:
			return store.Verdict{}, err
		case is:
			return before.verdict(a.Once), nil
		}
	}
	if a.RepeatOnly {
		return store.Verdict{Kind: store.NotRepeated}, nil
	}
	refusal, err := w.refusal(ctx, a)
	if err != nil || refusal != 0 {
		return store.Verdict{Kind: refusal}, err
	}
	key := store.EventKey(w.events.draw())
	if a.Once != nil {
		w.enter(a.Once, key, now)
	}
	if err := w.insertEvent(ctx, key, a, now); err != nil {
		return store.Verdict{}, err
	}
	if err := w.open(ctx, a, key, now); err != nil {
		return store.Verdict{}, err
	}
	if a.From != 0 {
		w.moves = true
		if err := w.deleteOutbox(ctx, a.From); err != nil {
			return store.Verdict{}, err
		}
	}
	return store.Verdict{Kind: store.Accepted, Event: key, AcceptedAt: time.UnixMicro(micros(now)).UTC()}, nil
}

// open stores the deliveries of an event, or that it waits for its time.
func (w *writer) open(ctx context.Context, a *store.Accept, event store.EventKey, now time.Time) error {
	if err := w.count(ctx, micros(now), a.Tenant, 0, a.Type, store.EventsAccepted); err != nil {
		return err
	}
	if !a.DeliverAt.IsZero() {
		return w.deferEvent(ctx, a.DeliverAt, event, a.Tenant)
	}
	for _, endpoint := range a.Endpoints {
		inserted, err := w.insertDelivery(ctx, endpoint, event)
		if err == nil && inserted {
			err = w.count(ctx, micros(now), a.Tenant, endpoint, a.Type, store.DeliveriesMade)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refusal is the verdict on an event that its Once does not decide, or 0.
func (w *writer) refusal(ctx context.Context, a *store.Accept) (store.VerdictKind, error) {
	if a.UID != "" {
		taken, err := w.eventUIDTaken(ctx, a.Tenant, a.UID)
		if err != nil {
			return 0, err
		}
		if taken {
			return store.UIDTaken, nil
		}
	}
	version, err := w.routesVersion(ctx, a.Tenant)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.TenantGone, nil
	case err != nil:
		return 0, err
	case version != a.RouteVersion:
		return store.Rerouted, nil
	}
	return 0, nil
}

// record logs an attempt and takes its delivery on.
func (w *writer) record(ctx context.Context, o *store.Outcome, now time.Time) error {
	if err := w.mark(ctx, o); err != nil {
		return err
	}
	if there, err := w.isThere(ctx, o.Event); err != nil || !there {
		return err
	}
	about := store.About{Tenant: o.Tenant, Endpoint: o.Endpoint, Event: o.Event}
	if o.Attempt != nil {
		key, err := w.insertAttempt(ctx, o)
		if err != nil {
			return err
		}
		about.Attempt = key
	}
	moved, err := w.carryOut(ctx, o, now)
	if err != nil || !moved || o.Announce == nil {
		return err
	}
	return w.insertOutbox(ctx, o.Announce, about)
}

// carryOut takes the delivery of an outcome on, and says whether it did.
func (w *writer) carryOut(ctx context.Context, o *store.Outcome, now time.Time) (bool, error) {
	if o.Send != 0 {
		return w.recordSend(ctx, o, now)
	}
	tried := o.Tried
	scheduled := o.Attempt == nil || o.Attempt.Trigger == webhook.Scheduled
	if o.Attempt != nil && scheduled {
		tried++
	}
	if scheduled {
		moved, err := w.moveDelivery(ctx, o, tried, now)
		if err != nil || moved {
			return moved, err
		}
	}
	if o.Attempt != nil && o.Attempt.Succeeded {
		return w.closeOpen(ctx, o, scheduled, now)
	}
	return false, nil
}
