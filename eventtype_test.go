package neohook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func invoicePaid() webhook.EventType {
	return webhook.EventType{
		Name: "invoice.paid", Description: "<An> invoice & more", Group: "invoice", FeatureFlags: []string{"beta"},
		Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{"title":"<Invoice>","type":"object"}`), "2": json.RawMessage(`true`)},
	}
}

func TestEventTypeComesBackAsCreated(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx, in := t.Context(), invoicePaid()
		made, err := eng.CreateEventType(ctx, in)
		succeeds(t, err)
		if made.CreatedAt.IsZero() || !made.UpdatedAt.Equal(made.CreatedAt) {
			t.Errorf("made at %v, updated at %v", made.CreatedAt, made.UpdatedAt)
		}
		want := in
		want.CreatedAt, want.UpdatedAt = made.CreatedAt, made.UpdatedAt
		in.Schemas["1"][2], in.FeatureFlags[0] = '?', "spoilt" // it is the caller's again
		want.Schemas, want.FeatureFlags = invoicePaid().Schemas, []string{"beta"}
		got, err := eng.EventType(ctx, "invoice.paid")
		succeeds(t, err)
		if !reflect.DeepEqual(made, want) || !reflect.DeepEqual(got, want) {
			t.Errorf("made %+v\n got %+v\nwant %+v", made, got, want)
		}
		list, err := eng.EventTypes(ctx, neohook.EventTypeFilter{}, neohook.Page{})
		succeeds(t, err)
		want.Schemas = nil
		if !reflect.DeepEqual(list, neohook.List[webhook.EventType]{Items: []webhook.EventType{want}, Last: "invoice.paid", Done: true}) {
			t.Errorf("listed %+v", list)
		}
		if _, err := eng.In("org_other").EventType(ctx, "invoice.paid"); !errors.Is(err, neohook.ErrNotFound) {
			t.Errorf("in another organisation: %v", err)
		}
	})
}

func TestArchivedEventTypeIsReplacedByCreation(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		first, err := eng.CreateEventType(ctx, invoicePaid())
		succeeds(t, err)
		if _, err := eng.CreateEventType(ctx, invoicePaid()); !errors.Is(err, neohook.ErrConflict) {
			t.Errorf("while it is there: %v", err)
		}
		archived, err := eng.UpdateEventType(ctx, "invoice.paid", func(t *webhook.EventType) error {
			t.Archived, t.Name = true, "other"
			return nil
		})
		succeeds(t, err)
		if !archived.Archived || archived.Name != "invoice.paid" {
			t.Errorf("archived: %+v", archived)
		}
		again, err := eng.CreateEventType(ctx, webhook.EventType{Name: "invoice.paid"})
		succeeds(t, err)
		if again.Archived || again.Description != "" || again.Schemas != nil || !again.CreatedAt.Equal(first.CreatedAt) {
			t.Errorf("again: %+v", again)
		}
		succeeds(t, eng.DeleteEventType(ctx, "invoice.paid"))
		for what, err := range map[string]error{
			"delete": eng.DeleteEventType(ctx, "invoice.paid"), "delete what can't be": eng.DeleteEventType(ctx, "a b"),
			"update": second(eng.UpdateEventType(ctx, "invoice.paid", func(*webhook.EventType) error { return nil })),
			"get":    second(eng.EventType(ctx, "invoice.paid")), "get what can't be": second(eng.EventType(ctx, "")),
		} {
			if !errors.Is(err, neohook.ErrNotFound) {
				t.Errorf("%s: %v, want ErrNotFound", what, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestEventTypesAreChecked(t *testing.T) {
	eng := newEngine(t, openMemory(t), neohook.Options{})
	ctx := t.Context()
	for what, test := range map[string]struct {
		in   webhook.EventType
		want string
	}{
		"name":          {webhook.EventType{Name: "a b"}, "name: must be 1 to 256"},
		"description":   {webhook.EventType{Name: "a", Description: "\x00"}, "description: "},
		"flags":         {webhook.EventType{Name: "a", FeatureFlags: make([]string, 51)}, "featureFlags: must be at most 50"},
		"many versions": {webhook.EventType{Name: "a", Schemas: manySchemas(51)}, "schemas: must be at most 50"},
		"large":         {webhook.EventType{Name: "a", Schemas: map[string]json.RawMessage{"1": json.RawMessage(`"` + strings.Repeat("x", 262_144) + `"`)}}, "schemas: must be at most 262144 bytes"},
		"no JSON":       {webhook.EventType{Name: "a", Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{`)}}, "schemas.1: is not JSON"},
		"no schema":     {webhook.EventType{Name: "a", Schemas: map[string]json.RawMessage{"v2": json.RawMessage(`{"required":"x"}`)}}, "schemas.v2: at /required: must be of type array"},
	} {
		_, err := eng.CreateEventType(ctx, test.in)
		var invalid *webhook.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", what, err, test.want)
		}
	}
	made, err := eng.CreateEventType(ctx, invoicePaid())
	succeeds(t, err)
	_, err = eng.UpdateEventType(ctx, "invoice.paid", func(t *webhook.EventType) error {
		t.Schemas["3"] = json.RawMessage(`{"$ref":"file:///etc/passwd"}`)
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "refers to something outside the schema") {
		t.Errorf("update: %v", err)
	}
	same, err := eng.UpdateEventType(ctx, "invoice.paid", func(*webhook.EventType) error { return nil })
	succeeds(t, err)
	if !reflect.DeepEqual(same, made) {
		t.Errorf("an update of nothing: %+v, made %+v", same, made)
	}
}

func manySchemas(n int) map[string]json.RawMessage {
	schemas := make(map[string]json.RawMessage)
	for i := range n {
		schemas[fmt.Sprint(i)] = json.RawMessage("true")
	}
	return schemas
}

func TestEventTypeIsCreatedOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		once := eng.Once(neohook.Once{Key: "key", Request: []byte("1")})
		first, err := once.CreateEventType(ctx, invoicePaid())
		succeeds(t, err)
		succeeds(t, eng.DeleteEventType(ctx, "invoice.paid"))
		again, err := once.CreateEventType(ctx, invoicePaid())
		succeeds(t, err)
		if !reflect.DeepEqual(again, first) {
			t.Errorf("the repeat got %+v, the first %+v", again, first)
		}
		if _, err := eng.EventType(ctx, "invoice.paid"); !errors.Is(err, neohook.ErrNotFound) {
			t.Errorf("the repeat made it again: %v", err)
		}
		_, err = eng.Once(neohook.Once{Key: "key", Request: []byte("2")}).CreateEventType(ctx, invoicePaid())
		if !errors.Is(err, neohook.ErrKeyReused) {
			t.Errorf("another request: %v", err)
		}
	})
}

// Many change one type at once: each change is made, upon those before it.
func TestChangesOfAnEventTypeFollowEachOther(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		var wg sync.WaitGroup
		made := make(chan error, 8)
		for range 8 {
			wg.Go(func() {
				_, err := eng.CreateEventType(ctx, webhook.EventType{Name: "a"})
				made <- err
			})
		}
		wg.Wait()
		created := 0
		for range 8 {
			switch err := <-made; {
			case err == nil:
				created++
			case !errors.Is(err, neohook.ErrConflict):
				t.Error(err)
			}
		}
		if created != 1 {
			t.Errorf("created %d times", created)
		}
		for i := range 8 {
			wg.Go(func() {
				_, err := eng.UpdateEventType(ctx, "a", func(t *webhook.EventType) error {
					t.FeatureFlags = append(t.FeatureFlags, fmt.Sprint("flag", i))
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got, err := eng.EventType(ctx, "a")
		succeeds(t, err)
		slices.Sort(got.FeatureFlags)
		if len(slices.Compact(got.FeatureFlags)) != 8 {
			t.Errorf("flags %v", got.FeatureFlags)
		}
	})
}

func TestOnlyTheViewWantsKnownTypes(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx, view := t.Context(), eng.KnownTypes()
		_, err := eng.CreateTenant(ctx, webhook.Tenant{Name: "Acme", UID: "acme"})
		succeeds(t, err)
		ep := webhook.Endpoint{URL: "https://example.com", EventTypes: []string{"nobody.knows"}}
		made, err := eng.CreateEndpoint(ctx, "acme", ep)
		succeeds(t, err)
		var invalid *webhook.InvalidError
		if _, err := view.CreateEndpoint(ctx, "acme", ep); !errors.As(err, &invalid) || invalid.Fields[0].Field != "eventTypes" {
			t.Errorf("by the view: %v", err)
		}
		if _, err := view.Once(neohook.Once{Key: "k"}).CreateEndpoint(ctx, "acme", ep); !errors.As(err, &invalid) {
			t.Errorf("by the view, once: %v", err)
		}
		add := func(names ...string) func(*webhook.Endpoint) error {
			return func(ep *webhook.Endpoint) error {
				ep.EventTypes = append(ep.EventTypes, names...)
				return nil
			}
		}
		if _, err := view.UpdateEndpoint(ctx, "acme", made.ID, add("nobody.knows")); err != nil {
			t.Errorf("what it heard of before: %v", err)
		}
		if _, err := view.UpdateEndpoint(ctx, "acme", made.ID, add("nor.this")); !errors.As(err, &invalid) || !strings.Contains(err.Error(), `"nor.this"`) || strings.Contains(err.Error(), "knows") {
			t.Errorf("what is new: %v", err)
		}
		_, err = eng.In("org_other").CreateEventType(ctx, webhook.EventType{Name: "nor.this"})
		succeeds(t, err)
		if _, err := view.UpdateEndpoint(ctx, "acme", made.ID, add("nor.this")); !errors.As(err, &invalid) {
			t.Errorf("what another organisation knows: %v", err)
		}
		_, err = eng.CreateEventType(ctx, webhook.EventType{Name: "nor.this"})
		succeeds(t, err)
		_, err = view.UpdateEndpoint(ctx, "acme", made.ID, add("nor.this"))
		succeeds(t, err)
	})
}

func TestImportMakesTypesAsDescribed(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		archived := webhook.EventType{Name: "archived", Archived: true}
		for _, made := range []webhook.EventType{invoicePaid(), {Name: "same", Description: "same"}, {Name: "other"}, archived} {
			_, err := eng.CreateEventType(ctx, made)
			succeeds(t, err)
		}
		in := neohook.EventTypeImport{DryRun: true, ArchiveOthers: true, Types: []webhook.EventType{
			{Name: "new", Description: "new", Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{"type": "object"}`)}},
			{Name: "same", Description: "same"}, {Name: "archived"}, {Name: "invoice.paid", Description: "changed", Deprecated: true},
		}}
		before, err := eng.EventTypes(ctx, neohook.EventTypeFilter{WithSchemas: true}, neohook.Page{})
		succeeds(t, err)
		dry, err := eng.ImportEventTypes(ctx, in)
		succeeds(t, err)
		after, err := eng.EventTypes(ctx, neohook.EventTypeFilter{WithSchemas: true}, neohook.Page{})
		succeeds(t, err)
		if !reflect.DeepEqual(before, after) {
			t.Errorf("the dry run changed something: %+v", after)
		}
		stored := []string{"archived", "invoice.paid", "new"}
		if !slices.Equal(dry.Stored, stored) || !slices.Equal(dry.Archived, []string{"other"}) || len(dry.Types) != 3 {
			t.Errorf("the dry run would change %+v", dry)
		}
		in.DryRun = false
		once := eng.Once(neohook.Once{Key: "import"})
		for range 2 {
			done, err := once.ImportEventTypes(ctx, in)
			succeeds(t, err)
			if !slices.Equal(done.Stored, stored) || !slices.Equal(done.Archived, []string{"other"}) || done.Types != nil {
				t.Errorf("changed %+v", done)
			}
		}
		if done, err := eng.ImportEventTypes(ctx, in); err != nil || len(done.Stored)+len(done.Archived) != 0 {
			t.Errorf("again: %+v, %v", done, err)
		}
		invoice, err := eng.EventType(ctx, "invoice.paid")
		succeeds(t, err)
		if invoice.Description != "changed" || !invoice.Deprecated || invoice.Schemas != nil || invoice.Group != "invoice" || !slices.Equal(invoice.FeatureFlags, []string{"beta"}) {
			t.Errorf("invoice.paid is %+v", invoice)
		}
		other, err := eng.EventType(ctx, "other")
		succeeds(t, err)
		back, err := eng.EventType(ctx, "archived")
		succeeds(t, err)
		if !other.Archived || back.Archived {
			t.Errorf("other %+v, archived %+v", other, back)
		}
	})
}

func TestImportIsRefusedWhole(t *testing.T) {
	eng := newEngine(t, openMemory(t), neohook.Options{})
	ctx := t.Context()
	_, err := eng.ImportEventTypes(ctx, neohook.EventTypeImport{Types: []webhook.EventType{
		{Name: "fine"}, {Name: "twice"}, {Name: "twice"}, {Name: "bad", Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{"type":1}`)}},
	}})
	var invalid *webhook.InvalidError
	if !errors.As(err, &invalid) || len(invalid.Fields) != 2 || !strings.Contains(err.Error(), "eventTypes.bad: schemas.1 at /type") || !strings.Contains(err.Error(), "eventTypes.twice: is there twice") {
		t.Errorf("refused with %v", err)
	}
	if list, _ := eng.EventTypes(ctx, neohook.EventTypeFilter{}, neohook.Page{}); len(list.Items) != 0 {
		t.Errorf("stored %+v", list.Items)
	}
}

// More than one transaction writes: what is cut short by a change of somebody else's goes
// on, and the answer names all that was changed.
func TestLargeImportGoesOnAfterAChange(t *testing.T) {
	st := &changingStore{Store: openMemory(t)}
	eng := newEngine(t, st, neohook.Options{})
	ctx := t.Context()
	var in neohook.EventTypeImport
	for i := range 1200 {
		in.Types = append(in.Types, webhook.EventType{Name: fmt.Sprintf("type.%04d", i), Description: "imported"})
	}
	_, err := eng.CreateEventType(ctx, webhook.EventType{Name: "type.1100"})
	succeeds(t, err)
	puts := 0
	st.before = func() {
		if puts++; puts == 3 { // of the last of the three
			_, err := eng.UpdateEventType(ctx, "type.1100", func(t *webhook.EventType) error { t.Group = "mine"; return nil })
			succeeds(t, err)
		}
	}
	done, err := eng.Once(neohook.Once{Key: "k"}).ImportEventTypes(ctx, in)
	succeeds(t, err)
	if len(done.Stored) != 1200 || done.Stored[0] != "type.0000" || done.Stored[1199] != "type.1199" {
		t.Errorf("stored %d types", len(done.Stored))
	}
	changed, err := eng.EventType(ctx, "type.1100")
	succeeds(t, err)
	if changed.Group != "mine" || changed.Description != "imported" {
		t.Errorf("both changes: %+v", changed)
	}
}

func payloadOf(t *testing.T, eng *neohook.Engine, payload string) error {
	t.Helper()
	_, err := eng.Publish(t.Context(), webhook.Event{Tenant: "acme", Type: "invoice.paid", Payload: []byte(payload)})
	return err
}

func TestPayloadsAreHeldToTheirTypeAtOnce(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st := openMemory(t)
		eng, stop := startFake(t, st, memadapter.New(), neohook.Options{CheckPayloads: true})
		defer stop()
		ctx := t.Context()
		_, err := eng.CreateTenant(ctx, webhook.Tenant{Name: "Acme", UID: "acme"})
		succeeds(t, err)
		succeeds(t, payloadOf(t, eng, "not JSON"))
		made := invoicePaid()
		made.Schemas = map[string]json.RawMessage{"1": json.RawMessage(`{"properties":{"n":{"type":"integer"}}}`), "v": json.RawMessage(`{"const":"beta"}`)}
		_, err = eng.CreateEventType(ctx, made)
		succeeds(t, err)
		var bad *neohook.PayloadError
		if err := payloadOf(t, eng, `{"n":"x"}`); !errors.As(err, &bad) || !errors.Is(err, neohook.ErrPayload) || bad.Version != "1" ||
			!reflect.DeepEqual(bad.Faults, []neohook.PayloadFault{{Path: []string{"n"}, Message: "must be of type integer"}}) {
			t.Errorf("refused with %#v", err)
		}
		succeeds(t, payloadOf(t, eng, `{"n":1}`))
		succeeds(t, payloadOf(t, eng, `"beta"`))
		results, err := eng.PublishBatch(ctx, "acme", []webhook.Event{
			{Type: "invoice.paid", Payload: []byte(`{"n":1}`)}, {Type: "invoice.paid", Payload: []byte(`{"n":true}`)}, {Type: "other", Payload: []byte(`?`)},
		})
		succeeds(t, err)
		if results[0].Err != nil || !errors.Is(results[1].Err, neohook.ErrPayload) || results[2].Err != nil {
			t.Errorf("batch: %v", results)
		}

		// Repeats are answered as before, whatever the type has become.
		batch := []webhook.Event{{Type: "invoice.paid", Payload: []byte(`{"n":1}`)}, {Type: "invoice.paid", Payload: []byte(`{"n":true}`)}}
		once := eng.Once(neohook.Once{Key: "k", Request: []byte("r")})
		first, err := once.PublishBatch(ctx, "acme", batch)
		succeeds(t, err)
		_, err = eng.UpdateEventType(ctx, "invoice.paid", func(t *webhook.EventType) error {
			t.Schemas = map[string]json.RawMessage{"1": json.RawMessage("false")}
			return nil
		})
		succeeds(t, err)
		again, err := once.PublishBatch(ctx, "acme", batch)
		succeeds(t, err)
		if again[0].Err != nil || again[0].Event.ID != first[0].Event.ID || !errors.Is(again[1].Err, neohook.ErrPayload) {
			t.Errorf("a repeat of %+v: %+v", first, again)
		}

		_, err = eng.UpdateEventType(ctx, "invoice.paid", func(t *webhook.EventType) error { t.Schemas = nil; return nil })
		succeeds(t, err)
		succeeds(t, payloadOf(t, eng, `{"n":"x"}`))

		// Through another node, a second later.
		keyset, _ := aKeyset()
		other := newEngine(t, st, neohook.Options{Keyset: keyset})
		_, err = other.UpdateEventType(ctx, "invoice.paid", func(t *webhook.EventType) error {
			t.Schemas = map[string]json.RawMessage{"1": json.RawMessage("false")}
			return nil
		})
		succeeds(t, err)
		succeeds(t, payloadOf(t, eng, `{"n":"x"}`))
		time.Sleep(time.Second)
		if err := payloadOf(t, eng, `{"n":"x"}`); !errors.Is(err, neohook.ErrPayload) {
			t.Errorf("a second later: %v", err)
		}
		succeeds(t, other.DeleteEventType(ctx, "invoice.paid"))
		_, err = other.CreateEventType(ctx, made) // as version 1 again, of another key
		succeeds(t, err)
		time.Sleep(time.Second)
		succeeds(t, payloadOf(t, eng, `{"n":1}`))
	})
}

func succeeds(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// changingStore lets something happen before types are stored, but for what that stores.
type changingStore struct {
	store.Store
	before func()
	within bool
}

func (s *changingStore) PutEventTypes(ctx context.Context, types []store.EventType, once *store.Once) error {
	if s.before != nil && !s.within {
		s.within = true
		s.before()
		s.within = false
	}
	return s.Store.PutEventTypes(ctx, types, once)
}
