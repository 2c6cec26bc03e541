package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/store"
)

// The API token that comes with a data folder. Its text is in a file there, readable by
// the owner only; the store has its hash.

// tokenStore is what is asked of the store here.
type tokenStore interface {
	store.Tokens
	NewKey(ctx context.Context) (int64, error)
}

// errTokenLost is returned where the store knows tokens, and not that of the file.
var errTokenLost = errors.New("the API token of the folder is lost or was revoked; make a new one with: neohook token --new --data")

// ensureToken makes the folder's API token if the store has none at all, and returns its
// text. It returns errTokenLost if it has one that is not in the file.
//
// The text is written under another name first and takes its own once the store has the
// hash. So whenever the process is cut short, either nothing was made or the next call
// finishes it, and the file never holds what opens nothing.
func ensureToken(ctx context.Context, tokens tokenStore, folder string, now time.Time) (string, error) {
	path := filepath.Join(folder, tokenFile)
	text, err := readToken(path)
	if err == nil {
		return text, cmp.Or(known(ctx, tokens, folder, text, now), closeToken(path))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	draft := path + ".new"
	text, err = readToken(draft)
	if err != nil { // none, or one that was not written to its end
		text = string(access.NewText())
		if err := writeToken(draft, text); err != nil {
			return "", err
		}
	}
	// Only a draft is put into the store: what has its name and is not known there was
	// revoked.
	token, err := tokenOf(ctx, tokens, text, now)
	if err == nil {
		_, err = tokens.InitToken(ctx, token)
	}
	if err == nil {
		err = known(ctx, tokens, folder, text, now)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(draft))
	}
	return text, settle(draft, path)
}

// replaceToken makes a new API token; the folder's former one opens nothing any more.
func replaceToken(ctx context.Context, tokens tokenStore, folder string, now time.Time) (string, error) {
	path := filepath.Join(folder, tokenFile)
	draft, text := path+".new", string(access.NewText())
	if err := writeToken(draft, text); err != nil {
		return "", err
	}
	token, err := tokenOf(ctx, tokens, text, now)
	if err == nil {
		err = tokens.ReplaceToken(ctx, token)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(draft))
	}
	return text, settle(draft, path)
}

// known returns errTokenLost if the store does not know the token.
func known(ctx context.Context, tokens store.Tokens, folder, text string, now time.Time) error {
	_, err := tokens.Token(ctx, access.Text(text).Hash(), now)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w %s", errTokenLost, folder)
	}
	return err
}

func tokenOf(ctx context.Context, tokens tokenStore, text string, now time.Time) (store.Token, error) {
	key, err := tokens.NewKey(ctx)
	return store.Token{
		Key: store.TokenKey(key), Hash: access.Text(text).Hash(), Organisation: string(neohook.DefaultOrganisation),
		Name: access.DataFolder, Scopes: []string{string(access.Admin)}, CreatedAt: now,
	}, err
}

// readToken returns the token in a file. What is no token is an error.
func readToken(path string) (string, error) {
	info, err := os.Stat(path) // before it is opened, as a pipe would block
	if err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("token file %s is not a regular file", path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("token file %s holds no token: remove it and run neohook token --new", path)
	}
	return text, nil
}

// openTokenError says that a token file could be read by others, and can't any more.
type openTokenError struct{ path string }

func (e *openTokenError) Error() string {
	return "the token file " + e.path + " could be read by others on this machine, and is closed to them now; " +
		"if somebody may have read it, make another token with neohook token --new"
}

// closeToken sees to it that nobody but its owner can read a token file. It returns
// *openTokenError where others could.
func closeToken(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	const others = 0o077
	if runtime.GOOS == "windows" || info.Mode().Perm()&others == 0 { // Windows has no such modes
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("token file %s can be read by others on this machine, and that can't be changed (%w): "+
			"close it to them, and make another token with neohook token --new", path, reason(err))
	}
	return &openTokenError{path}
}

// writeToken puts a token on disk, readable by the owner only.
func writeToken(path, text string) error {
	// A draft of an earlier call may have another mode.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("token file: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	_, err = file.WriteString(text + "\n")
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// settle gives a draft its name, for good.
func settle(draft, path string) error {
	if err := os.Rename(draft, path); err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}
