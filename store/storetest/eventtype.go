package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

func (w *world) newType(name string) store.EventType {
	w.Helper()
	return store.EventType{
		Key: store.EventTypeKey(w.key()), Organisation: organisation, Name: name, Description: "of " + name,
		Schemas: []byte(`{"1":{}}`), CreatedAt: w.now, UpdatedAt: w.now, Version: 1,
	}
}

// types stores types of these names.
func (w *world) types(names ...string) (types []store.EventType) {
	w.Helper()
	for _, name := range names {
		types = append(types, w.newType(name))
	}
	w.must(w.PutEventTypes(w.ctx, types, nil))
	return types
}

func (w *world) eventType(name string) store.EventType {
	w.Helper()
	return mustGet[store.EventType](w)(w.EventType(w.ctx, organisation, name))
}

func eventTypeComesBackAsStored(w *world) {
	stored := w.newType("invoice.paid")
	stored.Description, stored.Group, stored.FeatureFlags = "“Ünïcode”\x01\U0001f980, 'quoted'", "invoice", []string{"beta", "b"}
	stored.Schemas = []byte("{\"1\": {\"type\":\n\"object\"}}")
	stored.Deprecated, stored.Archived = true, true
	stored.CreatedAt, stored.UpdatedAt = w.now.Add(999).In(time.FixedZone("east", 3600)), w.now.Add(time.Hour)
	w.must(w.PutEventTypes(w.ctx, []store.EventType{stored}, nil))
	want := stored
	want.CreatedAt = w.now
	same(w, "EventType", w.eventType("invoice.paid"), want)
	all := store.NamePage{Limit: 9}
	same(w, "EventTypes", mustGet[store.ListedTypes](w)(w.EventTypes(w.ctx, organisation, store.EventTypeFilter{WithSchemas: true}, all)),
		store.ListedTypes{Items: []store.EventType{want}, Last: "invoice.paid", Done: true})
	want.Schemas = nil
	same(w, "EventTypesNamed", mustGet[[]store.EventType](w)(w.EventTypesNamed(w.ctx, organisation, []string{"a", "invoice.paid"})), []store.EventType{want})
	same(w, "without schemas", mustGet[store.ListedTypes](w)(w.EventTypes(w.ctx, organisation, store.EventTypeFilter{}, all)).Items, []store.EventType{want})

	bare := store.EventType{Key: store.EventTypeKey(w.key()), Organisation: organisation, Name: "bare", FeatureFlags: []string{}, Schemas: []byte{}, Version: 1}
	w.must(w.PutEventTypes(w.ctx, []store.EventType{bare}, nil))
	bare.FeatureFlags, bare.Schemas = nil, nil
	bare.CreatedAt, bare.UpdatedAt = bare.CreatedAt.UTC(), bare.UpdatedAt.UTC()
	same(w, "with nothing in it", w.eventType("bare"), bare)
}

func eventTypeIsItsOrganisationsOnly(w *world) {
	mine := w.types("invoice.paid")[0]
	_, err := w.EventType(w.ctx, "org_other", "invoice.paid")
	w.is("EventType", err, store.ErrNotFound)
	same(w, "EventTypesNamed", mustGet[[]store.EventType](w)(w.EventTypesNamed(w.ctx, "org_other", []string{"invoice.paid"})), nil)
	same(w, "EventTypes", mustGet[store.ListedTypes](w)(w.EventTypes(w.ctx, "org_other", store.EventTypeFilter{}, store.NamePage{Limit: 9})), store.ListedTypes{Done: true})
	w.is("DeleteEventType", w.DeleteEventType(w.ctx, "org_other", "invoice.paid"), store.ErrNotFound)
	same(w, "after", w.eventType("invoice.paid"), mine)
	other := w.newType("invoice.paid")
	other.Organisation = "org_other"
	w.must(w.PutEventTypes(w.ctx, []store.EventType{other}, nil))
	same(w, "the other's", mustGet[store.EventType](w)(w.EventType(w.ctx, "org_other", "invoice.paid")), other)
}

func eventTypeNameIsUnique(w *world) {
	t := w.newType("invoice.paid")
	t.Archived = true
	w.must(w.PutEventTypes(w.ctx, []store.EventType{t}, nil))
	w.is("the same again", w.PutEventTypes(w.ctx, []store.EventType{w.newType("invoice.paid")}, nil), store.ErrConflict)
	same(w, "after", w.eventType("invoice.paid"), t)
	w.types("invoice.Paid", "invoice.paid.")
	w.is("twice at once", w.PutEventTypes(w.ctx, []store.EventType{w.newType("new"), w.newType("new")}, nil), store.ErrConflict)
	_, err := w.EventType(w.ctx, organisation, "new")
	w.is("what was refused", err, store.ErrNotFound)
}

func eventTypeNeedsTheVersionBefore(w *world) {
	t := w.types("invoice.paid")[0]
	for _, version := range []int64{0, 3, 9} {
		t.Version = version
		w.is(fmt.Sprint("1 to ", version), w.PutEventTypes(w.ctx, []store.EventType{t}, nil), store.ErrStale)
	}
	for version := int64(2); version < 5; version++ {
		t.Version, t.Archived, t.UpdatedAt = version, version%2 == 0, w.now.Add(time.Duration(version)*time.Second)
		t.Description, t.Group, t.FeatureFlags, t.Deprecated, t.Schemas = fmt.Sprint(version), "g", []string{"f"}, !t.Deprecated, nil
		w.must(w.PutEventTypes(w.ctx, []store.EventType{t}, nil))
		same(w, "updated", w.eventType("invoice.paid"), t)
	}
	stolen := t
	stolen.Version, stolen.Organisation, stolen.Name, stolen.CreatedAt = 5, "org_other", "other", w.now.Add(time.Hour)
	w.must(w.PutEventTypes(w.ctx, []store.EventType{stolen}, nil))
	t.Version = 5
	same(w, "organisation, name and creation stay", w.eventType("invoice.paid"), t)
}

func eventTypesAreStoredTogether(w *world) {
	stored := w.types("a", "b")
	stored[0].Version, stored[0].Description = 2, "changed"
	stored[1].Version = 7
	gone := w.newType("gone")
	gone.Version = 2
	for what, c := range map[string]struct {
		last store.EventType
		want error
	}{
		"taken": {w.newType("b"), store.ErrConflict}, "stale": {stored[1], store.ErrStale}, "gone": {gone, store.ErrNotFound},
	} {
		w.is(what, w.PutEventTypes(w.ctx, []store.EventType{stored[0], w.newType("c"), c.last}, nil), c.want)
		same(w, what+": a", w.eventType("a").Description, "of a")
		_, err := w.EventType(w.ctx, organisation, "c")
		w.is(what+": c", err, store.ErrNotFound)
	}
	w.must(w.PutEventTypes(w.ctx, []store.EventType{stored[0], w.newType("c")}, nil))
	same(w, "a", w.eventType("a"), stored[0])
	w.must(w.PutEventTypes(w.ctx, nil, nil))
}

func eventTypesAreStoredOnce(w *world) {
	once := w.once(1, time.Hour)
	w.must(w.PutEventTypes(w.ctx, []store.EventType{w.newType("a")}, once))
	t := w.eventType("a")
	w.replayed("again", w.PutEventTypes(w.ctx, []store.EventType{w.newType("b")}, once), store.ReplayError{Answer: []byte("answer")})
	w.replayed("before other refusals", w.PutEventTypes(w.ctx, []store.EventType{w.newType("a")}, once), store.ReplayError{Answer: []byte("answer")})
	_, err := w.EventType(w.ctx, organisation, "b")
	w.is("b", err, store.ErrNotFound)
	refused := w.once(2, time.Hour)
	w.is("taken", w.PutEventTypes(w.ctx, []store.EventType{w.newType("a")}, refused), store.ErrConflict)
	w.must(w.Replay(w.ctx, refused, w.now))
	same(w, "a", w.eventType("a"), t)
	w.must(w.PutEventTypes(w.ctx, nil, refused))
	w.replayed("with nothing to store", w.PutEventTypes(w.ctx, nil, refused), store.ReplayError{Answer: []byte("answer")})
}

func deletedEventTypeIsGone(w *world) {
	old := w.types("a", "b")[0]
	w.must(w.DeleteEventType(w.ctx, organisation, "a"))
	w.is("again", w.DeleteEventType(w.ctx, organisation, "a"), store.ErrNotFound)
	_, err := w.EventType(w.ctx, organisation, "a")
	w.is("EventType", err, store.ErrNotFound)
	again := w.types("a")[0]
	old.Version = 2 // which would be right for the new one
	w.is("update of the old one", w.PutEventTypes(w.ctx, []store.EventType{old}, nil), store.ErrNotFound)
	same(w, "the new one", w.eventType("a"), again)
	same(w, "its neighbour", w.eventType("b").Name, "b")
}

// typePages walks the list to its end and returns the names.
func (w *world) typePages(filter store.EventTypeFilter, page store.NamePage) (names []string) {
	w.Helper()
	for range 1000 {
		listed := mustGet[store.ListedTypes](w)(w.EventTypes(w.ctx, organisation, filter, page))
		if len(listed.Items) > page.Limit {
			w.Fatalf("%d items on a page of %d", len(listed.Items), page.Limit)
		}
		for _, t := range listed.Items {
			names = append(names, t.Name)
		}
		if listed.Done {
			return names
		}
		if listed.Last == page.After {
			w.Fatalf("the walk stands at %q", page.After)
		}
		page.After = listed.Last
	}
	w.Fatal("the walk has no end")
	return nil
}

func eventTypesPageByName(w *world) {
	want := []string{"-", ".a", "0", "A.b", "Z", "_", "a", "a-b", "a.b", "a_b", "aa", "zz"} // bytewise
	shuffled := slices.Clone(want)
	slices.Reverse(shuffled)
	w.types(shuffled...)
	foreign := w.newType("b")
	foreign.Organisation = "org_other"
	w.must(w.PutEventTypes(w.ctx, []store.EventType{foreign}, nil))
	for _, limit := range []int{1, 2, 5, 12, 13} {
		same(w, fmt.Sprint("up by ", limit), w.typePages(store.EventTypeFilter{}, store.NamePage{Limit: limit}), want)
		same(w, fmt.Sprint("down by ", limit), w.typePages(store.EventTypeFilter{}, store.NamePage{Limit: limit, Descending: true}), shuffled)
	}
	same(w, "behind one that is not there", w.typePages(store.EventTypeFilter{}, store.NamePage{Limit: 9, After: "a."}), want[8:])
	exact := mustGet[store.ListedTypes](w)(w.EventTypes(w.ctx, organisation, store.EventTypeFilter{}, store.NamePage{Limit: 12}))
	same(w, "a page that takes all is the last", exact.Done, true)
}

func eventTypeFiltersNarrow(w *world) {
	for _, t := range []struct {
		name     string
		archived bool
		flags    []string
	}{
		{"a", false, nil}, {"b", true, nil}, {"c", false, []string{"x"}}, {"d", true, []string{"x", "y"}}, {"e", false, []string{"y", "z"}},
	} {
		made := w.newType(t.name)
		made.Archived, made.FeatureFlags = t.archived, t.flags
		w.must(w.PutEventTypes(w.ctx, []store.EventType{made}, nil))
	}
	for what, c := range map[string]struct {
		filter store.EventTypeFilter
		want   []string
	}{
		"nothing":        {store.EventTypeFilter{}, []string{"a", "b", "c", "d", "e"}},
		"active":         {store.EventTypeFilter{Active: true}, []string{"a", "c", "e"}},
		"no flags":       {store.EventTypeFilter{Flags: []string{}}, []string{"a", "b"}},
		"one flag":       {store.EventTypeFilter{Flags: []string{"y"}}, []string{"a", "b", "d", "e"}},
		"a flag of none": {store.EventTypeFilter{Flags: []string{"Y"}}, []string{"a", "b"}},
		"active, flags":  {store.EventTypeFilter{Active: true, Flags: []string{"x", "q"}}, []string{"a", "c"}},
	} {
		for _, limit := range []int{1, 2, 9} {
			same(w, what, w.typePages(c.filter, store.NamePage{Limit: limit}), c.want)
			down := slices.Clone(c.want)
			slices.Reverse(down)
			same(w, what+", down", w.typePages(c.filter, store.NamePage{Limit: limit, Descending: true}), down)
		}
	}
}

// eventTypeListsAdvance has more rows than a page may examine, and more schemas than it may
// bring.
func eventTypeListsAdvance(w *world) {
	var types []store.EventType
	for i := range 2500 {
		t := w.newType(fmt.Sprintf("type.%04d", i))
		t.FeatureFlags = []string{"hidden"}
		if i == 1700 {
			t.FeatureFlags = nil
		}
		types = append(types, t)
	}
	w.must(w.PutEventTypes(w.ctx, types, nil))
	for _, descending := range []bool{false, true} {
		got := w.typePages(store.EventTypeFilter{Flags: []string{}}, store.NamePage{Limit: 5, Descending: descending})
		same(w, "the one that is not hidden", got, []string{"type.1700"})
	}

	var large []string
	for i := range 3 {
		t := w.newType(fmt.Sprint("z.large.", i))
		t.Schemas = make([]byte, store.MostPagePayload/2+1)
		w.must(w.PutEventTypes(w.ctx, []store.EventType{t}, nil))
		large = append(large, t.Name)
	}
	page := store.NamePage{After: "z", Limit: 9}
	listed := mustGet[store.ListedTypes](w)(w.EventTypes(w.ctx, organisation, store.EventTypeFilter{WithSchemas: true}, page))
	same(w, "types on a page with large schemas", len(listed.Items), 1)
	same(w, "all of them", w.typePages(store.EventTypeFilter{WithSchemas: true}, page), large)
	listed = mustGet[store.ListedTypes](w)(w.EventTypes(w.ctx, organisation, store.EventTypeFilter{}, page))
	same(w, "without schemas", len(listed.Items), 3)
}

func eventTypesAreNotShared(w *world) {
	t := w.newType("a")
	t.FeatureFlags = []string{"x"}
	w.must(w.PutEventTypes(w.ctx, []store.EventType{t}, nil))
	want := string(t.Schemas)
	t.FeatureFlags[0], t.Schemas[0] = "spoilt", '?'
	for range 2 {
		got := w.eventType("a")
		same(w, "feature flags", got.FeatureFlags, []string{"x"})
		same(w, "schemas", string(got.Schemas), want)
		got.FeatureFlags[0], got.Schemas[0] = "spoilt", '?'
	}
}
