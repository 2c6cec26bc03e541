package httpadapter

import "sync"

// recent remembers what is costly to make, by what it was made from. The zero value is
// empty. A full one is emptied: it fills again in a moment.
type recent[K comparable, V any] struct {
	mu    sync.RWMutex
	known map[K]V
}

const maxRecent = 16_384

// get returns what make makes of key, which must always be the same. Errors are not kept.
func (r *recent[K, V]) get(key K, make func(K) (V, error)) (V, error) {
	r.mu.RLock()
	value, ok := r.known[key]
	r.mu.RUnlock()
	if ok {
		return value, nil
	}
	value, err := make(key)
	if err != nil {
		return value, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxRecent {
		clear(r.known)
	}
	if r.known == nil {
		r.known = map[K]V{}
	}
	r.known[key] = value
	return value, nil
}
