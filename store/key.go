package store

// Integer keys are given by the store, positive, and never used twice.
type (
	// TenantKey is a tenant's.
	TenantKey int64
	// EndpointKey is an endpoint's.
	EndpointKey int64
	// EventKey is also an event's number in the order of acceptance: if one event was
	// committed before another's commit began, its key is the lower one.
	EventKey int64
	// AttemptKey is an attempt's.
	AttemptKey int64
	// SendKey is a Send's.
	SendKey int64
	// EventTypeKey is an event type's.
	EventTypeKey int64
	// TokenKey is a token's.
	TokenKey int64
	// JobKey is a job's.
	JobKey int64
	// ExpungeKey is an Expunge's.
	ExpungeKey int64
	// OutboxKey is that of a row in the outbox.
	OutboxKey int64
)
