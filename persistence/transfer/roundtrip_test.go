package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/hooks"
	"github.com/stele-es/stele/persistence/transfer"
	"github.com/stele-es/stele/persistence/upcast"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

func export(t *testing.T, journal persistence.Journal, options transfer.ExportOptions) []byte {
	t.Helper()
	var file bytes.Buffer
	summary, err := transfer.Export(t.Context(), journal, &file, options)
	require.NoError(t, err)
	require.True(t, summary.Whole)
	require.EqualValues(t, file.Len(), summary.Bytes)
	require.EqualValues(t, bytes.Count(file.Bytes(), []byte("\n")), summary.Lines)
	return file.Bytes()
}

// body is a file without its first line, which names the journal, and for
// CloudEvents without what names it elsewhere.
func body(file []byte, journal persistence.Journal) string {
	_, rest, _ := strings.Cut(string(file), "\n")
	return strings.ReplaceAll(rest, persistence.EventID(journal.Identity()).String(), "journal")
}

// Whatever has happened to a journal: what is exported, imported and exported again
// is the same file, and nothing tells the journals apart.
func TestLongRoundTrip(t *testing.T) {
	t.Parallel()
	for source, open := range journals {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s %d", source, seed), func(t *testing.T) {
				t.Parallel()
				from := open(t)
				live(t, from, seed, 150)
				for target, open := range journals {
					for format, name := range map[transfer.Format]string{transfer.NDJSON: "NDJSON", transfer.CloudEvents: "CloudEvents"} {
						to := open(t)
						// Other ids than over there.
						_, err := to.(persistence.Schemas).RegisterSchema(t.Context(), persistence.JSON, []byte("other"))
						require.NoError(t, err)
						file := export(t, from, transfer.ExportOptions{Format: format})

						summary, err := transfer.Import(t.Context(), bytes.NewReader(file), to, transfer.ImportOptions{})
						require.NoError(t, err)
						again, err := transfer.Import(t.Context(), bytes.NewReader(file), to, transfer.ImportOptions{})
						require.NoError(t, err)

						require.Equal(t, summary, again, "what is there is passed over")
						if format == transfer.NDJSON {
							require.Equal(t, body(file, from), body(export(t, to, transfer.ExportOptions{Format: format}), to), "%s, %s", target, name)
						}
						report, err := transfer.Verify(t.Context(), from, to, transfer.Choice{})
						require.NoError(t, err)
						require.True(t, report.Equal && report.SamePositions, "%s, %s: %+v", target, name, report)
						require.Equal(t, report.From, report.To)
						require.Equal(t, summary.Events, report.To.Events)
					}
				}
			})
		}
	}
}

// A CloudEvents file has its digest over lines that name the journal, so the files
// of two journals differ there and nowhere else.
func TestCloudEventsAreTheSameAgain(t *testing.T) {
	t.Parallel()
	from, to := newMemory(), newMemory()
	live(t, from, 7, 200)
	file := export(t, from, transfer.ExportOptions{Format: transfer.CloudEvents})
	_, err := transfer.Import(t.Context(), bytes.NewReader(file), to, transfer.ImportOptions{})
	require.NoError(t, err)

	again := export(t, to, transfer.ExportOptions{Format: transfer.CloudEvents})

	before, after := strings.Split(body(file, from), "\n"), strings.Split(body(again, to), "\n")
	require.Equal(t, before[:len(before)-2], after[:len(after)-2])
}

func TestExportChooses(t *testing.T) {
	t.Parallel()
	from := newMemory()
	live(t, from, 1, 200)
	choice := transfer.Choice{Categories: []string{"account"}, Streams: []persistence.StreamID{"plain"}}

	for name, open := range journals {
		to := open(t)
		file := export(t, from, transfer.ExportOptions{Choice: choice})
		_, err := transfer.Import(t.Context(), bytes.NewReader(file), to, transfer.ImportOptions{})
		require.NoError(t, err)

		report, err := transfer.Verify(t.Context(), from, to, choice)
		require.NoError(t, err)
		require.True(t, report.Equal, name)
		require.False(t, report.SamePositions)
		events, infos := all(t, to)
		require.NotEmpty(t, events)
		for _, info := range infos {
			require.True(t, info.Stream == "plain" || info.Stream.Category() == "account")
		}
	}
}

func TestWhatIsNotWholeIsNotImported(t *testing.T) {
	t.Parallel()
	from := newMemory()
	live(t, from, 1, 100)
	chain, err := upcast.New(upcast.Upcaster{From: "opened", To: []string{"opened", "greeted"}, Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
		return []upcast.Raw{raw, raw.As("greeted", []byte(`"hello"`))}, nil
	}})
	require.NoError(t, err)

	for what, options := range map[string]transfer.ExportOptions{
		"today":            {Upcast: chain},
		"today, as others": {Upcast: chain, Format: transfer.CloudEvents},
		"chosen":           {Filter: filter.Type().Eq("opened")},
	} {
		file := export(t, from, options)
		to := newMemory()
		_, err := transfer.Import(t.Context(), bytes.NewReader(file), to, transfer.ImportOptions{})
		require.ErrorIs(t, err, persistence.ErrInvalid, what)
		events, _ := all(t, to)
		require.Empty(t, events)

		summary, err := transfer.Inspect(t.Context(), bytes.NewReader(file))
		require.NoError(t, err, what)
		require.True(t, summary.Whole)
		require.Positive(t, summary.Events)
		if options.Upcast != nil {
			require.Contains(t, string(file), `"greeted"`)
			require.Contains(t, string(file), `"hello"`)
		}
	}
}

// A file that was cut anywhere imports as far as it goes, says so, and is
// completed by an export that goes on behind it, or by the whole file.
func TestLongFilesAreCut(t *testing.T) {
	t.Parallel()
	from := newMemory()
	live(t, from, 3, 60)
	whole := export(t, from, transfer.ExportOptions{})

	for size := 0; size < len(whole); size += 101 {
		cut := whole[:size]
		to := newMemory()

		_, err := transfer.Import(t.Context(), bytes.NewReader(cut), to, transfer.ImportOptions{})
		require.ErrorIs(t, err, persistence.ErrInvalid)
		_, at := errors.AsType[*transfer.LineError](err)
		require.True(t, at)
		summary, err := transfer.Inspect(t.Context(), bytes.NewReader(cut))
		require.NoError(t, err)
		require.False(t, summary.Whole)
		file := bytes.NewBuffer(bytes.Clone(cut[:summary.Bytes]))
		_, err = transfer.Export(t.Context(), from, file, transfer.ExportOptions{After: summary.Next})
		require.NoError(t, err)
		_, err = transfer.Import(t.Context(), bytes.NewReader(file.Bytes()), to, transfer.ImportOptions{})
		require.NoError(t, err, "cut at %d", size)

		report, err := transfer.Verify(t.Context(), from, to, transfer.Choice{})
		require.NoError(t, err)
		require.True(t, report.Equal && report.SamePositions, "cut at %d", size)
	}
}

// failing takes so many bytes.
type failing struct {
	bytes.Buffer
	left int
}

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.left -= n
	f.Buffer.Write(p[:n])
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func TestExportGoesOn(t *testing.T) {
	t.Parallel()
	from, to := newMemory(), newMemory()
	live(t, from, 5, 1500)
	size := len(export(t, from, transfer.ExportOptions{}))
	file := &failing{}
	options := transfer.ExportOptions{}
	rounds := 0

	for done := false; !done; rounds++ {
		file.left = size / 3
		_, err := transfer.Export(t.Context(), from, file, options)
		done = err == nil
		if !done {
			require.ErrorIs(t, err, errFull)
			summary, err := transfer.Inspect(t.Context(), bytes.NewReader(file.Bytes()))
			require.NoError(t, err)
			file.Truncate(int(summary.Bytes))
			options.After = summary.Next
			live(t, from, uint64(rounds), 50) // meanwhile it goes on
		}
		require.Less(t, rounds, 20)
	}
	require.Greater(t, rounds, 1)
	_, err := transfer.Import(t.Context(), bytes.NewReader(file.Bytes()), to, transfer.ImportOptions{})
	require.NoError(t, err)
	scavenge(t, from, to)
	report, err := transfer.Verify(t.Context(), from, to, transfer.Choice{})
	require.NoError(t, err)
	require.True(t, report.Equal && report.SamePositions, "%+v", report.Differences)
}

// While others write, what is known of a stream may be ahead of its events, but
// not of the file.
func TestLongExportOfAJournalInUse(t *testing.T) {
	t.Parallel()
	for name, open := range journals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := open(t), newMemory()
			live(t, from, 11, 50)
			var file bytes.Buffer
			var after persistence.Positions
			moved := make(chan error, 1)
			go func() { // ends with its rounds
				for range 8 {
					summary, err := transfer.Export(t.Context(), from, &file, transfer.ExportOptions{After: after})
					if err == nil {
						_, err = transfer.Import(t.Context(), bytes.NewReader(file.Bytes()), to, transfer.ImportOptions{})
					}
					if after = summary.Next; err != nil {
						moved <- err
						return
					}
				}
				moved <- nil
			}()
			for seed, busy := uint64(100), true; busy && seed < 400; seed++ {
				live(t, from, seed, 10)
				busy = len(moved) == 0
			}
			require.NoError(t, <-moved)
			_, err := transfer.Export(t.Context(), from, &file, transfer.ExportOptions{After: after})
			require.NoError(t, err)
			_, err = transfer.Import(t.Context(), bytes.NewReader(file.Bytes()), to, transfer.ImportOptions{})
			require.NoError(t, err)
			scavenge(t, from, to)

			report, err := transfer.Verify(t.Context(), from, to, transfer.Choice{})
			require.NoError(t, err)
			require.True(t, report.Equal && report.SamePositions, "%+v", report.Differences)
		})
	}
}

func TestTransfersEndWithTheirContext(t *testing.T) {
	t.Parallel()
	from, to := newMemory(), newMemory()
	live(t, from, 1, 50)
	file := export(t, from, transfer.ExportOptions{})
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)

	_, err := transfer.Export(ctx, from, &bytes.Buffer{}, transfer.ExportOptions{})
	require.ErrorIs(t, err, reason)
	_, err = transfer.Import(ctx, bytes.NewReader(file), to, transfer.ImportOptions{})
	require.ErrorIs(t, err, reason)
	_, err = transfer.Copy(ctx, from, to, transfer.CopyOptions{})
	require.ErrorIs(t, err, reason)
	_, err = transfer.Verify(ctx, from, to, transfer.Choice{})
	require.ErrorIs(t, err, reason)
	events, _ := all(t, to)
	require.Empty(t, events)
}

// What the runtime knows of where an event comes from, CloudEvents show.
func TestCloudEventsShowOrigins(t *testing.T) {
	t.Parallel()
	correlation, causation := persistence.NewEventID(), persistence.NewEventID()
	headers, err := proto.Marshal(&stelev1.Headers{CorrelationId: correlation[:], CausationId: causation[:], Traceparent: "00-1-2-01"})
	require.NoError(t, err)
	from := newMemory()
	_, err = from.Append(t.Context(), persistence.Append{Stream: "s-1", Events: []persistence.Event{{Type: "t", Headers: headers}, {Type: "t", Headers: []byte("other")}}})
	require.NoError(t, err)

	file := string(export(t, from, transfer.ExportOptions{Format: transfer.CloudEvents}))

	require.Contains(t, file, fmt.Sprintf(`"correlationid":"%s","causationid":"%s","traceparent":"00-1-2-01"`, correlation, causation))
	require.Equal(t, 1, strings.Count(file, "correlationid"))
}

// Functions that change what programs append have no say in what was stored
// elsewhere.
func TestImportPassesHooksBy(t *testing.T) {
	t.Parallel()
	from, behind := newMemory(), newMemory()
	live(t, from, 9, 50)
	front := hooks.New(hooks.Config{Journal: behind})
	front.Add(hooks.Hook{Name: "no", BeforeAppend: func(context.Context, *persistence.Append) error { return errFull }})

	_, err := transfer.Copy(t.Context(), from, front, transfer.CopyOptions{})

	require.NoError(t, err)
	equal(t, from, behind)
}
