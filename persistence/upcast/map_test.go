package upcast_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/upcast"
)

type oldOpened struct{ First, Last string }

func (oldOpened) MessageName() string { return "opened.v1" }

type opened struct{ Name string }

func (opened) MessageName() string { return "opened.v2" }

type nameless struct{}

func TestMap(t *testing.T) {
	t.Parallel()

	t.Run("plain structs", func(t *testing.T) {
		t.Parallel()
		chain, err := upcast.New(upcast.Map(func(old oldOpened) (opened, error) {
			return opened{Name: old.First + " " + old.Last}, nil
		}))
		require.NoError(t, err)
		stored := storedEvent()
		stored.Type, stored.Payload = "opened.v1", []byte(`{"First":"Ann","Last":"Lee"}`)

		today, err := chain.Upcast(nil, &stored)

		require.NoError(t, err)
		require.Equal(t, []string{`opened.v2:{"Name":"Ann Lee"} 0/0`}, shown(today))
	})
	t.Run("protobuf, to another type and under the same name", func(t *testing.T) {
		t.Parallel()
		chain, err := upcast.New(
			upcast.Map(func(old *wrapperspb.StringValue) (*wrapperspb.BytesValue, error) {
				return wrapperspb.Bytes([]byte(old.GetValue() + "!")), nil
			}),
			upcast.Map(func(old *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
				return wrapperspb.Bytes(append(old.GetValue(), '?')), nil
			}),
		)
		require.NoError(t, err)
		before, err := codec.Of[*wrapperspb.StringValue]()
		require.NoError(t, err)
		after, err := codec.Of[*wrapperspb.BytesValue]()
		require.NoError(t, err)
		stored := storedEvent()
		stored.Type = before.Name()
		stored.Payload, err = before.Encode(wrapperspb.String("x"))
		require.NoError(t, err)

		today, err := chain.Upcast(nil, &stored)

		require.NoError(t, err)
		require.Len(t, today, 1)
		require.Equal(t, after.Name(), today[0].Type)
		message, err := after.Decode(today[0].Payload)
		require.NoError(t, err)
		require.Equal(t, "x!?", string(message.(*wrapperspb.BytesValue).GetValue()))
	})
	t.Run("what cannot be decoded, mapped or encoded", func(t *testing.T) {
		t.Parallel()
		errMapping := errors.New("nobody has two names")
		fails := func(payload string, upcaster upcast.Upcaster) error {
			chain, err := upcast.New(upcaster)
			require.NoError(t, err)
			stored := storedEvent()
			stored.Type, stored.Payload = "opened.v1", []byte(payload)
			_, err = chain.Upcast(nil, &stored)
			return err
		}

		decoding := fails(`{"First":1}`, upcast.Map(func(oldOpened) (opened, error) { return opened{}, nil }))
		mapping := fails(`{}`, upcast.Map(func(oldOpened) (opened, error) { return opened{}, errMapping }))
		encoding := fails(`{}`, upcast.Map(func(oldOpened) (*wrapperspb.BytesValue, error) { return nil, nil }))

		for _, err := range []error{decoding, mapping, encoding} {
			require.ErrorIs(t, err, persistence.ErrCorrupt)
		}
		require.ErrorContains(t, decoding, "decode opened.v1: field First has the wrong type")
		require.ErrorIs(t, mapping, errMapping)
		require.ErrorContains(t, encoding, "google.protobuf.BytesValue is nil")
	})
	t.Run("what is no message", func(t *testing.T) {
		t.Parallel()

		_, errBefore := upcast.New(upcast.Map(func(nameless) (opened, error) { return opened{}, nil }))
		_, errAfter := upcast.New(upcast.Map(func(opened) (nameless, error) { return nameless{}, nil }))
		_, errFunction := upcast.New(upcast.Map[oldOpened, opened](nil))

		for _, err := range []error{errBefore, errAfter, errFunction} {
			require.ErrorIs(t, err, persistence.ErrInvalid)
		}
		require.ErrorContains(t, errBefore, "nameless has no stored name")
		require.ErrorContains(t, errAfter, "nameless has no stored name")
		require.ErrorContains(t, errFunction, "upcaster of opened.v1 has no function")
	})
}
