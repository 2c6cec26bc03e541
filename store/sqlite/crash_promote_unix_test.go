//go:build unix

package sqlite_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/neohook/neohook/internal/killed"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

// TestKilledWhilePromoting kills a process with SIGKILL while it defers events, promotes
// them, lets their deliveries fail, and accepts what is announced of that, several times
// over the same folder. Each event is deferred or has one delivery; each delivery that
// failed has one announced event, in the outbox or accepted.
func TestKilledWhilePromoting(t *testing.T) {
	if folder := killed.Place(); folder != "" {
		promoteForever(t, folder)
	}
	folder := t.TempDir()
	s := openAt(t, folder)
	newPublisher(t, s)
	routeOne(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, lines := range []int{2, 13, 41, 7} {
		killed.After(t, folder, lines)
	}
	s = openAt(t, folder)
	defer s.Close()
	if verdict, err := s.IntegrityCheck(t.Context()); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %s, %v", verdict, err)
	}
	checkPromoted(t, s)
}

// failedType is what is announced of a delivery that failed.
const failedType = "failed"

// promoteForever goes on where an earlier process was killed, a line for each transaction.
func promoteForever(t *testing.T, folder string) {
	s := openAt(t, folder)
	routes, err := s.Routes(t.Context(), crashTenant)
	if err != nil {
		t.Fatal(err)
	}
	must := func(_ any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("done")
	}
	for now := time.Now(); ; now = now.Add(time.Second) {
		deferring := store.Batch{Now: now}
		for range crashBatch {
			deferring.Accepts = append(deferring.Accepts, store.Accept{Tenant: crashTenant, RouteVersion: routes.Version, Type: "a", DeliverAt: now})
		}
		must(s.Commit(t.Context(), &deferring))

		due, _, err := s.Due(t.Context(), now, 2*crashBatch)
		if err != nil {
			t.Fatal(err)
		}
		var promotions []store.Promotion
		for _, ev := range due {
			promotions = append(promotions, store.Promotion{
				Event: ev.Event, Tenant: ev.Tenant, DueAt: ev.DueAt, RouteVersion: routes.Version, Endpoints: []store.EndpointKey{crashEndpoint},
			})
		}
		must(s.Promote(t.Context(), now, promotions))

		waiting, err := s.Waiting(t.Context(), crashEndpoint, store.Moment{}, 2*crashBatch)
		if err != nil {
			t.Fatal(err)
		}
		failing := store.Batch{Now: now}
		for _, open := range waiting {
			failing.Outcomes = append(failing.Outcomes, store.Outcome{
				Tenant: crashTenant, Endpoint: crashEndpoint, Event: open.Event, State: webhook.Exhausted,
				Attempt: &store.Attempt{Number: 1, StatusCode: 500, StartedAt: now}, Announce: &store.Announcement{Type: failedType},
			})
		}
		must(s.Commit(t.Context(), &failing))

		rows, err := s.Outbox(t.Context(), 0, 2*crashBatch)
		if err != nil {
			t.Fatal(err)
		}
		accepting := store.Batch{Now: now}
		for _, row := range rows {
			accepting.Accepts = append(accepting.Accepts, store.Accept{
				Tenant: crashTenant, RouteVersion: routes.Version, From: row.Key, Type: row.Type, Payload: told(row.About),
			})
		}
		must(s.Commit(t.Context(), &accepting))
	}
}

// told is the payload of an announced event.
func told(about store.About) []byte { return fmt.Appendf(nil, "%d by %d", about.Event, about.Attempt) }

func checkPromoted(t *testing.T, s *sqlite.Store) {
	t.Helper()
	announced := make(map[string]int) // of each that failed, in the outbox or accepted
	rows, err := s.Outbox(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		announced[string(told(row.About))]++
	}
	due, _, err := s.Due(t.Context(), time.Now().Add(24*time.Hour), 1000)
	if err != nil {
		t.Fatal(err)
	}
	deferred := make(map[store.EventKey]bool)
	for _, ev := range due {
		deferred[ev.Event] = true
	}
	failed := make(map[string]bool)
	events := 0
	for page := (store.Page{Limit: 500}); ; {
		listed, err := s.Events(t.Context(), crashTenant, store.EventFilter{WithPayload: true}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range listed.Items {
			if ev.Type == failedType {
				announced[string(ev.Payload)]++
				continue
			}
			events++
			d, err := s.Delivery(t.Context(), crashEndpoint, ev.Key)
			if (err == nil) == deferred[ev.Key] {
				t.Errorf("event %d is deferred: %v, and its delivery is %v, %v", ev.Key, deferred[ev.Key], d.State, err)
			}
			if d.State == webhook.Exhausted {
				attempts, err := s.AttemptsOfEvent(t.Context(), ev.Key, store.AttemptFilter{}, store.Page{Limit: 9})
				if err != nil || len(attempts.Items) != 1 {
					t.Fatalf("event %d has %d attempts: %v", ev.Key, len(attempts.Items), err)
				}
				failed[string(told(store.About{Event: ev.Key, Attempt: attempts.Items[0].Key}))] = true
			}
		}
		if listed.Done {
			break
		}
		page.After = listed.Last
	}
	for what, times := range announced {
		if times != 1 || !failed[what] {
			t.Errorf("%s: announced %d times; it failed: %v", what, times, failed[what])
		}
	}
	if len(failed) != len(announced) || len(failed) == 0 {
		t.Errorf("%d have failed, %d are announced", len(failed), len(announced))
	}
	t.Logf("%d events, %d still deferred, %d failed, %d of these in the outbox", events, len(deferred), len(failed), len(rows))
}
