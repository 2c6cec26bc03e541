package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/neohook/neohook/store/postgres"
)

// migrateCommand brings the schema of a database up to date.
type migrateCommand struct{ place }

// Help is what migrate --help adds.
func (*migrateCommand) Help() string {
	return "Servers of the release before go on working meanwhile and afterwards: run this of the new release first, then replace them one by one. " +
		"Until then any of them may be started again. It may be broken off and run again, and be run by several at once. " +
		"What would be in the way of servers that run is refused, and says which ones they are. " +
		"A server makes its tables by itself in a database that has none, and brings older ones up to date with --migrate. " +
		"The database in a data folder needs none of this."
}

func (c *migrateCommand) run(ctx context.Context, console console) error {
	if c.Database == "" {
		return &usageError{errors.New("--database is missing: the address of the PostgreSQL database, as postgres://user@host/name")}
	}
	log := newLogger(console.err, logLevel(slog.LevelInfo), "text")
	before, after, err := postgres.Migrate(ctx, string(c.Database), postgres.Options{Logger: log})
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.New("broken off: run it again, and it goes on where it was")
	case err != nil:
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
