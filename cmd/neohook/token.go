package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/neohook/neohook/store/sqlite"
)

// tokenCommand prints the API token. It only reads the file where there is one, so that
// it works beside a running server; in a folder without one it does what the first start
// of a server would.
type tokenCommand struct {
	place

	New bool `help:"Make a new token in place of the folder's present one, which opens nothing any more. The server must be stopped."`
}

func (c *tokenCommand) run(ctx context.Context, console console) error {
	_, missing := os.Stat(string(c.Data))
	text, err := c.token(ctx)
	if opened, isOpen := errors.AsType[*openTokenError](err); isOpen {
		_, _ = fmt.Fprintln(console.err, "neohook:", opened)
		err = nil
	}
	if err != nil {
		return err
	}
	if errors.Is(missing, fs.ErrNotExist) { // a server that runs elsewhere has another token
		_, _ = fmt.Fprintf(console.err, "There was no data folder %s: it is made, and this is its token.\n", c.Data)
	}
	_, err = fmt.Fprintln(console.out, text)
	return err
}

func (c *tokenCommand) token(ctx context.Context) (_ string, err error) {
	folder := string(c.Data)
	if !c.New {
		path := filepath.Join(folder, tokenFile)
		text, err := readToken(path)
		if err == nil {
			return text, closeToken(path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	st, err := c.openStore(ctx)
	if errors.Is(err, sqlite.ErrInUse) && !c.New {
		return "", fmt.Errorf("data folder %s has a running server and no token file: stop the server and run neohook token --new --data %s",
			folder, folder)
	}
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if c.New {
		return replaceToken(ctx, st, folder, time.Now())
	}
	return ensureToken(ctx, st, folder, time.Now())
}
