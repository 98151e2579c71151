package postgres

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// conditions are what the server looks at for a filter, as parameters; NULL is no
// condition. They let too much through, the filter decides.
type conditions struct {
	types, ids, tags       []byte
	minVersion, maxVersion []byte
	minOffset, maxOffset   []byte
	minTime, maxTime       []byte
	streams, categories    []byte
}

func newConditions(f persistence.Filter) conditions {
	known, ok := f.(interface{ Necessary() filter.Necessary })
	if !ok {
		return conditions{}
	}
	n := known.Necessary()
	c := conditions{
		types: textSet(n.Types), streams: textSet(n.Streams), categories: textSet(n.Categories), ids: idSet(n.IDs),
		minVersion: bound(n.Versions.Min, versionBits), maxVersion: bound(n.Versions.Max, versionBits),
		minOffset: bound(n.Offsets.Min, offsetBits), maxOffset: bound(n.Offsets.Max, offsetBits),
		minTime: bound(n.Times.Min, timeBits), maxTime: bound(n.Times.Max, timeBits),
	}
	if len(n.Tags) > 0 {
		c.tags = textSet(n.Tags[0])
	}
	if n.Nothing {
		c.types = textSet([]string{})
	}
	return c
}

// ofStream are the parameters for the events of one stream.
func (c conditions) ofStream() [][]byte {
	return [][]byte{c.types, c.ids, c.tags, c.minVersion, c.maxVersion, c.minOffset, c.maxOffset, c.minTime, c.maxTime}
}

// ofAll are the parameters for the global sequence.
func (c conditions) ofAll() [][]byte { return append(c.ofStream(), c.streams, c.categories) }

// textSet is text[], or NULL for a nil set. What the server would not take as text
// is left out: nothing stored is equal to it.
func textSet[T ~string](set []T) []byte {
	if set == nil {
		return nil
	}
	texts := slices.DeleteFunc(slices.Clone(set), func(text T) bool {
		return strings.IndexByte(string(text), 0) >= 0 || !utf8.ValidString(string(text))
	})
	return textArray(texts)
}

func idSet(set []persistence.EventID) []byte {
	if set == nil {
		return nil
	}
	var m message
	start := m.array(oidUUID, len(set))
	for i := range set {
		m.bytes(set[i][:])
	}
	m.endArray(start)
	return m.buf[4:]
}

// bound is bigint or timestamptz, or NULL for an open end.
func bound[T any](end *T, bits func(T) int64) []byte {
	if end == nil {
		return nil
	}
	return binary.BigEndian.AppendUint64(nil, uint64(bits(*end)))
}

func versionBits(v persistence.Version) int64 { return int64(v) }
func offsetBits(n int64) int64                { return n }
func timeBits(at time.Time) int64             { return at.UnixMicro() - epoch }
