package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/gitledger/ledgerpb"
	"github.com/stele-es/stele/persistence"
)

// The contract of a file.
var (
	Record = actors.NewCommand[*ledgerpb.Record, *ledgerpb.State]("file")
	Show   = actors.NewCommand[*ledgerpb.Show, *ledgerpb.State]("file")
)

// ErrDiverged rejects a commit that changes something else than what the file
// is: one between was left out, or it comes from another history.
var ErrDiverged = errors.New("the commit does not follow on what the journal has of the file: use a fresh journal")

// File is what the commits made of one path.
type File struct {
	entry   Entry
	ordinal uint64 // of the last commit that changed it
}

// Files is the aggregate, one for each path that ever existed.
var Files = actors.Define("file",
	actors.Handle(Record, (*File).record),
	actors.Handle(Show, (*File).show),
	actors.On((*File).written),
	actors.On((*File).removed),
)

func (f *File) record(tx *actors.Tx, c *ledgerpb.Record) (*ledgerpb.State, error) {
	switch {
	case c.Ordinal <= f.ordinal: // told before: an import that was killed repeats its last commits
	case f.entry != entryOf(c.Before):
		return nil, ErrDiverged
	case c.After == nil:
		tx.Raise(&ledgerpb.Removed{Path: c.Path, Ordinal: c.Ordinal})
	default:
		tx.Raise(&ledgerpb.Written{Path: c.Path, Ordinal: c.Ordinal, Entry: c.After})
	}
	return f.state(), nil
}

func (f *File) show(*actors.Tx, *ledgerpb.Show) (*ledgerpb.State, error) { return f.state(), nil }

func (f *File) state() *ledgerpb.State      { return &ledgerpb.State{Entry: f.entry.message()} }
func (f *File) written(e *ledgerpb.Written) { f.entry, f.ordinal = entryOf(e.Entry), e.Ordinal }
func (f *File) removed(e *ledgerpb.Removed) { f.entry, f.ordinal = Entry{}, e.Ordinal }

func entryOf(e *ledgerpb.Entry) Entry { return Entry{Mode: e.GetMode(), Object: e.GetObject()} }

func (e Entry) message() *ledgerpb.Entry {
	if e == (Entry{}) {
		return nil
	}
	return &ledgerpb.Entry{Mode: e.Mode, Object: e.Object}
}

// fileID is the id of a path's aggregate, another for each path: the path itself
// as far as an id may hold it, with "%" and two hex digits for every other byte.
// Longer ones have their hash in its place, behind a "%s" that no escape gives.
func fileID(path string) string {
	id := path
	if strings.Contains(path, "%") || persistence.CheckID(path) != nil {
		id = escape(path)
	}
	if len(id) > persistence.MaxID {
		sum := sha256.Sum256([]byte(path))
		id = "%sha256-" + hex.EncodeToString(sum[:])
	}
	return id
}

func escape(path string) string {
	var id strings.Builder
	for rest := path; rest != ""; {
		_, size := utf8.DecodeRuneInString(rest)
		char := rest[:size]
		rest = rest[size:]
		if char != "%" && persistence.CheckID(char) == nil {
			id.WriteString(char)
			continue
		}
		for _, b := range []byte(char) {
			fmt.Fprintf(&id, "%%%02x", b)
		}
	}
	return id.String()
}
