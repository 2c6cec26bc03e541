package memadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/neohook/neohook/webhook"
)

// Adapter keeps requests in memory and answers them by a script. The zero value is
// ready and answers each with 200. It is safe for concurrent use.
type Adapter struct {
	// Answer, where it is set, replies in place of the scripts. It is called at the start
	// of each request, by several at once, and must not change while the adapter is used.
	Answer func(Request) Reply

	mu       sync.Mutex
	script   script
	scripts  map[webhook.EndpointID]script // of single endpoints
	requests []Request
	arrived  chan struct{} // closed and replaced when a request comes; nil until somebody waits
	inFlight sync.WaitGroup
	closing  chan struct{} // nil until needed
	closed   bool
}

var _ webhook.Adapter = (*Adapter)(nil)

// Request is a delivery or a verification as it came.
type Request struct {
	// Verify tells a verification; then only the Payload of its Delivery is set.
	Verify bool
	// Delivery and Endpoint are copies: what happens to the originals does not show.
	Delivery webhook.Delivery
	Endpoint webhook.Endpoint
	// At is when it came.
	At time.Time
}

// New returns an adapter that gives these replies in turn, the last again and again.
// Without any it answers 200.
func New(replies ...Reply) *Adapter { return &Adapter{script: replies} }

// Script replaces the replies from the next request on.
func (a *Adapter) Script(replies ...Reply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.script = replies
}

// ScriptFor replaces the replies of one endpoint, which then has no part in the others'.
// Without replies it has again.
func (a *Adapter) ScriptFor(endpoint webhook.EndpointID, replies ...Reply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.scripts == nil {
		a.scripts = make(map[webhook.EndpointID]script)
	}
	if len(replies) == 0 {
		delete(a.scripts, endpoint)
	} else {
		a.scripts[endpoint] = replies
	}
}

// Requests returns what has come so far, in order. It grows with each request until
// Forget.
func (a *Adapter) Requests() []Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// Forget drops the requests that have come so far.
func (a *Adapter) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = nil
}

// Wait returns when n requests have come, not counting those forgotten, or with the
// context's error.
func (a *Adapter) Wait(ctx context.Context, n int) error {
	for {
		a.mu.Lock()
		have := len(a.requests)
		if a.arrived == nil {
			a.arrived = make(chan struct{})
		}
		arrived := a.arrived
		a.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return fmt.Errorf("memadapter: %d of %d requests have come: %w", have, n, ctx.Err())
		}
	}
}

// Deliver keeps the delivery and answers it. It succeeds with a status of 2xx.
func (a *Adapter) Deliver(ctx context.Context, delivery *webhook.Delivery, endpoint *webhook.Endpoint) webhook.Result {
	if delivery == nil {
		return refused(nil, endpoint, webhook.FaultInvalidRequest, errors.New("the delivery is nil"))
	}
	return a.answer(ctx, &Request{Delivery: *delivery}, endpoint)
}

// Verify keeps the payload and answers it. It succeeds with a status below 500. A nil
// payload is webhook.VerificationPayload.
func (a *Adapter) Verify(ctx context.Context, endpoint *webhook.Endpoint, payload []byte) webhook.Result {
	if payload == nil {
		payload = webhook.VerificationPayload(time.Now())
	}
	return a.answer(ctx, &Request{Verify: true, Delivery: webhook.Delivery{Payload: payload}}, endpoint)
}

// Health is healthy until the adapter is closed.
func (a *Adapter) Health(context.Context) webhook.Health {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return webhook.Health{Status: webhook.Unhealthy, Reasons: []string{errClosed.Error()}}
	}
	return webhook.Health{Status: webhook.Healthy}
}

// Close ends the adapter: what is in flight fails with webhook.FaultClosed, and has when
// it returns. Requests can still be read. It returns nil.
func (a *Adapter) Close() error {
	a.mu.Lock()
	if !a.closed {
		a.closed = true
		close(a.closingLocked())
	}
	a.mu.Unlock()
	a.inFlight.Wait()
	return nil
}

var errClosed = errors.New("the adapter was closed")

func (a *Adapter) closingLocked() chan struct{} {
	if a.closing == nil {
		a.closing = make(chan struct{})
	}
	return a.closing
}

func (a *Adapter) answer(ctx context.Context, request *Request, endpoint *webhook.Endpoint) webhook.Result {
	if endpoint == nil {
		return refused(&request.Delivery, nil, webhook.FaultInvalidRequest, errors.New("the endpoint is nil"))
	}
	if err := ctx.Err(); err != nil {
		return refused(&request.Delivery, endpoint, webhook.FaultCancelled, fmt.Errorf("the caller ended the attempt: %w", err))
	}
	request.copyFrom(endpoint)
	reply, closing, ok := a.enter(request)
	if !ok {
		return refused(&request.Delivery, endpoint, webhook.FaultClosed, errClosed)
	}
	defer a.inFlight.Done()
	if a.Answer != nil {
		reply = a.Answer(*request)
	}

	result := webhook.Result{
		Attempt: max(1, request.Delivery.Attempt), URL: endpoint.ShownURL(), Method: cmp.Or(endpoint.Method, webhook.DefaultMethod),
		StartedAt: request.At, BytesSent: int64(len(request.Delivery.Payload)),
	}
	timeout := cmp.Or(max(0, endpoint.Timeout), webhook.DefaultTimeout)
	timer := time.NewTimer(min(reply.Delay, timeout))
	defer timer.Stop()
	select {
	case <-timer.C:
		if reply.Delay >= timeout {
			result.Fault = &webhook.Fault{
				Kind: webhook.FaultTimeout, Code: webhook.FaultResponseTimeout, Phase: webhook.PhaseResponse,
				Message: fmt.Sprintf("no answer in %v", timeout),
			}
		} else {
			reply.apply(&result, request.Verify)
		}
	case <-ctx.Done():
		result.Fault = fault(webhook.FaultCancelled, webhook.PhaseResponse, fmt.Errorf("the caller ended the attempt: %w", ctx.Err()))
	case <-closing:
		result.Fault = fault(webhook.FaultClosed, webhook.PhaseResponse, errClosed)
	}
	result.CompletedAt = time.Now()
	result.Timings.Total = result.Duration()
	return result
}

// copyFrom makes the request its own master: the payload, the endpoint, the instant.
func (r *Request) copyFrom(endpoint *webhook.Endpoint) {
	r.Delivery.Payload = slices.Clone(r.Delivery.Payload)
	r.Endpoint = *endpoint
	r.Endpoint.Headers = maps.Clone(endpoint.Headers)
	r.Endpoint.Metadata = maps.Clone(endpoint.Metadata)
	r.Endpoint.RetiringSecrets = slices.Clone(endpoint.RetiringSecrets)
	r.Endpoint.EventTypes = slices.Clone(endpoint.EventTypes)
	r.Endpoint.Channels = slices.Clone(endpoint.Channels)
	r.Endpoint.Schedule = slices.Clone(endpoint.Schedule)
	r.Endpoint.FinalStatuses = slices.Clone(endpoint.FinalStatuses)
	r.At = time.Now()
}

// enter keeps the request and finds its reply, unless the adapter is closed.
func (a *Adapter) enter(request *Request) (Reply, <-chan struct{}, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return Reply{}, nil, false
	}
	a.inFlight.Add(1) // under the lock, so that Close can't be waiting already
	a.requests = append(a.requests, *request)
	if a.arrived != nil {
		close(a.arrived)
		a.arrived = nil
	}
	closing := a.closingLocked()
	if own, found := a.scripts[request.Endpoint.ID]; found {
		reply := own.next()
		a.scripts[request.Endpoint.ID] = own
		return reply, closing, true
	}
	return a.script.next(), closing, true
}

// refused is the result of a request that was not made.
func refused(delivery *webhook.Delivery, endpoint *webhook.Endpoint, code webhook.FaultCode, err error) webhook.Result {
	return webhook.NotMade(delivery, endpoint, fault(code, webhook.PhasePrepare, err))
}

func fault(code webhook.FaultCode, phase webhook.Phase, err error) *webhook.Fault {
	kind := webhook.FaultClient
	if errors.Is(err, context.DeadlineExceeded) {
		kind = webhook.FaultTimeout
	}
	return &webhook.Fault{Kind: kind, Code: code, Phase: phase, Message: err.Error(), Cause: err}
}
