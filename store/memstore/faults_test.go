package memstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
)

// at returns Faults that strike once, at an operation and a moment.
func at(operation string, moment memstore.Moment, fault error) memstore.Faults {
	struck := false
	return func(_ context.Context, asked string, now memstore.Moment) error {
		if asked == operation && now == moment && !struck {
			struck = true
			return fault
		}
		return nil
	}
}

func commit(t *testing.T, s *memstore.Store) ([]store.Verdict, error) {
	t.Helper()
	return s.Commit(t.Context(), &store.Batch{Now: time.Unix(1, 0), Accepts: []store.Accept{{
		Tenant: 1, RouteVersion: 1, Type: "a", Once: &store.Once{Hash: [16]byte{1}, TTL: time.Hour},
	}}})
}

func newWithTenant(t *testing.T) *memstore.Store {
	t.Helper()
	s := memstore.New()
	if err := s.InsertTenant(t.Context(), store.Tenant{Key: 1, Organisation: "org"}, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		moment  memstore.Moment
		fault   error
		want    error
		closed  bool
		applied bool
	}{
		"error before":     {memstore.Before, broken, broken, false, false},
		"error after":      {memstore.After, broken, broken, false, true},
		"commit unknown":   {memstore.After, store.ErrCommitUnknown, store.ErrCommitUnknown, false, true},
		"commit known not": {memstore.Before, store.ErrCommitUnknown, store.ErrCommitUnknown, false, false},
		"crash before":     {memstore.Before, memstore.Crash, store.ErrClosed, true, false},
		"crash after":      {memstore.After, memstore.Crash, store.ErrClosed, true, true},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			s := newWithTenant(t)
			s.Faults = at("Commit", test.moment, test.fault)
			if verdicts, err := commit(t, s); !errors.Is(err, test.want) || verdicts != nil {
				t.Fatalf("verdicts %v, error %v, want %v", verdicts, err, test.want)
			}
			if _, err := s.Tenant(t.Context(), "org", 1); errors.Is(err, store.ErrClosed) != test.closed {
				t.Errorf("the next call: %v, want closed %v", err, test.closed)
			}
			want := store.Accepted
			if test.applied {
				want = store.Replayed
			}
			verdicts, err := commit(t, s.Reopen())
			if err != nil || verdicts[0].Kind != want {
				t.Errorf("again: %v, %v, want %v", verdicts, err, want)
			}
		})
	}
}

func TestFaultsAreAskedByName(t *testing.T) {
	s := newWithTenant(t)
	var asked []string
	s.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
		asked = append(asked, map[memstore.Moment]string{memstore.Before: "before ", memstore.After: "after "}[moment]+operation)
		return nil
	}
	if _, err := s.NewKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tenant(t.Context(), "org", 99); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	want := []string{"before NewKey", "after NewKey", "before Tenant"} // which did not succeed
	if len(asked) != len(want) || asked[0] != want[0] || asked[1] != want[1] || asked[2] != want[2] {
		t.Errorf("asked %v, want %v", asked, want)
	}
}

func TestStalledOperationHoldsNoOther(t *testing.T) {
	s := newWithTenant(t)
	stalled, release := make(chan struct{}), make(chan struct{})
	s.Faults = func(ctx context.Context, operation string, moment memstore.Moment) error {
		if operation != "Commit" || moment != memstore.Before {
			return nil
		}
		close(stalled)
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan error)
	go func() {
		_, err := commit(t, s)
		done <- err
	}()
	<-stalled
	if _, err := s.Tenant(t.Context(), "org", 1); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCrashStopsWhatIsStalled(t *testing.T) {
	s := newWithTenant(t)
	stalled, release := make(chan struct{}), make(chan struct{})
	s.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
		switch {
		case operation == "NewKey":
			return memstore.Crash
		case operation == "Commit" && moment == memstore.Before:
			close(stalled)
			<-release
		}
		return nil
	}
	done := make(chan error)
	go func() {
		_, err := commit(t, s)
		done <- err
	}()
	<-stalled
	if _, err := s.NewKey(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("%v, want %v", err, store.ErrClosed)
	}
	close(release)
	if err := <-done; !errors.Is(err, store.ErrClosed) {
		t.Errorf("what was stalled: %v, want %v", err, store.ErrClosed)
	}
	if verdicts, err := commit(t, s.Reopen()); err != nil || verdicts[0].Kind != store.Accepted {
		t.Errorf("%v, %v: what was stalled was applied", verdicts, err)
	}
}
