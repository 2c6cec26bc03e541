package sqlite

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// slot is a range of the table once: see the migration.
type slot struct {
	number, ttl, span int64
}

// end is the instant at which nothing in the slot is live any more.
func (s slot) end() int64 { return (s.span + 1) * s.ttl }

// slots are all that exist. There are two for each time to live in use, and those whose
// rows are not deleted yet.
type slots struct {
	byTTL   map[int64][]slot
	nextEnd int64 // no slot ends before
}

const slotsSQL = `SELECT slot, ttl, span FROM once_slot`

func (w *writer) loadSlots(ctx context.Context) error {
	if w.slots != nil {
		return nil
	}
	found, err := all(ctx, w.conn, func(r *row) slot { return slot{r.int(), r.int(), r.int()} }, slotsSQL)
	if err != nil {
		return err
	}
	w.slots = &slots{byTTL: make(map[int64][]slot), nextEnd: math.MaxInt64}
	for _, s := range found {
		w.slots.add(s)
	}
	return nil
}

func (known *slots) add(s slot) {
	known.byTTL[s.ttl] = append(known.byTTL[s.ttl], s)
	known.nextEnd = min(known.nextEnd, s.end())
}

func (known *slots) remove(s slot) {
	left := slices.DeleteFunc(known.byTTL[s.ttl], func(other slot) bool { return other == s })
	if len(left) == 0 {
		delete(known.byTTL, s.ttl)
		return
	}
	known.byTTL[s.ttl] = left
}

const insertSlotSQL = `INSERT INTO once_slot (slot, ttl, span) SELECT coalesce(max(slot), 0) + 1, ?1, ?2 FROM once_slot
	RETURNING slot, ttl, span`

// openSlot returns the slot for what expires at expiry, made if it is not there, and how
// many other slots of the same ttl may hold something that is live at now, and one of
// them.
func (w *writer) openSlot(ctx context.Context, ttl, expiry, now int64) (open slot, others int, other slot, err error) {
	if err := w.loadSlots(ctx); err != nil {
		return open, 0, other, err
	}
	for _, s := range w.slots.byTTL[ttl] {
		switch {
		case s.span == expiry/ttl:
			open = s
		case s.end() > now:
			others, other = others+1, s
		}
	}
	if open.number == 0 {
		open, err = first(ctx, w.conn, func(r *row) slot { return slot{r.int(), r.int(), r.int()} },
			insertSlotSQL, ttl, expiry/ttl)
		if err != nil {
			return open, 0, other, err
		}
		w.slots.add(open)
	}
	return open, others, other, nil
}

// earlier is what was made under a Once before.
type earlier struct {
	body   [16]byte
	madeAt time.Time
	event  store.EventKey
	answer []byte
}

func scanEarlier(r *row) *earlier {
	return &earlier{
		body: [16]byte(r.blob()), madeAt: r.time(), event: store.EventKey(r.int()), answer: r.blob(),
	}
}

// err tells of a repeat in the words of Directory.
func (e *earlier) err(once *store.Once) error {
	if e.body != once.Body {
		return &store.ReplayError{Mismatch: true}
	}
	return &store.ReplayError{Answer: e.answer}
}

// earlierSQL finds what was made under a hash since an instant, exclusive.
const earlierSQL = `SELECT once.body, once.made_at, once.event, once.answer
	FROM once_slot CROSS JOIN once ON once.slot = once_slot.slot
	WHERE once_slot.ttl = ?1 AND once.hash = ?2 AND once.made_at > ?3`

// findEarlier returns what was made under once and is live at now, or nil.
func findEarlier(ctx context.Context, c *conn, once *store.Once, now time.Time) (*earlier, error) {
	ttl := once.TTL.Microseconds()
	found, err := first(ctx, c, scanEarlier, earlierSQL, ttl, once.Hash[:], micros(now)-ttl)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return found, err
}

const (
	// claimSQL stores a Once unless it is in its own slot or in one other: the usual
	// case in one statement.
	claimSQL = `INSERT INTO once (slot, hash, body, made_at, event, answer)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (SELECT 1 FROM once WHERE slot = ?7 AND hash = ?2)
		ON CONFLICT DO NOTHING`
	insertOnceSQL = `INSERT OR REPLACE INTO once (slot, hash, body, made_at, event, answer) VALUES (?, ?, ?, ?, ?, ?)`
)

// claim stores once, as made now, with the event or the answer; or returns what was made
// under it before and is still live.
func (w *writer) claim(ctx context.Context, once *store.Once, now time.Time, event store.EventKey, answer []byte) (*earlier, error) {
	ttl, at := once.TTL.Microseconds(), micros(now)
	if ttl <= 0 {
		return nil, nil // over at once
	}
	open, others, other, err := w.openSlot(ctx, ttl, at+ttl, at)
	if err != nil {
		return nil, err
	}
	if others <= 1 {
		stored, err := w.exec(ctx, claimSQL,
			open.number, once.Hash[:], once.Body[:], at, int64(event), blobOrNull(answer), other.number)
		if err != nil || stored == 1 {
			return nil, err
		}
	}
	found, err := findEarlier(ctx, w.conn, once, now)
	if err != nil || found != nil {
		return found, err
	}
	// What was in the way has expired, or the clock has jumped and left several slots.
	_, err = w.exec(ctx, insertOnceSQL,
		open.number, once.Hash[:], once.Body[:], at, int64(event), blobOrNull(answer))
	return nil, err
}

// claimChange is claim for a change of the directory: a repeat is a *ReplayError.
func (w *writer) claimChange(ctx context.Context, once *store.Once) error {
	if once == nil {
		return nil
	}
	found, err := w.claim(ctx, once, once.Now, 0, once.Answer)
	if err != nil || found == nil {
		return err
	}
	return found.err(once)
}

const (
	sweepSQL = `DELETE FROM once WHERE slot = ?1 AND hash <= coalesce(
		(SELECT hash FROM once WHERE slot = ?1 ORDER BY hash LIMIT 1 OFFSET ?2 - 1),
		x'ffffffffffffffffffffffffffffffff')`
	deleteSlotSQL = `DELETE FROM once_slot WHERE slot = ?`
)

// sweep deletes up to count rows of slots that have ended.
func (w *writer) sweep(ctx context.Context, now time.Time, count int) error {
	if err := w.loadSlots(ctx); err != nil {
		return err
	}
	if micros(now) < w.slots.nextEnd {
		return nil
	}
	w.slots.nextEnd = math.MaxInt64
	for _, ended := range w.slots.all() {
		if ended.end() <= micros(now) && count > 0 {
			deleted, err := w.exec(ctx, sweepSQL, ended.number, int64(count))
			if err != nil {
				return err
			}
			if deleted < int64(count) {
				if _, err := w.exec(ctx, deleteSlotSQL, ended.number); err != nil {
					return err
				}
				w.slots.remove(ended)
			}
			count -= int(deleted)
		}
	}
	for _, left := range w.slots.all() {
		w.slots.nextEnd = min(w.slots.nextEnd, left.end())
	}
	return nil
}

// all returns the slots, soonest to end first.
func (known *slots) all() []slot {
	var list []slot
	for _, slots := range known.byTTL {
		list = append(list, slots...)
	}
	slices.SortFunc(list, func(a, b slot) int { return int(a.end() - b.end()) })
	return list
}

// Replay returns the stored answer of once as *ReplayError, or nil if it was not seen
// before, as of now.
func (s *Store) Replay(ctx context.Context, once *store.Once, now time.Time) error {
	return s.read(ctx, func(ctx context.Context, c *conn) error {
		found, err := findEarlier(ctx, c, once, now)
		if err != nil || found == nil {
			return err
		}
		return found.err(once)
	})
}
