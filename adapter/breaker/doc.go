// Package breaker puts a circuit breaker round any webhook.Adapter: an endpoint that has
// failed several times in a row is left alone for a while, and what is sent to it fails at
// once. Then one request is let through to see, and its success closes the breaker.
//
//	guarded := breaker.New(adapter, breaker.Options{})
//	result := guarded.Deliver(ctx, delivery, endpoint)
//	if result.Fault != nil && result.Fault.Code == breaker.FaultOpen {
//		… // nothing was sent; result.RetryAfter says when it may be again
//	}
//
// Each endpoint has a breaker of its own, so that one bad receiver harms no other. The
// breakers are those of failsafe-go.
package breaker
