package webhook

import "time"

// Tenant is a customer to be told of events: whose they are and whose endpoints hear
// of them.
type Tenant struct {
	ID           TenantID
	Organisation OrganisationID
	// UID is the caller's own name for the tenant, unique in its organisation; "" is none.
	UID  string
	Name string
	// RateLimit bounds the attempts per second over all endpoints of the tenant,
	// 1 to 65,535; 0 is no limit.
	RateLimit int
	// Paused keeps the tenant's deliveries waiting: events are accepted, and nothing is
	// sent until it is resumed.
	Paused bool
	// Retention is how long what the tenant's events leave behind is kept.
	Retention Retention
	// Metadata is the caller's own; its JSON text is at most 4,096 bytes.
	Metadata  map[string]string
	CreatedAt time.Time
	UpdatedAt time.Time
}
