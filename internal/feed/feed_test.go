package feed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/internal/outcome"
	"github.com/neohook/neohook/store"
)

func done(tenant store.TenantKey, events ...store.EventKey) (list []outcome.Done) {
	for _, event := range events {
		list = append(list, outcome.Done{Outcome: store.Outcome{
			Tenant: tenant, Event: event, Attempt: &store.Attempt{Number: 1, Response: []byte("long")},
		}})
	}
	return list
}

// read returns what there is to read, as "1 2 3", with "…" for what was missed.
func read(t *testing.T, r *Reader) string {
	t.Helper()
	entries, missed, err := r.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	if missed {
		words = append(words, "…")
	}
	for i := range entries {
		words = append(words, fmt.Sprint(entries[i].Outcome.Event))
		if entries[i].Outcome.Attempt.Response != nil {
			t.Error("the answer is kept")
		}
	}
	return strings.Join(words, " ")
}

func open(t *testing.T, f *Feed, tenant store.TenantKey, after uint64) *Reader {
	t.Helper()
	r, err := f.Open(tenant, after)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReadersSeeWhatIsRecordedWhileTheyWatch(t *testing.T) {
	f := New(Limits{Entries: 4, Readers: 10, PerRing: 2, Linger: time.Minute})
	f.Add(done(1, 1))
	one, other := open(t, f, 1, 0), open(t, f, 1, 0)
	f.Add(append(done(2, 9), done(1, 2, 3)...))
	if got := read(t, one); got != "2 3" {
		t.Errorf("read %s, want 2 3", got)
	}
	f.Add(done(1, 4, 5, 6))
	if got := read(t, one); got != "4 5 6" {
		t.Errorf("read %s, want 4 5 6", got)
	}
	// The slow one is told that it has missed some, and holds nobody up.
	if got := read(t, other); got != "… 3 4 5 6" {
		t.Errorf("read %s, want … 3 4 5 6", got)
	}
	if _, err := f.Open(1, 0); !errors.Is(err, ErrFull) {
		t.Errorf("a third of two: %v", err)
	}
}

func TestReaderComesBackToWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(Limits{})
		r := open(t, f, 1, 0)
		f.Add(done(1, 1, 2))
		entries, _, _ := r.Read(t.Context())
		r.Close()
		f.Add(done(1, 3))
		time.Sleep(59 * time.Second)
		again := open(t, f, 1, entries[0].Number)
		if got := read(t, again); got != "2 3" {
			t.Errorf("after 59 s it reads %s, want 2 3", got)
		}
		again.Close()
		time.Sleep(61 * time.Second)
		if f.watched.Load() != 0 {
			t.Error("a ring that nobody reads is kept for ever")
		}
		f.Add(done(1, 4))
		late := open(t, f, 1, entries[1].Number)
		if got := read(t, late); got != "…" {
			t.Errorf("after two minutes it reads %s, want that it has missed some", got)
		}
		f.Add(done(1, 5))
		if got := read(t, late); got != "5" {
			t.Errorf("then %s, want 5", got)
		}
		late.Close()
		time.Sleep(2 * time.Minute)
	})
}

func TestReaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(Limits{})
		r := open(t, f, 1, 0)
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := r.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v, want that of the context", err)
		}
		go func() { f.Add(done(1, 7)) }()
		if got := read(t, r); got != "7" {
			t.Errorf("read %s", got)
		}
		go f.Close()
		if _, _, err := r.Read(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("err = %v, want ErrClosed", err)
		}
		if _, err := f.Open(1, 0); !errors.Is(err, ErrClosed) {
			t.Errorf("err = %v, want ErrClosed", err)
		}
	})
}
