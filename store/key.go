package store

// Integer keys, given by the store, positive and never used twice.
type (
	TenantKey   int64
	EndpointKey int64
	// EventKey is also an event's number in the order of acceptance: if one event was
	// committed before another's commit began, its key is the lower one.
	EventKey   int64
	AttemptKey int64
)
