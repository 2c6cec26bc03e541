package webhook

import "context"

// Adapter sends attempts to one kind of destination. It is safe for concurrent use.
//
// None of its methods returns an error of its own: a Result tells success and failure
// alike, so that there is always something to record.
type Adapter interface {
	// Deliver makes one attempt. It returns when the destination has answered, the
	// endpoint's timeout has passed, or ctx has ended. It does not retry.
	Deliver(ctx context.Context, delivery *Delivery, endpoint *Endpoint) Result
	// Verify asks whether the endpoint is there and answers, with a test payload; nil is
	// the adapter's own verification event.
	Verify(ctx context.Context, endpoint *Endpoint, payload []byte) Result
	// Health tells whether the adapter itself can work.
	Health(ctx context.Context) Health
}

// HealthStatus is a verdict on an adapter.
type HealthStatus string

// The verdicts.
const (
	Healthy   HealthStatus = "healthy"
	Degraded  HealthStatus = "degraded"
	Unhealthy HealthStatus = "unhealthy"
)

// Health is what an adapter says of itself.
type Health struct {
	Status HealthStatus `json:"status"`
	// Reasons says why the status is not healthy.
	Reasons []string `json:"reasons,omitempty"`
	// Details is the adapter's own, one of its exported types, or nil.
	Details any `json:"details,omitempty"`
}
