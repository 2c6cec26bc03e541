package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
)

// throughProxy opens a store on a new schema, through a proxy.
func throughProxy(t *testing.T) (*postgres.Store, *proxy) {
	t.Helper()
	p := newProxy(t)
	p.schema = t.TempDir()
	s, err := postgres.Open(t.Context(), p.address(), postgres.Options{Schema: schemaOf(p.schema), MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, p
}

func TestUnknownCommitIsToldAsSuch(t *testing.T) {
	for what, after := range map[string]bool{"cut before the server has it": false, "cut before it has answered": true} {
		t.Run(what, func(t *testing.T) {
			s, p := throughProxy(t)
			l := newLoad(t, s, 3, 1, true)
			l.commit()
			cut := p.cutAt("commit", after)
			_, err := s.Commit(t.Context(), l.next())
			<-cut
			if !errors.Is(err, store.ErrCommitUnknown) {
				t.Fatalf("Commit: %v, want that its outcome is unknown", err)
			}
			verdicts, err := s.Commit(t.Context(), &store.Batch{Now: l.now, Accepts: l.accepts})
			if err != nil {
				t.Fatal("the same again:", err)
			}
			want := store.Accepted
			if after {
				want = store.Replayed
			}
			for i, verdict := range verdicts {
				if verdict.Kind != want {
					t.Errorf("event %d again: verdict %d, want %d", i, verdict.Kind, want)
				}
			}
		})
	}
}

func TestUnknownChangeIsToldAsSuch(t *testing.T) {
	for what, after := range map[string]bool{"cut before the server has it": false, "cut before it has answered": true} {
		t.Run(what, func(t *testing.T) {
			s, p := throughProxy(t)
			tenant := store.Tenant{Key: 1, Organisation: "org", Name: "a"}
			cut := p.cutAt("commit", after)
			err := s.InsertTenant(t.Context(), tenant, nil)
			<-cut
			if !errors.Is(err, store.ErrCommitUnknown) {
				t.Fatalf("InsertTenant: %v, want that its outcome is unknown", err)
			}
			_, err = s.Tenant(t.Context(), "org", 1)
			if stored := err == nil; stored != after {
				t.Errorf("stored: %v (%v), want %v", stored, err, after)
			}
		})
	}
}

// TestConnectionLostBehindAnUnknownCommitIsMadeUpFor has the connections of a pool ended
// together, as by somebody who buries the node: one of them at the commit.
func TestConnectionLostBehindAnUnknownCommitIsMadeUpFor(t *testing.T) {
	for what, after := range map[string]bool{"before the server has it": false, "before it has answered": true} {
		t.Run(what, func(t *testing.T) {
			s, p := throughProxy(t)
			cut := p.cutAt("commit", false)
			if err := s.InsertTenant(t.Context(), store.Tenant{Key: 1, Organisation: "org"}, nil); !errors.Is(err, store.ErrCommitUnknown) {
				t.Fatalf("InsertTenant: %v, want that its outcome is unknown", err)
			}
			<-cut
			cut = p.cutAt(postgres.SettleSQL, after)
			if err := s.InsertTenant(t.Context(), store.Tenant{Key: 2, Organisation: "org"}, nil); err != nil {
				t.Errorf("InsertTenant: %v", err)
			}
			<-cut
		})
	}
}

func TestConnectionLostEarlierIsMadeUpFor(t *testing.T) {
	s, p := throughProxy(t)
	l := newLoad(t, s, 3, 1, true)
	l.commit()
	cut := p.cutAt("begin", false)
	l.commit()
	<-cut
	cut = p.cutAt("begin", true)
	l.commit()
	<-cut
	events, err := s.Events(t.Context(), l.tenants[0].Tenant, store.EventFilter{}, store.Page{Limit: 99})
	if err != nil || len(events.Items) != 9 {
		t.Errorf("%d events, %v; want the 9 that were accepted", len(events.Items), err)
	}
}

func TestCommitTakesTwoRoundTrips(t *testing.T) {
	s, p := throughProxy(t)
	l := newLoad(t, s, 16, 4, true)
	commit := func(batch *store.Batch) (trips int64) {
		t.Helper()
		before := p.trips.Load()
		verdicts, err := s.Commit(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		l.outcomes = nil
		if len(batch.Accepts) > 0 {
			l.done(verdicts)
		}
		return p.trips.Load() - before
	}
	for range 20 { // every statement is prepared, and partitions are there
		commit(l.next())
	}
	failed := func(tried int) *store.Batch {
		batch := l.next()
		for i := range batch.Outcomes {
			o := &batch.Outcomes[i]
			attempt := *o.Attempt
			attempt.Succeeded, attempt.StatusCode = false, 500
			o.Attempt, o.State, o.RetryAt, o.Tried = &attempt, 3, l.now.Add(time.Hour), tried
			o.Failing = &store.Failing{Since: l.now}
		}
		return batch
	}
	for range 5 {
		commit(failed(0))
	}
	for what, batch := range map[string]func() *store.Batch{
		"events with keys, and successes": l.next,
		"failures":                        func() *store.Batch { return failed(0) },
		"successes alone": func() *store.Batch {
			batch := l.next()
			batch.Accepts = nil
			return batch
		},
		"nothing": func() *store.Batch { return &store.Batch{Now: l.now} },
	} {
		if trips := commit(batch()); trips != 2 {
			t.Errorf("%s: %d round trips, want 2", what, trips)
		}
	}
}
