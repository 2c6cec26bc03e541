package main

import (
	"context"
	"errors"
	"fmt"
)

// serveCommand runs the server.
type serveCommand struct{ settings }

// Help is what serve --help adds.
func (*serveCommand) Help() string {
	return "Every flag is also a variable, as NEOHOOK_LOG_LEVEL for --log-level (lists with commas), and a key of the file of --config, " +
		"as log-level. A flag wins over its variable, the variable over the file. NEOHOOK_KEYSET, the key set itself, is no flag."
}

func (c *serveCommand) run(ctx context.Context, console console) (err error) {
	log := newLogger(console.err, c.LogLevel, c.LogFormat)
	log.InfoContext(ctx, "starting", "version", programVersion(), "settings", c.settings)
	srv, err := openServer(ctx, c.settings, log)
	if err != nil && ctx.Err() != nil {
		return nil // told to end before it began
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.close()) }()

	log.InfoContext(ctx, "listening", "url", baseURL(srv.listener), "data", srv.folder)
	if c.LogFormat == "text" { // else a program reads along, and the line above has it all
		_, _ = fmt.Fprint(console.out, c.banner(srv))
	}
	stop := context.AfterFunc(ctx, func() {
		log.InfoContext(ctx, "ending; a second signal ends at once", "grace", srv.grace.String())
	})
	defer stop()
	err = srv.run(ctx)
	if err == nil {
		log.InfoContext(ctx, "ended")
	}
	return err
}
