package retention

import (
	"context"
	"maps"
	"slices"
)

// Notice says that something may have been stored to expunge, by another node.
func (k *Keeper) Notice() {
	select {
	case k.bell <- struct{}{}:
	default:
	}
}

// Check looks whether what somebody here waits for was expunged by another node.
func (k *Keeper) Check(ctx context.Context) error {
	k.mu.Lock()
	waiting := slices.Sorted(maps.Keys(k.waiting)) // of what was stored before it is looked
	k.mu.Unlock()
	for _, key := range waiting {
		asked, err := k.Store.Expunges(ctx, key-1, 1)
		if err != nil {
			return err
		}
		if len(asked) == 1 && asked[0].Key == key {
			continue
		}
		k.mu.Lock()
		for _, done := range k.waiting[key] {
			close(done)
		}
		delete(k.waiting, key)
		k.mu.Unlock()
	}
	return nil
}
