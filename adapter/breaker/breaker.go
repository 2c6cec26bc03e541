package breaker

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/neohook/neohook/webhook"
)

// FaultOpen is the code of a request that was not made because the breaker is open. Its
// Result has a RetryAfter where it is known when the next one may be.
const FaultOpen webhook.FaultCode = "breaker_open"

// Adapter is an adapter with breakers. It is safe for concurrent use.
type Adapter struct {
	inside webhook.Adapter
	opts   Options

	mu       sync.Mutex
	circuits map[string]*circuit
	recent   *list.List // of *circuit, the last used first
}

// circuit is the breaker of one key. All of it is under the Adapter's mu.
type circuit struct {
	circuitbreaker.CircuitBreaker[any]

	key   string
	place *list.Element
	// era counts the changes of state, so that what was sent in one is not counted in
	// another: a slow failure from before the pause tells nothing of the receiver now.
	era int
}

// New puts breakers round an adapter.
func New(inside webhook.Adapter, o Options) *Adapter {
	return &Adapter{inside: inside, opts: o.withDefaults(), circuits: make(map[string]*circuit), recent: list.New()}
}

// Deliver delivers with the adapter inside, unless the endpoint's breaker is open: then
// the result has a Fault with the code FaultOpen.
func (a *Adapter) Deliver(ctx context.Context, delivery *webhook.Delivery, endpoint *webhook.Endpoint) webhook.Result {
	if delivery == nil || endpoint == nil || ctx.Err() != nil { // nothing will be sent
		return a.inside.Deliver(ctx, delivery, endpoint)
	}
	key := a.opts.Key(endpoint)
	c, era, refusal := a.enter(key)
	if refusal != nil {
		return refused(delivery, endpoint, refusal)
	}
	verdict := Neither // where the adapter panics
	defer func() { a.leave(key, c, era, verdict) }()
	result := a.inside.Deliver(ctx, delivery, endpoint)
	verdict = a.opts.Judge(&result)
	return result
}

// Verify verifies with the adapter inside, whatever the breaker says: to ask is the way to
// see whether an endpoint is back. It changes no breaker.
func (a *Adapter) Verify(ctx context.Context, endpoint *webhook.Endpoint, payload []byte) webhook.Result {
	return a.inside.Verify(ctx, endpoint, payload)
}

// Health is that of the adapter inside: an endpoint that fails is no fault of it.
func (a *Adapter) Health(ctx context.Context) webhook.Health { return a.inside.Health(ctx) }

// Unwrap returns the adapter inside.
func (a *Adapter) Unwrap() webhook.Adapter { return a.inside }

// State returns that of an endpoint's breaker. One whose pause is over stays Open until
// the next request.
func (a *Adapter) State(endpoint *webhook.Endpoint) State {
	key := a.opts.Key(endpoint)
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.circuits[key]; c != nil {
		return c.state()
	}
	return Closed
}

// refusal says why nothing is sent, and when it may be again.
type refusal struct {
	state     State
	remaining time.Duration
}

// enter asks a key's breaker for a request. Without a breaker there have been no failures,
// and c is nil.
func (a *Adapter) enter(key string) (c *circuit, era int, no *refusal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c = a.circuits[key]
	if c == nil {
		return nil, 0, nil
	}
	a.recent.MoveToFront(c.place)
	before := c.state()
	ok := c.TryAcquirePermit()
	a.note(c, before)
	if !ok {
		return nil, 0, &refusal{c.state(), c.RemainingDelay()}
	}
	return c, c.era, nil
}

// leave counts what came of a request.
func (a *Adapter) leave(key string, c *circuit, era int, verdict Verdict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.circuits[key]
	if c != nil && (now != c || now.era != era) {
		return // of another time
	}
	if now == nil && verdict == Bad {
		now = a.add(key)
	}
	if now == nil || now.era != era {
		return
	}
	before := now.state()
	switch {
	case verdict == Good:
		now.RecordSuccess()
	case verdict == Bad:
		now.RecordFailure()
	case before == HalfOpen:
		now.CircuitBreaker.Open() // the probe is spent and told nothing; its permit can't be given back
	}
	a.note(now, before)
	if verdict == Good && now.IsClosed() { // as good as new
		a.forget(now)
	}
}

// note tells of a change, if there is one.
func (a *Adapter) note(c *circuit, before State) {
	after := c.state()
	if after == before {
		return
	}
	c.era++
	if a.opts.Changed != nil {
		a.opts.Changed(Change{Key: c.key, From: before, To: after})
	}
}

func (a *Adapter) add(key string) *circuit {
	if len(a.circuits) >= a.opts.MaxKeys {
		a.forget(a.recent.Back().Value.(*circuit))
	}
	c := &circuit{key: key, CircuitBreaker: circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(uint(a.opts.Failures)).
		WithSuccessThreshold(uint(a.opts.Probes)).
		WithDelay(a.opts.Pause).
		Build()}
	c.place = a.recent.PushFront(c)
	a.circuits[key] = c
	return c
}

func (a *Adapter) forget(c *circuit) {
	delete(a.circuits, c.key)
	a.recent.Remove(c.place)
}

func (c *circuit) state() State {
	switch c.CircuitBreaker.State() {
	case circuitbreaker.OpenState:
		return Open
	case circuitbreaker.HalfOpenState:
		return HalfOpen
	}
	return Closed
}

// refused is the result of a request that was not made.
func refused(delivery *webhook.Delivery, endpoint *webhook.Endpoint, no *refusal) webhook.Result {
	message := "the endpoint failed too often and is being tried with another request"
	if no.state == Open {
		message = fmt.Sprintf("the endpoint failed too often and is left alone for another %v", no.remaining.Round(time.Millisecond))
	}
	result := webhook.NotMade(delivery, endpoint, &webhook.Fault{
		Kind: webhook.FaultClient, Code: FaultOpen, Phase: webhook.PhasePrepare, Message: message,
	})
	result.RetryAfter = no.remaining
	return result
}
