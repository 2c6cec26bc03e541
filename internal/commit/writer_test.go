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
	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/internal/outcome"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// ledger is a store that takes batches as fault lets it.
type ledger struct {
	mu      sync.Mutex
	fault   func(batch *store.Batch) error // nil = none; ErrCommitUnknown stores all the same
	takes   time.Duration                  // for a commit
	batches []int                          // events in each stored batch
	tries   int
	next    store.EventKey
	events  []string // types of stored events
	tried   map[store.EventKey]int
	sent    map[store.SendKey]int

	cancelled []store.EventKey
	drops     bool // what is of unknown fate is not stored
	unread    int  // so many of the next look-ups fail
}

// Commit takes its time, which is fake time wherever it takes any.
func (l *ledger) Commit(_ context.Context, batch *store.Batch) ([]store.Verdict, error) {
	time.Sleep(l.takes)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tries++
	var err error
	if l.fault != nil {
		err = l.fault(batch)
	}
	if err != nil && (l.drops || !errors.Is(err, store.ErrCommitUnknown)) {
		return nil, err
	}
	l.batches = append(l.batches, len(batch.Accepts))
	verdicts := make([]store.Verdict, len(batch.Accepts))
	for i, accept := range batch.Accepts {
		l.next++
		l.events = append(l.events, accept.Type)
		verdicts[i] = store.Verdict{Kind: store.Accepted, Event: l.next, AcceptedAt: batch.Now}
	}
	for _, out := range batch.Outcomes {
		if l.tried == nil {
			l.tried, l.sent = make(map[store.EventKey]int), make(map[store.SendKey]int)
		}
		if out.Send != 0 {
			l.sent[out.Send]++
			continue
		}
		l.tried[out.Event]++
	}
	return verdicts, err
}

func (l *ledger) Delivery(_ context.Context, _ store.EndpointKey, event store.EventKey) (store.DeliveryRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unread--; l.unread >= 0 {
		return store.DeliveryRecord{}, errors.New("disk error")
	}
	if slices.Contains(l.cancelled, event) {
		return store.DeliveryRecord{Event: event, State: webhook.Cancelled}, nil
	}
	return store.DeliveryRecord{Event: event, State: webhook.Waiting, Tried: l.tried[event]}, nil
}

// AttemptsOfEvent tells only of the attempts of events that were cancelled.
func (l *ledger) AttemptsOfEvent(_ context.Context, event store.EventKey, filter store.AttemptFilter, _ store.Page) (store.Listed[store.LoggedAttempt], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	listed := store.Listed[store.LoggedAttempt]{Done: true}
	for range l.tried[event] {
		listed.Items = append(listed.Items, store.LoggedAttempt{Attempt: store.Attempt{Number: 1, StartedAt: filter.From}})
	}
	return listed, nil
}

// Send is one that has no outcome yet, unless it was counted.
func (l *ledger) Send(_ context.Context, key store.SendKey) (store.Send, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unread--; l.unread >= 0 {
		return store.Send{}, errors.New("disk error")
	}
	return store.Send{Key: key, Tried: l.sent[key]}, nil
}

// told is lanes that note what they are told.
type told struct {
	mu       sync.Mutex
	accepted []store.EventKey
	recorded []store.EventKey
	reread   []store.EndpointKey
}

func (l *told) Committed(_ time.Time, accepted []lane.Delivery, recorded []outcome.Done) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range accepted {
		l.accepted = append(l.accepted, d.Event)
	}
	for _, d := range recorded {
		l.recorded = append(l.recorded, d.Delivery.Event)
	}
}

func (l *told) Reread(_ time.Time, lanes []store.Lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lane := range lanes {
		l.reread = append(l.reread, lane.Endpoint)
	}
}

// rig is a Writer that runs until the test ends.
type rig struct {
	ledger   *ledger
	told     *told
	intake   *intake.Queue
	outcomes *outcome.Queue
	writer   *Writer
	stop     func() error
}

func run(t *testing.T, l *ledger) *rig {
	r := &rig{ledger: l, told: &told{}, intake: intake.New(intake.Limits{Bytes: 1 << 20, Wait: time.Second}), outcomes: outcome.New()}
	w := New(l, r.intake, r.outcomes, r.told, Limits{}, slog.New(slog.DiscardHandler))
	r.writer = w
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		r.intake.Close()
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = r.stop() })
	return r
}

// submit publishes events of these types at once, each to endpoint 1, and returns what
// each publisher was told.
func (r *rig) submit(t *testing.T, types ...string) []error {
	errs := make([]error, len(types))
	var publishers sync.WaitGroup
	for i, eventType := range types {
		publishers.Go(func() {
			_, errs[i] = r.intake.Submit(t.Context(), store.Accept{Type: eventType, Endpoints: []store.EndpointKey{1}})
		})
	}
	publishers.Wait()
	return errs
}

func done(event store.EventKey) outcome.Done {
	return outcome.Done{Delivery: lane.Delivery{Event: event}, Outcome: store.Outcome{Event: event, State: webhook.Waiting}}
}

var errDisk = errors.New("disk error")

func TestOneEventThatCannotBeStoredFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{takes: time.Millisecond, fault: func(batch *store.Batch) error {
			if slices.ContainsFunc(batch.Accepts, func(a store.Accept) bool { return a.Type == "bad" }) {
				return errDisk
			}
			return nil
		}}
		r := run(t, l)
		types := slices.Repeat([]string{"good"}, 100)
		types[37] = "bad"
		r.outcomes.Put(time.Now(), done(500))
		for i, err := range r.submit(t, types...) {
			if wantErr := i == 37; (err != nil) != wantErr {
				t.Errorf("event %d: err = %v", i, err)
			}
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if len(l.events) != 99 || len(r.told.accepted) != 99 || l.tried[500] != 1 {
			t.Errorf("%d events stored, %d handed over, outcome stored %d times; want 99, 99, 1",
				len(l.events), len(r.told.accepted), l.tried[500])
		}
		if !slices.IsSorted(r.told.accepted) {
			t.Error("deliveries were handed over out of the order of their commits")
		}
	})
}

func TestStoreThatTakesNothingIsNotAskedForEachEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{takes: time.Millisecond, fault: func(*store.Batch) error { return errDisk }}
		r := run(t, l)
		for i, err := range r.submit(t, slices.Repeat([]string{"any"}, 400)...) {
			if !errors.Is(err, errDisk) {
				t.Fatalf("event %d: err = %v, want the store's", i, err)
			}
		}
		if l.tries > 100 {
			t.Errorf("400 events took %d tries to fail", l.tries)
		}
	})
}

func TestOutcomesWaitForAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		l := &ledger{fault: func(*store.Batch) error {
			if broken {
				return errDisk
			}
			return nil
		}}
		r := run(t, l)
		r.outcomes.Put(time.Now(), done(1))
		r.outcomes.Put(time.Now(), done(2))
		time.Sleep(3 * time.Second)
		l.mu.Lock()
		if broken = false; l.tries > 20 {
			t.Errorf("a failing store was tried %d times in 3 s", l.tries)
		}
		l.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if l.tried[1] != 1 || l.tried[2] != 1 || len(r.told.recorded) != 2 {
			t.Errorf("stored %v, told %v; want each outcome once", l.tried, r.told.recorded)
		}
	})
}

func TestUnknownCommitIsToldAndNothingIsRecordedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unknown := true
		l := &ledger{takes: time.Millisecond, fault: func(*store.Batch) error {
			if unknown {
				unknown = false
				return store.ErrCommitUnknown // though it stored the batch
			}
			return nil
		}}
		r := run(t, l)
		r.outcomes.Put(time.Now(), done(7))
		if err := r.submit(t, "any")[0]; !errors.Is(err, store.ErrCommitUnknown) {
			t.Fatalf("err = %v, want ErrCommitUnknown", err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if l.tried[7] != 1 || !slices.Equal(r.told.recorded, []store.EventKey{7}) {
			t.Errorf("outcome stored %d times, told %v; want once", l.tried[7], r.told.recorded)
		}
		if !slices.Equal(r.told.reread, []store.EndpointKey{1}) {
			t.Errorf("endpoints to read again: %v, want [1]", r.told.reread)
		}
	})
}

func TestOutcomesOfCommitsThatStayUnknownAreRecordedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unknown := 5
		l := &ledger{takes: time.Millisecond, fault: func(*store.Batch) error {
			if unknown--; unknown >= 0 {
				return store.ErrCommitUnknown // though it stored the batch
			}
			return nil
		}, unread: 2}
		r := run(t, l)
		for event := store.EventKey(1); event <= 3; event++ {
			r.outcomes.Put(time.Now(), done(event))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if l.tried[1] != 1 || l.tried[2] != 1 || l.tried[3] != 1 {
			t.Errorf("outcomes stored so often: %v; want once each", l.tried)
		}
		if !slices.Equal(r.told.recorded, []store.EventKey{1, 2, 3}) {
			t.Errorf("told of %v; want 1, 2, 3", r.told.recorded)
		}
	})
}

func TestLoneEventIsCommittedAtOnceAndAloneOutcomesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &ledger{})
		start := time.Now()
		for range 10 {
			if err := r.submit(t, "any")[0]; err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("ten lone events waited %v beside the store's own time", took)
		}
		r.outcomes.Put(time.Now(), done(1))
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		if len(r.told.recorded) != 1 {
			t.Error("an outcome was not stored after 5 ms")
		}
	})
}

func TestBatchesFormWhileTheStoreIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{takes: time.Millisecond}
		r := run(t, l)
		var publishers sync.WaitGroup
		for range 64 {
			publishers.Go(func() {
				for range 20 {
					if _, err := r.intake.Submit(t.Context(), store.Accept{Type: "any"}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		publishers.Wait()
		if got := len(l.events); got != 64*20 {
			t.Fatalf("%d events stored, want %d", got, 64*20)
		}
		if len(l.batches) > 3*20 {
			t.Errorf("64 publishers of 20 events took %d commits", len(l.batches))
		}
	})
}

func TestStoppingStoresWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{takes: 10 * time.Millisecond}
		r := run(t, l)
		errs := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := r.intake.Submit(t.Context(), store.Accept{Type: "any"})
				errs <- err
			}()
			time.Sleep(time.Millisecond)
		}
		r.outcomes.Put(time.Now(), done(1))
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if l.tried[1] != 1 {
			t.Error("the outcome was not stored")
		}
		if _, err := r.intake.Submit(t.Context(), store.Accept{}); !errors.Is(err, intake.ErrStopped) {
			t.Errorf("after the end, err = %v, want ErrStopped", err)
		}
	})
}

// TestAttemptOfACancelledDeliveryIsLoggedThoughItsCommitWasUnknown has a delivery that is
// cancelled while its attempt is in flight.
func TestAttemptOfACancelledDeliveryIsLoggedThoughItsCommitWasUnknown(t *testing.T) {
	for name, drops := range map[string]bool{"it was stored": false, "it was not": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				unknown := true
				l := &ledger{cancelled: []store.EventKey{7}, drops: drops, fault: func(*store.Batch) error {
					if unknown {
						unknown = false
						return store.ErrCommitUnknown
					}
					return nil
				}}
				r := run(t, l)
				late := done(7)
				late.Outcome.Attempt = &store.Attempt{Number: 1, StartedAt: time.Now()}
				r.outcomes.Put(time.Now(), late)
				time.Sleep(time.Second)
				if err := r.stop(); err != nil {
					t.Fatal(err)
				}
				if l.tried[7] != 1 || !slices.Equal(r.told.recorded, []store.EventKey{7}) {
					t.Errorf("outcome stored %d times, told %v; want once", l.tried[7], r.told.recorded)
				}
			})
		})
	}
}
