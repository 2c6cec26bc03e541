package adapter

import "github.com/neohook/neohook/webhook"

// Wrapper is an adapter round another. It does not own the other: whoever opened that
// closes it, after the last of its wrappers is out of use.
type Wrapper interface {
	webhook.Adapter
	// Unwrap returns the adapter inside.
	Unwrap() webhook.Adapter
}

// As returns the outermost of a and the adapters inside it that has the powers of T,
// which is most often an interface, and false where none has:
//
//	stats, ok := adapter.As[interface{ ConnectionStats() httpadapter.ConnectionStats }](a)
func As[T any](a webhook.Adapter) (T, bool) {
	for a != nil {
		if found, ok := a.(T); ok {
			return found, true
		}
		wrapper, ok := a.(Wrapper)
		if !ok {
			break
		}
		a = wrapper.Unwrap()
	}
	var none T
	return none, false
}
