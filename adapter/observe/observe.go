// Package observe tells a hook of each request that an adapter makes, before and after
// it: for metrics, traces and logs of your own. Package monitor is what most need ready
// made.
//
//	observed := observe.New(adapter, observe.Hooks{
//		After: func(ctx context.Context, request observe.Request, result webhook.Result) {
//			attempts.WithLabelValues(strconv.Itoa(result.StatusCode)).Inc()
//		},
//	})
package observe

import (
	"context"

	"github.com/neohook/neohook/webhook"
)

// Hooks are called round each request, by several at once. What they take, the request
// takes longer. Each may be nil.
type Hooks struct {
	// Before is called before the request and returns the context for it, which may carry
	// a trace; it must come from ctx.
	Before func(ctx context.Context, request Request) context.Context
	// After is called with the result and the context that Before returned. It is not where
	// the adapter panics.
	After func(ctx context.Context, request Request, result webhook.Result)
}

// Request is a delivery, or a verification, which has no Delivery. Nothing in it may be
// changed.
type Request struct {
	Delivery *webhook.Delivery
	Endpoint *webhook.Endpoint
	// Payload is what goes out; nil is the adapter's own verification event.
	Payload []byte
}

// Verify tells a verification.
func (r *Request) Verify() bool { return r.Delivery == nil }

// Adapter is an adapter with hooks. It is safe for concurrent use if they are.
type Adapter struct {
	inside webhook.Adapter
	hooks  Hooks
}

// New puts hooks round an adapter. Those of an adapter that is wrapped twice are called
// from the outside in, and back.
func New(inside webhook.Adapter, hooks Hooks) *Adapter { return &Adapter{inside: inside, hooks: hooks} }

// Deliver delivers with the adapter inside.
func (a *Adapter) Deliver(ctx context.Context, delivery *webhook.Delivery, endpoint *webhook.Endpoint) webhook.Result {
	request := Request{Delivery: delivery, Endpoint: endpoint}
	if delivery == nil {
		return a.inside.Deliver(ctx, nil, endpoint) // there is no request
	}
	request.Payload = delivery.Payload
	return a.run(ctx, request, func(ctx context.Context) webhook.Result {
		return a.inside.Deliver(ctx, delivery, endpoint)
	})
}

// Verify verifies with the adapter inside.
func (a *Adapter) Verify(ctx context.Context, endpoint *webhook.Endpoint, payload []byte) webhook.Result {
	return a.run(ctx, Request{Endpoint: endpoint, Payload: payload}, func(ctx context.Context) webhook.Result {
		return a.inside.Verify(ctx, endpoint, payload)
	})
}

// Health is that of the adapter inside. The hooks are not told of it.
func (a *Adapter) Health(ctx context.Context) webhook.Health { return a.inside.Health(ctx) }

// Unwrap returns the adapter inside.
func (a *Adapter) Unwrap() webhook.Adapter { return a.inside }

func (a *Adapter) run(ctx context.Context, request Request, do func(context.Context) webhook.Result) webhook.Result {
	if a.hooks.Before != nil {
		ctx = a.hooks.Before(ctx, request)
	}
	result := do(ctx)
	if a.hooks.After != nil {
		a.hooks.After(ctx, request, result)
	}
	return result
}
