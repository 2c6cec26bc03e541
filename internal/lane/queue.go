package lane

// queue is a first-in, first-out ring that grows as needed. The zero value is empty.
type queue[T any] struct {
	ring []T
	head int
	size int
}

func (q *queue[T]) len() int { return q.size }

func (q *queue[T]) push(item T) {
	if q.size == len(q.ring) {
		grown := make([]T, max(8, 2*q.size))
		n := copy(grown, q.ring[q.head:])
		copy(grown[n:], q.ring[:q.head])
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.size)%len(q.ring)] = item
	q.size++
}

// pop removes the oldest item; there must be one.
func (q *queue[T]) pop() T {
	var none T
	item := q.ring[q.head]
	q.ring[q.head] = none // let go of what it points to
	q.head = (q.head + 1) % len(q.ring)
	q.size--
	return item
}

// peek returns the oldest item; there must be one.
func (q *queue[T]) peek() T { return q.ring[q.head] }

// last returns the newest item; there must be one.
func (q *queue[T]) last() T { return q.ring[(q.head+q.size-1)%len(q.ring)] }

// each gives every item to do, the oldest first.
func (q *queue[T]) each(do func(*T)) {
	for i := range q.size {
		do(&q.ring[(q.head+i)%len(q.ring)])
	}
}

// trim removes items from the front up to the first that keep says yes to.
func (q *queue[T]) trim(keep func(*T) bool) {
	for q.size > 0 && !keep(&q.ring[q.head]) {
		q.pop()
	}
}

// filter keeps the items that keep says yes to, in their order.
func (q *queue[T]) filter(keep func(*T) bool) {
	for range q.size {
		if item := q.pop(); keep(&item) {
			q.push(item)
		}
	}
}
