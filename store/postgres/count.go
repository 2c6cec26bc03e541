package postgres

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/tally"
)

// counted is what a transaction counts, to be written down in one row of the journal at
// its end. Whoever stores a row of history counts it in the same transaction. The zero
// value is empty; it is not safe for concurrent use.
type counted struct {
	sums map[countedAt]*store.Counts
	at   []countedAt // in the order in which they were first counted at
}

// countedAt is a minute, since 1970, and whose it is.
type countedAt struct {
	minute    int64
	tenant    store.TenantKey
	endpoint  store.EndpointKey // 0 for the tenant's events
	eventType string
}

// counts is what was counted so far at an instant, to be added to.
func (c *counted) counts(at time.Time, tenant store.TenantKey, endpoint store.EndpointKey, eventType string) *store.Counts {
	where := countedAt{startOf(store.Minute, at), tenant, endpoint, eventType}
	if c.sums == nil {
		c.sums = make(map[countedAt]*store.Counts)
	}
	if c.sums[where] == nil {
		c.sums[where] = new(store.Counts)
		c.at = append(c.at, where)
	}
	return c.sums[where]
}

// reset forgets all, for a transaction that begins anew.
func (c *counted) reset() {
	clear(c.sums)
	c.at = c.at[:0]
}

// The journal has several parts, so that each can be folded and emptied while the others are
// written to: a transaction writes to the one whose turn it is.
const (
	journalParts     = 3
	journalTurn      = 20 * time.Second
	insertJournalSQL = `INSERT INTO rollup_journal (part, turn, entries) VALUES ($1, $2, $3)`
)

// queue has the counts written down at now by a batch of statements. Nothing counted is
// nothing written.
func (c *counted) queue(batch *pgx.Batch, now time.Time) {
	if entries := c.entries(); len(entries) > 0 {
		batch.Queue(insertJournalSQL, partOf(turnOf(now)), turnOf(now), entries)
	}
}

// save writes the counts down at now.
func (c *counted) save(ctx context.Context, tx pgx.Tx, now time.Time) error {
	entries := c.entries()
	if len(entries) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, insertJournalSQL, partOf(turnOf(now)), turnOf(now), entries)
	return err
}

// turnOf is the turn of an instant.
func turnOf(now time.Time) int64 { return floorDiv(now.UnixMicro(), journalTurn.Microseconds()) }

func partOf(turn int64) int64 { return turn - floorDiv(turn, journalParts)*journalParts }

func (c *counted) entries() (entries []byte) {
	for _, at := range c.at {
		counts := c.sums[at]
		if *counts == (store.Counts{}) {
			continue
		}
		entries = tally.Append(at.append(entries), counts)
	}
	return entries
}

// append writes the place of an entry. Behind it come its counts.
func (at countedAt) append(to []byte) []byte {
	to = binary.AppendVarint(to, at.minute)
	to = binary.AppendVarint(to, int64(at.tenant))
	to = binary.AppendVarint(to, int64(at.endpoint))
	to = binary.AppendUvarint(to, uint64(len(at.eventType)))
	return append(to, at.eventType...)
}

// nextCountedAt reads what append has written, and returns what is behind it.
func nextCountedAt(from []byte) (at countedAt, rest []byte, err error) {
	var numbers [3]int64
	for i := range numbers {
		n, length := binary.Varint(from)
		if length <= 0 {
			return countedAt{}, nil, tally.ErrDamaged
		}
		numbers[i], from = n, from[length:]
	}
	size, length := binary.Uvarint(from)
	if length <= 0 || uint64(len(from)-length) < size {
		return countedAt{}, nil, tally.ErrDamaged
	}
	from = from[length:]
	return countedAt{numbers[0], store.TenantKey(numbers[1]), store.EndpointKey(numbers[2]), string(from[:size])}, from[size:], nil
}
