package sqlite

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/neohook/neohook/store"
)

// OpenSmall is Open with a ledger that keeps few entries in memory, so that a test soon
// has it write runs, and with generations of a few transactions, folded step by step. It
// does not wait for the disk.
func OpenSmall(ctx context.Context, path string, ledgerSize int) (*Store, error) {
	s, err := Open(ctx, path)
	if err != nil {
		return nil, err
	}
	s.withWriter(func(w *writer) { w.ledgerSize = ledgerSize })
	s.FoldInSmallSteps()
	return s, s.Script(ctx, "PRAGMA synchronous = OFF")
}

// OpenKnowing is Open of a program that has these migrations.
func OpenKnowing(ctx context.Context, path string, files fs.FS) (*Store, error) {
	return open(ctx, path, files)
}

func (s *Store) withWriter(use func(*writer)) {
	w := <-s.writer
	defer func() { s.writer <- w }()
	use(w)
}

// Script runs SQL on the writer's connection, outside any transaction of the store's.
func (s *Store) Script(ctx context.Context, sql string) (err error) {
	s.withWriter(func(w *writer) { err = w.script(ctx, sql) })
	return err
}

// LedgerRows counts what the ledger has on disk.
func (s *Store) LedgerRows(ctx context.Context) (batches, runs, blocks int64, err error) {
	err = s.read(ctx, func(ctx context.Context, c *conn) (err error) {
		for query, count := range map[string]*int64{
			`SELECT count(*) FROM ledger_batch`: &batches,
			`SELECT count(*) FROM ledger_run`:   &runs,
			`SELECT count(*) FROM ledger_block`: &blocks,
		} {
			if *count, err = first(ctx, c, (*row).int, query); err != nil {
				return err
			}
		}
		return nil
	})
	return batches, runs, blocks, err
}

// WriterPragma and ReaderPragma tell a setting of a connection.
func (s *Store) WriterPragma(ctx context.Context, name string) (value string) {
	s.withWriter(func(w *writer) { value = pragma(ctx, w.conn, name) })
	return value
}

func (s *Store) ReaderPragma(ctx context.Context, name string) (value string) {
	_ = s.read(ctx, func(ctx context.Context, c *conn) error {
		value = pragma(ctx, c, name)
		return nil
	})
	return value
}

func pragma(ctx context.Context, c *conn, name string) string {
	value, err := first(ctx, c, func(r *row) string { return fmt.Sprint(r.next()) }, "PRAGMA "+name)
	if err != nil {
		return err.Error()
	}
	return value
}

// IntegrityCheck asks SQLite whether the file is sound.
func (s *Store) IntegrityCheck(ctx context.Context) (string, error) {
	return readFirst(ctx, s, (*row).text, "PRAGMA integrity_check")
}

// HoldWriter keeps the writer from all others while do runs.
func (s *Store) HoldWriter(do func()) { s.withWriter(func(*writer) { do() }) }

// HoldTransaction keeps a transaction open that has changed something while do runs.
func (s *Store) HoldTransaction(ctx context.Context, do func()) {
	_ = s.write(ctx, func(ctx context.Context, w *writer) error {
		defer do()
		return insertProbe(ctx, w, 78)
	})
}

// CancelInside stores a tenant in a transaction during which cancel is called.
func (s *Store) CancelInside(ctx context.Context, cancel context.CancelFunc, tenant int64) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		cancel()
		return insertProbe(ctx, w, tenant)
	})
}

// PanicInside stores a tenant in a transaction that panics, and returns what was
// recovered.
func (s *Store) PanicInside(ctx context.Context, tenant int64) (recovered any) {
	defer func() { recovered = recover() }()
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		if err := insertProbe(ctx, w, tenant); err != nil {
			return err
		}
		panic("in the middle")
	})
}

// LoseTransaction has a transaction end before its time.
func (s *Store) LoseTransaction(ctx context.Context) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		if err := insertProbe(ctx, w, 79); err != nil {
			return err
		}
		return w.script(ctx, "ROLLBACK")
	})
}

func insertProbe(ctx context.Context, w *writer, tenant int64) error {
	_, err := w.exec(ctx, insertTenantSQL, tenant, "org", nil, "",
		int64(0), int64(0), int64(0), int64(0), int64(0), nil, int64(0), int64(0))
	return err
}

// SetMostLog sets the size at which the log is begun anew.
func (s *Store) SetMostLog(bytes int64) { s.withWriter(func(w *writer) { w.mostLog = bytes }) }

// FoldInSmallSteps makes generations of a few transactions, and folds them rollup by rollup.
func (s *Store) FoldInSmallSteps() {
	s.withWriter(func(w *writer) { w.generation = generation{rows: 3, bytes: 1 << 20, places: 5, folded: 1, part: 3} })
}

// CountAndFail counts an event in a transaction that is undone.
func (s *Store) CountAndFail(ctx context.Context, at time.Time, tenant store.TenantKey) {
	_ = s.write(ctx, func(ctx context.Context, w *writer) error {
		if err := w.count(ctx, micros(at), tenant, 0, "undone", store.EventsAccepted); err != nil {
			return err
		}
		return store.ErrStale
	})
}

// RollupRows counts the rows of the rollups, by unit, and of the journal.
func (s *Store) RollupRows(ctx context.Context) (rows [4]int64, journal int64, err error) {
	err = s.read(ctx, func(ctx context.Context, c *conn) (err error) {
		for unit := range rows {
			if rows[unit], err = first(ctx, c, (*row).int, `SELECT count(*) FROM rollup WHERE unit = ?`, int64(unit)); err != nil {
				return err
			}
		}
		journal, err = first(ctx, c, (*row).int, `SELECT count(*) FROM rollup_journal`)
		return err
	})
	return rows, journal, err
}

// InFreeSpace says whether a place in the database file belongs to no row.
func InFreeSpace(file []byte, at int) bool {
	number := at / pageSize
	page := file[number*pageSize : (number+1)*pageSize]
	free := freeSpace(int64(number)+1, page)
	if free == nil {
		return false
	}
	end := cap(page) - cap(free) + len(free) // free is a part of page
	return at%pageSize < end && at%pageSize >= end-len(free)
}

// PageBytes asks SQLite what the pages of each table come to, those of long values apart.
func (s *Store) PageBytes(ctx context.Context) map[string]int64 {
	bytes := make(map[string]int64)
	_ = s.read(ctx, func(ctx context.Context, c *conn) error {
		for r, err := range c.rows(ctx, `SELECT coalesce(tbl_name, dbstat.name), sum(pgsize), pagetype = 'overflow' FROM dbstat
			LEFT JOIN sqlite_schema ON sqlite_schema.name = dbstat.name GROUP BY 1, 3`) {
			if err != nil {
				return err
			}
			table, size := r.text(), r.int()
			if r.bool() {
				table = longValues
			}
			bytes[table] += size
		}
		return nil
	})
	return bytes
}

// CommitAndLet runs statements in one transaction, and lets somebody do something before
// what they have left on the pages is looked for.
func (s *Store) CommitAndLet(ctx context.Context, statements []string, do func()) (err error) {
	s.withWriter(func(w *writer) {
		for _, statement := range append([]string{"BEGIN IMMEDIATE"}, statements...) {
			if err = w.script(ctx, statement); err != nil {
				return
			}
		}
		var before logState
		if before, err = w.logState(ctx); err != nil {
			return
		}
		if err = w.script(ctx, "COMMIT"); err != nil {
			return
		}
		do()
		w.overwriteLeftovers(ctx, before)
	})
	return err
}
