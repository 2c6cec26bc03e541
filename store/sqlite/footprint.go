package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"os"

	"github.com/neohook/neohook/store"
)

var _ store.Measured = (*Store)(nil)

const (
	rootsSQL     = `SELECT tbl_name, rootpage FROM sqlite_schema WHERE rootpage > 0`
	freePagesSQL = `PRAGMA freelist_count`
)

// longValues is the table under which the pages are counted that hold the rest of rows
// which do not fit on one: large payloads, most of all.
const longValues = "long_values"

// Footprint says how much room the data take. It reads the pages of a b-tree that lead to
// its leaves, and counts these without reading them: some hundredths of the file. Each page
// is read for itself, so that no reader stands in the way of the log for long, and what
// changes meanwhile is counted as it was or as it is.
func (s *Store) Footprint(ctx context.Context) (store.Footprint, error) {
	found := store.Footprint{Tables: make(map[string]int64)}
	var roots []root
	pages := int64(0)
	err := s.read(ctx, func(ctx context.Context, c *conn) (err error) {
		roots, err = all(ctx, c, func(r *row) root { return root{r.text(), r.int()} }, rootsSQL)
		roots = append(roots, root{"schema", 1})
		for query, number := range map[string]*int64{pageCountSQL: &found.Total, freePagesSQL: &found.Unused} {
			if err == nil {
				*number, err = first(ctx, c, (*row).int, query)
			}
		}
		return err
	})
	for _, root := range roots {
		if err != nil {
			return store.Footprint{}, err
		}
		var count int64
		count, err = s.countPages(ctx, root.page)
		found.Tables[root.table] += count * pageSize
		pages += count
	}
	if err != nil {
		return store.Footprint{}, err
	}
	found.Tables[longValues] = max(0, found.Total-found.Unused-pages) * pageSize
	found.Total, found.Unused = found.Total*pageSize, found.Unused*pageSize
	if info, err := os.Stat(s.path + "-wal"); err == nil {
		found.Log = info.Size()
	}
	return found, nil
}

// root is where a b-tree of a table begins.
type root struct {
	table string
	page  int64
}

// countPages counts the pages of a b-tree. All its leaves are equally far from the root.
func (s *Store) countPages(ctx context.Context, root int64) (count int64, err error) {
	depth := 0
	for at := root; ; depth++ {
		children, err := s.children(ctx, at)
		if err != nil {
			return 0, err
		}
		if len(children) == 0 {
			break
		}
		at = children[0]
	}
	if depth == 0 {
		return 1, nil
	}
	level := []int64{root}
	for ; depth > 0; depth-- {
		count += int64(len(level))
		var next []int64
		for _, page := range level {
			children, err := s.children(ctx, page)
			if err != nil {
				return 0, err
			}
			next = append(next, children...)
		}
		level = next
	}
	return count + int64(len(level)), nil // the last are leaves
}

// children returns the pages that an inner page of a b-tree leads to; others lead nowhere.
func (s *Store) children(ctx context.Context, number int64) (children []int64, err error) {
	page, err := readFirst(ctx, s, (*row).blob, pageSQL, number)
	if errors.Is(err, store.ErrNotFound) { // it is free by now
		return nil, nil
	}
	if err != nil || len(page) != pageSize {
		return nil, err
	}
	header := page[headerAt(number):]
	if header[0] != 2 && header[0] != 5 { // not an inner one
		return nil, nil
	}
	const pointers = 12
	for i := range int(binary.BigEndian.Uint16(header[3:])) {
		if pointers+2*i+2 > len(header) {
			break
		}
		cell := int(binary.BigEndian.Uint16(header[pointers+2*i:]))
		if cell+4 <= len(page) {
			children = append(children, int64(binary.BigEndian.Uint32(page[cell:])))
		}
	}
	return append(children, int64(binary.BigEndian.Uint32(header[8:]))), nil
}
