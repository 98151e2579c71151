package stored

import (
	"google.golang.org/protobuf/proto"

	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// LogEntry is a command in the log of its kind.
type LogEntry = stelev1.LoggedCommand

// EncodeLogEntry returns the payload of an entry. Its texts are valid UTF-8, see [Text].
func EncodeLogEntry(entry *LogEntry) ([]byte, error) { return proto.Marshal(entry) }

// ReadLogEntry is the reverse of [EncodeLogEntry].
func ReadLogEntry(data []byte) (*LogEntry, error) {
	entry := new(LogEntry)
	return entry, proto.Unmarshal(data, entry)
}
