package store

import "context"

// Sizes says how much there is.
type Sizes interface {
	// CountOpen counts the open deliveries to a tenant's endpoints, deleted ones aside, and
	// its deferred events, and stops at limit. Its cost grows with what it counts.
	CountOpen(ctx context.Context, tenant TenantKey, limit int) (int, error)
	// CountSends counts the open sends to an endpoint, those of jobs aside, in the same way.
	CountSends(ctx context.Context, endpoint EndpointKey, limit int) (int, error)
}
