package codec_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/stele-es/stele/persistence/codec"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

type (
	wholeInner struct{ Kept int }
	whole      struct {
		Name  string
		Inner wholeInner
		Many  map[string]wholeInner
		Lax   lax
		Raw   json.RawMessage
	}
	// lax reads two forms of itself.
	lax struct{ now int }
)

func (whole) MessageName() string { return "test.whole" }

func (l *lax) UnmarshalJSON(data []byte) error {
	var forms struct{ Was, Is int }
	err := json.Unmarshal(data, &forms)
	l.now = forms.Was + forms.Is
	return err
}

func (l lax) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]int{"Is": l.now}) }

// What is read once must be read whole: a field without a place is an error, unless it
// holds nothing.
func TestDecodeWhole(t *testing.T) {
	t.Parallel()
	of, err := codec.Of[whole]()
	require.NoError(t, err)
	for data, whole := range map[string]bool{
		`{}`:                            true,
		`{"Name":"a"}`:                  true,
		`{"name":"a"}`:                  true, // as encoding/json reads it
		`{"Label":"a"}`:                 false,
		`{"Name":"a","Label":""}`:       true,
		`{"Name":"a","Label":null}`:     true,
		`{"Name":"a","Label":0.0}`:      true,
		`{"Name":"a","Label":[]}`:       true,
		`{"Name":"a","L":{"M":[{}]}}`:   false,
		`{"Name":"a","L":{"M":{}}}`:     true,
		`{"Inner":{"Kept":1,"Lost":1}}`: false,
		`{"Many":{"x":{"Lost":1}}}`:     false,
		`{"Many":{"x":{"Kept":1}}}`:     true,
		`{"Lax":{"Was":1}}`:             true, // it knows its own past
		`{"Raw":{"Any":[1,2]}}`:         true,
	} {
		_, err := of.DecodeWhole([]byte(data))
		if whole {
			require.NoError(t, err, data)
		} else {
			require.ErrorIs(t, err, codec.ErrNotWhole, data)
			require.ErrorContains(t, err, "test.whole", data)
		}
		_, err = of.Decode([]byte(data))
		require.NoError(t, err, data)
	}
	_, err = of.DecodeWhole([]byte(`{`))
	require.Error(t, err)
	require.NotErrorIs(t, err, codec.ErrNotWhole)
}

func TestDecodeWholeProtobuf(t *testing.T) {
	t.Parallel()
	of, err := codec.Of[*structpb.Value]()
	require.NoError(t, err)
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	for name, c := range map[string]struct {
		change func(*structpb.Value)
		whole  bool
	}{
		"all is known": {func(*structpb.Value) {}, true},
		"at the top":   {func(v *structpb.Value) { v.ProtoReflect().SetUnknown(unknown) }, false},
		"in a map": {func(v *structpb.Value) {
			v.GetStructValue().GetFields()["a"].ProtoReflect().SetUnknown(unknown)
		}, false},
		"in a list": {func(v *structpb.Value) {
			v.GetStructValue().GetFields()["b"].GetListValue().GetValues()[0].ProtoReflect().SetUnknown(unknown)
		}, false},
	} {
		value, err := structpb.NewValue(map[string]any{"a": 1, "b": []any{true}})
		require.NoError(t, err, name)
		c.change(value)
		data, err := proto.Marshal(value)
		require.NoError(t, err, name)

		_, err = of.DecodeWhole(data)

		if c.whole {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, codec.ErrNotWhole, name)
		}
	}
	headers, err := codec.Of[*stelev1.Headers]()
	require.NoError(t, err)
	data, err := proto.Marshal(&stelev1.Headers{Command: "a"})
	require.NoError(t, err)
	_, err = headers.DecodeWhole(data)
	require.NoError(t, err)
}
