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
	recent map[[16]byte]entry // those in the table ledger_batch
	fresh  []byte             // those of the transaction that is under way
	runs   []run
	last   int64 // the highest number that a run had
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
	number, class, until int64
	filter               filter
}

const (
	ledgerRunsSQL    = `SELECT number, class, until, filter FROM ledger_run ORDER BY number`
	ledgerBatchesSQL = `SELECT entries FROM ledger_batch ORDER BY number`
)

func (w *writer) loadLedger(ctx context.Context) error {
	runs, err := all(ctx, w.conn, func(r *row) run {
		return run{number: r.int(), class: r.int(), until: r.int(), filter: r.blob()}
	}, ledgerRunsSQL)
	if err != nil {
		return err
	}
	l := &ledger{runs: runs, recent: make(map[[16]byte]entry)}
	if len(runs) > 0 {
		l.last = runs[len(runs)-1].number
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
	of := class(once.TTL.Microseconds())
	for i := range w.ledger.runs {
		part := &w.ledger.runs[i]
		if part.class != of || part.until <= at || !part.filter.mayHave(&once.Hash) {
			continue
		}
		block, err := first(ctx, w.conn, (*row).blob, ledgerBlockSQL, blockKey(part.number, once.Hash[0]))
		if errors.Is(err, store.ErrNotFound) { // the filter was wrong
			continue
		}
		if err != nil {
			return found, false, err
		}
		for ; len(block) >= entrySize; block = block[entrySize:] {
			if e := decodeEntry(block); e.hash == once.Hash && e.expires() > at {
				return e, true, nil
			}
		}
	}
	return found, false, nil
}

// enter notes an event that is being accepted. published must have been asked before.
func (w *writer) enter(once *store.Once, event store.EventKey, now time.Time) {
	e := entry{hash: once.Hash, body: once.Body, event: event, madeAt: micros(now), ttl: once.TTL.Microseconds()}
	w.ledger.recent[e.hash] = e
	w.ledger.fresh = e.append(w.ledger.fresh)
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
	if err := w.dropRun(ctx, now); err != nil {
		return err
	}
	if len(l.recent) < w.ledgerSize {
		return nil
	}
	return w.startRun(ctx, now)
}

// dropRun deletes one run that has expired, if there is one.
func (w *writer) dropRun(ctx context.Context, now time.Time) error {
	at := slices.IndexFunc(w.ledger.runs, func(part run) bool { return part.until <= micros(now) })
	if at < 0 {
		return nil
	}
	number := w.ledger.runs[at].number
	w.ledger.runs = slices.Delete(w.ledger.runs, at, at+1)
	if _, err := w.exec(ctx, deleteLedgerBlockSQL, number); err != nil {
		return err
	}
	_, err := w.exec(ctx, deleteLedgerRunSQL, number)
	return err
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
	l.last++
	part := run{number: l.last, class: of, filter: newFilter(len(entries))}
	var blocks [256][]byte
	for i := range entries {
		e := &entries[i]
		delete(l.recent, e.hash)
		part.until = max(part.until, e.expires())
		part.filter.add(&e.hash)
		blocks[e.hash[0]] = e.append(blocks[e.hash[0]])
	}
	for first, block := range blocks {
		if len(block) == 0 {
			continue
		}
		if _, err := w.exec(ctx, insertLedgerBlockSQL, blockKey(part.number, byte(first)), block); err != nil {
			return err
		}
	}
	l.runs = append(l.runs, part)
	_, err := w.exec(ctx, insertLedgerRunSQL, part.number, part.class, part.until, []byte(part.filter))
	return err
}
