package sqlite_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

func TestContextEndsTheWaitForTheWriter(t *testing.T) {
	s := openNew(t)
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	waited := make(chan error)
	s.HoldWriter(func() {
		go func() {
			close(begun)
			_, err := s.Commit(ctx, &store.Batch{})
			waited <- err
		}()
		<-begun
		cancel()
		if err := <-waited; !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
	})
	if _, err := s.Commit(t.Context(), &store.Batch{}); err != nil {
		t.Error(err)
	}
}

// TestBegunTransactionIsCarriedThrough ends the context while the transaction is under
// way: the answer is not in doubt.
func TestBegunTransactionIsCarriedThrough(t *testing.T) {
	s := openNew(t)
	p := newPublisher(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.CancelInside(ctx, cancel, 77); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tenant(t.Context(), "org", 77); err != nil {
		t.Errorf("what was stored: %v", err)
	}
	p.want(p.publish(time.Hour, 0, 1), store.Accepted)
}

func TestPanicUndoesTheTransaction(t *testing.T) {
	s := openNew(t)
	p := newPublisher(t, s)
	if got := s.PanicInside(t.Context(), 77); got != "in the middle" {
		t.Fatalf("recovered %v", got)
	}
	if _, err := s.Tenant(t.Context(), "org", 77); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was begun: %v, want %v", err, store.ErrNotFound)
	}
	p.want(p.publish(time.Hour, 0, 1), store.Accepted)
}

// TestLostConnectionIsReplaced ends the transaction behind the store's back.
func TestLostConnectionIsReplaced(t *testing.T) {
	s := openNew(t)
	p := newPublisher(t, s)
	first := p.publish(time.Hour, 0, 5)
	if err := s.LoseTransaction(t.Context()); err == nil {
		t.Fatal("no error from a transaction that was lost")
	}
	p.want(p.publish(time.Hour, 0, 5), store.Replayed)
	if next := p.publish(time.Hour, 5, 6)[0]; next.Kind != store.Accepted || next.Event <= first[4].Event {
		t.Errorf("%+v behind %+v", next, first[4])
	}
}

// TestSettings pins what durability and secrecy rest on, as SQLite itself reports it.
func TestSettings(t *testing.T) {
	s := openNew(t)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "page_size": "8192",
		"foreign_keys": "0", "wal_autocheckpoint": "4000",
	} {
		if got := s.WriterPragma(t.Context(), pragma); got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
	if got := s.ReaderPragma(t.Context(), "query_only"); got != "1" {
		t.Errorf("query_only of a reader is %s, want 1", got)
	}
}

// TestReadersDoNotWaitForTheWriter reads while a transaction is open.
func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	s := openNew(t)
	p := newPublisher(t, s)
	event := p.publish(time.Hour, 0, 1)[0].Event
	s.HoldTransaction(t.Context(), func() {
		if _, err := s.Event(t.Context(), p.accept.Tenant, event); err != nil {
			t.Error(err)
		}
		if _, err := s.Lanes(t.Context(), 0, 10); err != nil {
			t.Error(err)
		}
	})
}
