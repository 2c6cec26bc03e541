package lane

import (
	"cmp"
	"container/heap"
	"time"
)

// waits is what of one kind waits for its time: deliveries, or sends.
type waits struct {
	due     queue[Delivery] // their time has come
	waiting byDue
	horizon horizon // from there on they are in the store alone
	held    int     // of them, those that are given out included
}

// horizon is a place among what waits, in the order of due times and, at one of them, of
// keys; see store.Moment. The zero horizon is behind all.
type horizon struct {
	due time.Time // in the store's precision
	key int64
}

// beginning is a horizon that nothing is before.
var beginning = horizon{due: time.Unix(0, 0)}

func (h horizon) none() bool { return h.due.IsZero() }

// sooner returns the one of two that comes first.
func (h horizon) sooner(other horizon) horizon {
	switch {
	case h.none():
		return other
	case other.none():
		return h
	case cmp.Or(h.due.Compare(other.due), cmp.Compare(h.key, other.key)) < 0:
		return h
	}
	return other
}

// stands is where a delivery is among what waits.
func (d *Delivery) stands() horizon {
	key := int64(d.Event)
	if d.Send != 0 {
		key = int64(d.Send)
	}
	return horizon{d.Due.Truncate(time.Microsecond), key}
}

// reaches says that what is due then may be held: nothing before it is in the store alone.
func (w *waits) reaches(due time.Time) bool { return w.horizon.none() || due.Before(w.horizon.due) }

// ripen moves those whose time has come, or all.
func (w *waits) ripen(now time.Time, all bool) {
	for len(w.waiting) > 0 && (all || !w.waiting[0].Due.After(now)) {
		w.due.push(heap.Pop(&w.waiting).(Delivery))
	}
}

// unripen moves those back whose time has not come.
func (w *waits) unripen(now time.Time) {
	for range w.due.len() {
		if d := w.due.pop(); d.Due.After(now) {
			heap.Push(&w.waiting, d)
		} else {
			w.due.push(d)
		}
	}
}

// nextWake is when one of them comes due; zero is never. A horizon that has passed is no
// reason to wake, nor is any where all are due: it makes the lane want a page as soon as
// one helps.
func (w *waits) nextWake(now time.Time, all bool) (wake time.Time) {
	if len(w.waiting) > 0 {
		wake = w.waiting[0].Due
	}
	if w.horizon.due.After(now) && !all {
		wake = sooner(wake, w.horizon.due)
	}
	return wake
}

// wantsPage says that what is in the store alone may come due.
func (w *waits) wantsPage(now time.Time, all bool, rows int) bool {
	return !w.horizon.none() && (all || !w.horizon.due.After(now)) && w.due.len() < rows
}

// behind counts what is held and may come with a page from the horizon on: what is given out
// does not say.
func (w *waits) behind() int {
	n := w.held - w.due.len() - len(w.waiting)
	count := func(d *Delivery) {
		if d.stands().sooner(w.horizon) == w.horizon {
			n++
		}
	}
	w.due.each(count)
	for i := range w.waiting {
		count(&w.waiting[i])
	}
	return n
}

// trim removes the first of them up to one that keep says yes to.
func (w *waits) trim(keep func(*Delivery) bool) {
	w.due.trim(keep)
	for len(w.waiting) > 0 && !keep(&w.waiting[0]) {
		heap.Pop(&w.waiting)
	}
}

// filter keeps those that keep says yes to, in their order.
func (w *waits) filter(keep func(*Delivery) bool) {
	w.due.filter(keep)
	kept := w.waiting[:0]
	for i := range w.waiting {
		if keep(&w.waiting[i]) {
			kept = append(kept, w.waiting[i])
		}
	}
	clear(w.waiting[len(kept):])
	w.waiting = kept
	heap.Init(&w.waiting)
}

// emptied is a waits with the memory of an empty one.
func (w *waits) emptied() waits { return waits{due: w.due, waiting: w.waiting[:0]} }

// capacity is how many it has memory for.
func (w *waits) capacity() int { return max(len(w.due.ring), cap(w.waiting)) }

// byDue is a heap of waiting deliveries, the soonest on top; of those that are due at once,
// as deferred events often are, the one that was made first.
type byDue []Delivery

func (h byDue) Len() int { return len(h) }
func (h byDue) Less(i, j int) bool {
	a, b := &h[i], &h[j]
	if order := a.Due.Compare(b.Due); order != 0 {
		return order < 0
	}
	return cmp.Or(cmp.Compare(a.Event, b.Event), cmp.Compare(a.Send, b.Send)) < 0
}
func (h byDue) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *byDue) Push(x any)   { *h = append(*h, x.(Delivery)) }
func (h *byDue) Pop() any {
	last := len(*h) - 1
	item := (*h)[last]
	(*h)[last] = Delivery{}
	*h = (*h)[:last]
	return item
}
