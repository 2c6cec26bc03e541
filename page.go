package neohook

import (
	"errors"
	"fmt"

	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Limits of a page.
const (
	DefaultPageLimit = 50
	MaxPageLimit     = 250
)

// Page asks for a part of a list. Lists are in the order of creation or acceptance.
type Page struct {
	// After is the id to go on behind, exclusive; "" is from the beginning of the walk.
	// It must be an id of the list's kind, but what it names may be gone by now.
	After string
	// Descending walks from the newest to the oldest.
	Descending bool
	// Limit is the most items to return; 0 is DefaultPageLimit, the most MaxPageLimit.
	Limit int
}

// List is a page of a list.
type List[T any] struct {
	Items []T
	// Last is the id of the last item examined, which is the After of the next page; ""
	// where nothing was examined. Where a filter narrows, a page may be short, or empty,
	// and the list go on all the same.
	Last string
	// Done says that there was nothing further.
	Done bool
}

// key is a store's key of any kind; an identifier of the same kind is an id.
type (
	key interface{ ~int64 }
	id  interface{ ~string }
)

// limit checks the Limit and fills its default.
func (p *Page) limit() (int, error) {
	if p.Limit < 0 || p.Limit > MaxPageLimit {
		var bad webhook.InvalidError
		bad.Add("limit", fmt.Sprintf("must be between 1 and %d", MaxPageLimit))
		return 0, bad.Err()
	}
	if p.Limit == 0 {
		return DefaultPageLimit, nil
	}
	return p.Limit, nil
}

// storePage checks a page and decodes its After.
func storePage[K key, ID id, T any](page Page, parse func(ID) (K, T, error)) (store.Page, error) {
	limit, err := page.limit()
	if err != nil {
		return store.Page{}, err
	}
	out := store.Page{Descending: page.Descending, Limit: limit}
	if page.After == "" {
		return out, nil
	}
	after, _, err := parse(ID(page.After))
	if errors.Is(err, ident.ErrForeign) {
		err = fmt.Errorf("%w: %q was not given out here", webhook.ErrMalformedID, page.After)
	}
	out.After = int64(after)
	return out, err
}

// whole asks for one item more than the page, to tell whether it is the last.
func whole(page store.Page) store.Page {
	page.Limit++
	return page
}

// cut makes a list of what whole asked for.
func cut[S, T any](got []S, limit int, show func(*S) (T, error), name func(*T) string) (List[T], error) {
	list := List[T]{Done: len(got) <= limit, Items: make([]T, 0, min(len(got), limit))}
	for i := range got[:min(len(got), limit)] {
		item, err := show(&got[i])
		if err != nil {
			return List[T]{}, err
		}
		list.Items = append(list.Items, item)
	}
	if len(list.Items) > 0 {
		list.Last = name(&list.Items[len(list.Items)-1])
	}
	return list, nil
}

// listed makes a list of what a store has examined.
func listed[S, T any](got store.Listed[S], show func(*S) T, last string) List[T] {
	list := List[T]{Done: got.Done, Items: make([]T, len(got.Items))}
	for i := range got.Items {
		list.Items[i] = show(&got.Items[i])
	}
	if got.Last != 0 {
		list.Last = last
	}
	return list
}
