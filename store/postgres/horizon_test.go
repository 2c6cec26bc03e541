package postgres

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres/postgrestest"
)

// signalled is a node that owns a bucket, and somebody else's connection that posts for it.
type signalled struct {
	*testing.T
	s      *Store
	conn   *pgx.Conn
	tenant store.TenantKey
}

func newSignalled(t *testing.T) *signalled {
	t.Helper()
	const schema = "test_horizon"
	s, err := Open(t.Context(), postgrestest.Address(t), Options{Schema: schema, MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	h := &signalled{T: t, s: s, tenant: 7}
	h.conn = h.connect()
	t.Cleanup(func() {
		_ = s.Close()
		h.exec(h.conn, `DROP SCHEMA test_horizon CASCADE`)
	})
	if _, err := s.Join(t.Context(), store.Member{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(t.Context(), []store.Bucket{store.BucketOf(h.tenant)}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *signalled) connect() *pgx.Conn {
	h.Helper()
	conn, err := pgx.Connect(h.Context(), postgrestest.Address(h))
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = conn.Close(context.Background()) })
	h.exec(conn, `SET search_path TO test_horizon`)
	return conn
}

func (h *signalled) exec(conn *pgx.Conn, query string, args ...any) {
	h.Helper()
	if _, err := conn.Exec(context.WithoutCancel(h.Context()), query, args...); err != nil {
		h.Error(err)
	}
}

func (h *signalled) post(conn *pgx.Conn, tenant store.TenantKey, n int) {
	h.Helper()
	h.exec(conn, `INSERT INTO signal (key, kind, bucket, tenant, endpoint, event, send, job)
		SELECT nextval('signal_key'), 1, $1, $2, 1, 1, 0, 0 FROM generate_series(1, $3)`, store.BucketOf(tenant), tenant, n)
}

// hear returns the keys that are heard, and ends them.
func (h *signalled) hear() (keys []store.SignalKey) {
	h.Helper()
	heard, err := h.s.Signals(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	for _, signal := range heard.Signals {
		keys = append(keys, signal.Key)
	}
	if err := h.s.EndSignals(h.Context(), keys); err != nil {
		h.Fatal(err)
	}
	return keys
}

// Rows that a snapshot of somebody else still sees can't be cleaned away.
func TestEndedSignalsAreNotPassedAgain(t *testing.T) {
	h := newSignalled(t)
	foreign := h.connect()
	h.exec(foreign, `BEGIN ISOLATION LEVEL REPEATABLE READ`)
	h.exec(foreign, `SELECT count(*) FROM signal`)
	var last store.SignalKey
	for range 20 {
		h.post(h.conn, h.tenant, stride)
		keys := h.hear()
		if len(keys) != stride || keys[0] <= last {
			t.Fatalf("%d signals from %d heard, want %d after %d", len(keys), keys[0], stride, last)
		}
		last = keys[len(keys)-1]
		if from := h.s.heard.lowest(); from < int64(last)-2*stride {
			t.Fatalf("looked for from %d, and all up to %d have ended", from, last)
		}
	}
	// Nor by who awaits what others have heard.
	for range 2 {
		if err := h.s.AwaitHeard(t.Context(), h.tenant); err != nil {
			t.Fatal(err)
		}
	}
	if from := h.s.posted.lowest(); from < int64(last)-2*stride {
		t.Errorf("awaited from %d, and all up to %d have ended", from, last)
	}
}

// One who has drawn keys may store them long after others.
func TestSignalsThatAppearLateAreHeard(t *testing.T) {
	h := newSignalled(t)
	late := h.connect()
	h.exec(late, `BEGIN`)
	h.post(late, h.tenant, 1)
	for range 5 {
		h.post(h.conn, h.tenant, stride)
		h.hear()
	}
	h.exec(late, `COMMIT`)
	if n := len(h.hear()); n != 1 {
		t.Errorf("%d signals that appeared late are heard, want 1", n)
	}
	for range 3 {
		h.post(h.conn, h.tenant, stride)
		h.hear()
	}
	if h.s.heard.lowest() == 0 {
		t.Error("all are looked for, though the late one is settled")
	}
}

// What a handle does not know to be its node's any more goes on being posted for the node.
func TestSignalsOfAForgottenBucketAreHeard(t *testing.T) {
	h := newSignalled(t)
	bucket := store.BucketOf(h.tenant)
	h.s.member.nextTurn([]store.Bucket{bucket}) // as a Release that fails
	h.post(h.conn, h.tenant, 1)
	for range 3 {
		h.post(h.conn, h.tenant+1, stride)
		h.hear()
	}
	if h.s.heard.lowest() == 0 {
		t.Fatal("nothing is settled")
	}
	if _, err := h.s.Claim(t.Context(), []store.Bucket{bucket}); err != nil {
		t.Fatal(err)
	}
	if n := len(h.hear()); n != 1 {
		t.Errorf("%d signals are heard, want 1", n)
	}
}

// A slow owner's signals are awaited, however many others have come and gone.
func TestOldSignalsAreAwaited(t *testing.T) {
	h := newSignalled(t)
	other, err := Open(t.Context(), postgrestest.Address(t), Options{Schema: "test_horizon", MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	if _, err := other.Join(t.Context(), store.Member{}); err != nil {
		t.Fatal(err)
	}
	h.post(h.conn, h.tenant, 1) // not heard yet
	for range 3 {
		h.post(h.conn, h.tenant+1, stride)
		if err := other.AwaitHeard(t.Context(), h.tenant+1); err != nil { // nobody's
			t.Fatal(err)
		}
		if _, err := other.Signals(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	awaited := make(chan error, 1)
	go func() { awaited <- other.AwaitHeard(ctx, h.tenant) }()
	cancel()
	if err := <-awaited; err == nil {
		t.Error("a signal that was not heard is not awaited")
	}
	h.hear()
	if err := other.AwaitHeard(t.Context(), h.tenant); err != nil {
		t.Error(err)
	}
}
