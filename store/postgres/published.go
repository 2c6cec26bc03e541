package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// Keys that events are published under are as many as events, and are kept for minutes or
// hours. To delete each of them would leave as many rows to be cleared away, in an index
// without any order. So they are by how long they are kept, and there in three parts that
// are written to in turn, each for as long as keys are kept at most: when the turn comes to
// a part again all in it has expired, and it is emptied as a whole. Equal hashes are kept for
// as long as each other, so who asks for one asks three parts.
//
// That a hash is stored once is for the unique index of a part. Turns change while nobody
// publishes under a key: so of two at once none writes to another part than the other.

// publishedKept are the longest times in which keys are kept together.
var publishedKept = [...]time.Duration{10 * time.Minute, 12 * time.Hour, 7 * 24 * time.Hour, 366 * 24 * time.Hour}

const partsInTurn = 3

// keptWith is the place of those that a key is kept with.
func keptWith(once *store.Once) int {
	place, _ := slices.BinarySearchFunc(publishedKept[:len(publishedKept)-1], once.TTL, cmp.Compare[time.Duration])
	return place
}

// publishedPart is the table that has the turn.
func publishedPart(kept int, turn int64) string {
	return fmt.Sprintf("published_%d", int64(kept*partsInTurn)+turn%partsInTurn)
}

const (
	// publishingSQL shares what has to be had alone to change turns.
	publishingSQL = `SELECT pg_advisory_xact_lock_shared(hashtextextended('neohook published ' || current_schema(), 0))`
	turningSQL    = `SELECT pg_advisory_xact_lock(hashtextextended('neohook published ' || current_schema(), 0))`
	turnsSQL      = `SELECT kept, turn, began_at FROM published_turn ORDER BY kept`

	// %s is the part. They fail where another transaction was first.
	insertPublishedSQL = `INSERT INTO %s (part, hash, body, event, accepted_at, expires_at)
		SELECT $1::smallint, hash, body, event, $2, expires_at
		FROM unnest($3::bytea[], $4::bytea[], $5::bigint[], $6::timestamptz[]) AS new (hash, body, event, expires_at) ORDER BY hash`
	expirePublishedSQL = `DELETE FROM %s WHERE hash = ANY ($1) AND expires_at <= $2`
)

// publishedSQL are the statements that look for hashes, by how long they are kept.
var publishedSQL = func() (queries [len(publishedKept)]string) {
	for kept := range queries {
		for turn := range int64(partsInTurn) {
			if turn > 0 {
				queries[kept] += " UNION ALL "
			}
			queries[kept] += `SELECT hash, body, event, accepted_at, expires_at <= $2 FROM ` + publishedPart(kept, turn) + ` WHERE hash = ANY ($1)`
		}
	}
	return queries
}()

// onceKeys are the keys of events, by how long they are kept.
type onceKeys [len(publishedKept)]struct {
	hashes, expired [][]byte // what is asked for, and what of that is there to be replaced
	turn            int64
}

// ask finds out which part has the turn, and which of the hashes are stored.
func (k *onceKeys) ask(batch *pgx.Batch, now time.Time, found func(hash [16]byte, p published)) {
	asked := false
	for kept := range k {
		if len(k[kept].hashes) == 0 {
			continue
		}
		if !asked {
			asked = true
			batch.Queue(publishingSQL)
			batch.Queue(turnsSQL).Query(eachRow(func(rows pgx.Rows) error {
				turn, err := scanTurn(rows)
				if err == nil && turn.kept < len(k) {
					k[turn.kept].turn = turn.turn
				}
				return err
			}))
		}
		batch.Queue(publishedSQL[kept], k[kept].hashes, now).Query(eachRow(func(rows pgx.Rows) error {
			hash, one, expired, err := scanPublished(rows)
			switch {
			case err != nil:
				return err
			case expired:
				k[kept].expired = append(k[kept].expired, hash[:])
			default:
				found(hash, one)
			}
			return nil
		}))
	}
}

func scanPublished(rows pgx.Rows) (_ [16]byte, found published, expired bool, err error) {
	var hash, body []byte
	if err = rows.Scan(&hash, &body, &found.event, &found.acceptedAt, &expired); err != nil {
		return [16]byte{}, found, false, err
	}
	found.body, found.acceptedAt = [16]byte(body), found.acceptedAt.UTC()
	return [16]byte(hash), found, expired, nil
}

// publishedTurn is a row of published_turn.
type publishedTurn struct {
	kept  int
	turn  int64
	began time.Time
}

func scanTurn(row pgx.CollectableRow) (t publishedTurn, err error) {
	return t, row.Scan(&t.kept, &t.turn, &t.began)
}

// turnPublished changes the turns that have lasted for as long as keys are kept, and empties
// the parts that come next, unless somebody is in the way.
func (s *Store) turnPublished(ctx context.Context, now time.Time) error {
	turns, err := readAll(ctx, s, scanTurn, turnsSQL)
	if err != nil {
		return err
	}
	for _, t := range turns {
		if t.kept >= len(publishedKept) {
			continue // a newer program's
		}
		// Clocks may differ a little between those who publish.
		lasted, length := now.Sub(t.began), publishedKept[t.kept]
		var change func(context.Context, pgx.Tx) error
		switch next := publishedPart(t.kept, t.turn+1); {
		case lasted >= length:
			change = func(ctx context.Context, tx pgx.Tx) error { return t.change(ctx, tx, now) }
		case lasted >= length/10:
			change = func(ctx context.Context, tx pgx.Tx) error { return t.alone(ctx, tx, publishingSQL, next) }
		default:
			continue
		}
		if err := elsewhere(s.transact(ctx, change)); err != nil && !errors.Is(err, errElsewhere) {
			return err
		}
	}
	return nil
}

const changeTurnSQL = `UPDATE published_turn SET turn = $2, began_at = $3 WHERE kept = $1`

// change gives the turn to the next part. Of those who publish meanwhile none knows the
// old turn, as they share the lock from before they ask for it. One in which nothing was
// written lasts.
func (t *publishedTurn) change(ctx context.Context, tx pgx.Tx, now time.Time) error {
	used, err := first(ctx, tx, pgx.RowTo[bool], filledSQL, publishedPart(t.kept, t.turn))
	if err != nil || !used {
		return err
	}
	if err := t.alone(ctx, tx, turningSQL, publishedPart(t.kept, t.turn+1)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, changeTurnSQL, t.kept, t.turn+1, instant(now))
	return err
}

const filledSQL = `SELECT pg_relation_size($1::text::regclass) > 0`

// alone empties the next part, under a lock that keeps turns from being changed. It returns
// errElsewhere where that has been done meanwhile.
func (t *publishedTurn) alone(ctx context.Context, tx pgx.Tx, lock, next string) error {
	if err := queries(ctx, tx, `SET LOCAL lock_timeout = '100ms'`, lock); err != nil {
		return err
	}
	turns, err := all(ctx, tx, scanTurn, turnsSQL)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(turns, func(other publishedTurn) bool { return other.kept == t.kept && other.turn == t.turn }) {
		return errElsewhere
	}
	if filled, err := first(ctx, tx, pgx.RowTo[bool], filledSQL, next); err != nil || !filled {
		return err
	}
	return queries(ctx, tx, `TRUNCATE `+next)
}
