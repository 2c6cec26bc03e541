package sqlite

import "context"

// OpenSmall is Open with a ledger that keeps few entries in memory, so that a test soon
// has it write runs.
func OpenSmall(ctx context.Context, path string, ledgerSize int) (*Store, error) {
	s, err := Open(ctx, path)
	if err == nil {
		s.withWriter(func(w *writer) { w.ledgerSize = ledgerSize })
	}
	return s, err
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
