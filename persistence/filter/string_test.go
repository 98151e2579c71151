package filter_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

func TestStringShowsNoOperand(t *testing.T) {
	t.Parallel()
	k := filter.Meta("k")
	for want, f := range map[string]filter.Filter{
		"everything":           {},
		"not (everything)":     filter.Not(filter.Filter{}),
		"type = ?":             filter.Type().Eq(secret),
		"stream in ?":          filter.Stream().In(secret, "b"),
		"category exists":      filter.Category().Exists(),
		"tag matches ?":        filter.Tag().Regex(secret),
		"id nin ?":             filter.ID().NotIn(persistence.EventID{}),
		"time >= ?":            filter.Time().Ge(time.Time{}),
		"position < ?":         filter.Offset().Lt(1),
		"meta.k.l != ?":        filter.Meta("k.l").Text().Ne(secret),
		`meta."a b\n" <= ?`:    filter.Meta("a b\n").Int().Le(1),
		"not (meta.k exists)":  filter.Not(k.Exists()),
		"type = ? and tag = ?": filter.Type().Eq(secret).And(filter.Tag().Eq(secret)),
		"(type = ? and tag = ?) or not (meta.k > ? or version = ?)": filter.
			Type().Eq(secret).And(filter.Tag().Eq(secret)).Or(filter.Not(k.Float().Gt(1).Or(filter.Version().Eq(1)))),
		"(type prefix ? or meta.k = ?) and version > ?": filter.
			Type().Prefix(secret).Or(k.Eq(persistence.String(secret))).And(filter.Version().Gt(1)),
	} {
		require.Equal(t, want, f.String())
		require.Equal(t, want, fmt.Sprint(f))
	}
}

func TestLogsShowNoOperand(t *testing.T) {
	t.Parallel()
	f := filter.Meta("user").Text().Eq(secret)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"as text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"as JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var out bytes.Buffer
		slog.New(handler(&out)).Info("projection started", "projection", f)

		require.NotContains(t, out.String(), secret, name)
		require.Contains(t, out.String(), "meta.user = ?", name)
	}
}
