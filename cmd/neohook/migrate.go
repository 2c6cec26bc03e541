package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/neohook/neohook/store/postgres"
)

// migrateCommand brings the schema of a database up to date.
type migrateCommand struct{ place }

// Help is what migrate --help adds.
func (*migrateCommand) Help() string {
	return "A server makes its tables in a database that has none, and refuses those of another version. Servers of the version before go on " +
		"working beside it: migrate first, then replace them one by one. The database in a data folder needs none of this: a server brings it up to date."
}

func (c *migrateCommand) run(ctx context.Context, console console) error {
	if c.Database == "" {
		return &usageError{errors.New("--database is missing: the address of the PostgreSQL database, as postgres://user@host/name")}
	}
	before, after, err := postgres.Migrate(ctx, string(c.Database), postgres.Options{})
	if err != nil {
		return err
	}
	text := fmt.Sprintf("The schema had version %d and has version %d now.", before, after)
	switch before {
	case after:
		text = fmt.Sprintf("The schema has version %d: there is nothing to do.", after)
	case 0:
		text = fmt.Sprintf("The schema is made, with version %d.", after)
	}
	_, err = fmt.Fprintln(console.out, text)
	return err
}
