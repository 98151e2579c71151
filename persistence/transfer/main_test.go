package transfer_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/killtest"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/persistence/transfer"
)

func TestMain(m *testing.M) {
	killtest.Main(map[string]killtest.Role{"copy": copyJournal})
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(pgtest.Main(m))
}

// copyJournal copies the journal in a file to a server, and says how many events it has
// copied.
func copyJournal(ctx context.Context, arguments []string) error {
	from, err := sqlite.Open(ctx, sqlite.Config{Path: arguments[0]})
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := postgres.Open(ctx, postgres.Config{URL: arguments[1], Durability: postgres.Relaxed})
	if err != nil {
		return err
	}
	defer to.Close()
	_, err = transfer.Copy(ctx, from, to, transfer.CopyOptions{Progress: func(s transfer.Summary) { fmt.Fprintln(os.Stdout, s.Events) }})
	return err
}

// journals are how to open an empty one of each kind.
var journals = map[string]func(*testing.T) persistence.Journal{
	"memory": func(*testing.T) persistence.Journal { return new(memory.Journal) },
	"sqlite": func(t *testing.T) persistence.Journal {
		return openSQLite(t, filepath.Join(t.TempDir(), "journal"))
	},
	"postgres": func(t *testing.T) persistence.Journal { return pgtest.Journal(t) },
}

func openSQLite(t *testing.T, path string) *sqlite.Journal {
	t.Helper()
	journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Relaxed: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	return journal
}

func newMemory() *memory.Journal { return new(memory.Journal) }

// all is what a journal holds, and what is known of its streams.
func all(t *testing.T, journal persistence.Journal) (events []persistence.Recorded, streams []persistence.StreamInfo) {
	t.Helper()
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{System: true, Whole: true}) {
		require.NoError(t, err)
		events = append(events, page.Events...)
	}
	for info, err := range journal.List(t.Context(), persistence.ListOptions{System: true, Deleted: true}) {
		require.NoError(t, err)
		streams = append(streams, info)
	}
	return events, streams
}

// scavenge empties what is truncated in journals, so that those agree of which one
// was copied before the other was scavenged.
func scavenge(t *testing.T, journals ...persistence.Journal) {
	t.Helper()
	for _, journal := range journals {
		for _, stream := range streams {
			_, err := journal.(persistence.Scavenger).Scavenge(t.Context(), stream)
			require.NoError(t, err)
		}
	}
}

// life is a journal that things happen to, by chance.
type life struct {
	t       *testing.T
	journal persistence.Journal
	random  *rand.Rand
	schemas []persistence.SchemaID
}

// live has so many things happen to a journal.
func live(t *testing.T, journal persistence.Journal, seed uint64, times int) {
	t.Helper()
	l := &life{t: t, journal: journal, random: rand.New(rand.NewPCG(seed, 0))}
	for i := range 3 {
		encoding := persistence.Protobuf
		if i == 1 {
			encoding = persistence.JSON
		}
		id, err := journal.(persistence.Schemas).RegisterSchema(t.Context(), encoding, fmt.Appendf(nil, "schema %d of %d", i, seed))
		require.NoError(t, err)
		l.schemas = append(l.schemas, id)
	}
	for range times {
		l.step()
	}
}

var streams = []persistence.StreamID{"account-ann", "account-bob/√ \"x\"\\", "transfer-1", "transfer-2", "$system-1", "plain", "gone-1"}

func (l *life) step() {
	ctx := l.t.Context()
	stream := streams[l.random.IntN(len(streams))]
	var err error
	switch l.random.IntN(12) {
	case 0:
		err = l.journal.Create(ctx, stream, l.metadata())
	case 1:
		_, err = l.journal.SetMetadata(ctx, stream, l.metadata(), persistence.AnyRevision)
	case 2:
		_, err = l.journal.Delete(ctx, stream, persistence.Any)
	case 3:
		_, err = l.journal.Truncate(ctx, stream, persistence.Version(l.random.IntN(20)))
	case 4:
		_, err = l.journal.(persistence.Scavenger).Scavenge(ctx, stream)
	default:
		a := persistence.Append{Stream: stream, Expected: persistence.Any, Events: make([]persistence.Event, 1+l.random.IntN(5))}
		named := l.random.IntN(2) == 0
		for i := range a.Events {
			a.Events[i] = l.event()
			if named {
				a.Events[i].ID = persistence.NewEventID()
			}
		}
		_, err = l.journal.Append(ctx, a)
	}
	switch persistence.ErrorKindOf(err) {
	case persistence.ErrNotFound, persistence.ErrConflict:
		return // it was no time for that
	}
	require.NoError(l.t, err)
}

var payloads = []string{"", `{"cents":30}`, `{ "a" : [1, 2.0,"é\u00e9"] }`, "1", " 1", "{\n}", "\xff\x00", "text", `"\ud800"`, "null", "[]\r"}

func (l *life) event() persistence.Event {
	e := persistence.Event{
		Type: []string{"opened", "deposited", "odd \"type\" <&>", "$own"}[l.random.IntN(4)], Payload: []byte(payloads[l.random.IntN(len(payloads))]),
		Metadata: l.metadata(),
	}
	if l.random.IntN(3) == 0 {
		e.Schema = l.schemas[l.random.IntN(len(l.schemas))]
	}
	if l.random.IntN(3) == 0 {
		e.Headers = []byte{0x0a, 0x10, 1, 2, 3}
		e.Tags = []string{"z", "a b", "é"}[:l.random.IntN(4)]
	}
	return e
}

func (l *life) metadata() persistence.Metadata {
	if l.random.IntN(2) == 0 {
		return nil
	}
	return persistence.Metadata{
		"float": persistence.Float(float64(l.random.IntN(5))), "int": persistence.Int(l.random.Int64()), "text \"q\"": persistence.String("é\n"), "yes": persistence.Bool(true),
	}
}

// patience bounds what tests wait for.
const patience = 30 * time.Second
