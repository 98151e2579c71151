package postgres

import (
	"context"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// listRows bounds the names that are read at a time.
const listRows = 1000

// List fulfils [persistence.Streams]. It reads in pages, and holds no connection while it
// yields. Streams that are created or deleted meanwhile may be listed or not.
func (j *Journal) List(ctx context.Context, options persistence.ListOptions) iter.Seq2[persistence.StreamInfo, error] {
	return func(yield func(persistence.StreamInfo, error) bool) {
		match, err := options.Matcher()
		if err != nil {
			yield(persistence.StreamInfo{}, err)
			return
		}
		l := listing[persistence.StreamInfo]{
			options: options, yield: yield,
			name: func(info persistence.StreamInfo) string { return string(info.Stream) },
			match: func(info persistence.StreamInfo) bool {
				return match(string(info.Stream)) && options.MatchesMetadata(info.Metadata)
			},
			decode: func(row [][]byte) (persistence.StreamInfo, error) {
				info, exists, err := readInfo(row)
				info.Deleted = !exists
				return info, err
			},
		}
		s := j.sql.list
		more := [][]byte{wire.Bool(options.Deleted)}
		if options.Category != "" {
			s, more = j.sql.listCategory, append(more, []byte(options.Category))
		}
		if err := l.run(ctx, j, s, append(more, j.proof(nil)...)...); err != nil {
			yield(persistence.StreamInfo{}, err)
		}
	}
}

// Categories fulfils [persistence.Streams]. It reads as [Journal.List] does.
func (j *Journal) Categories(ctx context.Context, options persistence.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		match, err := options.CategoryMatcher()
		if err != nil {
			yield("", err)
			return
		}
		l := listing[string]{
			options: options, yield: yield, match: match,
			name:   func(category string) string { return category },
			decode: func(row [][]byte) (string, error) { return string(row[0]), nil },
		}
		if err := l.run(ctx, j, j.sql.categories); err != nil {
			yield("", err)
		}
	}
}

// listing yields things in the order of their names, page by page.
type listing[T any] struct {
	options persistence.ListOptions
	yield   func(T, error) bool
	name    func(T) string
	match   func(T) bool
	decode  func([][]byte) (T, error)

	skipped, yielded int // how many that match
}

// run yields the rows of a statement page by page. The parameters of the statement are a name
// to begin behind, a name to begin at, a limit, and more.
func (l *listing[T]) run(ctx context.Context, j *Journal, s wire.Statement, more ...[]byte) error {
	// All names that match have this beginning, so they are one range of the index.
	beginning := l.options.Prefix
	if strings.HasPrefix(l.options.Name, beginning) {
		beginning = l.options.Name
	}
	after, limit := l.options.After, l.pageLimit()
	for {
		if ctx.Err() != nil {
			return journalkit.CallerLeft(ctx)
		}
		page, err := l.page(ctx, j, s, append([][]byte{[]byte(after), []byte(beginning), wire.Int8(int64(limit))}, more...))
		if err != nil {
			return err
		}
		for _, one := range page {
			after = l.name(one)
			if !strings.HasPrefix(after, beginning) || !l.offer(one) {
				return nil
			}
		}
		if len(page) < limit || l.options.Name != "" {
			return nil
		}
	}
}

// pageLimit returns how many names to read at a time.
func (l *listing[T]) pageLimit() int {
	switch {
	case l.options.Name != "":
		return 1
	case l.options.Limit > 0: // Offset and Limit may be as large as numbers go
		return min(listRows, min(l.options.Offset, listRows)+min(l.options.Limit, listRows))
	}
	return listRows
}

// offer yields a thing if the options choose it, and reports whether more are wanted.
func (l *listing[T]) offer(one T) (more bool) {
	if !l.match(one) {
		return true
	}
	if l.skipped < l.options.Offset {
		l.skipped++
		return true
	}
	l.yielded++
	return l.yield(one, nil) && l.yielded != l.options.Limit
}

func (l *listing[T]) page(ctx context.Context, j *Journal, s wire.Statement, parameters [][]byte) (page []T, err error) {
	err = j.withConn(ctx, func(conn *pgx.Conn) error {
		page = page[:0]
		return j.queryOn(ctx, conn, s, parameters, func(row [][]byte) error {
			one, err := l.decode(row)
			page = append(page, one)
			return err
		})
	})
	return page, readError(ctx, err)
}
