package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"iter"

	driversqlite "modernc.org/sqlite"

	"github.com/neohook/neohook/store"
)

// conn is one connection with the statements prepared on it. It talks to the driver
// directly: database/sql in between doubles the processor time of a batch of 128. Not safe
// for concurrent use.
//
// The driver watches a context that can end with a goroutine per statement. A conn is
// given only contexts that cannot.
type conn struct {
	raw   driver.Conn
	stmts map[string]*stmt
}

// stmt is a prepared statement with room for its arguments.
type stmt struct {
	raw  driver.Stmt
	args []driver.NamedValue
}

// connect opens a connection to the database at path and runs the pragmas in order.
func connect(ctx context.Context, dsn string, pragmas []string) (*conn, error) {
	connector, err := driversqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	raw, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw, stmts: make(map[string]*stmt)}
	for _, pragma := range pragmas {
		if err := c.script(ctx, pragma); err != nil {
			_ = c.close()
			return nil, fmt.Errorf("%s: %w", pragma, err)
		}
	}
	return c, nil
}

func (c *conn) close() error {
	for _, s := range c.stmts {
		_ = s.raw.Close() // tells again of the statement's last error, if it had one
	}
	clear(c.stmts)
	return c.raw.Close()
}

// script runs statements that return nothing of interest and are not kept.
func (c *conn) script(ctx context.Context, statements string) error {
	_, err := c.raw.(driver.ExecerContext).ExecContext(ctx, statements, nil)
	return err
}

// prepare returns the statement for query, the same one each time. The caller must be
// done with it before asking for it again.
func (c *conn) prepare(ctx context.Context, query string) (*stmt, error) {
	if s := c.stmts[query]; s != nil {
		return s, nil
	}
	raw, err := c.raw.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare %.40q: %w", query, err)
	}
	s := &stmt{raw: raw}
	c.stmts[query] = s
	return s, nil
}

// bind puts the arguments in place. They are to be dropped after use: a payload may be
// large.
func (s *stmt) bind(args []any) []driver.NamedValue {
	s.args = s.args[:0]
	for i, arg := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return s.args
}

// exec runs a change and returns how many rows it touched.
func (c *conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	s, err := c.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	result, err := s.raw.(driver.StmtExecContext).ExecContext(ctx, s.bind(args))
	clear(s.args)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// rows walks the answer to query. A row is good until the next one is asked for; the
// walk may be left at any point, and ends after an error.
func (c *conn) rows(ctx context.Context, query string, args ...any) iter.Seq2[*row, error] {
	return func(yield func(*row, error) bool) {
		s, err := c.prepare(ctx, query)
		if err != nil {
			yield(nil, err)
			return
		}
		answer, err := s.raw.(driver.StmtQueryContext).QueryContext(ctx, s.bind(args))
		clear(s.args)
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = answer.Close() }() // of a statement that only reads
		r := row{values: make([]driver.Value, len(answer.Columns()))}
		for {
			r.at = 0
			err := answer.Next(r.values)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(&r, nil) {
				return
			}
		}
	}
}

// first returns what scan makes of the first row, or ErrNotFound.
func first[T any](ctx context.Context, c *conn, scan func(*row) T, query string, args ...any) (T, error) {
	for r, err := range c.rows(ctx, query, args...) {
		if err != nil {
			return *new(T), err
		}
		value := scan(r)
		return value, r.err
	}
	return *new(T), store.ErrNotFound
}

// all returns what scan makes of each row.
func all[T any](ctx context.Context, c *conn, scan func(*row) T, query string, args ...any) ([]T, error) {
	var list []T
	for r, err := range c.rows(ctx, query, args...) {
		if err != nil {
			return nil, err
		}
		list = append(list, scan(r))
		if r.err != nil {
			return nil, r.err
		}
	}
	return list, nil
}

// resultCode returns SQLite's primary result code, or 0 where err is none of SQLite's.
func resultCode(err error) int {
	var failed *driversqlite.Error
	if errors.As(err, &failed) {
		return failed.Code() & 0xff
	}
	return 0
}
