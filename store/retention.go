package store

import (
	"context"
	"time"

	"github.com/neohook/neohook/webhook"
)

// MostLate is how long something may be kept beyond its time, by a store that lets go of
// a day at a time.
const MostLate = 24 * time.Hour

// Retention lets go of what is stored.
//
// An event that is gone is nowhere found, and its UID is free. With it go its history,
// its attempts, and all else that is kept of it; an outcome of it that comes later stores
// nothing. Whoever repeats its publishing, for as long as its Once is kept, is told that
// it was accepted.
type Retention interface {
	// Sweep lets go of what has had its time at now, in one transaction and for about as
	// long as budget, and says whether it knows of more.
	//
	// A payload's time is its event's PayloadTTL, or else its tenant's Retention.Payloads,
	// from the acceptance on; attempts and events have theirs by the tenant's Retention;
	// and where the tenant has none, by defaults, in which no time is 0. What applies is
	// what is set now, also to what was stored before it was set. With the event goes
	// the payload, whatever its own time.
	//
	// Nothing goes before its time. It has gone when Sweep, called until there is no more,
	// is told a now that is MostLate behind it. An event that has not ended, since it has
	// an open delivery or Send or is deferred, is kept with its payload until it has.
	//
	// Answers kept under a Once go when they have expired; a deleted tenant or endpoint
	// when nothing stored refers to it any more.
	Sweep(ctx context.Context, now time.Time, defaults webhook.Retention, budget time.Duration) (Swept, error)

	// ExpungePayload deletes the payload of a tenant's event, ends its open deliveries as
	// Cancelled for PayloadExpunged, and its open Sends. It returns these, or ErrNotFound
	// for the event. Where there is no payload any more it does nothing.
	ExpungePayload(ctx context.Context, now time.Time, tenant TenantKey, event EventKey) ([]Turn, error)
	// ExpungeResponse deletes what an attempt of an event was answered, and marks it as
	// Expunged. It returns ErrNotFound for the attempt.
	ExpungeResponse(ctx context.Context, event EventKey, attempt AttemptKey) error
	// ExpungeEvent deletes a tenant's event, and all that is open of it, which it returns;
	// or ErrNotFound.
	ExpungeEvent(ctx context.Context, now time.Time, tenant TenantKey, event EventKey) ([]Turn, error)

	// InsertExpunge stores that something large is to be deleted, under a key that it
	// gives, and returns it with its Through, which is that of the Job where there is one;
	// and, where it is everything of a tenant, deletes the tenant if that has not been done.
	// It returns ErrNotFound for a tenant that is not the organisation's, or is gone; one
	// that was deleted is found. Where the same was asked for before, for the same Job or
	// for none, and is not done yet, that is returned instead, with the Through that it has
	// from now on.
	InsertExpunge(ctx context.Context, organisation string, expunge Expunge) (Expunge, error)
	// Expunges lists those that are not done, ascending by key.
	Expunges(ctx context.Context, after ExpungeKey, limit int) ([]Expunge, error)
	// ExpungeStep does a part of one, in one transaction and for about as long as budget. It
	// returns what was open of what it deleted, and whether all is done, as it is for one
	// that is not there, or whose Job has ended.
	ExpungeStep(ctx context.Context, now time.Time, expunge ExpungeKey, budget time.Duration) (open []Turn, done bool, err error)

	// Scrub returns when nothing that was deleted before the call is left in the store's
	// files, as far as the database lets it.
	Scrub(ctx context.Context) error
}

// Swept is what a Sweep has deleted.
type Swept struct {
	Payloads, Attempts, Events int
	// More says that more is due, as far as the store knows.
	More bool
	// Next is when something will be due, or is to be looked at, where there is no more
	// now; zero is not before anything else is stored or changed.
	Next time.Time
}

// Turn is what a lane holds: a delivery, or a Send.
type Turn struct {
	Tenant TenantKey
	DeliveryRef
	Send SendKey // 0 for a delivery
}

// Expunge is a deletion that takes many transactions. Once it is stored it will be done,
// whatever happens in between.
type Expunge struct {
	Key    ExpungeKey
	Tenant TenantKey
	// Everything asks for all that is kept of the tenant, itself and its endpoints
	// included; else it is for the payloads of its events, as by ExpungePayload.
	Everything bool
	// Job is the one that it is for, which counts the payloads as Made; 0 is none. Only
	// payloads are deleted for a job.
	Job JobKey
	// Through is the highest event whose payload is to go.
	Through EventKey
	AskedAt time.Time
}
