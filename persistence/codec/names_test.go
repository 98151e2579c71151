package codec_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// OtherNote is stored as a Note is.
type OtherNote struct{ Text string }

func (OtherNote) MessageName() string { return "test.note" }

func TestNames(t *testing.T) {
	t.Parallel()
	var names codec.Names
	require.NoError(t, names.Add("kind a", of[Note](t), of[*wrapperspb.StringValue](t), of[*ByPointer](t)))
	require.NoError(t, names.Add("kind b", of[Note](t), of[*Note](t), of[*wrapperspb.StringValue](t), of[ByPointer](t)))

	for _, err := range []error{names.Check("kind b", of[OtherNote](t)), names.Add("kind b", of[*OtherNote](t))} {
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.ErrorContains(t, err, "test.note is the stored name of two Go types, "+
			"github.com/stele-es/stele/persistence/codec_test.Note (kind a) and github.com/stele-es/stele/persistence/codec_test.OtherNote (kind b): "+
			"give one another name, or use one type for both")
	}
	require.NoError(t, new(codec.Names).Check("kind a", of[OtherNote](t)))
}
