package prooph

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
)

// TestFit draws rows that claim any versions, and policies: what comes out has no
// hole and the order of the rows, and every row is accounted for.
func TestFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		policies := Policies{}
		for _, problem := range []Problem{Hole, BackDated, Duplicate, Version, Metadata} {
			policies[problem] = rapid.SampledFrom([]Policy{Skip, Mend}).Draw(r, problem.String())
		}
		f := newFitter(Config{Policies: policies}, false)
		of := &table{name: "s-1", strategy: AggregateStream}
		var claims []int
		var last, good int64
		for no := int64(1); no <= int64(rapid.IntRange(1, 30).Draw(r, "rows")); no++ {
			claim := rapid.IntRange(-1, 12).Draw(r, "claim")
			claims = append(claims, claim)
			version := fmt.Sprint(claim)
			drawn := row{
				no: no, id: persistence.NewEventID(), name: "n", at: pgtype.Timestamp{Time: time.Unix(no, 0), Valid: true}, version: &version,
				metadata: []byte(rapid.SampledFrom([]string{"[]", `{"a": null}`}).Draw(r, "metadata")),
			}

			event, fits, err := f.fit(of, &drawn)

			require.NoError(r, err)
			if !fits {
				continue
			}
			good++
			require.Equal(r, persistence.Version(good), event.Version)
			require.Greater(r, event.At.Unix(), last)
			last = event.At.Unix()
		}
		require.Equal(r, f.report.Rows, good+f.report.Skipped)
		mended := policies[Hole] == Mend && policies[BackDated] == Mend && policies[Duplicate] == Mend && policies[Version] == Mend && policies[Metadata] == Mend
		require.True(r, !mended || f.report.Skipped == 0, "%v", claims)
	})
}

func TestLine(t *testing.T) {
	t.Parallel()
	l := &line{}
	for i, step := range []struct {
		claimed persistence.Version
		want    Problem
	}{
		{1, 0},
		{9, Hole},
		{5, BackDated},
		{5, Duplicate},
		{2, BackDated},
		{8, BackDated},
		{9, Duplicate},
		{4, BackDated},
		{6, BackDated},
		{7, BackDated},
		{3, BackDated},
		{3, Duplicate},
		{0, 0},
		{11, 0},
		{persistence.MaxVersion, Hole},
		{0, 0},
		{1, Duplicate},
	} {
		require.Equal(t, step.want, l.problem(step.claimed), "step %d", i)
		l.pass(step.claimed)
	}
	require.Equal(t, []span{{12, persistence.MaxVersion - 1}}, l.holes)
}
