package postgres

import (
	"context"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
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

// listing yields named things by name, page by page.
type listing[T any] struct {
	options persistence.ListOptions
	yield   func(T, error) bool
	name    func(T) string
	match   func(T) bool
	decode  func([][]byte) (T, error)
}

// run yields the rows of a statement page by page. The parameters of the statement are a name
// to begin behind, a name to begin at, a limit, and more.
func (l *listing[T]) run(ctx context.Context, j *Journal, s wire.Statement, more ...[]byte) error {
	after, offset, left := l.options.After, l.options.Offset, l.options.Limit
	// All names that match have this beginning, so they are one range of the index.
	beginning := l.options.Prefix
	if strings.HasPrefix(l.options.Name, beginning) {
		beginning = l.options.Name
	}
	limit := listRows
	if l.options.Limit > 0 { // which may be as large as numbers go
		limit = min(limit, min(offset, limit)+min(left, limit))
	}
	if l.options.Name != "" {
		limit = 1
	}
	for {
		if ctx.Err() != nil {
			return errLeft(ctx)
		}
		page, err := l.page(ctx, j, s, append([][]byte{[]byte(after), []byte(beginning), wire.Int8(int64(limit))}, more...))
		if err != nil {
			return err
		}
		for _, one := range page {
			after = l.name(one)
			if !strings.HasPrefix(after, beginning) {
				return nil
			}
			if !l.match(one) {
				continue
			}
			if offset > 0 {
				offset--
				continue
			}
			if !l.yield(one, nil) {
				return nil
			}
			if left--; left == 0 {
				return nil
			}
		}
		if len(page) < limit || l.options.Name != "" {
			return nil
		}
	}
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
