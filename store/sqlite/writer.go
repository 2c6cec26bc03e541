package sqlite

import (
	"context"
	"fmt"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/migration"
)

// writer is the one connection that changes the database, and what it knows without
// asking. Not safe for concurrent use.
type writer struct {
	path  string
	known []migration.Migration
	*conn // nil after it failed, until it is needed again

	directory, events, attempts, sends counter

	// What is known of tables that only this writer changes; dropped with every
	// transaction that does not come to its end.
	routes                   map[store.TenantKey]int64
	eventSpans, attemptSpans spans
	historySpans             spans
	jobOpenings              jobOpenings
	ledger                   *ledger
	types                    map[typeOf]int64
	rollups                  *rollups
	whole                    map[store.TenantKey]wholeSince
	apart                    map[store.TenantKey]struct{} // those that have rows of their own in sweep; nil is not known

	touched touched
	crashed bool // and what was touched is not known

	passed store.EventKey // the sweep may have looked at events below it
	gone   store.EventKey // events below it may be gone

	// What has to be overwritten yet, see leftover.go.
	moves     bool // the transaction may move what somebody may ask to delete
	leftovers map[int64]struct{}
	frames    []byte // room to read the log

	counted      map[place]*store.Counts // by the transaction under way
	spare        []*store.Counts         // what counted holds, and held before
	scratch      []byte
	transactions int // so far

	// Settings, smaller in tests.
	ledgerSize int   // how many entries the ledger keeps in memory
	mostLog    int64 // the size at which the log is begun anew
	generation generation
}

// defaultLedgerSize makes a run's blocks, of which there are 256, a page each. The shape of
// a run's filter is made for it.
const defaultLedgerSize = 30_000

func newWriter(path string, known []migration.Migration) *writer {
	return &writer{
		path: path, known: known, leftovers: make(map[int64]struct{}),
		directory: counter{name: "directory"}, events: counter{name: "event"}, attempts: counter{name: "attempt"}, sends: counter{name: "send"},
		eventSpans: spans{insertSQL: insertEventSpanSQL}, attemptSpans: spans{insertSQL: insertAttemptSpanSQL},
		historySpans: spans{insertSQL: insertHistorySpanSQL},
		ledgerSize:   defaultLedgerSize, mostLog: defaultMostLog, generation: defaultGeneration,
	}
}

// connect opens the connection and brings the schema up to date.
func (w *writer) connect(ctx context.Context) error {
	c, err := connect(ctx, dsn(w.path, "rw"), nil)
	if err != nil {
		return err
	}
	version, err := checkSchema(ctx, c, w.path, w.known)
	for _, pragma := range writerPragmas {
		if err == nil {
			err = c.script(ctx, pragma)
		}
	}
	if err == nil {
		err = checkLog(ctx, c, w.path)
	}
	if err == nil {
		err = migrate(ctx, c, version, w.known)
	}
	if err != nil {
		_ = c.close()
		return err
	}
	w.conn = c
	if err := w.loadPassed(ctx); err != nil {
		w.abandon()
		return err
	}
	return nil
}

func (w *writer) close() error {
	if w.conn == nil {
		return nil
	}
	return w.conn.close()
}

// write runs change as one transaction, durable when it returns nil. Where change
// returns an error or panics, nothing of it stays, and the error is returned as it is;
// where the disk is full it is an ErrFull too.
func (s *Store) write(ctx context.Context, change func(context.Context, *writer) error) error {
	w, err := take(ctx, s, s.writer)
	if err != nil {
		return err
	}
	defer func() { s.writer <- w }()
	ctx = context.WithoutCancel(ctx)
	if err := w.transact(ctx, change); err != nil {
		return err
	}
	s.boundLog(ctx, w)
	return nil
}

func (w *writer) transact(ctx context.Context, change func(context.Context, *writer) error) (err error) {
	defer func() {
		if resultCode(err) == sqlite3.SQLITE_FULL {
			err = fmt.Errorf("%w: %w", store.ErrFull, err)
		}
	}()
	if w.conn == nil {
		if err := w.connect(ctx); err != nil {
			return fmt.Errorf("reconnect: %w", err)
		}
	}
	if _, err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		w.abandon()
		return fmt.Errorf("begin: %w", err)
	}
	done := false
	w.moves = true // unless somebody says otherwise
	defer func() {
		if !done { // a panic too
			w.rollback(ctx)
		}
	}()
	if err := change(ctx, w); err != nil {
		return err
	}
	if err := w.saveCounts(ctx); err != nil {
		return err
	}
	var log logState
	if w.moves {
		log, _ = w.logState(ctx) // where that is not known, it will not be what it is after
	}
	if _, err := w.exec(ctx, "COMMIT"); err != nil {
		if resultCode(err) == sqlite3.SQLITE_IOERR {
			// The log may hold the transaction to its end, and a restart then finds it.
			return fmt.Errorf("%w: %w", store.ErrCommitUnknown, err)
		}
		return fmt.Errorf("commit: %w", err)
	}
	done = true
	if w.moves {
		w.overwriteLeftovers(ctx, log)
	}
	return nil
}

// rollback undoes what has begun, and forgets what was learned meanwhile.
func (w *writer) rollback(ctx context.Context) {
	w.routes, w.ledger, w.types, w.rollups, w.whole, w.apart = nil, nil, nil, nil, nil, nil
	w.forgetCounts()
	w.eventSpans.forget()
	w.attemptSpans.forget()
	w.historySpans.forget()
	w.jobOpenings.forget()
	w.directory.forget()
	w.events.forget()
	w.attempts.forget()
	w.sends.forget()
	if _, err := w.exec(ctx, "ROLLBACK"); err != nil {
		w.abandon() // SQLite has ended the transaction itself, or is out of order
	}
}

// abandon gives the connection up, and with it any open transaction.
func (w *writer) abandon() {
	_ = w.conn.close()
	w.conn = nil
}
