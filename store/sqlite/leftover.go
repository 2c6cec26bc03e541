package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/neohook/neohook/store"
)

// SQLite overwrites what is deleted (secure_delete), except in one place. Where it moves
// rows from page to page, as it does when pages become full or nearly empty, a copy may
// stay on the page where a row has been, in the free space between the pointers and the
// cells; and there it is still when the row is deleted on the page where it is by then.
// So behind a transaction that may have moved what somebody may want to be deleted, the
// pages that it wrote to the log are looked through, and what is left in their free space
// is overwritten. Between two transactions, no page has anything there.

// overwriteLeftovers is called behind a transaction; before is the log's state just before
// its commit.
func (w *writer) overwriteLeftovers(ctx context.Context, before logState) {
	_, err := w.findLeftovers(ctx, lastTransaction)
	after, failed := w.logState(ctx)
	if after.version != before.version && err == nil {
		// A program has committed on a connection of its own: what is last is not ours, and
		// where the log has begun anew ours is not even there.
		_, err = w.findLeftovers(ctx, wholeLog)
		if after.salts != before.salts {
			failed = errLogAnew
		}
	}
	if err != nil || failed != nil {
		w.leftovers[allPages] = struct{}{}
	}
	// Where it can't be done now, Scrub tries again, and tells.
	_ = w.overwriteFound(ctx)
}

// logState tells whether others have committed, and whether the log has begun anew: then the
// salts in its header are others.
type logState struct {
	version int64
	salts   [8]byte
}

var errLogAnew = errors.New("the log has begun anew")

const dataVersionSQL = `PRAGMA data_version`

func (w *writer) logState(ctx context.Context) (state logState, err error) {
	if state.version, err = first(ctx, w.conn, (*row).int, dataVersionSQL); err != nil {
		return state, err
	}
	log, err := os.Open(w.path + "-wal")
	if err != nil {
		return state, err
	}
	defer log.Close()
	const saltsAt = 16
	if _, err := log.ReadAt(state.salts[:], saltsAt); err != nil && !errors.Is(err, io.EOF) {
		return state, err
	}
	return state, nil // there is nothing in it yet
}

// allPages, among those that have leftovers, says that nobody knows which do.
const allPages = 0

// The parts of the log to look through.
const (
	lastTransaction = iota
	wholeLog
)

// logFramesSQL tells how many frames the log has, and does nothing.
const logFramesSQL = `PRAGMA wal_checkpoint(NOOP)`

// The format of the log: a header, then frames, each a page behind a header that begins
// with the page's number and, where it ends a transaction, the size of the database.
const (
	pageSize        = 8192
	logHeaderSize   = 32
	frameHeaderSize = 24
	frameSize       = frameHeaderSize + pageSize
)

// findLeftovers looks through a part of the log from its end, for pages with something left
// in their free space. It says whether there is a log.
func (w *writer) findLeftovers(ctx context.Context, part int) (bool, error) {
	frames, err := first(ctx, w.conn, func(r *row) int64 { r.int(); return r.int() }, logFramesSQL)
	if err != nil || frames <= 0 {
		return false, err
	}
	log, err := os.Open(w.path + "-wal")
	if err != nil {
		return false, err
	}
	defer log.Close()
	const most = 64 // frames to read at once
	if w.frames == nil {
		w.frames = make([]byte, most*frameSize)
	}
	for last := frames; frames > 0; {
		block := w.frames[:min(most, frames)*frameSize]
		frames -= int64(len(block) / frameSize)
		if _, err := log.ReadAt(block, logHeaderSize+frames*frameSize); err != nil {
			return false, err
		}
		for at := len(block) - frameSize; at >= 0; at -= frameSize {
			frame := block[at : at+frameSize]
			ends := binary.BigEndian.Uint32(frame[4:]) != 0
			if part == lastTransaction && ends && frames+int64(at/frameSize) != last-1 {
				return true, nil
			}
			number := int64(binary.BigEndian.Uint32(frame))
			if len(leftIn(number, frame[frameHeaderSize:])) > 0 {
				w.leftovers[number] = struct{}{}
			}
		}
	}
	return true, nil
}

const (
	pageSQL      = `SELECT data FROM sqlite_dbpage WHERE pgno = ?`
	putPageSQL   = `UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1`
	pageCountSQL = `PRAGMA page_count`
)

// overwriteFound overwrites what is left on the pages found.
func (w *writer) overwriteFound(ctx context.Context) error {
	if len(w.leftovers) == 0 {
		return nil
	}
	err := w.transact(ctx, func(ctx context.Context, w *writer) error {
		w.moves = false
		if _, all := w.leftovers[allPages]; all {
			return w.overwriteRange(ctx, 1, 1<<62)
		}
		for number := range w.leftovers {
			if err := w.overwritePage(ctx, number); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		clear(w.leftovers)
	}
	return err
}

// overwriteRange overwrites what is left on pages from a number to below another, as far as
// there are any.
func (w *writer) overwriteRange(ctx context.Context, from, to int64) error {
	count, err := first(ctx, w.conn, (*row).int, pageCountSQL)
	for number := from; err == nil && number < to && number <= count; number++ {
		err = w.overwritePage(ctx, number)
	}
	return err
}

func (w *writer) overwritePage(ctx context.Context, number int64) error {
	page, err := first(ctx, w.conn, (*row).blob, pageSQL, number)
	if errors.Is(err, store.ErrNotFound) { // the file has become smaller
		return nil
	}
	if err != nil {
		return err
	}
	left := leftIn(number, page)
	if len(left) == 0 {
		return nil
	}
	page = slices.Clone(page)
	clear(leftIn(number, page))
	if _, err := w.exec(ctx, putPageSQL, number, page); err != nil {
		return fmt.Errorf("overwrite what is left on page %d: %w", number, err)
	}
	return nil
}

// mostPages bounds the files whose pages are looked through, at 256 GiB: in larger ones a
// page of a long row may begin like one of a b-tree.
const mostPages = 1 << 25

// leftIn returns the free space of a page if something is left in it, else nothing.
func leftIn(number int64, page []byte) []byte {
	if free := freeSpace(number, page); !isZero(free) {
		return free
	}
	return nil
}

// freeSpace returns what is between the pointers and the cells of a page of a b-tree; the
// format is that of https://sqlite.org/fileformat2.html, 1.6. Other pages have nothing.
func freeSpace(number int64, page []byte) []byte {
	if number >= mostPages || len(page) != pageSize {
		return nil
	}
	header := headerAt(number)
	pointers := header
	switch page[header] {
	case 2, 5: // interior
		pointers += 12
	case 10, 13: // leaf
		pointers += 8
	default:
		return nil
	}
	pointers += 2 * int(binary.BigEndian.Uint16(page[header+3:]))
	cells := int(binary.BigEndian.Uint16(page[header+5:]))
	if pointers >= cells || cells > len(page) {
		return nil
	}
	return page[pointers:cells]
}

// headerAt is where the header of a page begins: on the first, behind that of the file.
func headerAt(number int64) int {
	const fileHeader = 100
	if number == 1 {
		return fileHeader
	}
	return 0
}

func isZero(bytes []byte) bool {
	for ; len(bytes) >= 8; bytes = bytes[8:] {
		if binary.NativeEndian.Uint64(bytes) != 0 {
			return false
		}
	}
	for _, b := range bytes {
		if b != 0 {
			return false
		}
	}
	return true
}

// overwritePages is the last part of an Expunge of everything: it goes through the whole
// file.
func (e *expunging) overwritePages(ctx context.Context) (bool, error) {
	count, err := first(ctx, e.conn, (*row).int, pageCountSQL)
	if err != nil || e.page > count {
		return false, err
	}
	const some = 64
	err = e.overwriteRange(ctx, e.page, e.page+some)
	e.page += some
	return true, err
}
