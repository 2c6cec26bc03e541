package postgres

import (
	"context"
	"io/fs"
	"time"
)

// OpenKnowing is Open of a program that has these migrations.
func OpenKnowing(ctx context.Context, address string, opts Options, files fs.FS) (*Store, error) {
	return openKnowing(ctx, address, opts, files)
}

// MigrateKnowing is Migrate of a program that has these migrations, and takes a node of an
// older one for dead after a time.
func MigrateKnowing(ctx context.Context, address string, opts Options, files fs.FS, dead time.Duration) (before, after int, err error) {
	s, err := connect(ctx, address, opts, files)
	if err != nil {
		return 0, 0, err
	}
	s.presumedDead = dead
	return s.migrateAndClose(ctx)
}
