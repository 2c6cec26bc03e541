package store

import (
	"context"
	"time"
)

// Store is all that the engine asks. Every method is safe for concurrent use. Records
// passed in and returned are not kept or changed by the store afterwards.
type Store interface {
	Instances
	Directory
	EventTypes
	Committer
	Backlog
	Sends
	Deferred
	Outbox
	History
	Deliveries
	Jobs
	Failures
	Retention
	Rollups
	Sizes
	Tokens
	// Close waits for what is under way and releases the database; a second call does
	// nothing. Every later call returns ErrClosed.
	Close() error
}

// Instance is what the first engine on a new store makes and all later ones share.
type Instance struct {
	// SealedIDSecret is the key that identifiers are made with, sealed. That it can be
	// opened proves that an engine has the right key set.
	SealedIDSecret []byte
	CreatedAt      time.Time
	// Paused says that nothing is sent to anybody.
	Paused bool
}

// Instances keeps the one Instance of a store.
type Instances interface {
	// InitInstance stores made if there is none yet, and returns the one that is stored.
	InitInstance(ctx context.Context, made Instance) (Instance, error)
	// Instance returns the one stored, or ErrNotFound.
	Instance(ctx context.Context) (Instance, error)
	// SetPaused changes whether everything is paused. It returns ErrNotFound where there is
	// no Instance yet.
	SetPaused(ctx context.Context, paused bool) error
}
