package store

import (
	"context"
	"time"
)

// Failing says how long an endpoint has been without a success.
type Failing struct {
	// Since is when the first failure since the last success ended; zero says that the
	// endpoint works.
	Since time.Time
	// Told is how far it had come when somebody was last told of it, in percent of the
	// time after which the endpoint is disabled; 0 is not yet.
	Told int
}

// FailingEndpoint is an endpoint that does not work.
type FailingEndpoint struct {
	Endpoint EndpointKey
	Failing
}

// Failures keeps which endpoints fail. It is written by Commit, with the outcome that
// changes it. An endpoint that is disabled, enabled or deleted fails no more, and one that
// is paused or resumed, or whose tenant is, or everything. While it is disabled or deleted
// nothing is kept of it.
type Failures interface {
	// FailingEndpoints lists those that fail, ascending by key, from behind after.
	FailingEndpoints(ctx context.Context, after EndpointKey, limit int) ([]FailingEndpoint, error)
}
