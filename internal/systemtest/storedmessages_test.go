package systemtest

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
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
	"github.com/stele-es/stele/persistence/upcast"
	"github.com/stele-es/stele/projections"
)

// The domain of these tests: a reminder is set and comes due, in programs that do not
// agree on what is stored.
type (
	remind struct{ Text string }
	due1   struct{ Text string } // the timer
	due2   struct{ Text string } // under another name
	due3   struct{ Words string }
	due4   struct{ Text, Voice string }
	set1   struct{ Text string } // the event
	set2   struct{ Words string }
	set3   struct{ Text, Voice string }
	come   struct{ Text string } // another event
)

func (remind) MessageName() string { return "test.remind" }
func (due1) MessageName() string   { return "test.due" }
func (due2) MessageName() string   { return "test.overdue" }
func (due3) MessageName() string   { return "test.due" }
func (due4) MessageName() string   { return "test.due" }
func (set1) MessageName() string   { return "test.set" }
func (set2) MessageName() string   { return "test.set" }
func (set3) MessageName() string   { return "test.set" }
func (come) MessageName() string   { return "test.come" }

var Remind = actors.NewCommand[remind, remind]("reminder")

type reminder struct{ Texts []string }

// reminders are those of a program that knows timer and event as D and E. It uses
// whichever of them it makes: nil is never.
func reminders[D, E any](due func(string) D, set func(string) E, more ...actors.Part[reminder]) *actors.Aggregate[reminder] {
	timer := actors.NewCommand[D, remind]("reminder")
	return actors.Define("reminder", append([]actors.Part[reminder]{
		actors.Handle(Remind, func(_ *reminder, tx *actors.Tx, c remind) (remind, error) {
			if set != nil {
				tx.Raise(set(c.Text))
			}
			if due != nil {
				timer.SendAfter(tx, time.Hour, tx.ID, due(c.Text))
			}
			return c, nil
		}),
		actors.Handle(timer, func(*reminder, *actors.Tx, D) (remind, error) { return remind{}, nil }),
		actors.On(func(*reminder, E) {}), actors.Sends[reminder](),
	}, more...)...)
}

func ofDue1(s string) due1 { return due1{s} }
func ofDue2(s string) due2 { return due2{s} }
func ofDue3(s string) due3 { return due3{s} }
func ofDue4(s string) due4 { return due4{s, "x"} }
func ofSet1(s string) set1 { return set1{s} }
func ofSet2(s string) set2 { return set2{s} }
func ofSet3(s string) set3 { return set3{s, "x"} }

// logBook is what was logged.
type logBook struct {
	mu   sync.Mutex // protects text
	text bytes.Buffer
}

func (l *logBook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logBook) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.text.String()), "\n")
}

func (l *logBook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// program is one that is started on a journal, uses what it has, and stops.
type program struct {
	of        *actors.Aggregate[reminder]
	upcasters []upcast.Upcaster
	accept    bool
	wait      time.Duration // before it stops
}

func (p program) config(t *testing.T, journal persistence.Journal) stele.Config {
	t.Helper()
	chain, err := upcast.New(p.upcasters...)
	require.NoError(t, err)
	return stele.Config{Journal: journal, Aggregates: stele.Aggregates{p.of}, Upcasters: chain, AcceptLoss: p.accept}
}

// run starts the program and asks it once; it returns why it did not start, and what it
// has logged.
func (p program) run(t *testing.T, journal persistence.Journal) ([]string, error) {
	t.Helper()
	config, log := p.config(t, journal), new(logBook)
	config.Logger = log.logger()
	node, err := stele.Start(t.Context(), config)
	if err != nil {
		return nil, err
	}
	_, err = Remind.Ask(t.Context(), node, "r", remind{"x"})
	if !p.accept {
		require.NoError(t, err)
	}
	<-time.After(p.wait)
	synctest.Wait()
	require.NoError(t, node.Stop(t.Context()))
	return log.lines(), nil
}

// moves are ways in which the journal of a program comes to be the one that the next
// program is started on.
var moves = map[string]func(*testing.T, *memory.Journal) *memory.Journal{
	"there": func(_ *testing.T, journal *memory.Journal) *memory.Journal { return journal },
	"copied": func(t *testing.T, from *memory.Journal) *memory.Journal {
		t.Helper()
		to := strange(t)
		_, err := transfer.Copy(t.Context(), from, to, transfer.CopyOptions{})
		require.NoError(t, err)
		require.NoError(t, schema.LookThrough(t.Context(), to))
		return to
	},
	"imported": func(t *testing.T, from *memory.Journal) *memory.Journal {
		t.Helper()
		var file, again bytes.Buffer
		_, err := transfer.Export(t.Context(), from, &file, transfer.ExportOptions{})
		require.NoError(t, err)
		to := strange(t)
		_, err = transfer.Import(t.Context(), bytes.NewReader(file.Bytes()), to, transfer.ImportOptions{})
		require.NoError(t, err)
		_, err = transfer.Export(t.Context(), to, &again, transfer.ExportOptions{})
		require.NoError(t, err)
		first, _ := file.ReadString('\n')
		second, _ := again.ReadString('\n')
		require.NotEqual(t, first, second, "the line with the journal's id")
		require.Equal(t, file.String(), again.String())
		require.NoError(t, schema.LookThrough(t.Context(), to))
		return to
	},
}

// strange is a journal in which schemas get other ids.
func strange(t *testing.T) *memory.Journal {
	t.Helper()
	journal := new(memory.Journal)
	for _, other := range []string{"one", "two"} {
		_, err := journal.RegisterSchema(t.Context(), persistence.JSON, []byte(other))
		require.NoError(t, err)
	}
	return journal
}

func TestStartRefusesLoss(t *testing.T) {
	t.Parallel()
	first := program{of: reminders(ofDue1, ofSet1)}
	renamed := []upcast.Upcaster{upcast.Rename("test.due", "test.overdue")}
	for name, c := range map[string]struct {
		past    []program
		next    program
		refused string // what the error says
		logged  string
	}{
		"nothing has changed":            {past: []program{first}, next: first},
		"nothing is stored":              {next: program{of: reminders(ofDue3, ofSet2)}},
		"a command has another name":     {[]program{first}, program{of: reminders(ofDue2, ofSet1)}, "breaks reading: type gone: command test.due of kind reminder", ""},
		"when all of them are done":      {[]program{{of: reminders(ofDue1, ofSet1), wait: 2 * time.Hour}}, program{of: reminders(ofDue2, ofSet1)}, "", ""},
		"and is renamed":                 {[]program{first}, program{of: reminders(ofDue2, ofSet1), upcasters: renamed}, "", ""},
		"and is dropped":                 {[]program{first}, program{of: reminders(ofDue2, ofSet1), upcasters: []upcast.Upcaster{upcast.Drop("test.due")}}, "", ""},
		"a field of a command":           {[]program{first}, program{of: reminders(ofDue3, ofSet1)}, "loses data: field renamed: command test.due of kind reminder, Text: was Text, is Words", ""},
		"a field of an event":            {[]program{first}, program{of: reminders(ofDue1, ofSet2)}, "loses data: field renamed: test.set of kind reminder, Text", ""},
		"which was never raised":         {[]program{{of: reminders[due1, set1](ofDue1, nil)}}, program{of: reminders(ofDue1, ofSet2)}, "", ""},
		"a command that was never sent":  {[]program{{of: reminders[due1, set1](nil, ofSet1)}}, program{of: reminders(ofDue2, ofSet1)}, "", ""},
		"somebody has looked at it":      {[]program{first}, program{of: reminders(ofDue1, ofSet2), accept: true}, "", "field renamed: test.set"},
		"a field is new":                 {[]program{first}, program{of: reminders(ofDue4, ofSet3)}, "", ""},
		"the older one beside the newer": {[]program{first, {of: reminders(ofDue4, ofSet3)}}, first, "", "notice: field removed: test.set of kind reminder, Voice: was string, is nothing (of a newer program"},
		"a stranger beside the newer": {
			[]program{{of: reminders(ofDue4, ofSet3)}},
			program{of: reminders(ofDue1, ofSet1, actors.On(func(*reminder, come) {}))},
			"loses data: field removed", "",
		},
		"the older one behind a newer that has renamed": {
			[]program{first, {of: reminders(ofDue1, ofSet2), accept: true}}, first, "loses data: field renamed: test.set of kind reminder, Words", "",
		},
		"the older one beside a newer with another event": {
			[]program{first, {of: reminders(ofDue1, ofSet1, actors.On(func(*reminder, come) {}), actors.Handle(
				actors.NewCommand[due3x, remind]("reminder"), func(_ *reminder, tx *actors.Tx, _ due3x) (remind, error) {
					tx.Raise(come{})
					return remind{}, nil
				}))}}, first, "", "",
		},
	} {
		for way, move := range moves {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				c := c
				synctest.Test(t, func(t *testing.T) {
					journal := new(memory.Journal)
					for _, past := range c.past {
						_, err := past.run(t, journal)
						require.NoError(t, err)
					}
					journal = move(t, journal)
					if way == "imported" && strings.Contains(c.logged, "of a newer program") {
						c.refused, c.logged = "loses data: field removed: test.set of kind reminder, Voice", "" // a file does not say who came first
					}
					before, err := journal.Schemas(t.Context())
					require.NoError(t, err)
					findings, err := stele.Check(t.Context(), c.next.config(t, journal))
					require.NoError(t, err)

					logged, err := c.next.run(t, journal)

					if c.refused == "" {
						require.NoError(t, err)
						require.Contains(t, strings.Join(logged, "\n"), c.logged)
						if c.logged == "" {
							require.Equal(t, []string{""}, logged)
						}
						return
					}
					var loss *stele.IncompatibleError
					require.ErrorAs(t, err, &loss)
					require.ErrorIs(t, err, persistence.ErrInvalid)
					require.ErrorContains(t, err, c.refused)
					require.ErrorContains(t, err, "Config.AcceptLoss")
					require.NotContains(t, err.Error(), "events: ", "a start counts none")
					if strings.Contains(c.refused, "command") {
						require.ErrorContains(t, loss.Open, "test.due, which reminder-r has sent to reminder-r: ")
					}
					require.NotEmpty(t, findings, "a build finds it too")
					require.Greater(t, findings[0].Severity, schema.Notice)
					after, err := journal.Schemas(t.Context())
					require.NoError(t, err)
					require.Equal(t, before, after, "nothing was changed")
				})
			})
		}
	}
}

type due3x struct{}

func (due3x) MessageName() string { return "test.due3x" }

// What cannot work is said at the start, and nothing is said of what can.
func TestStartWarnsOfWhatCannotWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		elsewhere := actors.NewCommand[due2, remind]("elsewhere")
		sending := reminders(ofDue1, ofSet1,
			actors.Result(elsewhere, func(*reminder, *actors.Tx, remind, error) error { return nil }),
			actors.React(func(actors.Event[come]) string { return "" }, func(*reminder, *actors.Tx, actors.Event[come]) error { return nil }))
		handle := func(context.Context, *int, projections.Event[come]) error { return nil }
		wrong := projections.Define("wrong", 1, projections.On(handle)).With(projections.FromKinds("remainder"))
		right := projections.Define("right", 1, projections.On(func(context.Context, *int, projections.Event[set1]) error { return nil })).With(projections.FromKinds("reminder"))
		start := func(journal persistence.Journal) []string {
			log := new(logBook)
			node, err := stele.Start(t.Context(), stele.Config{
				Journal: journal, Aggregates: stele.Aggregates{sending}, Checkpoints: new(projections.Books), Logger: log.logger(),
				Projections: stele.Projections{wrong.Into(projections.InMemory(new(int))), right.Into(projections.InMemory(new(int)))},
			})
			require.NoError(t, err)
			synctest.Wait()
			require.NoError(t, node.Stop(t.Context()))
			return log.lines()
		}
		journal := new(memory.Journal)

		lines := start(journal)

		require.Len(t, lines, 4, "%v", lines)
		require.Contains(t, lines[0], "commands are sent to kind elsewhere")
		require.Contains(t, lines[1], "reactions-reminder reads events test.come, which no aggregate raises")
		require.Contains(t, lines[2], "projection wrong reads events test.come")
		require.Contains(t, lines[3], "projection wrong reads kind remainder")

		// Other programs have come meanwhile: one that hosts the kind, and somebody who
		// stores events by hand.
		other, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{actors.Define("elsewhere",
			actors.Handle(elsewhere, func(*reminder, *actors.Tx, due2) (remind, error) { return remind{}, nil }))}})
		require.NoError(t, err)
		require.NoError(t, other.Stop(t.Context()))
		_, err = journal.Append(t.Context(), persistence.Append{Stream: "remainder-1", Events: []persistence.Event{{Type: "test.come", Payload: []byte(`{}`)}}})
		require.NoError(t, err)
		require.Equal(t, []string{""}, start(journal))
	})
}

// A node that does not start says why, and not what the parts of it cannot do that are
// there.
func TestStartWarnsOfNothingBesideAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := new(logBook)
		reads := projections.Define("reads", 1, projections.On(func(context.Context, *int, projections.Event[set1]) error { return nil }))

		_, err := stele.Start(t.Context(), stele.Config{
			Journal: new(memory.Journal), Logger: log.logger(), Projections: stele.Projections{reads.Into(projections.InMemory(new(int)))},
		})

		require.ErrorContains(t, err, "no aggregates")
		require.Equal(t, []string{""}, log.lines())
	})
}

// On every journal a start knows what programs before have stored.
func TestStartRefusesLossOnJournals(t *testing.T) {
	t.Parallel()
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := open(t)
			first, next := program{of: reminders(ofDue1, ofSet1)}, program{of: reminders(ofDue2, ofSet2)}
			for range 2 {
				node, err := stele.Start(t.Context(), first.config(t, journal))
				require.NoError(t, err)
				_, err = Remind.Ask(t.Context(), node, "r", remind{"x"})
				require.NoError(t, err)
				require.NoError(t, node.Stop(t.Context()))
			}

			_, err := stele.Start(t.Context(), next.config(t, journal))

			require.ErrorContains(t, err, "type gone: command test.due of kind reminder")
			require.ErrorContains(t, err, "field renamed: test.set of kind reminder")
			require.ErrorContains(t, err, "to be delivered: test.due, which reminder-r has sent")
		})
	}
}
