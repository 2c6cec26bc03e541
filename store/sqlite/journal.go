package sqlite

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/tally"
)

// What transactions count is first written down in sequence, a row for each transaction:
// to add it to the rollups at once would change a page or two for each tenant in a batch.
// Some thousand transactions make a generation. It is folded into the rollups of minutes
// while the next one grows, by the order of their keys, a few with each transaction, so
// that a rollup is written about once a minute.
//
// How far the folding has come is stored with what was folded, and it is the same with
// the making of hours and of days. So whatever is cut short goes on where it was, and
// each number is in one place only, or in one for each unit.
type rollups struct {
	// open is the sum of the generation that grows, as it is stored; bytes is the size of
	// its rows, and minute the one in which it began.
	open   map[place][]byte
	rows   int
	bytes  int
	minute int64
	last   int64 // number of the newest row

	// folding is what is left of the generation before, whose rows go up to through.
	folding []placed
	through int64

	// What is in minutes up to the first place is in hours too, and what is in hours up to
	// the second is in days too.
	inHours, inDays place
}

// placed is what was counted at a place.
type placed struct {
	place
	counts []byte
}

// generation says when one is large enough; it is over with its minute in any case.
type generation struct {
	rows, bytes, places int
	folded              int // rollups written with each transaction while one is folded, at least
	part                int // rollups that a transaction of the upkeep looks at: some milliseconds' work
}

var defaultGeneration = generation{rows: 2048, bytes: 1 << 20, places: 1 << 16, folded: 32, part: 512}

func (g generation) full(r *rollups) bool {
	return r.rows >= g.rows || r.bytes >= g.bytes || len(r.open) >= g.places
}

// compare orders places as the rollups are.
func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.start, q.start), cmp.Compare(p.tenant, q.tenant),
		cmp.Compare(p.endpoint, q.endpoint), cmp.Compare(p.typ, q.typ))
}

// nowhere is before all places.
var nowhere = place{start: math.MinInt64}

// The steps of which progress is kept.
const (
	folded   = 1 // from the journal into minutes
	hoursOf  = 2 // from minutes into hours
	daysOf   = 3 // from hours into days
	allSteps = 3
)

const (
	progressSQL = `SELECT step, start, tenant, endpoint, type, through FROM rollup_progress`
	advanceSQL  = `UPDATE rollup_progress SET start = ?2, tenant = ?3, endpoint = ?4, type = ?5, through = ?6 WHERE step = ?1`
	journalSQL  = `SELECT number, entries FROM rollup_journal ORDER BY number`

	journalSizesSQL = `SELECT number, length(entries) FROM rollup_journal WHERE number > ?`

	insertJournalSQL = `INSERT INTO rollup_journal (number, entries) VALUES (?, ?)`
	deleteJournalSQL = `DELETE FROM rollup_journal WHERE number <= ?`
)

// progress is how far each step has come. That of the folding is of the generation whose
// rows go up to through.
type progress struct {
	at      [allSteps + 1]place
	through int64
}

func readProgress(ctx context.Context, c *conn) (p progress, err error) {
	for r, err := range c.rows(ctx, progressSQL) {
		if err != nil {
			return p, err
		}
		step := r.int()
		p.at[step] = scanPlace(r)
		if through := r.int(); step == folded {
			p.through = through
		}
	}
	return p, nil
}

func scanPlace(r *row) place {
	return place{r.int(), store.TenantKey(r.int()), store.EndpointKey(r.int()), r.int()}
}

func (w *writer) advance(ctx context.Context, step int64, to place, through int64) error {
	_, err := w.exec(ctx, advanceSQL, step, to.start, int64(to.tenant), int64(to.endpoint), to.typ, through)
	return err
}

// walkJournal gives each entry of the journal that is not in the rollups to each, which
// returns what is behind its counts. Where a row is damaged the walk goes on with the
// next, and returns tally.ErrDamaged at its end.
func walkJournal(ctx context.Context, c *conn, p progress, each func(number int64, at place, counts []byte) (rest []byte, err error)) error {
	var damaged error
	for r, err := range c.rows(ctx, journalSQL) {
		if err != nil {
			return err
		}
		number := r.int()
		for entries := r.blob(); len(entries) > 0 && err == nil; {
			entries, err = walkEntry(entries, func(at place, counts []byte) ([]byte, error) {
				if number <= p.through && at.compare(p.at[folded]) <= 0 {
					return tally.Skip(counts)
				}
				return each(number, at, counts)
			})
			if err != nil {
				damaged = err
			}
		}
	}
	return damaged
}

func walkEntry(entries []byte, each func(at place, counts []byte) ([]byte, error)) (rest []byte, err error) {
	at, counts, err := nextPlace(entries)
	if err != nil {
		return nil, err
	}
	return each(at, counts)
}

// loadRollups reads what the writer must know of what it has counted.
func (w *writer) loadRollups(ctx context.Context) (*rollups, error) {
	if w.rollups != nil {
		return w.rollups, nil
	}
	p, err := readProgress(ctx, w.conn)
	if err != nil {
		return nil, err
	}
	r := &rollups{
		open: make(map[place][]byte), through: p.through, last: p.through,
		inHours: p.at[hoursOf], inDays: p.at[daysOf],
	}
	before := make(map[place][]byte)
	err = walkJournal(ctx, w.conn, p, func(number int64, at place, counts []byte) ([]byte, error) {
		into := before
		if number > p.through {
			into = r.open
		}
		rest, err := tally.Skip(counts)
		if err != nil {
			return nil, err
		}
		return rest, addAt(into, at, counts[:len(counts)-len(rest)])
	})
	if err := tally.UnlessDamaged(err); err != nil {
		return nil, err
	}
	r.folding = inOrder(before)
	// In which minute it began is not known: it is over with the next transaction.
	w.rollups, err = r, w.measureJournal(ctx, r)
	return r, err
}

// measureJournal looks at the rows of the generation that grows, readable or not.
func (w *writer) measureJournal(ctx context.Context, r *rollups) error {
	for row, err := range w.rows(ctx, journalSizesSQL, r.through) {
		if err != nil {
			return err
		}
		r.last = max(r.last, row.int())
		r.bytes += int(row.int())
		r.rows++
	}
	return nil
}

// addAt adds to what is at a place.
func addAt(into map[place][]byte, at place, counts []byte) error {
	sum, err := tally.Decode(counts)
	if err != nil {
		return err
	}
	before, known := into[at]
	if !known {
		into[at] = slices.Clone(counts)
		return nil
	}
	if _, err := tally.Add(before, &sum); err != nil {
		return err
	}
	into[at] = tally.Append(before[:0], &sum)
	return nil
}

// grow adds to the generation that grows.
func (r *rollups) grow(at place, counts []byte) error {
	if _, known := r.open[at]; known {
		return addAt(r.open, at, counts)
	}
	r.open[at] = slices.Clone(counts) // they were made this moment: no need to read them
	return nil
}

func inOrder(of map[place][]byte) []placed {
	list := make([]placed, 0, len(of))
	for at, counts := range of {
		list = append(list, placed{at, counts})
	}
	slices.SortFunc(list, func(a, b placed) int { return a.compare(b.place) })
	return list
}

// saveCounts writes down what the transaction has counted. It is called at its end.
func (w *writer) saveCounts(ctx context.Context) error {
	if len(w.counted) == 0 {
		return nil
	}
	r, err := w.loadRollups(ctx)
	if err != nil {
		return err
	}
	entries := w.scratch[:0]
	minute := int64(math.MinInt64)
	for at, counts := range w.counted {
		entries = appendPlace(entries, at)
		start := len(entries)
		entries = tally.Append(entries, counts)
		if err := r.grow(at, entries[start:]); err != nil {
			return err
		}
		minute = max(minute, at.start)
	}
	w.scratch = entries
	r.last++
	if _, err := w.exec(ctx, insertJournalSQL, r.last, entries); err != nil {
		return err
	}
	if r.rows == 0 {
		r.minute = minute
	}
	r.rows++
	r.bytes += len(entries)
	count := len(w.counted)
	w.forgetCounts()
	if w.generation.full(r) || minute > r.minute {
		if err := w.closeGeneration(ctx); err != nil {
			return err
		}
	}
	return w.fold(ctx, max(w.generation.folded, count/2))
}

// closeGeneration begins to fold the generation that has grown, and a new one.
func (w *writer) closeGeneration(ctx context.Context) error {
	r := w.rollups
	if err := w.fold(ctx, len(r.folding)); err != nil {
		return err
	}
	r.folding, r.through = inOrder(r.open), r.last
	r.open, r.rows, r.bytes = make(map[place][]byte), 0, 0
	return w.advance(ctx, folded, nowhere, r.through)
}

// fold adds up to so many of what is being folded to the rollups.
func (w *writer) fold(ctx context.Context, most int) error {
	r := w.rollups
	if len(r.folding) == 0 || most == 0 {
		return nil
	}
	part := r.folding[:min(most, len(r.folding))]
	for _, item := range part {
		if err := w.addMinute(ctx, item.place, item.counts); err != nil {
			return err
		}
	}
	r.folding = r.folding[len(part):]
	if len(r.folding) > 0 {
		return w.advance(ctx, folded, part[len(part)-1].place, r.through)
	}
	_, err := w.exec(ctx, deleteJournalSQL, r.through)
	return err
}
