package prooph_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/prooph"
)

func TestImportOfTablesInSchemas(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.create(aggregate, `App "1".user-1`, "")
	s.write(`App "1".user-1`, versions(1, 2)...)
	s.create(single, "app.events", "")
	s.write("app.events", event{payload: "3", metadata: of("user", "2", 1), at: start.Add(time.Hour)})
	s.exec("ALTER TABLE event_streams SET SCHEMA app")

	journal, _ := imported(t, prooph.Config{URL: s.url, Table: "app.event_streams", Split: true})

	require.Equal(t, []string{`App "1".user-1 1 1`, `App "1".user-1 2 2`, "user-2 1 3"}, said(journal.events))
}

func TestImportOfChosenStreams(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, stream := range []string{"a", "b", "c'; --"} {
		s.create(simple, stream, `{"of": "`+stream+`"}`)
		s.write(stream, event{})
	}
	s.create(simple, "empty", `{"n": 1}`)

	journal, report := imported(t, prooph.Config{URL: s.url, Streams: []string{"c'; --", "empty", "a"}})
	require.Equal(t, []string{"a 1 []", "c'; -- 1 []"}, said(journal.events))
	require.Equal(t, 3, report.Streams)
	for _, stream := range []persistence.StreamID{"a", "c'; --"} {
		info, err := journal.Stream(t.Context(), stream)
		require.NoError(t, err)
		require.Equal(t, persistence.Metadata{"of": persistence.String(string(stream))}, info.Metadata)
	}
	info, err := journal.Stream(t.Context(), "empty")
	require.NoError(t, err)
	require.Equal(t, persistence.StreamInfo{Stream: "empty", First: 1, Begin: 1, Revision: 1, Metadata: persistence.Metadata{"n": persistence.Int(1)}}, info)

	_, err = prooph.Check(t.Context(), prooph.Config{URL: s.url, Streams: []string{"a", "nowhere"}})
	require.ErrorIs(t, err, persistence.ErrStreamNotFound)
}

func TestImportOfStreamsThatMeet(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.create(aggregate, "user-1", "")
	s.write("user-1", versions(1)...)
	s.create(single, "events", "")
	s.write("events", event{payload: "2", metadata: of("user", "1", 2), at: start.Add(time.Hour)}, event{payload: "3", metadata: of("user", "2", 1), at: start.Add(time.Hour)})
	config := prooph.Config{URL: s.url, Split: true}

	_, err := prooph.Import(t.Context(), newStub(), config)
	require.ErrorContains(t, err, `shared stream in "events" row 1 of "user-1"`)

	config.Policies = prooph.Policies{prooph.Shared: prooph.Skip}
	journal, report := imported(t, config)
	require.Equal(t, []string{"user-1 1 1", "user-2 1 3"}, said(journal.events))
	require.Equal(t, int64(1), report.Problems[prooph.Shared])
}

func TestImportOfAStreamWithoutItsTable(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.create(simple, "a", "")
	s.create(simple, "b", "")
	s.write("b", event{})
	quoted, _ := tableOf("a")
	s.exec("DROP TABLE " + quoted)

	_, err := prooph.Import(t.Context(), newStub(), prooph.Config{URL: s.url})
	require.EqualError(t, err, `import from prooph: refuse: missing table in "a"`)

	journal, report := imported(t, prooph.Config{URL: s.url, Policies: prooph.Policies{prooph.Missing: prooph.Skip}})
	require.Len(t, journal.events, 1)
	require.Equal(t, 1, report.Tables)
}

// TestImportReadsOneMoment writes to the tables while they are read.
func TestImportReadsOneMoment(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.create(simple, "a", "")
	for range 10 {
		s.write("a", make([]event, 250)...)
	}
	wrote := false
	config := prooph.Config{URL: s.url, Progress: func(prooph.Progress) {
		if !wrote {
			wrote = true
			s.write("a", make([]event, 100)...)
		}
	}}
	journal := newStub()

	report, err := prooph.Import(t.Context(), journal, config)

	require.NoError(t, err)
	require.True(t, wrote)
	require.Equal(t, int64(2500), report.Rows)
	require.Len(t, journal.events, 2500)
}

// TestLongImportBoundsPages has rows that are large and tables that are many.
func TestLongImportBoundsPages(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	large := `"` + strings.Repeat("x", 900<<10) + `"`
	s.create(simple, "large", "")
	for i := range 40 {
		s.write("large", event{payload: large, at: start.Add(time.Duration(i) * time.Second)})
	}
	for i := range 30 {
		stream := fmt.Sprintf("many-%d", i)
		s.create(simple, stream, "")
		s.write(stream, event{at: start.Add(time.Duration(i) * time.Second)}, event{at: start.Add(time.Duration(2*i) * time.Second)})
	}

	journal, report := imported(t, prooph.Config{URL: s.url})

	require.Equal(t, int64(100), report.Rows)
	for i := 1; i < len(journal.events); i++ {
		require.False(t, journal.events[i].At.Before(journal.events[i-1].At))
	}
}

func TestImportTellsItsProgress(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.create(simple, "a", "")
	for range 3 {
		s.write("a", make([]event, 400)...)
	}
	s.create(simple, "b", "")
	s.write("b", event{name: "$"})
	var told []prooph.Progress

	_, err := prooph.Import(t.Context(), newStub(), prooph.Config{
		URL: s.url, Progress: func(p prooph.Progress) { told = append(told, p) }, Policies: prooph.Policies{prooph.Name: prooph.Skip},
	})

	require.NoError(t, err)
	require.Len(t, told, 3)
	for i, p := range told {
		require.Equal(t, int64(1201), p.Total)
		require.Equal(t, int64([]int{500, 1000, 1200}[i]), p.Stored)
		require.False(t, p.At.Before(start))
	}
	require.Equal(t, int64(1201), told[2].Read)
}

func TestImportEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.create(simple, "a", "")
	for range 10 {
		s.write("a", make([]event, 300)...)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())

	report, err := prooph.Import(ctx, newStub(), prooph.Config{URL: s.url, Progress: func(prooph.Progress) { cancel(gone) }})

	require.ErrorIs(t, err, gone)
	require.Less(t, report.Rows, int64(3000))
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	const secret = "postgres://ann:opensesame@127.0.0.1:1/prooph?connect_timeout=1"
	cases := map[string]struct {
		config prooph.Config
		fields []string
	}{
		"empty":    {prooph.Config{}, []string{"URL"}},
		"no URL":   {prooph.Config{URL: "postgres://opensesame:x:y@%%"}, []string{"URL"}},
		"all":      {prooph.Config{Table: ".x", Strategy: 9, ConnectTimeout: -1}, []string{"URL", "table", "strategy", "connect timeout"}},
		"table":    {prooph.Config{URL: secret, Table: "x."}, []string{"table"}},
		"problem":  {prooph.Config{URL: secret, Policies: prooph.Policies{0: prooph.Skip}}, []string{"policies"}},
		"policy":   {prooph.Config{URL: secret, Policies: prooph.Policies{prooph.Hole: 7}}, []string{"policies"}},
		"mending":  {prooph.Config{URL: secret, Policies: prooph.Policies{prooph.Name: prooph.Mend}}, []string{"policies"}},
		"mending2": {prooph.Config{URL: secret, Policies: prooph.Policies{prooph.Missing: prooph.Mend}}, []string{"policies"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := prooph.Check(t.Context(), c.config)

			require.ErrorIs(t, err, persistence.ErrInvalid)
			for _, field := range c.fields {
				require.ErrorContains(t, err, "invalid: "+field+" ")
			}
			require.NotContains(t, err.Error(), "opensesame")
		})
	}

	t.Run("no server", func(t *testing.T) {
		t.Parallel()
		_, err := prooph.Check(t.Context(), prooph.Config{URL: secret})
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.NotContains(t, strings.ReplaceAll(err.Error(), "cannot", ""), "ann")
	})
	t.Run("no such table", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		for _, table := range []string{"nowhere", "no.where", `x"; DROP TABLE event_streams; --`, "pg_class"} {
			_, err := prooph.Check(t.Context(), prooph.Config{URL: s.url, Table: table})
			require.ErrorIs(t, err, persistence.ErrInvalid, table)
		}
		_, err := prooph.Check(t.Context(), prooph.Config{URL: s.url})
		require.NoError(t, err)
	})
	t.Run("a table that is none of prooph's", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		s.create(simple, "a", "")
		quoted, _ := tableOf("a")
		s.exec("ALTER TABLE " + quoted + " DROP COLUMN payload")
		_, err := prooph.Check(t.Context(), prooph.Config{URL: s.url})
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.ErrorContains(t, err, `read the table of "a"`)
		require.ErrorContains(t, err, "42703")
	})
	t.Run("a journal that cannot import", func(t *testing.T) {
		t.Parallel()
		_, err := prooph.Import(t.Context(), struct{ persistence.Journal }{memory.New(memory.Config{})}, prooph.Config{URL: secret})
		require.ErrorIs(t, err, persistence.ErrInvalid)
	})
}
