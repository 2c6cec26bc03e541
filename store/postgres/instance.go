package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	insertInstanceSQL = `INSERT INTO instance (one, sealed_id_secret, created_at, paused) VALUES (true, $1, $2, $3) ON CONFLICT DO NOTHING`
	instanceSQL       = `SELECT sealed_id_secret, created_at, paused FROM instance`
	lockInstanceSQL   = instanceSQL + ` FOR UPDATE`
	pauseInstanceSQL  = `UPDATE instance SET paused = $1`
)

func scanInstance(row pgx.CollectableRow) (found store.Instance, err error) {
	err = row.Scan(&found.SealedIDSecret, &found.CreatedAt, &found.Paused)
	found.CreatedAt = found.CreatedAt.UTC()
	return found, err
}

// InitInstance stores made if there is none yet, and returns the one that is stored.
func (s *Store) InitInstance(ctx context.Context, made store.Instance) (stored store.Instance, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, insertInstanceSQL, made.SealedIDSecret, instant(made.CreatedAt), made.Paused); err != nil {
			return err
		}
		stored, err = first(ctx, tx, scanInstance, instanceSQL)
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
	return s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) error {
		stored, err := first(ctx, tx, scanInstance, lockInstanceSQL)
		if err != nil || stored.Paused == paused {
			return err
		}
		if _, err := tx.Exec(ctx, deleteAllFailingSQL); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, pauseInstanceSQL, paused); err != nil {
			return err
		}
		return p.everybody(ctx, tx, store.SignalPaused)
	})
}
