package appender

// fifo is a queue in a ring that grows; its zero value is empty.
type fifo[T any] struct {
	ring       []T
	head, size int
}

func (f *fifo[T]) len() int { return f.size }

func (f *fifo[T]) push(v T) {
	if f.size == len(f.ring) {
		grown := make([]T, max(4, 2*f.size))
		for i := range f.size {
			grown[i] = f.ring[(f.head+i)%len(f.ring)]
		}
		f.ring, f.head = grown, 0
	}
	f.ring[(f.head+f.size)%len(f.ring)] = v
	f.size++
}

// peek returns the oldest; it must not be called on an empty queue.
func (f *fifo[T]) peek() *T { return &f.ring[f.head] }

func (f *fifo[T]) pop() T {
	var none T
	v := f.ring[f.head]
	f.ring[f.head] = none
	f.head = (f.head + 1) % len(f.ring)
	f.size--
	return v
}
