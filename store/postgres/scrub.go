package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
)

// expunged remembers in which ranges this handle has expunged something that was not
// scrubbed yet.
type expunged struct {
	mu     sync.Mutex
	blocks map[int64]struct{} // of events, 1<<expungedBits keys each
}

const expungedBits = 16

func (x *expunged) note(events []int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.blocks == nil {
		x.blocks = make(map[int64]struct{})
	}
	for _, event := range events {
		x.blocks[event>>expungedBits] = struct{}{}
	}
}

func (x *expunged) take() []int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	var lows []int64
	for block := range x.blocks {
		lows = append(lows, block<<expungedBits)
	}
	clear(x.blocks)
	return lows
}

const expungedRangesSQL = `SELECT DISTINCT of, low FROM key_range JOIN unnest($1::bigint[]) AS block (start)
	ON high > start AND low < start + $2 WHERE of <> 'delivery'`

// Scrub has the server clear away what this handle has expunged. It can do no more than
// that: PostgreSQL keeps what was deleted for the oldest transaction that is open, whosever
// that is; it does not overwrite what it has cleared away before something else comes to
// the place; and its log, with whatever was made of that, holds it until it is recycled.
func (s *Store) Scrub(ctx context.Context) error {
	blocks := s.expunged.take()
	if len(blocks) == 0 {
		return s.read(ctx, func(context.Context, querier) error { return nil })
	}
	partitions, err := readAll(ctx, s, func(row pgx.CollectableRow) (partition, error) {
		var table string
		var low int64
		err := row.Scan(&table, &low)
		return partitionOf(table, low), err
	}, expungedRangesSQL, blocks, 1<<expungedBits)
	for _, p := range partitions {
		if err == nil {
			err = s.read(ctx, func(ctx context.Context, q querier) error {
				return exec(ctx, q, `VACUUM (TRUNCATE false) `+p.name)
			})
		}
	}
	if err != nil {
		s.expunged.note(blocks)
	}
	return err
}
