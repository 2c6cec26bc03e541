package sqlite

import (
	"context"

	"github.com/neohook/neohook/store"
)

const (
	insertInstanceSQL = `INSERT OR IGNORE INTO instance (one, sealed_id_secret, created_at, paused) VALUES (1, ?, ?, ?)`
	instanceSQL       = `SELECT sealed_id_secret, created_at, paused FROM instance`
	pauseInstanceSQL  = `UPDATE instance SET paused = ?1 WHERE one = 1`
)

func scanInstance(r *row) store.Instance {
	return store.Instance{SealedIDSecret: r.blob(), CreatedAt: r.time(), Paused: r.bool()}
}

// InitInstance stores made if there is none yet, and returns the one that is stored.
func (s *Store) InitInstance(ctx context.Context, made store.Instance) (stored store.Instance, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		if _, err := w.exec(ctx, insertInstanceSQL, made.SealedIDSecret, micros(made.CreatedAt), integer(made.Paused)); err != nil {
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

// SetPaused changes whether everything is paused.
func (s *Store) SetPaused(ctx context.Context, paused bool) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		stored, err := first(ctx, w.conn, scanInstance, instanceSQL)
		if err != nil || stored.Paused == paused {
			return err
		}
		if _, err := w.exec(ctx, deleteAllFailingSQL); err != nil {
			return err
		}
		_, err = w.exec(ctx, pauseInstanceSQL, integer(paused))
		return err
	})
}
