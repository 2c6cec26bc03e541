// Package dispatch runs the lanes: it starts the attempts that a lane.Board gives out,
// reads the pages that it asks for, and wakes it when something comes due.
//
// It adds goroutines and a clock to the Board and decides nothing itself. One mutex
// guards the Board; it is held for steps of memory only, never while sending or reading.
package dispatch

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/internal/outage"
	"github.com/neohook/neohook/internal/outcome"
	"github.com/neohook/neohook/store"
)

// Sender makes an attempt. It returns what to record of it and what its lane learns from
// it; or an error where it could not be made for a reason of our own, in which case it is
// made later.
type Sender interface {
	Send(ctx context.Context, d lane.Delivery) (store.Outcome, lane.Result, error)
}

// Backlog is what of a store is not in memory; see store.Backlog and store.Sends.
type Backlog interface {
	store.Backlog
	SendsOf(ctx context.Context, endpoint store.EndpointKey, from store.Moment, limit int) ([]store.Send, error)
}

// Endpoints knows how endpoints want to be sent to.
type Endpoints interface {
	// Known returns the settings without reading from a store, zero ones if it can't.
	Known(tenant store.TenantKey, endpoint store.EndpointKey) lane.Settings
	// Settings returns them in any case, also for an endpoint that is deleted.
	Settings(ctx context.Context, tenant store.TenantKey, endpoint store.EndpointKey) (lane.Settings, error)
}

// Dispatcher runs a Board. Make one with New, let it Recover, and Run it once. Its other
// methods are safe for concurrent use.
type Dispatcher struct {
	backlog   Backlog
	endpoints Endpoints
	sender    Sender
	outcomes  *outcome.Queue
	log       *slog.Logger
	// What could not be done is told of once while the database is away.
	attempting, paging outage.Watch
	share              *Share // nil where all tenants are its own

	mu    sync.Mutex
	board *lane.Board
	// sending is the context of attempts; nil before Run and once no more may begin.
	sending  context.Context //nolint:containedctx // begun by whoever frees a place, in a call of its own
	attempts sync.WaitGroup
	couriers map[*courier]struct{}
	// armed is the instant that wakeUp waits for.
	armed time.Time

	wake chan struct{} // rung when the Board wakes at another instant than armed
	page chan struct{} // rung when the Board wants a page
}

// New returns a Dispatcher over an empty Board.
func New(limits lane.Limits, backlog Backlog, endpoints Endpoints, sender Sender, outcomes *outcome.Queue, log *slog.Logger) *Dispatcher {
	return &Dispatcher{
		backlog: backlog, endpoints: endpoints, sender: sender, outcomes: outcomes, log: log,
		board: lane.New(limits), couriers: make(map[*courier]struct{}),
		wake: make(chan struct{}, 1), page: make(chan struct{}, 1),
	}
}

// Recover finds the endpoints that have open deliveries or sends in the store. It must be done
// before any event is accepted, as those must come behind.
func (d *Dispatcher) Recover(ctx context.Context) error {
	return d.recover(ctx, d.backlog.Lanes)
}

func (d *Dispatcher) recover(ctx context.Context, list func(context.Context, store.EndpointKey, int) ([]store.Lane, error)) error {
	const limit = 1000
	for after := store.EndpointKey(0); ; {
		lanes, err := list(ctx, after, limit)
		if err != nil {
			return err
		}
		d.mu.Lock()
		for _, l := range lanes {
			d.board.Recover(time.Now(), l.Tenant, l.Endpoint)
		}
		d.mu.Unlock()
		if len(lanes) < limit {
			return nil
		}
		after = lanes[len(lanes)-1].Endpoint
	}
}

// Committed takes in deliveries that were accepted, and those whose outcome was
// recorded, in the order of the commits.
func (d *Dispatcher) Committed(now time.Time, accepted []lane.Delivery, recorded []outcome.Done) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range recorded {
		delivery, out := recorded[i].Delivery, &recorded[i].Outcome
		d.board.Record(now, delivery, out.RetryAt)
		if delivery.Send != 0 && out.Attempt != nil && out.Attempt.Succeeded { // which ends it
			d.board.Drop(now, delivery.Endpoint, delivery.Event, 0)
		}
	}
	for _, delivery := range accepted {
		d.board.Offer(now, delivery, d.endpoints.Known(delivery.Tenant, delivery.Endpoint))
	}
	d.start()
}

// Await takes in what was stored and is not fresh: deliveries that wait, and sends.
func (d *Dispatcher) Await(now time.Time, stored []lane.Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, delivery := range stored {
		d.board.Await(now, delivery, d.endpoints.Known(delivery.Tenant, delivery.Endpoint))
	}
	d.start()
}

// Drop lets go of deliveries that are not open in the store any more. When it returns, no
// attempt of theirs begins.
func (d *Dispatcher) Drop(now time.Time, deliveries []store.DeliveryRef) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, of := range deliveries {
		d.board.Drop(now, of.Endpoint, of.Event, 0)
	}
	d.start() // others may have waited for them
}

// Pause lets no attempt begin from now on, or lets all go on.
func (d *Dispatcher) Pause(now time.Time, paused bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.board.Pause(now, paused)
	d.start()
}

// Reread says that endpoints may have open deliveries and sends that were never handed
// over.
func (d *Dispatcher) Reread(now time.Time, lanes []store.Lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range lanes {
		d.board.Recover(now, l.Tenant, l.Endpoint)
	}
	d.start()
}

// Changed says that endpoints of a tenant have changed, or may have: all that have a lane
// where none are named. Their lanes act on it when it returns; with an error, which is that
// of a reading, they send nothing until they could read what they want to know.
func (d *Dispatcher) Changed(ctx context.Context, tenant store.TenantKey, endpoints []store.EndpointKey) error {
	d.mu.Lock()
	if endpoints == nil {
		endpoints = d.board.EndpointsOf(tenant)
	}
	endpoints = slices.DeleteFunc(slices.Clone(endpoints), func(endpoint store.EndpointKey) bool { return !d.board.Has(endpoint) })
	d.mu.Unlock()
	for i, endpoint := range endpoints {
		settings, err := d.endpoints.Settings(ctx, tenant, endpoint)
		d.mu.Lock()
		if err != nil {
			for _, unread := range endpoints[i:] {
				d.board.Doubt(time.Now(), unread)
			}
			d.start()
			d.mu.Unlock()
			return err
		}
		d.board.Configure(time.Now(), endpoint, settings)
		d.start()
		d.mu.Unlock()
	}
	return nil
}

// Stats returns the present sizes.
func (d *Dispatcher) Stats() lane.Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.board.Stats()
}

// Look returns what is in memory of a delivery.
func (d *Dispatcher) Look(now time.Time, endpoint store.EndpointKey, event store.EventKey) lane.Sight {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.board.Look(now, endpoint, event)
}

// Inspect returns how an endpoint is doing.
func (d *Dispatcher) Inspect(now time.Time, endpoint store.EndpointKey) lane.Inspection {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.board.Inspect(now, endpoint)
}

// Survey returns what the deliveries in memory wait for. It looks at every lane, and lets
// others go before while it does.
func (d *Dispatcher) Survey() lane.Survey {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.board.Survey(time.Now(), func() {
		d.mu.Unlock()
		d.mu.Lock() //nolint:staticcheck // whoever waits goes first
	})
}

// Run sends until ctx ends. Then it begins nothing more, lets what is in flight go on
// for grace, cancels the rest, and returns when the last attempt has ended.
func (d *Dispatcher) Run(ctx context.Context, grace time.Duration) {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()

	var loops sync.WaitGroup
	loops.Go(func() { d.wakeUp(ctx) })
	const readers = 2
	for range readers {
		loops.Go(func() { d.readPages(ctx) })
	}
	d.mu.Lock()
	d.sending = sending
	d.start()
	d.mu.Unlock()

	<-ctx.Done()
	d.mu.Lock()
	d.sending = nil
	d.mu.Unlock()
	loops.Wait()
	late := time.AfterFunc(grace, cancel)
	defer late.Stop()
	d.attempts.Wait()
}

// start begins the attempts that may begin now, and rings for what else the Board wants.
// The mutex is held.
func (d *Dispatcher) start() {
	for {
		delivery, given := d.begin(time.Now())
		if !given {
			break
		}
		d.attempts.Add(1)
		c := new(courier)
		c.take(d.sending, delivery)
		d.couriers[c] = struct{}{}
		go d.send(c, delivery)
	}
	d.ring()
}

// ring rouses the loops that the Board has something for. The mutex is held.
func (d *Dispatcher) ring() {
	if !d.board.NextWake().Equal(d.armed) {
		ring(d.wake)
	}
	if d.board.WantsPage() {
		ring(d.page)
	}
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// send makes attempts, one after another, as long as there is one to begin.
func (d *Dispatcher) send(c *courier, delivery lane.Delivery) {
	defer d.attempts.Done()
	ctx := c.ctx // nobody else has it yet
	for ctx != nil {
		out, result, err := d.sender.Send(ctx, delivery)
		if ctx.Err() == nil && d.attempting.News(err) {
			d.log.WarnContext(ctx, "attempt could not be made, trying again", "error", err)
		}
		ctx, delivery = d.next(time.Now(), c, outcome.Done{Delivery: delivery, Outcome: out}, result, err)
	}
}

// next ends one attempt and begins another. The context is nil where there is none.
func (d *Dispatcher) next(now time.Time, c *courier, ended outcome.Done, result lane.Result, err error) (context.Context, lane.Delivery) {
	const pause = time.Second
	d.mu.Lock()
	defer d.mu.Unlock()
	c.land()
	if err == nil {
		// In one step: an outcome may be recorded as soon as it is queued, and by then the
		// Board must know that the attempt is over.
		d.outcomes.Put(now, ended)
		d.board.Finish(now, ended.Delivery, result)
	} else {
		if ended.Delivery.Ending {
			// Its lane may be closed and the endpoint open: what was just looked up counts.
			if known := d.endpoints.Known(ended.Delivery.Tenant, ended.Delivery.Endpoint); known != (lane.Settings{}) {
				d.board.Configure(now, ended.Delivery.Endpoint, known)
			}
		}
		d.board.Postpone(now, ended.Delivery, now.Add(pause))
	}
	begun, given := d.begin(now)
	if d.sending != nil {
		d.ring()
	}
	if !given {
		delete(d.couriers, c)
		c.cancel()
		return nil, begun
	}
	c.take(d.sending, begun)
	return c.ctx, begun
}

// wakeUp advances the Board when something comes due.
func (d *Dispatcher) wakeUp(ctx context.Context) {
	// Due times are on the wall clock and timers are not: while something waits, look
	// again now and then, so that a clock that was set is noticed.
	const longest = 5 * time.Second
	timer := time.NewTimer(longest)
	defer timer.Stop()
	for {
		now := time.Now()
		d.mu.Lock()
		next := d.board.NextWake()
		if !next.IsZero() && !next.After(now) {
			d.board.Advance(now)
			d.start()
			next = d.board.NextWake()
		}
		d.armed = next
		d.mu.Unlock()
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(min(max(0, next.Sub(now)), longest))
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-d.wake:
		}
	}
}

// readPages reads what the Board asks of the store.
func (d *Dispatcher) readPages(ctx context.Context) {
	for {
		requests := d.takePages()
		if len(requests) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-d.page:
				continue
			}
		}
		pages, err := d.readAll(ctx, requests)
		if ctx.Err() == nil && d.paging.News(err) {
			d.log.WarnContext(ctx, "backlog could not be read, trying again", "error", err)
		}
		d.mu.Lock()
		for _, page := range pages {
			d.board.PutPage(time.Now(), page)
		}
		d.start()
		d.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
	}
}
