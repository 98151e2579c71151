package systemtest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/transfer"
)

// storedUnnoted is an event with its description, stored by who notes nothing.
func storedUnnoted(t *testing.T, journal persistence.Journal) {
	t.Helper()
	ids, err := schema.Register(t.Context(), journal, actors.Events(reminders(ofDue1, ofSet1))["reminder"]...)
	require.NoError(t, err)
	_, err = journal.Append(t.Context(), persistence.Append{
		Stream: "reminder-r", Events: []persistence.Event{{Type: "test.set", Schema: ids[0], Payload: []byte(`{"Text":"x"}`)}},
	})
	require.NoError(t, err)
}

// startUp starts a program and stops it. It returns how often the log says that the journal
// is looked through.
func startUp(t *testing.T, journal persistence.Journal, of *actors.Aggregate[reminder]) (looks int, err error) {
	t.Helper()
	config, log := program{of: of}.config(t, journal), new(logBook)
	config.Logger = slog.New(slog.NewTextHandler(log, nil))
	node, err := stele.Start(t.Context(), config)
	if err == nil {
		require.NoError(t, node.Stop(t.Context()))
	}
	return strings.Count(strings.Join(log.lines(), "\n"), "looking through the journal once"), err
}

func requireRenamed(t *testing.T, err error) {
	t.Helper()
	var loss *stele.IncompatibleError
	require.ErrorAs(t, err, &loss)
	require.ErrorContains(t, err, "field renamed: test.set of kind reminder")
}

// A start knows what was stored before programs noted it, and looks for it once.
func TestStartRefusesLossOfWhatNobodyNoted(t *testing.T) {
	t.Parallel()
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused := open(t)
			storedUnnoted(t, refused)
			for again := range 2 {
				looks, err := startUp(t, refused, reminders[due1](nil, ofSet2))
				requireRenamed(t, err)
				require.Equal(t, 1-again, looks)
			}

			looks, err := startUp(t, refused, reminders(ofDue1, ofSet1))
			require.NoError(t, err, "the program that can read it")
			require.Zero(t, looks)

			fresh := open(t)
			for range 2 {
				looks, err := startUp(t, fresh, reminders(ofDue1, ofSet1))
				require.NoError(t, err)
				require.Zero(t, looks, "nothing was stored before")
			}
		})
	}
}

// What is copied or imported into a journal in use is noted there, also when that ends in
// its middle.
func TestStartRefusesLossOfWhatWasImported(t *testing.T) {
	t.Parallel()
	from := new(memory.Journal)
	storedUnnoted(t, from)
	var file bytes.Buffer
	_, err := transfer.Export(t.Context(), from, &file, transfer.ExportOptions{})
	require.NoError(t, err)
	for name, open := range journals() {
		for way, move := range map[string]func(t *testing.T, to persistence.Journal) error{
			"copy": func(t *testing.T, to persistence.Journal) error {
				t.Helper()
				_, err := transfer.Copy(t.Context(), from, to, transfer.CopyOptions{})
				return err
			},
			"import": func(t *testing.T, to persistence.Journal) error {
				t.Helper()
				_, err := transfer.Import(t.Context(), bytes.NewReader(file.Bytes()), to, transfer.ImportOptions{})
				return err
			},
			"copy that ends": func(t *testing.T, to persistence.Journal) error {
				t.Helper()
				_, err := transfer.Copy(t.Context(), from, endingImport{to, to.(persistence.Importer), to.(persistence.Schemas)}, transfer.CopyOptions{})
				require.ErrorIs(t, err, errEnded)
				return nil
			},
		} {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				to := open(t)
				_, err := startUp(t, to, reminders(ofDue1, ofSet1))
				require.NoError(t, err)

				require.NoError(t, move(t, to))

				looks, err := startUp(t, to, reminders[due1](nil, ofSet2))
				requireRenamed(t, err)
				require.Zero(t, looks)
			})
		}
	}
}

var errEnded = errors.New("ended")

// endingImport ends right after it has stored something.
type endingImport struct {
	persistence.Journal
	persistence.Importer
	describing
}

// describing is the ability under a name that none of its methods has.
type describing interface{ persistence.Schemas }

func (e endingImport) Import(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
	_, err := e.Importer.Import(ctx, events)
	return persistence.Position{}, errors.Join(errEnded, err)
}

// A start whose time is too short to look through the journal says so, and what to do.
func TestStartWithoutTimeToLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := endlessUses{new(memory.Journal)}
		storedUnnoted(t, journal)
		config := program{of: reminders(ofDue1, ofSet1)}.config(t, journal)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()

		_, err := stele.Start(ctx, config)

		var unchecked *stele.UncheckedError
		require.ErrorAs(t, err, &unchecked)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "stele.Check")
		require.ErrorContains(t, err, "Config.AcceptLoss")

		config.AcceptLoss = true
		node, err := stele.Start(t.Context(), config)
		require.NoError(t, err)
		require.NoError(t, node.Stop(t.Context()))
	})
}

// endlessUses counts its events until the caller leaves.
type endlessUses struct{ *memory.Journal }

func (endlessUses) Uses(ctx context.Context) ([]persistence.Use, error) {
	<-ctx.Done()
	return nil, &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
}
