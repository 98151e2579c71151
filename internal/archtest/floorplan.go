package archtest

import (
	"cmp"
	"fmt"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// FloorPlan says where things stand in packages that do the same job, such as the journals:
// a reader who knows one of them finds the same thing in a file of the same name in the
// others.
type FloorPlan struct {
	// Name is the plural word for the packages.
	Name string
	// Of is the type that each of the packages exports. Its exported methods of one name stand
	// in files of one name.
	Of string
	// Themes are the files that any of the packages may have, and their content.
	Themes map[string]string
	// Own are further files of single packages, by folder.
	Own map[string][]string
	// Folders are the only folders that a package may have.
	Folders []string
}

// FloorPlans are those of this module.
func FloorPlans() []FloorPlan {
	return []FloorPlan{
		{
			Name: "journals", Of: "Journal",
			Themes: map[string]string{
				"doc.go":         "the comment of the package",
				"journal.go":     "the journal, and how it is opened and closed",
				"config.go":      "its configuration",
				"migrate.go":     "the version of the tables, and how they become current",
				"append.go":      "Append and Submit, and the decision about each append",
				"appendtx.go":    "appends in a transaction of the caller",
				"transaction.go": "Transact",
				"read.go":        "the events of one stream",
				"readpages.go":   "the events of many streams at once",
				"readall.go":     "the events of the global sequence",
				"filter.go":      "the part of a filter that the store evaluates",
				"head.go":        "the end of the global sequence, and waiting for more",
				"streams.go":     "streams: their metadata, deletion, truncation",
				"list.go":        "lists of streams and categories",
				"scavenge.go":    "events of which the content is removed",
				"import.go":      "events from another journal",
				"snapshot.go":    "snapshots",
				"schema.go":      "schemas of payloads",
				"check.go":       "faults that a start finds",
				"errors.go":      "errors of the store, and which errors of ours they are",
			},
			Own: map[string][]string{
				"persistence/memory": {"copy.go", "log.go", "state.go"},
				"persistence/sqlite": {
					"cache.go", "change.go", "checkpoint.go", "conn.go", "cursor.go", "decode.go", "duplicates.go", "eventwriter.go",
					"insert.go", "lock.go", "place_linux.go", "place_other.go", "readers.go", "replaced.go", "writer.go",
				},
				"persistence/postgres": {"describe.go", "earlyrelease.go", "query.go", "resolve.go", "roles.go", "sql.go", "tail.go"},
			},
			Folders: []string{"sql", "migration", "internal", "testdata"},
		},
		{
			Name: "targets of projections", Of: "Target",
			Themes: map[string]string{
				"doc.go":    "the comment of the package",
				"target.go": "the target, how it is opened, and its transactions",
				"inline.go": "read models that change in the transaction of an append",
			},
			Own: map[string][]string{
				"projections/postgres": nil,
				"projections/sqlite":   {"pulse.go"},
			},
			Folders: []string{"sql", "migration", "internal", "testdata"},
		},
	}
}

// CheckFloorPlans returns the places of the module whose root is fsys that do not follow the
// plans, in the order of their files.
func CheckFloorPlans(fsys fs.FS, plans []FloorPlan) ([]Violation, error) {
	m, err := load(fsys)
	if err != nil {
		return nil, err
	}
	c := &checker{module: m}
	for _, plan := range plans {
		c.found = append(c.found, checkFolders(fsys, m, plan)...)
		checkThemes(c, plan)
	}
	slices.SortFunc(c.found, func(a, b Violation) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	return c.found, nil
}

func checkFolders(fsys fs.FS, m *module, plan FloorPlan) (found []Violation) {
	for folder := range plan.Own {
		if m.folder(folder) == nil {
			found = append(found, Violation{File: folder, Line: 1, Message: "there is no such package of " + plan.Name})
			continue
		}
		entries, err := fs.ReadDir(fsys, folder)
		if err != nil { // cannot happen: its files were read
			continue
		}
		for _, entry := range entries {
			if entry.IsDir() && !slices.Contains(plan.Folders, entry.Name()) {
				found = append(found, Violation{
					File: path.Join(folder, entry.Name()), Line: 1,
					Message: fmt.Sprintf("%s have the folders %s only", plan.Name, strings.Join(plan.Folders, ", ")),
				})
			}
		}
	}
	return found
}

// checkThemes compares the names of the files with the plan, and the files of the methods
// with each other.
func checkThemes(c *checker, plan FloorPlan) {
	type place struct {
		folder, file string
		at           token.Pos
	}
	methods := map[string][]place{}
	for _, folder := range c.module.packages {
		own, planned := plan.Own[folder.path]
		if !planned {
			continue
		}
		for _, f := range folder.sources() {
			name := path.Base(c.module.fset.Position(f.Package).Filename)
			if plan.Themes[name] == "" && !slices.Contains(own, name) {
				c.report(f.Package, "%s have no file %s: give the content to a file of the plan, or add it there", plan.Name, name)
			}
			for _, function := range functions(f) {
				if function.Recv != nil && receiver(function) == plan.Of && function.Name.IsExported() {
					methods[function.Name.Name] = append(methods[function.Name.Name], place{folder.path, name, function.Pos()})
				}
			}
		}
	}
	for method, places := range methods {
		for _, other := range places[1:] {
			if other.file != places[0].file {
				c.report(other.at, "%s stands in %s, but in %s of %s", method, other.file, places[0].file, places[0].folder)
			}
		}
	}
}
