package commit

import (
	"context"
	"errors"

	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/store"
)

// apart follows the storing of a batch in parts.
type apart struct {
	failed int
	stored bool // any part
}

// hopeless says that so many parts failed, and none was stored, that the fault is not an
// event's.
func (a *apart) hopeless() bool {
	const enough = 20 // more than it takes to find one bad event in any batch
	return !a.stored && a.failed >= enough
}

// acceptAlone stores events without any outcomes.
func (w *Writer) acceptAlone(ctx context.Context, items []*intake.Item, a *apart) {
	if len(items) == 0 {
		return
	}
	err := w.commit(ctx, items, nil)
	switch {
	case err == nil:
		a.stored = true
	case errors.Is(err, store.ErrCommitUnknown):
		w.giveUp(items, err)
	default:
		w.acceptHalves(ctx, items, err, a)
	}
}

// acceptHalves stores the events of a batch that has failed in two halves, and so on, so
// that an event that can't be stored fails alone.
func (w *Writer) acceptHalves(ctx context.Context, items []*intake.Item, cause error, a *apart) {
	a.failed++
	if len(items) <= 1 || a.hopeless() || errors.Is(cause, store.ErrBuried) || errors.Is(cause, store.ErrUnavailable) {
		w.giveUp(items, cause)
		return
	}
	w.acceptAlone(ctx, items[:len(items)/2], a)
	w.acceptAlone(ctx, items[len(items)/2:], a)
}
