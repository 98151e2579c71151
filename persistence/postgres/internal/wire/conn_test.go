package wire_test

import (
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// answering is a connection whose server answers anything with some messages.
func answering(t *testing.T, messages ...pgproto3.BackendMessage) *wire.Conn {
	t.Helper()
	server, client := net.Pipe()
	var answer []byte
	for _, message := range messages {
		var err error
		answer, err = message.Encode(answer)
		require.NoError(t, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = server.Write(answer) // which ends with the pipe
	}()
	conn := wire.New(client, time.Minute)
	t.Cleanup(func() {
		conn.Close(false)
		<-done
	})
	return conn
}

func TestReceiveReadsTheAnswerToAGroup(t *testing.T) {
	t.Parallel()
	row := &pgproto3.DataRow{Values: [][]byte{[]byte("a"), nil, {}}}
	done, ready := &pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}, &pgproto3.ReadyForQuery{TxStatus: 'I'}
	refused := &pgproto3.ErrorResponse{Severity: "ERROR", Code: "53200", Message: "out of memory"}
	weak := &pgproto3.NoticeResponse{Severity: "WARNING", Code: "01000"}

	t.Run("with the rows of each statement", func(t *testing.T) {
		t.Parallel()
		answer, err := answering(t, &pgproto3.BindComplete{}, row, row, done, &pgproto3.BindComplete{}, done, ready).Receive(2)

		require.NoError(t, err)
		require.Equal(t, [][][][]byte{{row.Values, row.Values}, nil}, answer.Rows)
		require.False(t, answer.Warned)
	})
	t.Run("with an error that undid them all", func(t *testing.T) {
		t.Parallel()
		answer, err := answering(t, done, refused, ready).Receive(2)

		require.NoError(t, err)
		require.Equal(t, "53200", answer.Err.Code)
	})
	t.Run("with a warning about its commit", func(t *testing.T) {
		t.Parallel()
		answer, err := answering(t, done, weak, ready).Receive(1)

		require.NoError(t, err)
		require.True(t, answer.Warned)
	})
	t.Run("and fails when there is too much", func(t *testing.T) {
		t.Parallel()
		_, err := answering(t, done, row).Receive(1)

		require.ErrorContains(t, err, "more than it was asked for")
	})
	t.Run("and fails when there is too little", func(t *testing.T) {
		t.Parallel()
		_, err := answering(t, done, ready).Receive(2)

		require.ErrorContains(t, err, "less than it was asked for")
	})
}
