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

// Measured is what a store may offer beside: it says how much room its data take.
type Measured interface {
	// Footprint is of about one instant. Asked once a minute it must cost next to nothing,
	// however much is stored.
	Footprint(ctx context.Context) (Footprint, error)
}

// Footprint is the room that a store's data take, in bytes.
type Footprint struct {
	// Total is what the database takes, and Unused the part of it that nothing is in: it
	// is filled again before the database grows.
	Total, Unused int64
	// Log is the write-ahead log.
	Log int64
	// Tables is what each table takes with its indexes.
	Tables map[string]int64
}
