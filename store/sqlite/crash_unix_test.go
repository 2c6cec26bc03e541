//go:build unix

package sqlite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/internal/killed"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

// What the process that will be killed writes to its output, a line a batch: the batch
// was acknowledged.
type acknowledged struct {
	Round, Batch int
	Events       []store.EventKey
	Delivered    []store.EventKey // those of the batch before, recorded with this one
}

const crashBatch = 20

// crashPayload tells from which batch an event is.
func crashPayload(round, batch, place int) []byte {
	return fmt.Appendf(nil, `{"round":%d,"batch":%d,"place":%d,"filler":%q}`, round, batch, place, strings.Repeat("x", 700))
}

// TestKilledWhileCommitting kills a process with SIGKILL while it commits, several times
// over the same folder: all that was acknowledged is there, and each batch is there whole
// or not at all.
func TestKilledWhileCommitting(t *testing.T) {
	if folder := killed.Place(); folder != "" {
		commitForever(t, folder)
	}
	folder := t.TempDir()
	s := openAt(t, folder)
	newPublisher(t, s)
	routeOne(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var all []acknowledged
	for round, lines := range []int{1, 7, 40, 90, 3} {
		all = append(all, killAfter(t, folder, round, lines)...)
	}
	s = openAt(t, folder)
	defer s.Close()
	if verdict, err := s.IntegrityCheck(t.Context()); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %s, %v", verdict, err)
	}
	unfinished := checkWhole(t, s, all)
	checkCounts(t, s, len(all)+unfinished)
	t.Logf("%d batches acknowledged, %d more were stored and not acknowledged", len(all), unfinished)
}

// The one tenant and endpoint of the test: the first and the second key that were drawn.
const (
	crashTenant   = store.TenantKey(1)
	crashEndpoint = store.EndpointKey(2)
)

func routeOne(t *testing.T, s *sqlite.Store) {
	t.Helper()
	key, err := s.NewKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ep := store.Endpoint{Key: store.EndpointKey(key), Tenant: crashTenant}
	if err := s.InsertEndpoint(t.Context(), ep, nil); err != nil || ep.Key != crashEndpoint {
		t.Fatalf("endpoint %d: %v", ep.Key, err)
	}
}

// killAfter kills a process that commits, when so many batches were acknowledged.
func killAfter(t *testing.T, folder string, round, lines int) (acked []acknowledged) {
	t.Helper()
	for _, line := range killed.After(t, folder, lines, fmt.Sprint("NEOHOOK_TEST_ROUND=", round)) {
		var batch acknowledged
		if err := json.Unmarshal([]byte(line), &batch); err != nil {
			t.Fatalf("child: %s", line)
		}
		acked = append(acked, batch)
	}
	return acked
}

// commitForever accepts batches and records the outcomes of the batch before.
func commitForever(t *testing.T, folder string) {
	s := openAt(t, folder)
	s.FoldInSmallSteps()
	routes, err := s.Routes(t.Context(), crashTenant)
	if err != nil {
		t.Fatal(err)
	}
	var round int
	_, _ = fmt.Sscan(os.Getenv("NEOHOOK_TEST_ROUND"), &round)
	var before []store.EventKey
	for number := 0; ; number++ {
		// Ten minutes each, and the upkeep in between: a process dies in the making of hours.
		batch := &store.Batch{Now: time.Unix(0, 0).Add(time.Duration(round)*30*24*time.Hour + time.Duration(number)*10*time.Minute)}
		for place := range crashBatch {
			once := &store.Once{TTL: time.Hour}
			copy(once.Hash[:], fmt.Sprintf("%d %d %d", round, number, place))
			batch.Accepts = append(batch.Accepts, store.Accept{
				Tenant: crashTenant, RouteVersion: routes.Version, Endpoints: []store.EndpointKey{crashEndpoint},
				Type: "a", Payload: crashPayload(round, number, place), Once: once,
			})
		}
		for _, event := range before {
			batch.Outcomes = append(batch.Outcomes, store.Outcome{
				Tenant: crashTenant, Endpoint: crashEndpoint, Event: event, State: webhook.Succeeded,
				Attempt: &store.Attempt{Number: 1, Succeeded: true, StartedAt: batch.Now},
			})
		}
		verdicts, err := s.Commit(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		line := acknowledged{Round: round, Batch: number, Delivered: before}
		for _, verdict := range verdicts {
			line.Events = append(line.Events, verdict.Event)
		}
		before = line.Events
		if _, err := s.CompactRollups(t.Context(), batch.Now); err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
}

// checkWhole compares what is stored with what was acknowledged, and returns how many
// batches are stored that were not.
func checkWhole(t *testing.T, s *sqlite.Store, all []acknowledged) (unfinished int) {
	t.Helper()
	type batchKey struct{ Round, Batch int }
	stored := make(map[batchKey]int)
	events := make(map[store.EventKey]bool)
	page := store.Page{Limit: 500}
	for {
		listed, err := s.Events(t.Context(), crashTenant, store.EventFilter{WithPayload: true}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range listed.Items {
			var from struct{ Round, Batch, Place int }
			if err := json.Unmarshal(ev.Payload, &from); err != nil {
				t.Fatal(err)
			}
			if string(ev.Payload) != string(crashPayload(from.Round, from.Batch, from.Place)) {
				t.Errorf("event %d has another payload", ev.Key)
			}
			stored[batchKey{from.Round, from.Batch}]++
			events[ev.Key] = true
			checkDelivery(t.Context(), t, s, ev.Key)
		}
		if listed.Done {
			break
		}
		page.After = listed.Last
	}
	for key, count := range stored {
		if count != crashBatch {
			t.Errorf("of batch %+v there are %d events, want all %d or none", key, count, crashBatch)
		}
	}
	for _, line := range all {
		for _, event := range line.Events {
			if !events[event] {
				t.Errorf("event %d of batch %d/%d was acknowledged and is not there", event, line.Round, line.Batch)
			}
		}
		for _, event := range line.Delivered {
			d, err := s.Delivery(t.Context(), crashEndpoint, event)
			if err != nil || d.State != webhook.Succeeded {
				t.Errorf("delivery of event %d was recorded and is %v, %v", event, d.State, err)
			}
		}
	}
	return len(stored) - len(all)
}

// checkDelivery holds an event to one delivery that agrees with its attempts.
func checkDelivery(ctx context.Context, t *testing.T, s *sqlite.Store, event store.EventKey) {
	t.Helper()
	d, err := s.Delivery(ctx, crashEndpoint, event)
	if err != nil {
		t.Errorf("delivery of event %d: %v", event, err)
		return
	}
	attempts, err := s.AttemptsOfEvent(ctx, event, store.AttemptFilter{}, store.Page{Limit: 9})
	if err != nil || len(attempts.Items) != d.Tried || (d.State == webhook.Succeeded) != (d.Tried == 1) {
		t.Errorf("event %d is %v after %d tries, with %d attempts: %v", event, d.State, d.Tried, len(attempts.Items), err)
	}
}

// checkCounts holds what is counted to how many batches are stored, and to history.
func checkCounts(t *testing.T, s *sqlite.Store, batches int) {
	t.Helper()
	now := time.Unix(0, 0).Add(200 * 24 * time.Hour)
	sums, err := s.Sums(t.Context(), store.SumQuery{Tenant: crashTenant, Unit: store.Day, From: time.Unix(0, 0), To: now})
	if err != nil || len(sums) != 1 || sums[0].Counts[store.EventsAccepted] != int64(batches*crashBatch) {
		t.Errorf("counted %+v, %v; want %d events", sums, err, batches*crashBatch)
	}
	found, err := s.Recount(t.Context(), now)
	if err != nil || found.Wrong != 0 || found.Events != int64(batches*crashBatch) {
		t.Errorf("recounted %+v, %v; want none wrong of %d events", found, err, batches*crashBatch)
	}
}
