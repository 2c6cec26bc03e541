package intake

// list is doubly linked, so that what gives up can leave from the middle. Its links are
// part of what they link: to be in a list costs no memory.
type list[T any] struct{ first, last *link[T] }

type link[T any] struct {
	of         *T
	prev, next *link[T]
	listed     bool
}

func (l *list[T]) push(at *link[T]) {
	at.prev, at.next, at.listed = l.last, nil, true
	if l.last == nil {
		l.first = at
	} else {
		l.last.next = at
	}
	l.last = at
}

func (l *list[T]) remove(at *link[T]) {
	if at.prev == nil {
		l.first = at.next
	} else {
		at.prev.next = at.next
	}
	if at.next == nil {
		l.last = at.prev
	} else {
		at.next.prev = at.prev
	}
	at.prev, at.next, at.listed = nil, nil, false
}
