package sqlite

import (
	"context"

	"github.com/neohook/neohook/store"
)

const (
	insertInstanceSQL = `INSERT OR IGNORE INTO instance (one, sealed_id_secret, created_at) VALUES (1, ?, ?)`
	instanceSQL       = `SELECT sealed_id_secret, created_at FROM instance`
)

func scanInstance(r *row) store.Instance {
	return store.Instance{SealedIDSecret: r.blob(), CreatedAt: r.time()}
}

// InitInstance stores made if there is none yet, and returns the one that is stored.
func (s *Store) InitInstance(ctx context.Context, made store.Instance) (stored store.Instance, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		if _, err := w.exec(ctx, insertInstanceSQL, made.SealedIDSecret, micros(made.CreatedAt)); err != nil {
			return err
		}
		stored, err = first(ctx, w.conn, scanInstance, instanceSQL)
		return err
	})
	return stored, err
}

// Instance returns the one stored, or ErrNotFound.
func (s *Store) Instance(ctx context.Context) (store.Instance, error) {
	return readFirst(ctx, s, scanInstance, instanceSQL)
}
