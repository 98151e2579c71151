package actors_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
)

var (
	errFull  = actors.NewError("list", "full", "the list is full")
	errOther = errors.New("other")
)

// An error of the domain is found again by errors.Is when it comes out of the
// store, with the text it had.
func TestRejectionsSurviveTheStore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err       error
		code      string
		is, isNot []error
	}{
		"made":       {errFull, "full", []error{errFull, actors.NewError("list", "full", "")}, []error{errOther, errRejected}},
		"registered": {errRejected, "no", []error{errRejected}, []error{errOther, errFull}},
		"wrapped":    {fmt.Errorf("put into list: %w", errRejected), "no", []error{errRejected}, []error{errFull}},
		"joined":     {errors.Join(errOther, errFull), "full", []error{errFull}, []error{errOther}},
		"of a kind elsewhere": {
			actors.NewError("account", "full", "x"), "full",
			[]error{actors.NewError("account", "full", "y")},
			[]error{errFull},
		},
		"unregistered": {errOther, actors.Unregistered, nil, []error{errOther, errFull, actors.NewError("list", actors.Unregistered, "other")}},
		"long and odd": {errors.New(strings.Repeat("é", 5000) + "\xff"), actors.Unregistered, nil, []error{errOther}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusing := actors.Define("list", actors.Handle(PutInto, func(*list, *actors.Tx, Put) (Seen, error) {
				return Seen{}, c.err
			}), actors.On((*list).kept), actors.Rejects[list]("no", errRejected))
			system := open(t, actors.Config{Aggregates: []actors.Definition{refusing}})
			ask := func() error {
				_, err := PutInto.Ask(t.Context(), system, "a", Put{}, actors.Sent(persistence.CommandID{1}, time.Now()))
				return err
			}

			require.Equal(t, c.err, ask(), "unchanged at first")
			err := ask()

			stored, ok := err.(*actors.RejectedError) //nolint:errorlint // it is the outermost
			require.True(t, ok)
			require.Equal(t, c.code, stored.Code)
			require.Equal(t, persistence.ErrRejected, persistence.ErrorKindOf(err))
			if name == "long and odd" {
				require.LessOrEqual(t, len(stored.Text), 4100)
			} else {
				require.Equal(t, c.err.Error(), err.Error())
			}
			for _, is := range c.is {
				require.ErrorIs(t, err, is)
			}
			for _, isNot := range c.isNot {
				require.NotErrorIs(t, err, isNot)
			}
		})
	}
}

func TestRejectsIsChecked(t *testing.T) {
	t.Parallel()
	wrong := lists(actors.Rejects[list]("", errOther), actors.Rejects[list]("a", nil),
		actors.Rejects[list]("b", errOther), actors.Rejects[list]("b", errFull), actors.Rejects[list](actors.Unregistered, errOther))

	err := actors.Check(actors.Config{Aggregates: []actors.Definition{wrong}})

	for _, problem := range []string{`the code "" of an error`, `the code "unregistered"`, `the error with the code "a" is nil`, `the code "b" stands for two errors`} {
		require.ErrorContains(t, err, problem)
	}
}
