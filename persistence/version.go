package persistence

import (
	"fmt"
	"math"
)

// Version counts the events of one stream. The first event has version 1, so
// the version of a stream equals its length and the zero Version means empty.
type Version uint64

// MaxVersion is the highest version a stream can reach.
const MaxVersion Version = math.MaxInt64

// Expected is the state in which a writer expects a stream at an append (optimistic
// concurrency). The zero value is [NoStream], so that forgetting to set it is safe.
type Expected int64

const (
	// NoStream expects that the stream has no event that can be read: it was never
	// written to, it was created empty, or nothing has followed its deletion.
	NoStream Expected = 0
	// Any makes no claim; the append is accepted at whatever version the stream has.
	Any Expected = -1
	// StreamExists expects a stream that exists, with events or created empty.
	StreamExists Expected = -2

	invalidExpected Expected = math.MinInt64
)

// Exact expects that the stream's last event has this version, a tombstone
// included; Exact(0) is [NoStream]. A version above [MaxVersion] gives a value that every append
// refuses as invalid.
func Exact(version Version) Expected {
	if version > MaxVersion {
		return invalidExpected
	}
	return Expected(version)
}

// Version returns the exact version that is expected. It reports false for [Any] and
// [StreamExists], which name none.
func (e Expected) Version() (Version, bool) {
	if e < 0 {
		return 0, false
	}
	return Version(e), true
}

// String says the expectation as logs and errors show it.
func (e Expected) String() string {
	switch {
	case e == NoStream:
		return "no stream"
	case e == Any:
		return "any version"
	case e == StreamExists:
		return "an existing stream"
	case e < 0:
		return "an invalid version"
	}
	return fmt.Sprintf("version %d", int64(e))
}

// Admits reports whether a stream satisfies the expectation: its last event,
// tombstones included, has version, the first that can be read has first or will
// have it, and created says that it was created empty and not deleted since.
func (e Expected) Admits(version, first Version, created bool) bool {
	switch e {
	case NoStream:
		return version < first
	case StreamExists:
		return created || version >= first
	}
	return e.Accepts(version)
}

// Accepts reports whether a stream at this version satisfies the expectation. It is for
// streams that were never created empty nor deleted; [Expected.Admits] is for all
// streams.
func (e Expected) Accepts(actual Version) bool {
	switch e {
	case Any:
		return true
	case StreamExists:
		return actual > 0
	}
	return e >= 0 && Version(e) == actual
}
