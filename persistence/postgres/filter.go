package postgres

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// conditions are the parts of a filter that the server evaluates, as parameters. NULL is no
// condition. They may let too many events through; the filter decides.
type conditions struct {
	types, ids, tags       []byte
	key, values            []byte // of metadata
	minVersion, maxVersion []byte
	minOffset, maxOffset   []byte
	minTime, maxTime       []byte
	streams, categories    []byte

	// lookup are tags of which an event must have one, where it is worth looking events up by
	// them.
	lookup []byte
	// least and most are the bounds of the offsets that can match.
	least, most int64
}

// Longer sets are left to the filter, because the server looks up each tag and compares with
// each value of metadata.
const (
	maxTags   = 32
	maxValues = 100
)

func newConditions(f persistence.Filter) conditions {
	known, ok := f.(interface{ Necessary() filter.Necessary })
	if !ok {
		return conditions{least: 1, most: math.MaxInt64}
	}
	n := known.Necessary()
	c := conditions{
		types: textSet(n.Types), streams: textSet(n.Streams), categories: textSet(n.Categories), ids: idSet(n.IDs),
		minVersion: bound(n.Versions.Min, versionValue), maxVersion: bound(n.Versions.Max, versionValue),
		minOffset: bound(n.Offsets.Min, wire.Int8), maxOffset: bound(n.Offsets.Max, wire.Int8),
		minTime: bound(n.Times.Min, wire.Time), maxTime: bound(n.Times.Max, wire.Time),
	}
	if len(n.Tags) > 0 {
		fewest := slices.MinFunc(n.Tags, func(a, b []string) int { return cmp.Compare(len(a), len(b)) })
		if c.tags = textSet(fewest); len(fewest) <= maxTags {
			c.lookup = c.tags
		}
	}
	c.key, c.values = metadataSet(n.Metadata)
	c.least, c.most = 1, math.MaxInt64
	if n.Offsets.Min != nil {
		c.least = max(1, *n.Offsets.Min)
	}
	if n.Offsets.Max != nil {
		c.most = *n.Offsets.Max
	}
	if n.Nothing {
		c.types, c.most = textSet([]string{}), 0
	}
	return c
}

// ofStream returns the parameters for the events of one stream.
func (c conditions) ofStream() [][]byte {
	return [][]byte{c.types, c.ids, c.tags, c.minVersion, c.maxVersion, c.minOffset, c.maxOffset, c.minTime, c.maxTime, c.key, c.values}
}

// ofAll returns the parameters for the global sequence.
func (c conditions) ofAll() [][]byte { return append(c.ofStream(), c.streams, c.categories) }

// textSet is a text[], or NULL for a nil set. A string that the server would not accept as
// text is left out: nothing stored is equal to it.
func textSet[T ~string](set []T) []byte {
	if set == nil {
		return nil
	}
	texts := slices.DeleteFunc(slices.Clone(set), func(text T) bool {
		return strings.IndexByte(string(text), 0) >= 0 || !utf8.ValidString(string(text))
	})
	return wire.Texts(texts)
}

func idSet(set []persistence.EventID) []byte {
	if set == nil {
		return nil
	}
	return wire.Array(wire.TypeUUID, set, func(v *wire.Values, id persistence.EventID) { v.Data(id[:]) })
}

// metadataSet returns the key with the fewest values that it may have, as a text, and those
// values as a jsonb array. Values are compared in the form in which they are stored; the exact
// decimal value of a large float would be another one.
func metadataSet(needs map[string][]persistence.Value) (key, values []byte) {
	best := ""
	for name, set := range needs {
		if len(set) <= maxValues && (best == "" || cmp.Or(cmp.Compare(len(set), len(needs[best])), cmp.Compare(name, best)) < 0) {
			best = name
		}
	}
	if best == "" {
		return nil, nil
	}
	values = []byte{1, '['} // the version of jsonb's form
	for i, value := range needs[best] {
		if i > 0 {
			values = append(values, ',')
		}
		object := persistence.EncodeMetadata(persistence.Metadata{"": value})
		values = append(values, object[len(`{"":`):len(object)-1]...)
	}
	return []byte(best), append(values, ']')
}

// bound is a value, or NULL for an open end.
func bound[T any](end *T, value func(T) []byte) []byte {
	if end == nil {
		return nil
	}
	return value(*end)
}

func versionValue(v persistence.Version) []byte { return wire.Int8(int64(v)) }

// density counts the events that were read last, and those that match the filter. It decides who
// evaluates the filter. The server takes about ten times as long to look at the conditions
// of an event as to send it, which pays where few match and their bytes need not be sent.
type density struct {
	read, matched int
	// all says that the server sends all events, and the filter is evaluated here.
	all bool
}

// decide sets all for the next chunk. It changes at another density than it changes back, so
// that it does not do so with every chunk.
func (d *density) decide() {
	switch {
	case d.read == 0:
	case d.all:
		d.all = 4*d.matched >= d.read
	default:
		d.all = 2*d.matched >= d.read
	}
}

// rows returns how many events have to be read until so many match, and some more.
func (d *density) rows(matching int) int { return 9*matching*d.read/max(1, 8*d.matched) + 16 }

// densities remembers the densities of filters, because a reader that follows the sequence
// asks for each page anew.
type densities struct {
	mu       sync.Mutex
	byFilter map[uint64]density
}

// maxDensities bounds how many filters are remembered. Programs have a few.
const maxDensities = 1000

func (d *densities) of(filter uint64) density {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byFilter[filter]
}

func (d *densities) note(filter uint64, latest density) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byFilter == nil || len(d.byFilter) >= maxDensities {
		d.byFilter = map[uint64]density{}
	}
	d.byFilter[filter] = latest
}

var hashSeed = maphash.MakeSeed()

// hash tells filters apart by what they choose, and not by where. Two that share a hash
// share a density, which costs time at most.
func (c *conditions) hash() uint64 {
	var h maphash.Hash
	h.SetSeed(hashSeed)
	for _, part := range [][]byte{c.types, c.ids, c.tags, c.key, c.values, c.streams, c.categories} {
		_, _ = h.Write(part) // which never fails
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}
