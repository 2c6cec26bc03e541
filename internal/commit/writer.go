// Package commit is the one writer of a node: it gathers what publishers and attempts
// have brought and stores it in as few transactions as the load allows.
//
// A batch forms by itself: what arrives while one transaction is being written is the
// next. Where arrivals keep overlapping with commits, the writer waits a moment longer
// before it takes a batch, since half as many commits cost half as much. Alone, an event
// is committed at once. Outcomes are in no hurry: they ride along with events, or go
// alone after a few milliseconds.
package commit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/internal/outcome"
	"github.com/neohook/neohook/store"
)

// Store is what a Writer needs of one.
type Store interface {
	store.Committer
	Delivery(ctx context.Context, endpoint store.EndpointKey, event store.EventKey) (store.DeliveryRecord, error)
	Send(ctx context.Context, key store.SendKey) (store.Send, error)
	AttemptsOfEvent(ctx context.Context, event store.EventKey, filter store.AttemptFilter, page store.Page) (store.Listed[store.LoggedAttempt], error)
}

// Lanes are told what is stored, in the order of the commits.
type Lanes interface {
	// Committed hands over the deliveries that were accepted and those whose outcome was
	// recorded.
	Committed(now time.Time, accepted []lane.Delivery, recorded []outcome.Done)
	// Reread says that endpoints may have open deliveries and sends that were never handed
	// over.
	Reread(now time.Time, lanes []store.Lane)
}

// Others are the other nodes of a store.Cluster, by the signals that pass between.
type Others interface {
	// Acted returns signals to end with the next commit, of which Failed or Heard follows.
	Acted() []store.SignalKey
	// Failed says that the commit ended with an error.
	Failed(acted []store.SignalKey, err error)
	// Heard acts upon what the commit has found, before what it accepted is handed over.
	Heard(now time.Time, acted []store.SignalKey, heard *store.Heard)
}

// Limits shape the batches. The zero value is the defaults.
type Limits struct {
	Accepts  int           // most events in a transaction; 0 = 512
	Bytes    int64         // most payload in a transaction; 0 = 8 MiB
	Outcomes int           // most outcomes in a transaction; 0 = 1024
	Window   time.Duration // waited for more when busy; 0 = 0.5 ms
	Patience time.Duration // how long outcomes wait for events to ride with; 0 = 5 ms
	Pause    time.Duration // between tries while the store fails; 0 = 250 ms
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Accepts: cmp.Or(l.Accepts, 512), Bytes: cmp.Or(l.Bytes, 8<<20), Outcomes: cmp.Or(l.Outcomes, 1024),
		Window:   cmp.Or(l.Window, 500*time.Microsecond),
		Patience: cmp.Or(l.Patience, 5*time.Millisecond),
		Pause:    cmp.Or(l.Pause, 250*time.Millisecond),
	}
}

// Writer stores batches. Make one with New and Run it once.
type Writer struct {
	// Others, if set before Run, are who else may be there.
	Others Others

	store    Store
	intake   *intake.Queue
	outcomes *outcome.Queue
	lanes    Lanes
	limits   Limits
	log      *slog.Logger

	changes chan *change
	next    *change       // taken out of changes; nil is none
	stopped chan struct{} // closed when Run has ended

	// recent is the running mean of events in a batch, times 8.
	recent int
}

// New returns a Writer that takes from the queues and tells the lanes.
func New(st Store, in *intake.Queue, out *outcome.Queue, lanes Lanes, limits Limits, log *slog.Logger) *Writer {
	return &Writer{
		store: st, intake: in, outcomes: out, lanes: lanes, limits: limits.withDefaults(), log: log,
		changes: make(chan *change, mostWaiting), stopped: make(chan struct{}),
	}
}

// Run writes until ctx ends; then it writes what is still queued and returns. Both
// queues must have been closed to newcomers by then, or what comes later is not written.
// Changes that have not begun by then are not made.
// It returns an error where the store fails to take the last outcomes.
func (w *Writer) Run(ctx context.Context) error {
	defer close(w.stopped)
	var failed failure
	for w.await(ctx) {
		if err := w.write(ctx); err != nil {
			if failed.isNew(err) {
				w.log.ErrorContext(ctx, "outcomes could not be stored, trying again", "error", err)
			}
			pause(ctx, w.limits.Pause)
			continue
		}
		if tries := failed.end(); tries > 0 {
			w.log.InfoContext(ctx, "outcomes are stored again", "failed_tries", tries)
		}
		w.changeNext(ctx)
	}
	return w.flush(context.WithoutCancel(ctx))
}

// failure is the time during which nothing can be stored, as one matter: a disk that is
// full for an hour is told of once.
type failure struct {
	told  string
	tries int
}

// isNew notes a failed try, and says whether it failed otherwise than the one before.
func (f *failure) isNew(err error) bool {
	f.tries++
	before := f.told
	f.told = err.Error()
	return f.told != before
}

// end returns how often it failed, and begins anew.
func (f *failure) end() int {
	tries := f.tries
	*f = failure{}
	return tries
}

// await returns true when there is a batch worth writing, or a change to make; false when
// ctx has ended.
func (w *Writer) await(ctx context.Context) bool {
	for ctx.Err() == nil {
		if w.intake.Len() > 0 {
			w.gather(ctx)
			return true
		}
		if w.next != nil {
			return true
		}
		count, since := w.outcomes.Waiting()
		var ripe <-chan time.Time
		if count > 0 {
			left := w.limits.Patience - time.Since(since)
			if left <= 0 || count >= w.limits.Outcomes/4 {
				return true
			}
			ripe = time.After(left)
		}
		select {
		case <-ctx.Done():
		case <-ripe:
		case <-w.intake.Bell():
		case <-w.outcomes.Bell():
		case w.next = <-w.changes:
			return true
		}
	}
	return false
}

// gather lets a batch grow while arrivals overlap with commits.
func (w *Writer) gather(ctx context.Context) {
	const busy = 2 * 8 // more than two events in a batch lately
	if w.recent > busy && w.intake.Len() < w.limits.Accepts/2 {
		pause(ctx, w.limits.Window)
	}
}

func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// write stores one batch. The error is about outcomes; they are back in the queue.
func (w *Writer) write(ctx context.Context) error {
	items := w.intake.Take(w.limits.Accepts, w.limits.Bytes)
	done := w.outcomes.Take(time.Now(), w.limits.Outcomes)
	if len(items)+len(done) == 0 {
		return nil // who waited has withdrawn
	}
	w.recent += len(items) - w.recent/8
	// A commit is never cut short: somebody waits for each part of it.
	ctx = context.WithoutCancel(ctx)
	done, err := w.unrecorded(ctx, done)
	if err != nil {
		w.giveUp(items, err) // it is not the events: the store does not answer
		return w.putBack(done, err)
	}
	if len(items)+len(done) == 0 {
		return nil
	}
	err = w.commit(ctx, items, done)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrCommitUnknown):
		w.giveUp(items, err)
		return w.recordUnknown(ctx, done)
	case errors.Is(err, store.ErrBuried): // the outcomes wait until there is a node again
		w.giveUp(items, err)
		return w.putBack(done, err)
	case len(done) == 0:
		w.acceptHalves(ctx, items, err, &apart{})
		return nil
	case len(items) == 0:
		return w.putBack(done, err)
	}
	if err := w.recordAlone(ctx, done); err != nil {
		w.giveUp(items, err) // it is not the events: nothing can be stored now
		return err
	}
	w.acceptAlone(ctx, items, &apart{})
	return nil
}

// flush stores all that is queued, and gives up on a store that keeps failing.
func (w *Writer) flush(ctx context.Context) error {
	const tries = 20
	for failed := 0; failed < tries; {
		waiting, _ := w.outcomes.Waiting()
		if w.intake.Len()+waiting == 0 {
			return nil
		}
		if err := w.write(ctx); err != nil {
			failed++
			pause(ctx, w.limits.Pause)
		}
	}
	lost, _ := w.outcomes.Waiting()
	return fmt.Errorf("%d outcomes could not be stored: what they are of will be sent again", lost)
}

// commit stores a batch as one transaction and tells everybody concerned.
func (w *Writer) commit(ctx context.Context, items []*intake.Item, done []outcome.Done) error {
	batch := store.Batch{Now: time.Now()}
	for _, item := range items {
		batch.Accepts = append(batch.Accepts, item.Accept)
	}
	for i := range done {
		batch.Outcomes = append(batch.Outcomes, done[i].Outcome)
	}
	if w.Others != nil {
		batch.Acted = w.Others.Acted()
	}
	verdicts, err := w.store.Commit(ctx, &batch)
	if err != nil {
		if w.Others != nil {
			w.Others.Failed(batch.Acted, err)
		}
		return err
	}
	if w.Others != nil {
		w.Others.Heard(batch.Now, batch.Acted, &batch.Heard)
	}
	w.lanes.Committed(batch.Now, accepted(items, verdicts), done)
	for i, item := range items {
		item.Done(verdicts[i], nil)
	}
	return nil
}

// accepted lists the deliveries of the events that were stored, in their order.
func accepted(items []*intake.Item, verdicts []store.Verdict) []lane.Delivery {
	deliveries := make([]lane.Delivery, 0, len(items))
	for i, item := range items {
		if verdicts[i].Kind != store.Accepted {
			continue
		}
		payload := &store.Payload{
			Event: verdicts[i].Event, Type: item.Accept.Type, Channels: item.Accept.Channels,
			Only: item.Accept.Only, Body: item.Accept.Payload, AcceptedAt: verdicts[i].AcceptedAt,
		}
		for _, endpoint := range item.Accept.Endpoints {
			deliveries = append(deliveries, lane.Delivery{
				Tenant: item.Accept.Tenant, Endpoint: endpoint, Event: payload.Event, Payload: payload,
			})
		}
	}
	return deliveries
}

// recordAlone stores outcomes without any events, or puts them back.
func (w *Writer) recordAlone(ctx context.Context, done []outcome.Done) error {
	if len(done) == 0 {
		return nil
	}
	if err := w.commit(ctx, nil, done); err != nil {
		return w.putBack(done, err)
	}
	return nil
}

// recordUnknown stores those outcomes that a commit of unknown fate did not store.
func (w *Writer) recordUnknown(ctx context.Context, done []outcome.Done) error {
	doubt(done)
	left, err := w.unrecorded(ctx, done)
	if err != nil {
		return w.putBack(left, err)
	}
	return w.recordAlone(ctx, left)
}

// putBack queues outcomes again that a commit, which ended with err, did not store, or
// may not have stored.
func (w *Writer) putBack(done []outcome.Done, err error) error {
	if errors.Is(err, store.ErrCommitUnknown) {
		doubt(done)
	}
	w.outcomes.Return(time.Now(), done)
	return err
}

func doubt(done []outcome.Done) {
	for i := range done {
		done[i].Doubtful = true
	}
}

// unrecorded returns the outcomes without the doubtful ones that the store has, and tells
// the lanes of those, so that no attempt is logged twice. With an error it returns all
// that it could not judge, too.
func (w *Writer) unrecorded(ctx context.Context, done []outcome.Done) ([]outcome.Done, error) {
	if !slices.ContainsFunc(done, func(d outcome.Done) bool { return d.Doubtful }) {
		return done, nil
	}
	var left, stored []outcome.Done
	for i, d := range done {
		if !d.Doubtful {
			left = append(left, d)
			continue
		}
		recorded, err := w.recorded(ctx, &d.Outcome)
		switch {
		case err != nil:
			w.lanes.Committed(time.Now(), nil, stored)
			return append(left, done[i:]...), err
		case recorded:
			stored = append(stored, d)
		default:
			d.Doubtful = false
			left = append(left, d)
		}
	}
	w.lanes.Committed(time.Now(), nil, stored)
	return left, nil
}

// recorded says whether the store has an outcome.
func (w *Writer) recorded(ctx context.Context, o *store.Outcome) (bool, error) {
	if w.Others != nil && o.Attempt != nil {
		return w.logged(ctx, o) // what is counted may be an attempt of another node's
	}
	if o.Send != 0 {
		send, err := w.store.Send(ctx, o.Send)
		if errors.Is(err, store.ErrNotFound) {
			return true, nil // it has ended
		}
		return send.Tried > o.Tried, err
	}
	delivery, err := w.store.Delivery(ctx, o.Endpoint, o.Event)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err == nil && delivery.State.Ended() && o.Attempt != nil {
		return w.logged(ctx, o) // it may have been cancelled, or closed by a send
	}
	return delivery.State.Ended() || delivery.Tried > o.Tried, err
}

// logged says whether the store has the attempt of an outcome.
func (w *Writer) logged(ctx context.Context, o *store.Outcome) (bool, error) {
	began := o.Attempt.StartedAt.Truncate(time.Microsecond) // as it is kept
	filter := store.AttemptFilter{Endpoint: o.Endpoint, From: began, To: began}
	for page := (store.Page{Limit: 100}); ; {
		found, err := w.store.AttemptsOfEvent(ctx, o.Event, filter, page)
		if err != nil {
			return false, err
		}
		for i := range found.Items {
			if a := &found.Items[i]; a.Trigger == o.Attempt.Trigger && a.Number == o.Attempt.Number {
				return true, nil
			}
		}
		if found.Done {
			return false, nil
		}
		page.After = found.Last
	}
}

// giveUp answers publishers with an error.
func (w *Writer) giveUp(items []*intake.Item, err error) {
	if errors.Is(err, store.ErrCommitUnknown) {
		var concerned []store.Lane
		for _, item := range items {
			for _, endpoint := range item.Accept.Endpoints {
				concerned = append(concerned, store.Lane{Endpoint: endpoint, Tenant: item.Accept.Tenant})
			}
		}
		w.lanes.Reread(time.Now(), concerned)
	}
	for _, item := range items {
		item.Done(store.Verdict{}, err)
	}
}
