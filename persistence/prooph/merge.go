package prooph

import (
	"container/heap"
	"context"
)

// Limits of the rows that a merge keeps at a time, of all its tables and of one.
const (
	mergeRows, mergeBytes = 20_000, 32 << 20
	pageRows, pageBytes   = 1000, 4 << 20
)

// merge gives the rows of many tables in one order: by time between tables, by
// number inside each.
type merge struct {
	source      *source
	rows, bytes int // of a page
	queue       queue
}

// newMerge reads the first page of each table.
func newMerge(ctx context.Context, s *source, tables []*table) (*merge, error) {
	share := max(1, len(tables))
	m := &merge{source: s, rows: max(1, min(pageRows, mergeRows/share)), bytes: min(pageBytes, mergeBytes/share)}
	for _, t := range tables {
		if err := m.push(ctx, t); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *merge) push(ctx context.Context, t *table) error {
	found, err := t.fill(ctx, m.source, m.rows, m.bytes)
	if found {
		heap.Push(&m.queue, t)
	}
	return err
}

// next returns the next row and its table, or no table at the end.
func (m *merge) next(ctx context.Context) (*table, row, error) {
	if len(m.queue) == 0 {
		return nil, row{}, nil
	}
	t := m.queue[0]
	r := t.page[0]
	t.page[0] = row{} // what is taken is not kept alive by the page
	t.page = t.page[1:]
	if len(t.page) > 0 {
		heap.Fix(&m.queue, 0)
		return t, r, nil
	}
	heap.Pop(&m.queue)
	return t, r, m.push(ctx, t)
}

// queue is a heap of tables by their first row.
type queue []*table

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q queue) Less(i, j int) bool {
	a, b := &q[i].page[0], &q[j].page[0]
	if a.before(b) || b.before(a) {
		return a.before(b)
	}
	return q[i].number < q[j].number
}

// Push fulfils [heap.Interface].
func (q *queue) Push(x any) { *q = append(*q, x.(*table)) } //nolint:forcetypeassert // only tables are pushed

// Pop fulfils [heap.Interface].
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
