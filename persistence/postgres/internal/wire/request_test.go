package wire_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

var statement = wire.Statement{Name: "by_name", SQL: "SELECT $1, $2", Parameters: 2}

// received are the requests as a server reads them.
func received(t *testing.T, requests []byte, count int) (all []pgproto3.FrontendMessage) {
	t.Helper()
	backend := pgproto3.NewBackend(bytes.NewReader(requests), nil)
	for range count {
		message, err := backend.Receive()
		require.NoError(t, err)
		switch m := message.(type) { // the server reuses its messages
		case *pgproto3.Bind:
			clone := *m
			message = &clone
		case *pgproto3.Execute:
			message = &pgproto3.Execute{}
		}
		all = append(all, message)
	}
	_, err := backend.Receive()
	require.Error(t, err, "nothing follows")
	return all
}

func TestRequestsAreWhatAServerReads(t *testing.T) {
	t.Parallel()
	for name, unnamed := range map[string]bool{"prepared": false, "unnamed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := wire.Requests{Unnamed: unnamed}
			requests.Bind(statement)
			requests.Int8(-7)
			requests.Null()
			requests.Execute()
			requests.Sync()
			requests.Terminate()

			bind := &pgproto3.Bind{
				PreparedStatement: "by_name", ParameterFormatCodes: []int16{1}, ResultFormatCodes: []int16{1},
				Parameters: [][]byte{wire.Int8(-7), nil},
			}
			want := []pgproto3.FrontendMessage{bind, &pgproto3.Execute{}, &pgproto3.Sync{}, &pgproto3.Terminate{}}
			if unnamed {
				bind.PreparedStatement = ""
				want = append([]pgproto3.FrontendMessage{&pgproto3.Parse{Query: statement.SQL}}, want...)
			}
			require.Equal(t, want, received(t, requests.Bytes(), len(want)))
		})
	}
}

func TestParametersAreTheValuesWithoutTheirLengths(t *testing.T) {
	t.Parallel()
	at := time.UnixMicro(1_234_567_890_123_456).UTC()
	var v wire.Values
	v.Int8(1 << 40)
	v.Int4(-3)
	v.Int2(9)
	v.Bool(true)
	v.Bool(false)
	v.Time(at)
	v.Data(nil)
	v.Null()
	v.Text("größe")
	v.Append(func(to []byte) []byte { return append(to, "ab"...) })

	got := v.Parameters()

	require.Equal(t, [][]byte{
		wire.Int8(1 << 40), wire.Int4(-3), wire.Int2(9), wire.Bool(true), wire.Bool(false), wire.Time(at), {}, nil, []byte("größe"), []byte("ab"),
	}, got)
	read, ok := wire.ReadTime(got[5])
	require.True(t, ok)
	require.Equal(t, at, read)
}

func TestResetKeepsMemoryUpToABound(t *testing.T) {
	t.Parallel()
	var v wire.Values
	v.Data(make([]byte, 100))
	before := cap(v.Bytes())

	v.Reset(before)
	require.Equal(t, before, cap(v.Bytes()))
	require.Empty(t, v.Bytes())

	v.Reset(before - 1)
	require.Zero(t, cap(v.Bytes()))
}
