package sqlite

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/stele-es/stele/persistence"
)

// applicationID marks the file as a journal, in SQLite's own header: "stel".
const applicationID = 0x7374656c

//go:embed migration/*.sql
var migrations embed.FS

// steps are the migrations in order.
func steps() ([]string, error) { return fs.Glob(migrations, "migration/*.sql") }

// migrated is the number of steps that the file has seen. A file that a later
// release has written, or that is not a journal, is an error; nothing is changed.
func migrated(c *conn) (int64, error) {
	all, err := steps()
	if err != nil {
		return 0, err
	}
	var application, have, tables int64
	for query, number := range map[string]*int64{
		"PRAGMA application_id": &application, "PRAGMA user_version": &have, "SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := c.integers(query, number); err != nil {
			return 0, definite(err)
		}
	}
	want := int64(len(all))
	switch {
	case application == 0 && have == 0 && tables == 0:
		return 0, nil
	case application != applicationID:
		return 0, &persistence.InvalidError{Field: "path", Reason: "is a database of another program"}
	case have <= 0:
		return 0, &persistence.CorruptError{Reason: "the journal's file has no schema version"}
	case have > want:
		return 0, &persistence.TablesError{Have: have, Want: want, Fix: "a release of stele that is not older than the file"}
	}
	return have, nil
}

// peek is [migrated] of a file that is not written to.
func peek(file string) (have int64, err error) {
	c, err := connect(file, "ro")
	if err != nil {
		return 0, definite(err)
	}
	have, err = migrated(c)
	return have, errors.Join(err, c.close())
}

// migrate takes the steps that the file has not seen, all or none.
func migrate(c *conn, have int64) error {
	all, err := steps()
	if err != nil {
		return err
	}
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return definite(err)
	}
	for _, name := range all[have:] {
		if err := apply(c, name); err != nil {
			return errors.Join(definite(err), c.exec("ROLLBACK"))
		}
	}
	// Also without a step to take: only a write tells that the file may be written.
	if err := c.exec(fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", len(all), applicationID)); err != nil {
		return errors.Join(definite(err), c.exec("ROLLBACK"))
	}
	if err := c.exec("COMMIT"); err != nil {
		return definite(err)
	}
	return nil
}

func apply(c *conn, name string) error {
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	return c.exec(string(text))
}
