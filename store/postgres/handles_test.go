package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres/postgrestest"
	"github.com/neohook/neohook/webhook"
)

const organisation = "org_test"

var noon = time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)

// handles are two on one schema, as of two processes.
type handles struct {
	*testing.T
	folder string
	of     [2]store.Store
}

func openHandles(t *testing.T) *handles {
	folder := t.TempDir()
	return &handles{t, folder, [2]store.Store{openAt(t, folder), openAt(t, folder)}}
}

// race calls both at once, many times over, and returns what each call came to.
func (h *handles) race(times int, call func(s store.Store, who, round int) error) (errs [][2]error) {
	errs = make([][2]error, times)
	for round := range errs {
		var both sync.WaitGroup
		for who, s := range h.of {
			both.Go(func() { errs[round][who] = call(s, who, round) })
		}
		both.Wait()
	}
	return errs
}

// oneWins holds each round to one success, and the other call to an error.
func (h *handles) oneWins(errs [][2]error, want error) {
	h.Helper()
	for round, of := range errs {
		won := slices.Index(of[:], nil)
		if won < 0 || !errors.Is(of[1-won], want) {
			h.Fatalf("round %d: %v, want one success and %v", round, of, want)
		}
	}
}

func (h *handles) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *handles) key() int64 {
	h.Helper()
	key, err := h.of[0].NewKey(h.Context())
	h.must(err)
	return key
}

func (h *handles) tenant() store.Tenant {
	h.Helper()
	t := store.Tenant{Key: store.TenantKey(h.key()), Organisation: organisation, Name: "Acme", CreatedAt: noon, UpdatedAt: noon}
	h.must(h.of[0].InsertTenant(h.Context(), t, nil))
	t.Version = 1
	return t
}

func newEndpoint(key int64, tenant store.TenantKey) store.Endpoint {
	return store.Endpoint{
		Key: store.EndpointKey(key), Tenant: tenant, URL: "https://example.com", Method: "POST", CreatedAt: noon, UpdatedAt: noon, Version: 1,
	}
}

func (h *handles) endpoint(tenant store.TenantKey) store.Endpoint {
	h.Helper()
	ep := newEndpoint(h.key(), tenant)
	h.must(h.of[0].InsertEndpoint(h.Context(), ep, nil))
	return ep
}

const rounds = 20

func TestOneOfTwoHandlesHasTheVersion(t *testing.T) {
	h := openHandles(t)
	tenant := h.tenant()
	ep := h.endpoint(tenant.Key)
	eventType := store.EventType{Key: store.EventTypeKey(h.key()), Organisation: organisation, Name: "a", CreatedAt: noon, UpdatedAt: noon, Version: 1}
	h.must(h.of[0].PutEventTypes(t.Context(), []store.EventType{eventType}, nil))
	h.oneWins(h.race(rounds, func(s store.Store, who, round int) error {
		next := tenant
		next.Version, next.Name = int64(round+2), fmt.Sprint(who)
		return s.UpdateTenant(t.Context(), next)
	}), store.ErrStale)
	h.oneWins(h.race(rounds, func(s store.Store, who, round int) error {
		next := ep
		next.Version, next.Name = int64(round+2), fmt.Sprint(who)
		return s.UpdateEndpoint(t.Context(), next, nil)
	}), store.ErrStale)
	h.oneWins(h.race(rounds, func(s store.Store, who, round int) error {
		next := eventType
		next.Version, next.Description = int64(round+2), fmt.Sprint(who)
		return s.PutEventTypes(t.Context(), []store.EventType{next}, nil)
	}), store.ErrStale)
	routes, err := h.of[1].Routes(t.Context(), tenant.Key)
	h.must(err)
	if want := int64(1 + 1 + rounds + rounds); routes.Version != want || routes.Tenant.Version != rounds+1 || routes.Endpoints[0].Version != rounds+1 {
		t.Errorf("routes %+v, want version %d", routes, want)
	}
}

func TestOneOfTwoHandlesHasTheName(t *testing.T) {
	h := openHandles(t)
	owner := h.tenant().Key
	key := func(s store.Store) int64 {
		drawn, err := s.NewKey(t.Context())
		if err != nil {
			t.Error(err)
		}
		return drawn
	}
	h.oneWins(h.race(rounds, func(s store.Store, _, round int) error {
		return s.InsertTenant(t.Context(), store.Tenant{
			Key: store.TenantKey(key(s)), Organisation: organisation, UID: fmt.Sprint("uid", round), CreatedAt: noon, UpdatedAt: noon,
		}, nil)
	}), store.ErrConflict)
	h.oneWins(h.race(rounds, func(s store.Store, _, round int) error {
		ep := newEndpoint(key(s), owner)
		ep.UID = fmt.Sprint("uid", round)
		return s.InsertEndpoint(t.Context(), ep, nil)
	}), store.ErrConflict)
	// Both put the same types, in opposite orders.
	h.oneWins(h.race(rounds, func(s store.Store, who, round int) error {
		types := make([]store.EventType, 20)
		for i := range types {
			types[i] = store.EventType{
				Key: store.EventTypeKey(key(s)), Organisation: organisation, Name: fmt.Sprintf("t%d.%d", round, i), CreatedAt: noon, UpdatedAt: noon, Version: 1,
			}
		}
		if who == 1 {
			slices.Reverse(types)
		}
		return s.PutEventTypes(t.Context(), types, nil)
	}), store.ErrConflict)
}

func TestOneOfTwoHandlesMakesTheChange(t *testing.T) {
	h := openHandles(t)
	owner := h.tenant().Key
	errs := h.race(rounds, func(s store.Store, _, round int) error {
		key, err := s.NewKey(t.Context())
		if err != nil {
			return err
		}
		once := &store.Once{Hash: [16]byte{byte(round), 1}, Now: noon, TTL: time.Hour, Answer: []byte("answer")}
		return s.InsertEndpoint(t.Context(), newEndpoint(key, owner), once)
	})
	for round, of := range errs {
		won := slices.Index(of[:], nil)
		var replay *store.ReplayError
		if won < 0 || !errors.As(of[1-won], &replay) || replay.Mismatch || string(replay.Answer) != "answer" {
			t.Fatalf("round %d: %v, want one change and one repeat", round, of)
		}
	}
	list, err := h.of[1].Endpoints(t.Context(), owner, store.Page{Limit: 99})
	if h.must(err); len(list) != rounds {
		t.Errorf("%d endpoints, want %d", len(list), rounds)
	}
}

func TestOneOfTwoHandlesStoresTheFirstToken(t *testing.T) {
	for range 5 {
		h := openHandles(t)
		var stored [2]bool
		for _, of := range h.race(1, func(s store.Store, who, _ int) (err error) {
			stored[who], err = s.InitToken(t.Context(), store.Token{Key: store.TokenKey(who + 1), Hash: [32]byte{byte(who)}, Organisation: organisation, CreatedAt: noon})
			return err
		}) {
			if err := errors.Join(of[:]...); err != nil || stored[0] == stored[1] {
				t.Fatalf("stored %v, %v", stored, err)
			}
		}
		for range rounds {
			h.race(1, func(s store.Store, who, _ int) error {
				token := store.Token{Key: store.TokenKey(h.key()), Organisation: organisation, Name: "lost", CreatedAt: noon}
				token.Hash = [32]byte{byte(token.Key), byte(token.Key >> 8), 1}
				return s.ReplaceToken(t.Context(), token)
			})
			list, err := h.of[0].Tokens(t.Context(), organisation, store.TokenFilter{}, noon, store.Page{Limit: 9})
			named := slices.DeleteFunc(list, func(t store.Token) bool { return t.Name != "lost" })
			if h.must(err); len(named) != 1 {
				t.Fatalf("%d tokens are named so that there is one", len(named))
			}
		}
	}
}

// A token, or an endpoint, that is stored while its tenant is deleted is refused, or goes
// with the tenant.
func TestNothingOutlivesItsTenant(t *testing.T) {
	h := openHandles(t)
	for range rounds {
		owner := h.tenant().Key
		key, expiry := h.key(), store.Expiry{Now: noon, At: noon.Add(time.Hour)}
		errs := h.race(1, func(s store.Store, who, _ int) error {
			if who == 0 {
				return s.DeleteTenant(t.Context(), owner, noon)
			}
			token := store.Token{Key: store.TokenKey(key), Hash: [32]byte{byte(key), byte(key >> 8), 2}, Organisation: organisation, Tenant: owner, CreatedAt: noon}
			err := s.InsertToken(t.Context(), token, nil)
			return errors.Join(ignore(err, store.ErrNotFound), ignore(s.InsertEndpoint(t.Context(), newEndpoint(key, owner), nil), store.ErrNotFound),
				s.ExpireTokens(t.Context(), owner, expiry))
		})
		h.must(errors.Join(errs[0][:]...))
		if _, err := h.of[0].TokenOf(t.Context(), organisation, store.TokenKey(key), noon); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("token of a deleted tenant: %v", err)
		}
		if _, err := h.of[0].Endpoint(t.Context(), owner, store.EndpointKey(key)); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("endpoint of a deleted tenant: %v", err)
		}
	}
}

func ignore(err, but error) error {
	if errors.Is(err, but) {
		return nil
	}
	return err
}

// Two expire a tenant's signed tokens at the same instants, over and over.
func TestExpiriesMeet(t *testing.T) {
	h := openHandles(t)
	owner := h.tenant().Key
	for round, of := range h.race(rounds, func(s store.Store, _, round int) error {
		return s.ExpireTokens(t.Context(), owner, store.Expiry{Now: noon, At: noon.Add(time.Duration(round%3) * time.Minute)})
	}) {
		h.must(errors.Join(of[:]...))
		refused, err := h.of[round%2].Refused(t.Context(), store.SignedToken{Tenant: owner, IssuedAt: noon}, noon.Add(time.Hour))
		if h.must(err); !refused {
			t.Fatal("a token is good whose time is over")
		}
	}
}

// A job waits for events that have lower keys than one that is acknowledged, and not for
// what anybody else has open.
func TestJobWaitsForThoseWhoArePublishing(t *testing.T) {
	h := openHandles(t)
	ctx := t.Context()
	owner := h.tenant()
	publishing, foreign, watching := h.connect(), h.connect(), h.connect()
	// Both hold what a transaction may hold, and only the one has drawn a key.
	for _, query := range []string{`BEGIN ISOLATION LEVEL REPEATABLE READ`, `CREATE TEMP TABLE somebodys (n int)`, `SELECT last_value FROM event_key`} {
		h.exec(foreign, query)
		h.exec(publishing, query)
	}
	h.exec(publishing, `SELECT nextval('event_key')`)
	verdicts, err := h.of[0].Commit(ctx, &store.Batch{Now: noon, Accepts: []store.Accept{{Tenant: owner.Key, RouteVersion: 1, Type: "a", Payload: []byte("1")}}})
	h.must(err)
	acknowledged := verdicts[0].Event
	if verdicts[0].Kind != store.Accepted || acknowledged < 2 {
		t.Fatalf("verdict %+v, want an event accepted behind the first key", verdicts[0])
	}

	inserted := make(chan store.Job)
	go func() {
		job, err := h.of[1].InsertJob(ctx, store.Job{
			Key: store.JobKey(h.key()), Organisation: organisation, Tenant: owner.Key, Kind: webhook.JobRecover,
			CreatedAt: noon, JobProgress: store.JobProgress{UpdatedAt: noon},
		}, nil)
		if err != nil {
			t.Error(err)
		}
		inserted <- job
	}()
	for looks := 0; looks < 3; { // it looks at the locks again and again
		var at int
		err := watching.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT virtualtransaction%'`).Scan(&at)
		if h.must(err); at > 0 {
			looks++
		}
		select {
		case job := <-inserted:
			t.Fatalf("a job is for events up to %d, and one of them may still appear", job.Through)
		default:
		}
	}
	h.exec(publishing, `COMMIT`)
	if job := <-inserted; job.Through != acknowledged {
		t.Errorf("a job is for events up to %d, want %d", job.Through, acknowledged)
	}
}

// connect opens a connection of somebody else's to the handles' schema.
func (h *handles) connect() *pgx.Conn {
	h.Helper()
	conn, err := pgx.Connect(h.Context(), postgrestest.Address(h))
	h.must(err)
	h.Cleanup(func() { h.must(conn.Close(context.Background())) })
	h.exec(conn, `SET search_path TO `+schemaOf(h.folder))
	return conn
}

func (h *handles) exec(conn *pgx.Conn, query string) {
	h.Helper()
	_, err := conn.Exec(h.Context(), query)
	h.must(err)
}
