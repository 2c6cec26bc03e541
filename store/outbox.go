package store

import (
	"context"
	"time"
)

// Announcement is an event that is to be accepted once what it tells of is stored. It is
// put into the outbox in the transaction of its cause, so that there is neither without
// the other.
type Announcement struct {
	// Tenant is whose event it will be; 0 is the one that has TenantUID in Organisation. With
	// neither, whoever takes it out of the outbox finds the tenant by what it is About.
	Tenant                  TenantKey
	Organisation, TenantUID string
	UID                     string
	Type                    string
	Channels                []string
	Tags                    []string
	DeliverAt               time.Time
	PayloadTTL              time.Duration
	// Payload is the event's. nil says that it is made when the event is accepted, of what
	// the Announcement is About and of Details.
	Payload []byte
	Details []byte
	// Once is nil for an event that may be published repeatedly. It is kept for the Accept;
	// its Now and its Answer are not.
	Once *Once
	// About is set by the store where the cause is an outcome or a cancelled delivery, and
	// else by the caller.
	About About
}

// About names what an Announcement tells of. Keys may be 0.
type About struct {
	Tenant   TenantKey
	Endpoint EndpointKey
	Event    EventKey
	Attempt  AttemptKey
}

// Announced is an Announcement in the outbox.
type Announced struct {
	Key OutboxKey
	Announcement
	// Subject is what it is About, as that is by now.
	Subject Subject
}

// Subject names and dates the keys of an About, of what is deleted too. What is not kept
// any more is zero.
type Subject struct {
	Organisation      string // of the tenant
	TenantUID         string
	TenantCreatedAt   time.Time
	EndpointUID       string
	EndpointCreatedAt time.Time
	EventUID          string
	EventAcceptedAt   time.Time
	StatusCode        int // of the attempt
	StartedAt         time.Time
}

// Outbox keeps the Announcements until their events are accepted. A row goes with the
// Accept that is From it.
type Outbox interface {
	// Outbox lists the rows in order of their keys, from behind after. A transaction that
	// was open meanwhile may leave rows with lower keys than what was listed: they are found
	// by beginning anew. See LastOutbox for what else that means.
	Outbox(ctx context.Context, after OutboxKey, limit int) ([]Announced, error)
	// LastOutbox returns the highest key that was given so far; 0 is none. If a row's transaction was committed before another row
	// was announced, then a walk that begins behind this call and ends at its key lists the
	// first before the second, or not the second.
	LastOutbox(ctx context.Context) (OutboxKey, error)
	// DeleteOutbox deletes rows whose events are not to be accepted, and announces what is
	// told of that. A row that is gone is no error.
	DeleteOutbox(ctx context.Context, keys []OutboxKey, announce ...Announcement) error
	// CountOutbox counts the rows and stops at limit.
	CountOutbox(ctx context.Context, limit int) (int, error)
}
