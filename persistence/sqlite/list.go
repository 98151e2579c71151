package sqlite

import (
	"context"
	"database/sql/driver"
	"iter"
	"strings"

	"github.com/stele-es/stele/persistence"
)

// listRows is how many streams or categories are looked at while a reader is held.
const listRows = 1000

// List fulfils [persistence.Streams]. It reads page by page: each was true at one
// moment.
func (j *Journal) List(ctx context.Context, options persistence.ListOptions) iter.Seq2[persistence.StreamInfo, error] {
	return func(yield func(persistence.StreamInfo, error) bool) {
		match, err := options.Matcher()
		if err != nil {
			yield(persistence.StreamInfo{}, err)
			return
		}
		list(ctx, j, options, func(r *reader, from string) ([]persistence.StreamInfo, string, error) {
			return r.streamsFrom(from, &options, match)
		}, yield)
	}
}

// Categories fulfils [persistence.Streams], page by page like List.
func (j *Journal) Categories(ctx context.Context, options persistence.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		match, err := options.CategoryMatcher()
		if err != nil {
			yield("", err)
			return
		}
		list(ctx, j, options, func(r *reader, from string) ([]string, string, error) {
			return r.categoriesFrom(from, &options, match)
		}, yield)
	}
}

// list yields what Offset and Limit leave of all pages. A page says where the next
// begins, or "" when it is the last.
func list[T any](ctx context.Context, j *Journal, options persistence.ListOptions, page func(r *reader, from string) ([]T, string, error), yield func(T, error) bool) {
	passed, yielded := 0, 0
	for next := begin(&options); next != ""; {
		var found []T
		err := j.reading(ctx, func(r *reader) (err error) {
			found, next, err = page(r, next)
			return err
		})
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		for i := range found {
			if passed < options.Offset {
				passed++
				continue
			}
			if !yield(found[i], nil) {
				return
			}
			if yielded++; yielded == options.Limit {
				return
			}
		}
	}
}

// begin is the first name that can be chosen. The least name behind another one is
// that name with a NUL, which no name has.
func begin(options *persistence.ListOptions) string {
	return max(options.After+"\x00", options.Prefix, options.Name)
}

// beyond reports whether neither this name, which comes after the first that can
// be chosen, nor any behind it can be.
func beyond(name string, options *persistence.ListOptions) bool {
	return options.Name != "" && name > options.Name || name > options.Prefix && !strings.HasPrefix(name, options.Prefix)
}

func (r *reader) streamsFrom(from string, options *persistence.ListOptions, match func(string) bool) (found []persistence.StreamInfo, next string, err error) {
	query, args := r.list, []driver.Value{from}
	if options.Category != "" {
		query, args = r.listCategory, []driver.Value{options.Category, from}
	}
	rows, broken := 0, error(nil)
	err = query.each(args, func(row []driver.Value) bool {
		at, info, err := decodeStream(row)
		name := string(info.Stream)
		if err != nil || beyond(name, options) {
			broken = err
			return false
		}
		if rows++; rows > listRows {
			next = name
			return false
		}
		info.Deleted = !at.exists()
		if (!info.Deleted || options.Deleted && info.Begin > 1) && match(name) && options.MatchesMetadata(info.Metadata) {
			found = append(found, info)
		}
		return true
	})
	if err == nil {
		err = broken
	}
	return found, next, err
}

// categoriesFrom goes from category to category by index, however many streams
// they have.
func (r *reader) categoriesFrom(from string, options *persistence.ListOptions, match func(string) bool) (found []string, next string, err error) {
	for range listRows {
		row, err := r.nextCategory.first(from)
		if err != nil {
			return nil, "", err
		}
		c := columns{row: row}
		category := c.text(0)
		if c.wrong {
			return nil, "", &persistence.CorruptError{Reason: "a category is no text"}
		}
		if category == "" || beyond(category, options) {
			return found, "", nil
		}
		from = category + "\x00"
		if !match(category) {
			continue
		}
		row, err = r.categoryExists.first(category)
		if err != nil {
			return nil, "", err
		}
		if row != nil {
			found = append(found, category)
		}
	}
	return found, from, nil
}
