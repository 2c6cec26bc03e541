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
	Failures
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

// Token lets whoever presents its text act for an organisation.
type Token struct {
	// Hash is the SHA-256 of the text, which is nowhere stored.
	Hash         [32]byte
	Organisation string
	Name         string
	CreatedAt    time.Time
}

// Tokens keeps the hashes of API tokens.
type Tokens interface {
	// InitToken stores first if there is no token at all yet, and says whether it did.
	InitToken(ctx context.Context, first Token) (stored bool, err error)
	// ReplaceToken stores a token in place of all those of its organisation that have its
	// name: what was lost opens nothing any more.
	ReplaceToken(ctx context.Context, token Token) error
	// Token returns the token of a hash, or ErrNotFound.
	Token(ctx context.Context, hash [32]byte) (Token, error)
}
