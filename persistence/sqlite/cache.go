package sqlite

// cache remembers the keys used last, at least size and at most twice as many:
// when the young are enough, the old are forgotten and the young become old.
// That costs less than an exact order of use and forgets nearly the same.
type cache[K comparable, V any] struct {
	size       int
	young, old map[K]V
}

func (r *cache[K, V]) get(key K) (V, bool) {
	value, found := r.young[key]
	if found {
		return value, true
	}
	if value, found = r.old[key]; found {
		r.put(key, value)
	}
	return value, found
}

func (r *cache[K, V]) put(key K, value V) {
	if _, known := r.young[key]; !known && (r.young == nil || len(r.young) >= r.size) {
		r.young, r.old = make(map[K]V), r.young
	}
	r.young[key] = value
}

func (r *cache[K, V]) remove(key K) {
	delete(r.young, key)
	delete(r.old, key)
}

func (r *cache[K, V]) forget() { r.young, r.old = nil, nil }
