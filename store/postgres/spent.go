package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// Fresh deliveries come and go by the thousand, and each leaves a dead row, which nothing
// clears away while somebody's transaction is open. So a range of them is dropped soon
// after no more can come to it. What is open in it still goes to those that wait first.

const (
	// A range of which more than one in fewSpent is open is left for later, as it would be
	// much to move, as long as there are not more than mostRanges.
	fewSpent   = 8
	mostRanges = 16
	// movedTogether is how many deliveries are moved in a transaction.
	movedTogether = 5000
)

const (
	spentRangesSQL = `SELECT low, high FROM key_range WHERE of = 'delivery' AND high <= $1 ORDER BY low`
	countOpenInSQL = `SELECT count(*) FROM (SELECT FROM delivery WHERE event >= $1 AND event < $2 LIMIT $3) AS open`
	moveOpenSQL    = `WITH chosen AS (SELECT endpoint, event FROM delivery WHERE event >= $1 AND event < $2 ORDER BY endpoint, event LIMIT $3 FOR UPDATE),
			moved AS (DELETE FROM delivery USING chosen
				WHERE delivery.event >= $1 AND delivery.event < $2 AND delivery.endpoint = chosen.endpoint AND delivery.event = chosen.event
				RETURNING delivery.endpoint, delivery.event)
		INSERT INTO waiting (endpoint, event, tried, job) SELECT endpoint, event, 0, 0 FROM moved`
)

// dropSpent drops the ranges of fresh deliveries to which no more can come, as far as nobody
// else keeps it from that.
func (s *Store) dropSpent(ctx context.Context) error {
	drawn, err := s.settled(ctx)
	if err != nil {
		return err
	}
	ranges, err := readAll(ctx, s, func(row pgx.CollectableRow) (r keyRange, err error) {
		return r, row.Scan(&r.low, &r.high)
	}, spentRangesSQL, drawn)
	if err != nil {
		return err
	}
	var kept error // who keeps all of it keeps it from what follows, too
	for i, r := range ranges {
		few := (r.high - r.low) / fewSpent
		open, err := readFirst(ctx, s, scanKey, countOpenInSQL, r.low, r.high, few+1)
		if err != nil {
			return err
		}
		if open > few && len(ranges)-i <= mostRanges {
			continue
		}
		if err := s.moveOpen(ctx, r.low, r.high); err != nil {
			return err
		}
		if kept == nil {
			kept = elsewhere(s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error { return dropDeliveries(ctx, tx, r.low, r.high) }))
		}
		if errors.Is(kept, errElsewhere) {
			err = elsewhere(s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error { return emptyDeliveries(ctx, tx, r.low) }))
		} else {
			err = kept
		}
		if err != nil && !errors.Is(err, errElsewhere) && !isGone(err) {
			return err
		}
	}
	return kept
}

// emptyDeliveries gives back the room of a range in which nothing is open and that can't be
// dropped yet, as somebody reads the whole table, or has. A backup does, all the time that it
// takes; but not the ranges that were made since.
func emptyDeliveries(ctx context.Context, tx pgx.Tx, low int64) error {
	name := partitionOf("delivery", low).name
	filled, err := first(ctx, tx, pgx.RowTo[bool], `SELECT coalesce(pg_relation_size(to_regclass($1::text)), 0) > 0`, name)
	if err != nil || !filled {
		return err
	}
	if err := queries(ctx, tx, `SET LOCAL lock_timeout = '50ms'`, `LOCK TABLE `+name+` IN ACCESS EXCLUSIVE MODE`); err != nil {
		return err
	}
	left, err := first(ctx, tx, pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM `+name+`)`)
	if err != nil || left {
		return err
	}
	return queries(ctx, tx, `TRUNCATE `+name)
}

// moveOpen moves what is open in a range to those that wait. Who ends a delivery looks there
// behind, and so does who reads: it is in one of the two places.
func (s *Store) moveOpen(ctx context.Context, low, high int64) error {
	for moved := int64(movedTogether); moved == movedTogether; {
		err := s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, moveOpenSQL, low, high, movedTogether)
			moved = tag.RowsAffected()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dropDeliveries drops a range in which nothing is open.
func dropDeliveries(ctx context.Context, tx pgx.Tx, low, high int64) error {
	name := partitionOf("delivery", low).name
	for _, query := range []string{rangingSQL, `SET LOCAL lock_timeout = '100ms'`} {
		if _, err := tx.Exec(ctx, query); err != nil {
			return err
		}
	}
	there, err := first(ctx, tx, pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM key_range WHERE of = 'delivery' AND low = $1)`, low)
	if err != nil || !there {
		return err
	}
	// The whole table's lock, which dropping needs, comes first: who has it waits for nobody.
	for _, query := range []string{`LOCK TABLE ONLY delivery IN ACCESS EXCLUSIVE MODE`, `LOCK TABLE ` + name + ` IN ACCESS EXCLUSIVE MODE`} {
		if _, err := tx.Exec(ctx, query); err != nil {
			return err
		}
	}
	left, err := first(ctx, tx, pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM `+name+`)`)
	if err != nil {
		return err
	}
	if left {
		return errElsewhere // what was too late comes with the next try
	}
	if _, err := tx.Exec(ctx, `DROP TABLE `+name); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, deleteRangesSQL, low, high, []string{"delivery"})
	return err
}
