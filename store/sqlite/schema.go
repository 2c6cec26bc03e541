package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
)

// The migrations, one file a version, in order. What runs them is SQLite itself: its
// header holds the version, written in the migration's own transaction. A migration
// library would add a table and database/sql for what is the dozen lines of migrate.
//
//go:embed migration/*.sql
var migrations embed.FS

// applicationID marks the file as Neohook's ("Neoh").
const applicationID = 0x4e656f68

// checkSchema refuses a database that is not Neohook's, or that a newer version has made.
// It changes nothing. It returns the schema's version, 0 for an empty database.
func checkSchema(ctx context.Context, c *conn, path string) (version int, err error) {
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
	known, err := fs.Glob(migrations, "migration/*.sql")
	if err != nil {
		return 0, err
	}
	switch {
	case application == applicationID && version > len(known):
		return 0, &NewerSchemaError{Path: path, Found: version, Known: len(known)}
	case application != applicationID && (application != 0 || version != 0 || tables != 0):
		return 0, fmt.Errorf("%s is another program's SQLite database", path)
	}
	return version, nil
}

// migrate takes the schema from version to the newest, each step in a transaction.
func migrate(ctx context.Context, c *conn, version int) error {
	files, err := fs.Glob(migrations, "migration/*.sql")
	if err != nil {
		return err
	}
	for i := version; i < len(files); i++ {
		script, err := migrations.ReadFile(files[i])
		if err != nil {
			return err
		}
		err = c.script(ctx, fmt.Sprintf("BEGIN IMMEDIATE;\n%s;\nPRAGMA application_id = %d;\nPRAGMA user_version = %d;\nCOMMIT",
			script, applicationID, i+1))
		if err != nil {
			return fmt.Errorf("%s: %w", files[i], err)
		}
	}
	return nil
}
