package neohook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// outcomes tells what became of each event of a batch in a word.
func outcomes(results []neohook.Published) string {
	words := make([]string, len(results))
	for i := range results {
		var invalid *webhook.InvalidError
		switch err := results[i].Err; {
		case err == nil:
			words[i] = "accepted"
		case errors.As(err, &invalid):
			words[i] = "invalid:" + invalid.Fields[0].Field
		case errors.Is(err, neohook.ErrConflict):
			words[i] = "conflict"
		case errors.Is(err, neohook.ErrKeyReused):
			words[i] = "mismatch"
		default:
			words[i] = err.Error()
		}
	}
	return strings.Join(words, " ")
}

// runOnEachStore runs an engine whose deliveries go nowhere.
func runOnEachStore(t *testing.T, test func(*testing.T, *neohook.Engine)) {
	for name, open := range map[string]func(*testing.T) store.Store{"memstore": openMemory, "sqlite": openSQLite} {
		t.Run(name, func(t *testing.T) {
			eng, _ := start(t, open(t), neohook.Options{Keyset: must[[]byte](t)(neohook.NewKeyset())})
			test(t, eng)
		})
	}
}

func TestBatchTellsOfEachEventAndHarmsNone(t *testing.T) {
	runOnEachStore(t, func(t *testing.T, eng *neohook.Engine) {
		ctx := t.Context()
		createTenant(t, eng, "acme")
		first := must[webhook.Event](t)(eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "a", UID: "taken", Payload: []byte("{}")}))
		results := must[[]neohook.Published](t)(eng.PublishBatch(ctx, "acme", []webhook.Event{
			{Type: "a", Payload: []byte(`{"n":1}`), Channels: []string{"eu"}, Tags: []string{"x"}},
			{Type: "not a name", Payload: []byte("{}")},
			{Type: "a", UID: "taken", Payload: []byte("{}")},
			{Type: "b", UID: "new", Payload: []byte(`{"n":2}`)},
			{Type: "b", UID: "new", Payload: []byte(`{"n":3}`)},
			{Type: "b", ID: first.ID, Payload: []byte("{}")},
			{Type: "c", Payload: make([]byte, eng.MaxPayloadBytes()+1)},
			{Type: "c", Payload: []byte(`{"n":4}`)},
		}))
		if got, want := outcomes(results), "accepted invalid:type conflict accepted conflict invalid:id invalid:payload accepted"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		listed := must[neohook.List[webhook.Event]](t)(eng.Events(ctx, "acme", neohook.EventFilter{WithPayload: true}, neohook.Page{}))
		var payloads []string
		for _, event := range listed.Items {
			payloads = append(payloads, string(event.Payload))
		}
		if want := []string{"{}", `{"n":1}`, `{"n":2}`, `{"n":4}`}; !slices.Equal(payloads, want) {
			t.Errorf("stored %s, want %s", payloads, want)
		}
		read := must[webhook.Event](t)(eng.Event(ctx, "acme", results[0].Event.ID))
		if got := results[0].Event; got.Tenant != first.Tenant || !got.AcceptedAt.Equal(read.AcceptedAt) || got.Type != "a" || !slices.Equal(got.Tags, read.Tags) {
			t.Errorf("result %+v, stored %+v", got, read)
		}
	})
}

func TestBatchThatCanNotBeTakenIsRefusedWhole(t *testing.T) {
	runOnEachStore(t, func(t *testing.T, eng *neohook.Engine) {
		createTenant(t, eng, "acme")
		one := []webhook.Event{{Type: "a", Payload: []byte("{}")}}
		_, err := eng.PublishBatch(t.Context(), "none", one)
		wantErr(t, "an unknown tenant", err, neohook.ErrNotFound)
		_, err = eng.PublishBatch(t.Context(), "none", []webhook.Event{{Type: "not a name"}})
		wantErr(t, "an unknown tenant, and nothing that is valid", err, neohook.ErrNotFound)
		large := slices.Repeat([]webhook.Event{{Type: "a", Payload: make([]byte, 1<<20)}}, 17)
		for name, events := range map[string][]webhook.Event{
			"none": nil, "too many": slices.Repeat(one, neohook.MaxBatchEvents+1), "too much": large,
		} {
			var invalid *webhook.InvalidError
			if _, err := eng.PublishBatch(t.Context(), "acme", events); !errors.As(err, &invalid) {
				t.Errorf("%s: err = %v, want *InvalidError", name, err)
			}
		}
		if got := len(must[[]neohook.Published](t)(eng.PublishBatch(t.Context(), "acme", slices.Repeat(one, neohook.MaxBatchEvents)))); got != neohook.MaxBatchEvents {
			t.Errorf("%d results", got)
		}
	})
}

func TestBatchIsRepeatedByItsParts(t *testing.T) {
	runOnEachStore(t, func(t *testing.T, eng *neohook.Engine) {
		ctx := t.Context()
		createTenant(t, eng, "acme")
		once := eng.Once(neohook.Once{Key: "k", Request: []byte("ignored")})
		events := []webhook.Event{
			{Type: "a", Payload: []byte(`{"n":1}`)}, {Type: "bad type", Payload: []byte(`{"n":2}`)}, {Type: "a", Payload: []byte(`{"n":3}`)},
		}
		first := must[[]neohook.Published](t)(once.PublishBatch(ctx, "acme", events))
		events[1].Type = "mended"
		events[2].Payload = []byte(`{"n":4}`)
		again := must[[]neohook.Published](t)(once.PublishBatch(ctx, "acme", events))
		if got := outcomes(first) + ", " + outcomes(again); got != "accepted invalid:type accepted, accepted accepted mismatch" {
			t.Error(got)
		}
		if first[0].Event.ID != again[0].Event.ID {
			t.Errorf("%s is %s in the repeat", first[0].Event.ID, again[0].Event.ID)
		}
		listed := must[neohook.List[webhook.Event]](t)(eng.Events(ctx, "acme", neohook.EventFilter{}, neohook.Page{}))
		if len(listed.Items) != 3 {
			t.Errorf("%d events stored, want 3", len(listed.Items))
		}
	})
}

// commits counts the transactions that accept events.
type commits struct {
	store.Store
	sizes chan int
}

func (c commits) Commit(ctx context.Context, batch *store.Batch) ([]store.Verdict, error) {
	if len(batch.Accepts) > 0 {
		c.sizes <- len(batch.Accepts)
	}
	return c.Store.Commit(ctx, batch)
}

func TestBatchIsOneCommitAndIsSentInItsOrder(t *testing.T) {
	st := commits{memstore.New(), make(chan int, 10_000)}
	r := receive(t, nil)
	eng, _ := start(t, st, neohook.Options{Keyset: must[[]byte](t)(neohook.NewKeyset())})
	createTenant(t, eng, "acme")
	createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL, Ordered: true})
	events := make([]webhook.Event, 700)
	for i := range events {
		events[i] = webhook.Event{Type: "a", Payload: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	for _, result := range must[[]neohook.Published](t)(eng.PublishBatch(t.Context(), "acme", events)) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
	}
	if size := <-st.sizes; size != len(events) || len(st.sizes) != 0 {
		t.Errorf("%d events in the first of %d commits", size, 1+len(st.sizes))
	}
	for i := range events {
		if got := string(r.next(t).body); got != string(events[i].Payload) {
			t.Fatalf("%s was sent in place of %s", got, events[i].Payload)
		}
	}
}

func TestBatchFailsWhole(t *testing.T) {
	st := &unwilling{Store: memstore.New()}
	eng, _ := start(t, st, neohook.Options{Keyset: must[[]byte](t)(neohook.NewKeyset()), MaxTenantBacklog: 3})
	createTenant(t, eng, "acme")
	createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "http://127.0.0.1:1/"})
	two := slices.Repeat([]webhook.Event{{Type: "a", Payload: []byte("{}")}}, 2)
	must[[]neohook.Published](t)(eng.PublishBatch(t.Context(), "acme", two))
	_, err := eng.PublishBatch(t.Context(), "acme", two)
	wantErr(t, "more than the tenant may have", err, neohook.ErrBacklogFull)
	st.fails.Store(true)
	_, err = eng.PublishBatch(t.Context(), "acme", two[:1])
	st.fails.Store(false)
	wantErr(t, "a store that fails", err, errDown)
}

// unwilling is a store that takes no events while it fails.
type unwilling struct {
	store.Store
	fails atomic.Bool
}

var errDown = errors.New("down")

func (f *unwilling) Commit(ctx context.Context, batch *store.Batch) ([]store.Verdict, error) {
	if f.fails.Load() && len(batch.Accepts) > 0 {
		return nil, errDown
	}
	return f.Store.Commit(ctx, batch)
}
