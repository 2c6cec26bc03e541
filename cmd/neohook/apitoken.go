package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// errTokenLost is returned where the store knows tokens and the file has none of them.
var errTokenLost = errors.New("the file with the API token is lost; make a new token with: neohook token --new --data")

const (
	tokenPrefix = "nh_"   // for people and for scanners that look for secrets in code
	tokenName   = "admin" // in the store
)

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
		return text, check(ctx, tokens, folder, text, now)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	draft := path + ".new"
	text, err = readToken(draft)
	if err != nil { // none, or one that was not written to its end
		text = newToken()
		if err := writeToken(draft, text); err != nil {
			return "", err
		}
	}
	if err := check(ctx, tokens, folder, text, now); err != nil {
		return "", errors.Join(err, os.Remove(draft))
	}
	return text, settle(draft, path)
}

// replaceToken makes a new API token; the folder's former one opens nothing any more.
func replaceToken(ctx context.Context, tokens tokenStore, folder string, now time.Time) (string, error) {
	path := filepath.Join(folder, tokenFile)
	draft, text := path+".new", newToken()
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

// check stores the token if the store has none, and sees to it that it is known.
func check(ctx context.Context, tokens tokenStore, folder, text string, now time.Time) error {
	token, err := tokenOf(ctx, tokens, text, now)
	if err != nil {
		return err
	}
	if _, err := tokens.InitToken(ctx, token); err != nil {
		return err
	}
	_, err = tokens.Token(ctx, token.Hash, now)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w %s", errTokenLost, folder)
	}
	return err
}

func newToken() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails: it ends the program rather than return an error
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
}

func tokenOf(ctx context.Context, tokens tokenStore, text string, now time.Time) (store.Token, error) {
	key, err := tokens.NewKey(ctx)
	return store.Token{
		Key: store.TokenKey(key), Hash: sha256.Sum256([]byte(text)), Organisation: string(neohook.DefaultOrganisation),
		Name: tokenName, Scopes: []string{string(access.Admin)}, CreatedAt: now,
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
