package sqlite

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"github.com/neohook/neohook/store/internal/migration"
)

// The migrations, one file a version, in the form of package migration. What runs them is
// SQLite itself: its header holds the version, written in the migration's own transaction. A
// migration library would add a table and database/sql for what is the dozen lines of migrate.
//
//go:embed migration/*.sql
var migrations embed.FS

// applicationID marks the file as Neohook's ("Neoh").
const applicationID = 0x4e656f68

// checkSchema refuses a database that is not Neohook's, or that a newer version has made
// and programs that know these migrations can't work with. It changes nothing. It returns
// the schema's version, 0 for an empty database.
func checkSchema(ctx context.Context, c *conn, path string, known []migration.Migration) (version int, err error) {
	var application, stored, tables int64
	for query, number := range map[string]*int64{
		"PRAGMA application_id":              &application,
		"PRAGMA user_version":                &stored,
		"SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if *number, err = first(ctx, c, (*row).int, query); err != nil {
			return 0, err
		}
	}
	version = int(stored)
	switch {
	case application != applicationID && (application != 0 || version != 0 || tables != 0):
		return 0, fmt.Errorf("%s is another program's SQLite database", path)
	case version > len(known):
		needs, err := first(ctx, c, (*row).int, "SELECT version FROM schema_needs")
		if err != nil {
			return 0, err
		}
		if int(needs) > len(known) {
			return 0, &NewerSchemaError{Path: path, Found: version, Needs: int(needs), Known: len(known)}
		}
	}
	return version, nil
}

// migrate takes the schema from version to the newest that is known, each in a transaction.
func migrate(ctx context.Context, c *conn, version int, known []migration.Migration) error {
	for ; version < len(known); version++ {
		m := &known[version]
		var script strings.Builder
		for _, step := range m.Steps {
			if step.Asks {
				return fmt.Errorf("%s: steps by statements are for PostgreSQL", m.File)
			}
			script.WriteString(step.Text)
		}
		err := c.script(ctx, fmt.Sprintf("BEGIN IMMEDIATE;\n%s;\nUPDATE schema_needs SET version = %d;\nPRAGMA application_id = %d;\nPRAGMA user_version = %d;\nCOMMIT",
			script.String(), m.Needs, applicationID, m.Version))
		if err != nil {
			return fmt.Errorf("%s: %w", m.File, err)
		}
	}
	return nil
}
