package sqlite

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/stele-es/stele/persistence"
)

// applicationID marks the file as a journal, in SQLite's own header: "stel".
const applicationID = 0x7374656c

//go:embed migration/*.sql
var migrations embed.FS

// migrate brings the tables up to date. A file that a later release has written,
// or that is not a journal, is left as it is.
func migrate(c *conn) error {
	steps, err := fs.Glob(migrations, "migration/*.sql")
	if err != nil {
		return err
	}
	have, err := migration(c, int64(len(steps)))
	if err != nil {
		return err
	}
	// Also without a step to take: it finds out that the file may be written.
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return definite(err)
	}
	for i := have; i < int64(len(steps)); i++ {
		if err := apply(c, steps[i], i+1); err != nil {
			return errors.Join(definite(err), c.exec("ROLLBACK"))
		}
	}
	if err := c.exec("COMMIT"); err != nil {
		return definite(err)
	}
	return nil
}

// migration is the number of steps that the file has seen.
func migration(c *conn, want int64) (int64, error) {
	var application, have, tables int64
	err := errors.Join(
		c.integers("PRAGMA application_id", &application),
		c.integers("PRAGMA user_version", &have),
		c.integers("SELECT count(*) FROM sqlite_schema", &tables))
	switch {
	case err != nil:
		return 0, definite(err)
	case application == 0 && have == 0 && tables == 0:
		return 0, nil
	case application != applicationID:
		return 0, &persistence.InvalidError{Field: "path", Reason: "is a database of another program"}
	case have > want:
		return 0, &persistence.SchemaError{Have: have, Want: want, Fix: "a release of stele that is not older than the file"}
	}
	return have, nil
}

func apply(c *conn, name string, number int64) error {
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	if digits, _, _ := strings.Cut(strings.TrimPrefix(name, "migration/"), "_"); strings.TrimLeft(digits, "0") != strconv.FormatInt(number, 10) {
		return fmt.Errorf("find migration %d: %s stands in its place", number, name)
	}
	if err := c.exec(string(text)); err != nil {
		return err
	}
	return c.exec(fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", number, applicationID))
}
