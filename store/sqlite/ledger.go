package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// ledger knows the events that were published under a Once. Hashes come in no order, so
// a b-tree of them would have each event write a page of its own; that was 40 % of a
// commit, and grew with the table. The ledger writes in sequence instead, and looks up by
// memory: the newest entries whole, for the others a filter of three bytes each.
//
// It belongs to the writer. After a transaction that was undone it is loaded anew.
type ledger struct {
	recent  map[[16]byte]entry // those in the table ledger_batch
	fresh   []byte             // those of the transaction that is under way
	shelves map[int64]*shelf   // by class
	last    int64              // the highest number that a run had
}

// entry is an event published under a Once. Instants and durations are in microseconds.
type entry struct {
	hash, body [16]byte
	event      store.EventKey
	madeAt     int64
	ttl        int64
}

const entrySize = 16 + 16 + 8 + 8 + 8

func (e *entry) append(to []byte) []byte {
	to = append(append(to, e.hash[:]...), e.body[:]...)
	to = binary.BigEndian.AppendUint64(to, uint64(e.event)) //nolint:gosec // and back in decodeEntry
	to = binary.BigEndian.AppendUint64(to, uint64(e.madeAt))
	return binary.BigEndian.AppendUint64(to, uint64(e.ttl))
}

func decodeEntry(from []byte) (e entry) {
	copy(e.hash[:], from)
	copy(e.body[:], from[16:])
	e.event = store.EventKey(binary.BigEndian.Uint64(from[32:])) //nolint:gosec // see append
	e.madeAt = int64(binary.BigEndian.Uint64(from[40:]))
	e.ttl = int64(binary.BigEndian.Uint64(from[48:]))
	return e
}

func (e *entry) expires() int64 { return e.madeAt + e.ttl }

// class groups times to live by their order of magnitude, so that the entries of a run
// expire at about the same time.
func class(ttl int64) int64 { return int64(bits.Len64(uint64(ttl))) } //nolint:gosec // more than 0

// run is a part of the ledger that is not in memory.
type run struct {
	number int64
	until  int64 // when the last of it expires
}

// shelf holds the runs of a class, with a filter each.
type shelf struct {
	runs    []run
	filters filters
}

func (l *ledger) shelve(class int64, r run, f filter) {
	s := l.shelves[class]
	if s == nil {
		s = new(shelf)
		l.shelves[class] = s
	}
	s.runs = append(s.runs, r)
	s.filters.add(f)
	l.last = max(l.last, r.number)
}

const (
	ledgerRunsSQL    = `SELECT class, number, until, filter FROM ledger_run ORDER BY number`
	ledgerBatchesSQL = `SELECT entries FROM ledger_batch ORDER BY number`
)

func (w *writer) loadLedger(ctx context.Context) error {
	l := &ledger{recent: make(map[[16]byte]entry), shelves: make(map[int64]*shelf)}
	for r, err := range w.rows(ctx, ledgerRunsSQL) {
		if err != nil {
			return err
		}
		l.shelve(r.int(), run{number: r.int(), until: r.int()}, r.blob())
	}
	for r, err := range w.rows(ctx, ledgerBatchesSQL) {
		if err != nil {
			return err
		}
		for entries := r.blob(); len(entries) >= entrySize; entries = entries[entrySize:] {
			e := decodeEntry(entries)
			l.recent[e.hash] = e
		}
	}
	w.ledger = l
	return nil
}

const ledgerBlockSQL = `SELECT entries FROM ledger_block WHERE key = ?`

// blockKey is where a run keeps the hashes that begin with a byte.
func blockKey(run int64, first byte) int64 { return run<<8 | int64(first) }

// published returns the event that was published under once and is live at now.
func (w *writer) published(ctx context.Context, once *store.Once, now time.Time) (found entry, is bool, err error) {
	if w.ledger == nil {
		if err := w.loadLedger(ctx); err != nil {
			return found, false, err
		}
	}
	at := micros(now)
	if e, known := w.ledger.recent[once.Hash]; known && e.expires() > at {
		return e, true, nil
	}
	s := w.ledger.shelves[class(once.TTL.Microseconds())]
	if s == nil {
		return found, false, nil
	}
	for i := s.filters.next(&once.Hash, 0); i >= 0; i = s.filters.next(&once.Hash, i+1) {
		found, is, err = w.findInRun(ctx, s.runs[i], &once.Hash, at)
		if is || err != nil {
			return found, is, err
		}
	}
	return found, false, nil
}

// findInRun looks for an entry that is live at an instant.
func (w *writer) findInRun(ctx context.Context, r run, hash *[16]byte, at int64) (found entry, is bool, err error) {
	if r.until <= at {
		return found, false, nil
	}
	block, err := first(ctx, w.conn, (*row).blob, ledgerBlockSQL, blockKey(r.number, hash[0]))
	if errors.Is(err, store.ErrNotFound) { // the filter was wrong
		return found, false, nil
	}
	for ; len(block) >= entrySize; block = block[entrySize:] {
		if e := decodeEntry(block); e.hash == *hash && e.expires() > at {
			return e, true, nil
		}
	}
	return found, false, err
}

// enter notes an event that is being accepted. published must have been asked before.
func (w *writer) enter(once *store.Once, event store.EventKey, now time.Time) {
	e := entry{hash: once.Hash, body: once.Body, event: event, madeAt: micros(now), ttl: once.TTL.Microseconds()}
	w.ledger.recent[e.hash] = e
	w.ledger.fresh = e.append(w.ledger.fresh)
}

const liveRunsSQL = `SELECT number FROM ledger_run WHERE class = ?1 AND until > ?2`

// ReplayEvent returns the verdict on a repeat under once. It does not ask the writer, who
// may be waiting for a transaction of the caller's: it looks through what is on disk.
func (s *Store) ReplayEvent(ctx context.Context, once *store.Once, now time.Time) (verdict store.Verdict, err error) {
	found, is := entry{}, false
	look := func(entries []byte) {
		for ; len(entries) >= entrySize; entries = entries[entrySize:] {
			if [16]byte(entries) != once.Hash {
				continue
			}
			if e := decodeEntry(entries); e.expires() > micros(now) {
				found, is = e, true
			}
		}
	}
	err = s.snapshot(ctx, func(ctx context.Context, c *conn) error {
		for r, err := range c.rows(ctx, ledgerBatchesSQL) {
			if err != nil {
				return err
			}
			look(r.blob())
		}
		if is {
			return nil
		}
		runs, err := all(ctx, c, (*row).int, liveRunsSQL, class(once.TTL.Microseconds()), micros(now))
		if err != nil {
			return err
		}
		for _, run := range runs {
			block, err := first(ctx, c, (*row).blob, ledgerBlockSQL, blockKey(run, once.Hash[0]))
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			look(block)
		}
		return nil
	})
	switch {
	case err != nil:
		return store.Verdict{}, err
	case !is:
		return store.Verdict{Kind: store.NotRepeated}, nil
	}
	return found.verdict(once), nil
}

// verdict is that on an event under the same hash.
func (e *entry) verdict(once *store.Once) store.Verdict {
	if e.body != once.Body {
		return store.Verdict{Kind: store.Mismatched}
	}
	return store.Verdict{Kind: store.Replayed, Event: e.event, AcceptedAt: time.UnixMicro(e.madeAt).UTC()}
}

const (
	insertLedgerBatchSQL = `INSERT INTO ledger_batch (entries) VALUES (?)`
	clearLedgerBatchSQL  = `DELETE FROM ledger_batch`
	insertLedgerRunSQL   = `INSERT INTO ledger_run (number, class, until, filter) VALUES (?, ?, ?, ?)`
	insertLedgerBlockSQL = `INSERT INTO ledger_block (key, entries) VALUES (?, ?)`
	deleteLedgerRunSQL   = `DELETE FROM ledger_run WHERE number = ?`
	deleteLedgerBlockSQL = `DELETE FROM ledger_block WHERE key BETWEEN ?1 << 8 AND (?1 << 8) + 255`
)

// saveLedger writes what the transaction has entered, and now and then tidies up.
func (w *writer) saveLedger(ctx context.Context, now time.Time) error {
	l := w.ledger
	if l == nil || len(l.fresh) == 0 {
		return nil
	}
	if _, err := w.exec(ctx, insertLedgerBatchSQL, l.fresh); err != nil {
		return err
	}
	l.fresh = l.fresh[:0]
	if _, err := w.dropRun(ctx, now); err != nil {
		return err
	}
	if len(l.recent) < w.ledgerSize {
		return nil
	}
	return w.startRun(ctx, now)
}

// sweepLedger deletes one run that has expired, and says whether there was one.
func (w *writer) sweepLedger(ctx context.Context, now time.Time) (bool, error) {
	if w.ledger == nil {
		if err := w.loadLedger(ctx); err != nil {
			return false, err
		}
	}
	return w.dropRun(ctx, now)
}

// dropRun deletes one run that has expired, and says whether there was one.
func (w *writer) dropRun(ctx context.Context, now time.Time) (bool, error) {
	for _, s := range w.ledger.shelves {
		at := slices.IndexFunc(s.runs, func(r run) bool { return r.until <= micros(now) })
		if at < 0 {
			continue
		}
		number := s.runs[at].number
		s.runs = slices.Delete(s.runs, at, at+1)
		s.filters.remove(at)
		if _, err := w.exec(ctx, deleteLedgerBlockSQL, number); err != nil {
			return false, err
		}
		_, err := w.exec(ctx, deleteLedgerRunSQL, number)
		return true, err
	}
	return false, nil
}

// startRun forgets what has expired and moves the most common class of the rest out of
// memory, unless little is left.
func (w *writer) startRun(ctx context.Context, now time.Time) error {
	l := w.ledger
	classes := make(map[int64][]entry)
	var most int64
	for hash, e := range l.recent {
		if e.expires() <= micros(now) {
			delete(l.recent, hash)
			continue
		}
		of := class(e.ttl)
		classes[of] = append(classes[of], e)
		if len(classes[of]) > len(classes[most]) {
			most = of
		}
	}
	if len(l.recent) > w.ledgerSize/2 {
		if err := w.insertRun(ctx, most, classes[most]); err != nil {
			return err
		}
	}
	var rest []byte
	for _, e := range l.recent {
		rest = e.append(rest)
	}
	if _, err := w.exec(ctx, clearLedgerBatchSQL); err != nil || rest == nil {
		return err
	}
	_, err := w.exec(ctx, insertLedgerBatchSQL, rest)
	return err
}

// insertRun moves entries of a class from memory to a run.
func (w *writer) insertRun(ctx context.Context, of int64, entries []entry) error {
	l := w.ledger
	r, f := run{number: l.last + 1}, newFilter()
	var blocks [256][]byte
	for i := range entries {
		e := &entries[i]
		delete(l.recent, e.hash)
		r.until = max(r.until, e.expires())
		f.add(&e.hash)
		blocks[e.hash[0]] = e.append(blocks[e.hash[0]])
	}
	for first, block := range blocks {
		if len(block) == 0 {
			continue
		}
		if _, err := w.exec(ctx, insertLedgerBlockSQL, blockKey(r.number, byte(first)), block); err != nil {
			return err
		}
	}
	l.shelve(of, r, f)
	_, err := w.exec(ctx, insertLedgerRunSQL, r.number, of, r.until, []byte(f))
	return err
}
