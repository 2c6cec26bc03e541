package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
)

// databaseAddress is where a PostgreSQL database is; "" is the embedded one.
type databaseAddress string

func (a *databaseAddress) UnmarshalText(text []byte) error {
	at, err := url.Parse(string(text))
	if err != nil || at.Scheme != "postgres" && at.Scheme != "postgresql" {
		return errors.New("is not the address of a PostgreSQL database, as postgres://user@host/name") // its text may hold a password
	}
	*a = databaseAddress(text)
	return nil
}

// LogValue is the address without what is secret in it.
func (a databaseAddress) LogValue() slog.Value { return slog.StringValue(a.shown()) }

func (a databaseAddress) shown() string {
	at, err := url.Parse(string(a))
	if err != nil {
		return redacted
	}
	query := at.Query()
	for _, secret := range []string{"password", "sslpassword", "passfile"} {
		if query.Has(secret) {
			query.Set(secret, "xxxxx") // as url.URL says it
		}
	}
	at.RawQuery = query.Encode()
	return at.Redacted()
}

// openStore opens what a place names: the database in its folder, which is made if it is
// missing, or the one at its address.
func (p place) openStore(ctx context.Context) (store.Store, error) {
	return p.open(ctx, postgres.Options{})
}

// open is openStore with options for the database at an address.
func (p place) open(ctx context.Context, opts postgres.Options) (store.Store, error) {
	folder := string(p.Data)
	if p.Database == "" {
		st, err := openStore(ctx, folder)
		if err != nil {
			return nil, err // and no store that is nil
		}
		return st, nil
	}
	if err := makeFolder(folder); err != nil { // of the key set and the token
		return nil, fmt.Errorf("data folder %s can't be made: %w", folder, reason(err))
	}
	st, err := postgres.Open(ctx, string(p.Database), opts)
	if err != nil {
		return nil, err
	}
	return st, nil
}

// keysetFile is where the key set is unless the settings say otherwise: "" leaves it to the
// store.
func (p place) keysetFile(setting string) string {
	if setting == "" && p.Database != "" {
		return filepath.Join(string(p.Data), keysetFile)
	}
	return setting
}
