package journaltest

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// mutantVariable names the mutant that a process of TestMutant tests.
const mutantVariable = "JOURNALTEST_MUTANT"

// unharmed is the mutant without a fault, which must pass everything.
const unharmed = "unharmed"

// TestLongMutantsDie runs the suite on journals that break one promise each, and
// requires that the case which guards the promise fails. A case can only be seen
// to fail from outside, so each runs in a process of its own.
func TestLongMutantsDie(t *testing.T) {
	t.Parallel()
	for name, m := range mutants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			output, failed := runMutant(t, name, m.caughtBy)

			require.NotContains(t, output, "no tests to run", "the suite has no case %q", m.caughtBy)
			require.True(t, failed, "the suite does not find this fault")
			require.Contains(t, output, "--- FAIL: TestMutant/"+underscored(m.caughtBy))
		})
	}
	t.Run("and the journal without a fault lives", func(t *testing.T) {
		t.Parallel()

		output, failed := runMutant(t, unharmed, "")

		require.False(t, failed, output)
		require.NotContains(t, output, "no tests to run")
	})
}

// TestMutantsAreListed requires that the list names all mutants and no others. People read
// it to know which faults the suite finds.
func TestMutantsAreListed(t *testing.T) {
	t.Parallel()

	listed, err := os.ReadFile(filepath.Join("testdata", "broken-journals.txt"))

	require.NoError(t, err)
	require.Equal(t, slices.Sorted(maps.Keys(mutants())), strings.Split(strings.TrimSuffix(string(listed), "\n"), "\n"))
}

func runMutant(t *testing.T, name, caughtBy string) (output string, failed bool) {
	t.Helper()
	pattern := "^TestMutant$"
	if caughtBy != "" {
		pattern += "/^" + regexp.QuoteMeta(underscored(caughtBy)) + "$"
	}
	binary, err := os.Executable()
	require.NoError(t, err)
	process := exec.CommandContext(t.Context(), binary, "-test.run", pattern, "-test.timeout", "1m", "-rapid.nofailfile", "-rapid.shrinktime", "0s")
	// Otherwise the race detector takes a second for every process to end.
	process.Env = append(process.Environ(), mutantVariable+"="+name, "GORACE=atexit_sleep_ms=0")

	combined, err := process.CombinedOutput()

	exit, isExit := errors.AsType[*exec.ExitError](err)
	require.True(t, err == nil || isExit && exit.Exited(), "run the mutant: %v", err)
	return string(combined), err != nil
}

func underscored(name string) string { return strings.ReplaceAll(name, " ", "_") }

// TestMutant is the suite on the mutant that the environment names; without one
// it is the suite on a journal without a fault.
func TestMutant(t *testing.T) {
	t.Parallel()
	name := os.Getenv(mutantVariable) //nolint:forbidigo // it is how a process of TestLongMutantsDie gets its mutant
	m, known := mutants()[name]
	require.True(t, known || name == "" || name == unharmed, "there is no mutant %q", name)
	s := newSuite(m.subject())
	s.survives = m.reopened != nil
	if known {
		s.patience = 3 * time.Second // a mutant that hangs must not take a minute to be found
	}
	s.run(t)
}

// subject is the journal with the fault.
func (m mutant) subject() Durable {
	if m.reopened != nil {
		d := durable(m.reopened)
		if m.trusting {
			d.Replace = func(_ testing.TB, j persistence.Journal) { j.(*handle).store = j.(*handle).renew() }
		}
		return d
	}
	return Durable{
		Store: func(testing.TB) func(testing.TB) persistence.Journal {
			return func(testing.TB) persistence.Journal { return m.open() }
		},
		Damage: func(_ testing.TB, j persistence.Journal, stream persistence.StreamID) { j.(*rigged).damage(stream) },
	}
}
