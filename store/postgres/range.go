package postgres

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// ranges knows for which keys of events there are partitions. They are made ahead: when
// keys come from the last range that is there, another one is made behind it, while
// commits go on.
type ranges struct {
	// until is the first key that there is no partition for, in one table at least; ahead
	// the first one that asks for more. Both are 0 while nothing is known.
	until, ahead atomic.Int64

	mu     sync.Mutex
	making chan struct{} // closed when it has been done; nil while nobody makes any
	// asked is the highest key that has asked for more meanwhile, and when.
	asked   store.EventKey
	askedAt time.Time
	closed  bool
}

// divided is a table in ranges of the event's key.
type divided struct {
	table string
	// A range is about as long as lasts, by the rate of the ones before, but within smallest
	// and largest keys.
	lasts             time.Duration
	smallest, largest int64
	with              string // how the table is stored
}

// What is kept for months is in some two hundred ranges, of 8 to 16 hours: less than grace,
// so that they go as a whole. Fresh deliveries are for moments, and what is deleted of them
// is cleared away with their range only: whoever looks for lanes walks past it.
var dividedTables = []divided{
	{table: "event", lasts: 8 * time.Hour, smallest: 1 << 20, largest: 1 << 26},
	{table: "payload", lasts: 8 * time.Hour, smallest: 1 << 20, largest: 1 << 26},
	{table: "history", lasts: 8 * time.Hour, smallest: 1 << 20, largest: 1 << 26},
	{table: "attempt", lasts: 8 * time.Hour, smallest: 1 << 20, largest: 1 << 26},
	{
		table: "delivery", lasts: 30 * time.Second, smallest: 1 << 16, largest: 1 << 20,
		with: ` WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_scale_factor = 1)`,
	},
}

// covers says that there are partitions for all keys up to this one. Where it does not,
// make them.
func (r *ranges) covers(key store.EventKey) bool { return int64(key) < r.until.Load() }

// reached has partitions made ahead if a key has come that far. It does not wait for them.
func (s *Store) reached(ctx context.Context, key store.EventKey, now time.Time) {
	if int64(key) < s.ranges.ahead.Load() {
		return
	}
	s.ranges.mu.Lock()
	defer s.ranges.mu.Unlock()
	switch {
	case s.ranges.closed:
	case s.ranges.making != nil:
		if key > s.ranges.asked {
			s.ranges.asked, s.ranges.askedAt = key, now
		}
	default:
		s.ranges.making = make(chan struct{})
		go s.makeAhead(context.WithoutCancel(ctx), key, now) // it is of use to others
	}
}

// makeAhead makes ranges ahead, and lets go of others, as long as anybody asks for it.
func (s *Store) makeAhead(ctx context.Context, key store.EventKey, now time.Time) {
	for asked := true; asked; key, now, asked = s.ranges.next(key) {
		// Where it does not work out the next one tries again, or says why not when there is
		// no room left.
		if s.makeRanges(ctx, key, now) == nil {
			_ = s.dropSpent(ctx)
		}
	}
}

// next returns the key that has asked for more since they were made for one. Where none
// has, or has got it by now, nobody makes any from then on.
func (r *ranges) next(made store.EventKey) (key store.EventKey, now time.Time, asked bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked > made && int64(r.asked) >= r.ahead.Load() && !r.closed {
		return r.asked, r.askedAt, true
	}
	close(r.making)
	r.making = nil
	return 0, now, false
}

// close waits until nobody makes any.
func (r *ranges) close() {
	r.mu.Lock()
	r.closed = true
	making := r.making
	r.mu.Unlock()
	if making != nil {
		<-making
	}
}

const (
	// rangingSQL is what those who make or drop ranges take turns by.
	rangingSQL = `SELECT pg_advisory_xact_lock(hashtextextended('neohook ranges ' || current_schema(), 0))`
	rangesSQL  = `SELECT low, high, made_at FROM key_range WHERE of = $1 ORDER BY low DESC LIMIT 2`
	// A partition is made and then attached, which holds up nobody who reads or writes, as to
	// make it in its place would.
	makeRangeSQL   = `CREATE TABLE %[1]s_from_%[2]d (LIKE %[1]s INCLUDING ALL)%[4]s`
	attachRangeSQL = `ALTER TABLE %[1]s ATTACH PARTITION %[1]s_from_%[2]d FOR VALUES FROM (%[2]d) TO (%[3]d)`
	insertRangeSQL = `INSERT INTO key_range (of, low, high, made_at) VALUES ($1, $2, $3, $4)`
)

// keyRange is a row of key_range.
type keyRange struct {
	low, high int64
	madeAt    time.Time
}

func scanRange(row pgx.CollectableRow) (r keyRange, err error) {
	return r, row.Scan(&r.low, &r.high, &r.madeAt)
}

// makeRanges sees to it that there are partitions for a key and, behind the one that it is
// in, for the next ones.
func (s *Store) makeRanges(ctx context.Context, key store.EventKey, now time.Time) error {
	var until, ahead int64
	err := s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, rangingSQL); err != nil {
			return err
		}
		until, ahead = 0, 0
		for _, of := range dividedTables {
			last, err := of.extend(ctx, tx, int64(key), now)
			if err != nil {
				return fmt.Errorf("range of %s: %w", of.table, err)
			}
			if until == 0 || last.high < until {
				until = last.high
			}
			if ahead == 0 || last.low < ahead {
				ahead = last.low
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Another call may have come further meanwhile.
	for _, raise := range []struct {
		known *atomic.Int64
		to    int64
	}{{&s.ranges.until, until}, {&s.ranges.ahead, ahead}} {
		for known := raise.known.Load(); known < raise.to && !raise.known.CompareAndSwap(known, raise.to); known = raise.known.Load() {
		}
	}
	return nil
}

// extend makes the ranges that are missing until the last one is behind a key, and returns
// that one.
func (of divided) extend(ctx context.Context, tx pgx.Tx, key int64, now time.Time) (last keyRange, err error) {
	known, err := all(ctx, tx, scanRange, rangesSQL, of.table)
	if err != nil {
		return last, err
	}
	last = keyRange{low: 1, high: 1, madeAt: now}
	size := of.smallest
	if len(known) > 0 {
		last = known[0]
		size = last.high - last.low
	}
	if len(known) > 1 {
		size = of.size(size, known[1].high-known[1].low, now.Sub(last.madeAt))
	}
	for len(known) == 0 || last.low <= key {
		next := keyRange{low: last.high, high: max(last.high+size, key+1), madeAt: instant(now)}
		for _, query := range []string{
			fmt.Sprintf(makeRangeSQL, of.table, next.low, next.high, of.with), fmt.Sprintf(attachRangeSQL, of.table, next.low, next.high),
		} {
			if _, err := tx.Exec(ctx, query); err != nil {
				return last, err
			}
		}
		if _, err := tx.Exec(ctx, insertRangeSQL, of.table, next.low, next.high, next.madeAt); err != nil {
			return last, err
		}
		known, last = append(known, next), next
	}
	return last, nil
}

// size is how many keys the next range has: the last one has so many, and the one before,
// with as many as used, was used up in a time. It changes by small steps, as a rush passes.
func (of divided) size(last, used int64, in time.Duration) int64 {
	if in <= 0 { // the clock was set back
		return last
	}
	const step = 4
	wanted := float64(used) * (of.lasts.Seconds() / in.Seconds())
	wanted = min(max(wanted, float64(last/step), float64(of.smallest)), float64(last*step), float64(of.largest))
	return 1 << (bits.Len64(uint64(wanted)-1) & 63) // the next power of two
}
