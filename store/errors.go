package store

import "errors"

var (
	// ErrNotFound is returned for a key or UID that names nothing, or something deleted.
	ErrNotFound = errors.New("not found")
	// ErrConflict is returned where a UID is taken.
	ErrConflict = errors.New("uid is taken")
	// ErrStale is returned by an update whose record has changed since it was read.
	ErrStale = errors.New("changed since it was read")
	// ErrCommitUnknown is returned where the connection broke while committing: all of
	// the transaction is stored or none of it, and the store can't tell which. It is
	// decided by the time that the handle's next call begins, and so what that one finds is
	// what became of it.
	ErrCommitUnknown = errors.New("outcome of the commit is unknown")
	// ErrFull is returned where there is no room to store a change. Nothing of it is
	// stored, and it can be repeated once there is.
	ErrFull = errors.New("no room to store it")
	// ErrUnavailable is returned where the database can't be reached, or is being restarted.
	// Nothing is stored, and it can be repeated once the database is there. While it is
	// known to be away this comes at once.
	ErrUnavailable = errors.New("database is away")
	// ErrNotDeferred is returned where a deferred event was to be cancelled, for one that is
	// not, or was promoted.
	ErrNotDeferred = errors.New("event does not wait for its time")
	// ErrTxRefused is returned by a Tx that the store can't be part of.
	ErrTxRefused = errors.New("transaction can't take an event")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("store is closed")
)
