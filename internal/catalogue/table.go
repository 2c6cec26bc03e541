// Package catalogue knows the schemas that payloads are held to.
//
// A Table holds the compiled schemas of the event types that were lately published, within
// a bound of memory. A type that is changed through this node counts at once, as whoever
// changes it says so before its caller is told; through another node, within a second:
// what was read is relied on for so long, and read again then.
package catalogue

import (
	"cmp"
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/internal/schema"
	"github.com/neohook/neohook/store"
)

// Store is what a Table reads; see store.EventTypes.
type Store interface {
	EventType(ctx context.Context, organisation, name string) (store.EventType, error)
}

// Limits bound a Table. The zero value is the defaults.
type Limits struct {
	// Bytes is how much the held types may come to; 0 = 64 MiB. One is held even if it
	// alone is more.
	Bytes int64
	// Checks is how many payloads are checked, or schemas compiled, at once, as each takes a
	// processor; 0 = as many as there are.
	Checks int
}

// relied is how long what was read is relied on.
const relied = time.Second

// Table is event types with their schemas. It is safe for concurrent use.
type Table struct {
	store  Store
	limits Limits
	checks chan struct{} // a place for each that goes on

	mu     sync.Mutex
	slots  map[name]*slot
	recent list.List // of *slot, the latest used first; loaded ones only
	bytes  int64
}

type name struct{ organisation, name string }

// slot is a type's place in the table, from the moment that it is being read.
type slot struct {
	name
	readAt time.Time
	loaded chan struct{} // closed when what follows is set
	// known is nil for a type that there is not.
	known *known
	err   error
	place *list.Element // in recent; nil while loading
}

// known is a type as it was stored.
type known struct {
	key     store.EventTypeKey
	version int64
	schemas []versioned // the newest first
	bytes   int64
}

type versioned struct {
	version string
	*schema.Schema
}

// New returns an empty Table.
func New(st Store, limits Limits) *Table {
	limits.Bytes = cmp.Or(limits.Bytes, 64<<20)
	limits.Checks = cmp.Or(limits.Checks, runtime.GOMAXPROCS(0))
	return &Table{
		store: st, limits: limits,
		checks: make(chan struct{}, limits.Checks), slots: make(map[name]*slot),
	}
}

// Misfit says why a payload does not fit its type.
type Misfit struct {
	// Version is that of the newest schema, to which the Faults are.
	Version string
	Faults  []schema.Fault
}

// Check holds a payload to the schemas of its type: it must fit one of their versions. It
// returns nil where it does, and where the type has no schemas or is not known.
func (t *Table) Check(ctx context.Context, organisation, eventType string, payload []byte) (*Misfit, error) {
	known, err := t.known(ctx, name{organisation, eventType})
	if err != nil || known == nil || len(known.schemas) == 0 {
		return nil, err
	}
	if err := t.begin(ctx); err != nil {
		return nil, err
	}
	defer t.end()
	newest := known.schemas[0]
	read, faults := schema.Read(payload)
	if faults != nil {
		return &Misfit{newest.version, faults}, nil
	}
	for i, each := range known.schemas {
		switch found := each.Check(read); {
		case found == nil:
			return nil, nil
		case i == 0:
			faults = found
		}
	}
	return &Misfit{newest.version, faults}, nil
}

// begin waits for a processor, which end gives back.
func (t *Table) begin(ctx context.Context) error {
	select {
	case t.checks <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Table) end() { <-t.checks }

// known returns a type as it is at some instant after the call began, or as it was within
// the last second if it has not changed since through this node; nil if there is none.
func (t *Table) known(ctx context.Context, of name) (*known, error) {
	for {
		now := time.Now()
		t.mu.Lock()
		s, held := t.slots[of]
		if held && s.place != nil {
			t.recent.MoveToFront(s.place)
			if now.Sub(s.readAt) < relied {
				t.mu.Unlock()
				return s.known, nil
			}
			t.drop(s)
		}
		if !held || s.place != nil {
			fresh := &slot{name: of, readAt: now, loaded: make(chan struct{})}
			t.slots[of] = fresh
			t.mu.Unlock()
			var before *known
			if held {
				before = s.known
			}
			t.load(ctx, fresh, before)
			return fresh.known, fresh.err
		}
		t.mu.Unlock()
		select {
		case <-s.loaded:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		// Whoever read may have been called off, and that is nobody else's affair.
		if s.err == nil || !errors.Is(s.err, context.Canceled) && !errors.Is(s.err, context.DeadlineExceeded) {
			return s.known, s.err
		}
	}
}

// load reads a slot's type and keeps it if the slot is still wanted. What was compiled
// before serves again if nothing has changed.
func (t *Table) load(ctx context.Context, s *slot, before *known) {
	defer close(s.loaded)
	stored, err := t.store.EventType(ctx, s.organisation, s.name.name)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		s.err = err
	case before != nil && before.key == stored.Key && before.version == stored.Version:
		s.known = before
	default:
		if s.err = t.begin(ctx); s.err == nil {
			s.known, s.err = open(&stored)
			t.end()
		}
	}

	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots[s.name] != s {
		return // it has changed since the reading began
	}
	if s.err != nil {
		delete(t.slots, s.name)
		return
	}
	s.place = t.recent.PushFront(s)
	t.bytes += s.size()
	for t.bytes > t.limits.Bytes && t.recent.Len() > 1 {
		t.drop(t.recent.Back().Value.(*slot))
	}
}

// slotBytes is what a slot takes beside its schemas.
const slotBytes = 512

func (s *slot) size() int64 {
	size := int64(slotBytes + len(s.organisation) + len(s.name.name))
	if s.known != nil {
		size += s.known.bytes
	}
	return size
}

// open compiles a type's schemas.
func open(stored *store.EventType) (*known, error) {
	texts, err := record.Schemas(stored)
	if err != nil {
		return nil, err
	}
	opened := &known{key: stored.Key, version: stored.Version}
	for version, text := range texts {
		compiled, err := compile(text)
		if err != nil {
			return nil, fmt.Errorf("schema %s of event type %s: %w", version, stored.Name, err)
		}
		opened.schemas = append(opened.schemas, versioned{version, compiled})
		opened.bytes += compiled.Bytes()
	}
	slices.SortFunc(opened.schemas, func(a, b versioned) int { return Newer(a.version, b.version) })
	return opened, nil
}

func compile(text json.RawMessage) (*schema.Schema, error) {
	compiled, faults := schema.Compile(text)
	if faults != nil {
		return nil, errors.New(faults[0].Message)
	}
	return compiled, nil
}

// Newer orders the versions of schemas, the newest first: numbers before other names, and
// by their value.
func Newer(a, b string) int {
	x, errA := strconv.ParseUint(a, 10, 64)
	y, errB := strconv.ParseUint(b, 10, 64)
	switch {
	case errA == nil && errB == nil:
		return cmp.Or(cmp.Compare(y, x), cmp.Compare(b, a))
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	}
	return cmp.Compare(b, a)
}

// Refresh forgets a type. Whoever asks for it from now on gets what the store then has.
func (t *Table) Refresh(organisation, eventType string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, held := t.slots[name{organisation, eventType}]; held {
		t.drop(s)
	}
}

// drop takes a slot out of the table. The mutex is held.
func (t *Table) drop(s *slot) {
	delete(t.slots, s.name)
	if s.place != nil {
		t.recent.Remove(s.place)
		t.bytes -= s.size()
	}
}
