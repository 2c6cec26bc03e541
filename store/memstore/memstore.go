package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/neohook/neohook/store"
)

var _ store.Store = (*Store)(nil)

// Store is a store.Store in memory. New makes one.
type Store struct {
	// Faults, if set before the first call, is asked at each operation.
	Faults Faults

	as *handle // which node it is; nil where it is none and never will be

	mu     sync.Mutex
	closed bool
	state  *state // shared with those that Reopen made
}

// state is what a disk would hold. Its own mutex comes after that of a Store.
type state struct {
	mu sync.Mutex

	lastDirectory, lastEvent, lastAttempt, lastSend, lastOutbox int64

	instance *store.Instance

	tokens        []store.Token          // ascending by key
	refusedTokens map[[32]byte]time.Time // until when; zero is for ever
	expiredTokens map[store.TenantKey][]store.Expiry

	tenants   map[store.TenantKey]*tenant
	endpoints map[store.EndpointKey]*endpoint
	once      map[[16]byte]made

	eventTypes map[store.EventTypeKey]*store.EventType

	failing map[store.EndpointKey]store.Failing

	events     map[store.EventKey]*store.Event
	attempts   map[store.AttemptKey]*store.LoggedAttempt
	deliveries map[store.EndpointKey]map[store.EventKey]*store.DeliveryRecord
	sends      map[store.SendKey]*store.Send

	jobs     map[store.JobKey]*store.Job
	openings map[store.DeliveryRef]store.JobKey // open deliveries that a job has opened

	underWay map[*underWay]struct{}
	settled  chan struct{} // closed, and made anew, when one of them has ended

	lastExpunge int64
	expunges    map[store.ExpungeKey]store.Expunge

	deferred map[store.EventKey]struct{}
	outbox   map[store.OutboxKey]store.Announcement

	counting counting
	whole    map[store.TenantKey]wholeSince

	cluster cluster
}

type tenant struct {
	store.Tenant
	routes  int64 // version
	deleted bool
}

type endpoint struct {
	store.Endpoint
	deleted bool
}

// made is what was stored under a Once.
type made struct {
	body   [16]byte
	ttl    time.Duration
	at     time.Time
	event  store.EventKey // of an event
	answer []byte         // of a change
	tenant store.TenantKey
}

// New returns an empty store.
func New() *Store {
	return &Store{state: &state{
		tenants:   make(map[store.TenantKey]*tenant),
		endpoints: make(map[store.EndpointKey]*endpoint),
		once:      make(map[[16]byte]made),

		refusedTokens: make(map[[32]byte]time.Time),
		expiredTokens: make(map[store.TenantKey][]store.Expiry),

		eventTypes: make(map[store.EventTypeKey]*store.EventType),
		failing:    make(map[store.EndpointKey]store.Failing),
		expunges:   make(map[store.ExpungeKey]store.Expunge),
		events:     make(map[store.EventKey]*store.Event),
		attempts:   make(map[store.AttemptKey]*store.LoggedAttempt),
		deliveries: make(map[store.EndpointKey]map[store.EventKey]*store.DeliveryRecord),
		sends:      make(map[store.SendKey]*store.Send),
		jobs:       make(map[store.JobKey]*store.Job),
		openings:   make(map[store.DeliveryRef]store.JobKey),
		underWay:   make(map[*underWay]struct{}),
		settled:    make(chan struct{}),
		deferred:   make(map[store.EventKey]struct{}),
		outbox:     make(map[store.OutboxKey]store.Announcement),
		counting:   newCounting(),
		whole:      make(map[store.TenantKey]wholeSince),
		cluster:    newCluster(),
	}}
}

// Reopen closes the store, as a crash would, and returns another one, without Faults, on
// all that was applied.
func (s *Store) Reopen() *Store {
	_ = s.Close()
	return &Store{state: s.state}
}

// Close makes every later call return ErrClosed. It waits for none that is held by Faults.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.tell() // who waits for others
	return nil
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// do runs an operation alone, with its faults.
func (s *Store) do(ctx context.Context, operation string, apply func(*state) error) error {
	if s.isClosed() {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.fault(ctx, operation, Before); err != nil {
		return err
	}
	if err := s.apply(apply); err != nil {
		return err
	}
	return s.fault(ctx, operation, After)
}

func (s *Store) apply(change func(*state) error) error {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.isClosed() { // meanwhile
		return store.ErrClosed
	}
	return change(s.state)
}

// write is do for an operation that may change what is stored.
func (s *Store) write(ctx context.Context, operation string, apply func(*state) error) error {
	return s.do(ctx, operation, func(db *state) error { return db.writeAs(s.as, apply) })
}

// get is do for an operation that returns something.
func get[T any](ctx context.Context, s *Store, operation string, find func(*state) (T, error)) (T, error) {
	return returning(ctx, s.do, operation, find)
}

// put is write for an operation that returns something.
func put[T any](ctx context.Context, s *Store, operation string, change func(*state) (T, error)) (T, error) {
	return returning(ctx, s.write, operation, change)
}

func returning[T any](ctx context.Context, do func(context.Context, string, func(*state) error) error, operation string, find func(*state) (T, error)) (T, error) {
	var found T
	err := do(ctx, operation, func(db *state) (err error) {
		found, err = find(db)
		return err
	})
	if err != nil {
		return *new(T), err
	}
	return found, nil
}

// sorted returns a map's keys, ascending: no order of a map gets out.
func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// instant is a time as it is kept.
func instant(at time.Time) time.Time { return at.UTC().Truncate(time.Microsecond) }

func instantOrZero(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return instant(at)
}

func list(texts []string) []string {
	if len(texts) == 0 {
		return nil
	}
	return slices.Clone(texts)
}

func table(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

func blob(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return slices.Clone(b)
}

// within chooses the keys of a page.
func within(keys []int64, page store.Page) []int64 {
	var chosen []int64
	for _, key := range keys {
		if page.After == 0 || !page.Descending && key > page.After || page.Descending && key < page.After {
			chosen = append(chosen, key)
		}
	}
	if page.Descending {
		slices.Reverse(chosen)
	}
	return chosen
}

// InitInstance stores made if there is none yet, and returns the one that is stored.
func (s *Store) InitInstance(ctx context.Context, made store.Instance) (store.Instance, error) {
	return put(ctx, s, "InitInstance", func(db *state) (store.Instance, error) {
		if db.instance == nil {
			db.instance = &store.Instance{SealedIDSecret: slices.Clone(made.SealedIDSecret), CreatedAt: instant(made.CreatedAt), Paused: made.Paused}
		}
		return db.readInstance(), nil
	})
}

func (db *state) readInstance() store.Instance {
	return store.Instance{SealedIDSecret: slices.Clone(db.instance.SealedIDSecret), CreatedAt: db.instance.CreatedAt, Paused: db.instance.Paused}
}

// Instance returns the one stored, or ErrNotFound.
func (s *Store) Instance(ctx context.Context) (store.Instance, error) {
	return get(ctx, s, "Instance", func(db *state) (store.Instance, error) {
		if db.instance == nil {
			return store.Instance{}, store.ErrNotFound
		}
		return db.readInstance(), nil
	})
}

// SetPaused changes whether everything is paused.
func (s *Store) SetPaused(ctx context.Context, paused bool) error {
	return s.write(ctx, "SetPaused", func(db *state) error {
		switch {
		case db.instance == nil:
			return store.ErrNotFound
		case db.instance.Paused != paused:
			clear(db.failing)
			db.instance.Paused = paused
			db.postToNodes(store.SignalPaused)
		}
		return nil
	})
}
