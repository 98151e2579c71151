package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/stele-es/stele/persistence"
)

// Entry is a note of a program in a journal: what it knows of a kind, or that something
// of a type is stored, see [Note]. It names schemas by the ids of its journal, so whoever
// moves a journal has to bring it over with those of the other one. The order counts: it
// tells which programs have run before a type was first stored.
type Entry struct {
	// Kind is the kind that it is about.
	Kind string
	// Role says as what something is stored; it is empty for what a program knows of the kind.
	Role Role

	stored storedEntry
	known  kindEntry
}

// EntriesOf finds them among schemas.
func EntriesOf(schemas []persistence.Schema) (all []Entry) {
	for _, schema := range schemas {
		if entry, ok := ReadEntry(schema.Encoding, schema.Body); ok {
			all = append(all, entry)
		}
	}
	return all
}

// ReadEntry reads a schema that is one.
func ReadEntry(encoding persistence.Encoding, body []byte) (entry Entry, ok bool) {
	if encoding != persistence.JSON || !mayBeEntry(body) {
		return entry, false
	}
	var title struct {
		Title string `json:"title"`
	}
	if json.Unmarshal(body, &title) != nil {
		return entry, false
	}
	switch title.Title {
	case titleKind:
		if json.Unmarshal(body, &entry.known) != nil {
			return entry, false
		}
		entry.Kind = entry.known.Kind
		return entry, true
	case titleStored:
		if json.Unmarshal(body, &entry.stored) != nil {
			return entry, false
		}
		entry.Kind, entry.Role = entry.stored.Kind, entry.stored.Role
		return entry, entry.Role != ""
	}
	return entry, false
}

// mayBeEntry tells what no entry is without reading it.
func mayBeEntry(body []byte) bool {
	return strings.Contains(string(body[:min(len(body), 32)]), `"$stele.`)
}

// Body is the entry for a journal that knows by other ids what this one names. A schema
// that could not be described has no id, here and there. An error is that of idOf.
func (e *Entry) Body(idOf func(persistence.SchemaID) (persistence.SchemaID, error)) (_ []byte, err error) {
	translated := func(id persistence.SchemaID) persistence.SchemaID {
		if id == 0 || err != nil {
			return 0
		}
		id, err = idOf(id)
		return id
	}
	if e.Role != "" {
		stored := e.stored
		stored.Schema = translated(stored.Schema)
		return encoded(stored, err)
	}
	known := e.known
	known.Events, known.Commands = map[string]persistence.SchemaID{}, map[string]persistence.SchemaID{}
	for _, part := range []struct {
		from, to map[string]persistence.SchemaID
	}{{e.known.Events, known.Events}, {e.known.Commands, known.Commands}} {
		for _, name := range slices.Sorted(maps.Keys(part.from)) {
			part.to[name] = translated(part.from[name])
		}
	}
	return encoded(known, err)
}

// encoded is an entry as JSON, unless there was an error before.
func encoded(entry any, before error) ([]byte, error) {
	if before != nil {
		return nil, before
	}
	return json.Marshal(entry)
}
