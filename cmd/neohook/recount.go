package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/neohook/neohook/store"
)

// recountCommand counts the statistics of a database anew.
type recountCommand struct{ place }

// Help is what recount --help adds.
func (*recountCommand) Help() string {
	return "Statistics are kept in step with what they count, so this finds nothing, unless the database was damaged or changed by hand. " +
		"A server on the folder must be stopped; those on a PostgreSQL database may have to wait. Days from which retention has deleted stay as they are."
}

func (c *recountCommand) run(ctx context.Context, console console) (err error) {
	folder := string(c.Data)
	if _, err := os.Stat(filepath.Join(folder, databaseFile)); c.Database == "" && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data folder %s has no database: name the server's folder with --data", folder) // none is made here
	}
	st, err := c.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	found, err := st.Recount(ctx, time.Now())
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	return tellRecounted(console.out, &found)
}

func tellRecounted(to io.Writer, found *store.Recounted) error {
	verdict := fmt.Sprintf("all %d stored sums were right", found.Rollups)
	if found.Wrong > 0 {
		verdict = fmt.Sprintf("%d of %d stored sums were wrong, and are right now", found.Wrong, found.Rollups)
	}
	text := fmt.Sprintf("Counted %d events and %d attempts anew: %s.\n", found.Events, found.Attempts, verdict)
	for _, unit := range []store.Unit{store.Minute, store.Hour, store.Day} {
		if off := changes(found.Off[unit]); off != "" {
			text += fmt.Sprintf("Changed in the sums by %s: %s.\n", unit, off)
		}
	}
	_, err := io.WriteString(to, text)
	return err
}

// changes lists what was added to sums, or taken away.
func changes(off store.Counts) string {
	var changed []string
	for what, n := range off[:store.LatencyFirst] {
		if n != 0 {
			changed = append(changed, fmt.Sprintf("%s %+d", store.Count(what), n)) //nolint:gosec // there are some twenty
		}
	}
	return strings.Join(changed, ", ")
}
