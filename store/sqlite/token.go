package sqlite

import (
	"context"

	"github.com/neohook/neohook/store"
)

const (
	insertFirstTokenSQL = `INSERT INTO token (hash, organisation, name, created_at)
		SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM token)`
	deleteTokensSQL = `DELETE FROM token WHERE organisation = ? AND name = ?`
	insertTokenSQL  = `INSERT OR REPLACE INTO token (hash, organisation, name, created_at) VALUES (?, ?, ?, ?)`
	tokenSQL        = `SELECT hash, organisation, name, created_at FROM token WHERE hash = ?`
)

func scanToken(r *row) store.Token {
	return store.Token{
		Hash: [32]byte(r.blob()), Organisation: r.text(), Name: r.text(), CreatedAt: r.time(),
	}
}

// InitToken stores first if there is no token at all yet, and says whether it did.
func (s *Store) InitToken(ctx context.Context, first store.Token) (stored bool, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		inserted, err := w.exec(ctx, insertFirstTokenSQL,
			first.Hash[:], first.Organisation, first.Name, micros(first.CreatedAt))
		stored = inserted == 1
		return err
	})
	return stored, err
}

// ReplaceToken stores a token in place of all those of its organisation that have its name.
func (s *Store) ReplaceToken(ctx context.Context, token store.Token) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		if _, err := w.exec(ctx, deleteTokensSQL, token.Organisation, token.Name); err != nil {
			return err
		}
		_, err := w.exec(ctx, insertTokenSQL, token.Hash[:], token.Organisation, token.Name, micros(token.CreatedAt))
		return err
	})
}

// Token returns the token of a hash, or ErrNotFound.
func (s *Store) Token(ctx context.Context, hash [32]byte) (store.Token, error) {
	return readFirst(ctx, s, scanToken, tokenSQL, hash[:])
}
