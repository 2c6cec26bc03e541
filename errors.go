package neohook

import "errors"

// Errors to compare with errors.Is. Others come from the store, or say what an Options
// lacks. *webhook.InvalidError names what is wrong with an argument;
// webhook.ErrMalformedID is returned for a Page's After that is no id of the list.
var (
	// ErrNotFound is returned for an id or UID that names nothing in its organisation,
	// or something deleted.
	ErrNotFound = errors.New("neohook: not found")
	// ErrConflict is returned where a UID is taken.
	ErrConflict = errors.New("neohook: uid is taken")
	// ErrKeyReused is returned where the Key of a Once was used for another Request.
	ErrKeyReused = errors.New("neohook: idempotency key was used for another request")
	// ErrTooManySecrets is returned by RotateSecret where ten replaced secrets still sign.
	ErrTooManySecrets = errors.New("neohook: too many replaced secrets still sign")
	// ErrOverloaded is returned by Publish where its place in the queue did not come in
	// time. Nothing is stored: publish again later.
	ErrOverloaded = errors.New("neohook: overloaded")
	// ErrStopped is returned by Publish once Run has ended.
	ErrStopped = errors.New("neohook: stopped")
)
