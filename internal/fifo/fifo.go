// Package fifo is a queue in a ring: first in, first out, amortised constant
// time, nothing allocated until it is used. It does not know who waits for it
// and takes no lock.
package fifo

// Queue holds values in order. Its zero value is empty. It is not safe for
// concurrent use.
type Queue[T any] struct {
	ring       []T
	head, size int
}

// keep is the ring that stays allocated when a queue runs empty. A longer one is
// given back, so that a burst costs no memory for ever.
const keep = 8

// Len is the number of values held.
func (q *Queue[T]) Len() int { return q.size }

// Push appends a value.
func (q *Queue[T]) Push(v T) {
	if q.size == len(q.ring) {
		grown := make([]T, max(keep/2, 2*q.size))
		for i := range q.size {
			grown[i] = *q.At(i)
		}
		q.ring, q.head = grown, 0
	}
	q.size++
	*q.At(q.size - 1) = v
}

// At returns the value at place i, counted from the oldest. It must exist.
func (q *Queue[T]) At(i int) *T {
	at := q.head + i
	if at >= len(q.ring) {
		at -= len(q.ring)
	}
	return &q.ring[at]
}

// Pop takes the oldest value out. It must exist.
func (q *Queue[T]) Pop() T {
	var none T
	oldest := q.At(0)
	v := *oldest
	*oldest = none
	if q.head++; q.head == len(q.ring) {
		q.head = 0
	}
	if q.size--; q.size == 0 && len(q.ring) > keep {
		q.ring, q.head = nil, 0
	}
	return v
}

// Clear takes everything out, oldest first.
func (q *Queue[T]) Clear() []T {
	all := make([]T, 0, q.size)
	for q.size > 0 {
		all = append(all, q.Pop())
	}
	return all
}
