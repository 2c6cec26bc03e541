package catalogue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/store"
)

// shelf is a store of event types that counts what is read and can be told to wait.
type shelf struct {
	mu    sync.Mutex
	types map[string]store.EventType
	reads int
	err   error
	// wait, if not nil, is received from before a reading returns what it has found.
	wait chan struct{}
}

func (s *shelf) EventType(ctx context.Context, organisation, name string) (store.EventType, error) {
	s.mu.Lock()
	s.reads++
	found, is := s.types[organisation+"/"+name]
	err, wait := s.err, s.wait
	s.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return store.EventType{}, ctx.Err()
		}
	}
	switch {
	case err != nil:
		return store.EventType{}, err
	case !is:
		return store.EventType{}, store.ErrNotFound
	}
	return found, nil
}

// put stores a type; its key and version tell it from others.
func (s *shelf) put(name string, key store.EventTypeKey, version int64, schemas string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.types == nil {
		s.types = make(map[string]store.EventType)
	}
	s.types["org/"+name] = store.EventType{Key: key, Organisation: "org", Name: name, Version: version, Schemas: []byte(schemas)}
}

func (s *shelf) read() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// fits says whether {"n":1} fits.
func fits(t *testing.T, table *Table, name string) bool {
	t.Helper()
	misfit, err := table.Check(t.Context(), "org", name, []byte(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	return misfit == nil
}

func TestWhatWasReadServesForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(shelf)
		table := New(st, Limits{})
		st.put("a", 1, 1, `{"1":false}`)
		for range 3 {
			if fits(t, table, "a") {
				t.Error("it fits false")
			}
			if !fits(t, table, "unknown") {
				t.Error("what is not known does not fit")
			}
		}
		if got := st.read(); got != 2 {
			t.Errorf("read %d times, want once for each", got)
		}
		first := table.slots[name{"org", "a"}].known
		time.Sleep(relied)
		fits(t, table, "a")
		if got := st.read(); got != 3 {
			t.Errorf("read %d times, want again after a second", got)
		}
		if table.slots[name{"org", "a"}].known != first {
			t.Error("what has not changed was compiled again")
		}
		st.put("a", 1, 2, `{"1":true}`)
		st.put("unknown", 2, 1, `{"1":false}`)
		if fits(t, table, "a") {
			t.Error("read before its time")
		}
		time.Sleep(relied)
		if !fits(t, table, "a") || fits(t, table, "unknown") {
			t.Error("a change is not seen after a second")
		}
		st.put("a", 3, 2, `{"1":false}`) // another type of the name, with the same version
		time.Sleep(relied)
		if fits(t, table, "a") {
			t.Error("another type of the name is taken for the one before")
		}
	})
}

func TestRefreshedTypeCountsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(shelf)
		table := New(st, Limits{})
		st.put("a", 1, 1, `{"1":false}`)
		fits(t, table, "a")
		st.put("a", 1, 2, `{"1":true}`)
		table.Refresh("org", "a")
		if !fits(t, table, "a") {
			t.Error("after Refresh it is as it was")
		}

		// A reading that began before the change must not bring back what was.
		table.Refresh("org", "a")
		st.wait = make(chan struct{})
		old := make(chan bool)
		go func() { old <- fits(t, table, "a") }()
		synctest.Wait()
		wait := st.wait
		st.mu.Lock()
		st.wait = nil
		st.mu.Unlock()
		st.put("a", 1, 3, `{"1":false}`)
		table.Refresh("org", "a")
		close(wait)
		if !<-old {
			t.Error("the reading was of the version before")
		}
		if fits(t, table, "a") {
			t.Error("what was read before the change is kept")
		}
	})
}

func TestManyReadATypeTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &shelf{wait: make(chan struct{})}
		table := New(st, Limits{})
		st.put("a", 1, 1, `{"1":false}`)
		got := make(chan bool, 8)
		for range 8 {
			go func() { got <- fits(t, table, "a") }()
		}
		synctest.Wait()
		close(st.wait)
		for range 8 {
			if <-got {
				t.Error("it fits false")
			}
		}
		if st.read() != 1 {
			t.Errorf("read %d times, want once", st.read())
		}
	})
}

func TestWhoIsCalledOffHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &shelf{wait: make(chan struct{})}
		table := New(st, Limits{})
		st.put("a", 1, 1, `{"1":false}`)
		ctx, cancel := context.WithCancel(t.Context())
		gone, stays := make(chan error), make(chan bool)
		go func() {
			_, err := table.Check(ctx, "org", "a", nil)
			gone <- err
		}()
		synctest.Wait()
		go func() { stays <- fits(t, table, "a") }()
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("who was called off got %v", err)
		}
		close(st.wait)
		if <-stays {
			t.Error("it fits false")
		}
	})
}

func TestFailureIsNotKept(t *testing.T) {
	st := &shelf{err: errors.New("disk on fire")}
	table := New(st, Limits{})
	for range 2 {
		if _, err := table.Check(t.Context(), "org", "a", nil); !errors.Is(err, st.err) {
			t.Errorf("got %v", err)
		}
	}
	if len(table.slots) != 0 {
		t.Error("a failure is kept")
	}
	st.err = nil
	st.put("a", 1, 1, `{"1":{"type":7}}`) // as no version of this program stores it
	if _, err := table.Check(t.Context(), "org", "a", nil); err == nil || !strings.Contains(err.Error(), "event type a") {
		t.Errorf("a schema that is none: %v", err)
	}
}

func TestTableIsBounded(t *testing.T) {
	st := new(shelf)
	table := New(st, Limits{Bytes: 100_000})
	for i := range 500 {
		st.put(fmt.Sprint("type", i), store.EventTypeKey(i+1), 1, `{"1":{"properties":{"n":{"type":"string"}}}}`)
		if fits(t, table, fmt.Sprint("type", i)) || !fits(t, table, fmt.Sprint("unknown", i)) {
			t.Fatal("wrong answer")
		}
		if table.bytes > 100_000 || len(table.slots) != table.recent.Len() {
			t.Fatalf("%d bytes in %d slots, %d of them used", table.bytes, len(table.slots), table.recent.Len())
		}
	}
	if n := len(table.slots); n < 10 || n > 200 {
		t.Errorf("%d types are held", n)
	}
	held := table.slots[name{"org", "type499"}]
	fits(t, table, "type499")
	if table.slots[name{"org", "type499"}] != held {
		t.Error("the one used last is not held")
	}
	tiny := New(st, Limits{Bytes: 1})
	fits(t, tiny, "type1")
	if len(tiny.slots) != 1 {
		t.Error("one that alone is more than the bound is not held")
	}
}

func TestNewestVersionComesFirst(t *testing.T) {
	want := []string{"10", "9", "1", "v2", "v10", "a"}
	got := slices.Clone(want)
	slices.Sort(got)
	slices.SortFunc(got, Newer)
	if !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	st := new(shelf)
	table := New(st, Limits{})
	st.put("a", 1, 1, `{"1":{"required":["a"]},"2":{"required":["b"]}}`)
	misfit, err := table.Check(t.Context(), "org", "a", []byte(`{}`))
	if err != nil || misfit.Version != "2" || misfit.Faults[0].Message != `must have "b"` {
		t.Errorf("misfit %+v, %v", misfit, err)
	}
}

func TestChecksTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(shelf)
		table := New(st, Limits{Checks: 1})
		st.put("a", 1, 1, `{"1":false}`)
		fits(t, table, "a")
		if err := table.begin(t.Context()); err != nil { // somebody else's long check
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := table.Check(ctx, "org", "a", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want to have waited", err)
		}
		table.end()
		if fits(t, table, "a") {
			t.Error("it fits false")
		}
	})
}

// BenchmarkCheck is what the check of a payload of 1 KB costs, once its type is known.
func BenchmarkCheck(b *testing.B) {
	st := new(shelf)
	st.put("invoice.paid", 1, 1, `{"1":{"type":"object","required":["id","amount","currency","lines","customer"],"properties":{
		"id":{"type":"string","pattern":"^in_[0-9]+$"},"amount":{"type":"integer","minimum":0},"currency":{"enum":["eur","usd"]},
		"lines":{"type":"array","items":{"$ref":"#/definitions/line"}},
		"customer":{"type":"object","properties":{"name":{"type":"string"},"mail":{"type":"string","format":"email"}},"required":["name"]}},
		"definitions":{"line":{"type":"object","properties":{"sku":{"type":"string"},"quantity":{"type":"integer"},"price":{"type":"number"},"text":{"type":"string"}},"required":["sku"],"additionalProperties":false}}}}`)
	payload := []byte(`{"id":"in_1","amount":1250,"currency":"eur","lines":[` +
		strings.TrimSuffix(strings.Repeat(`{"sku":"A-100","quantity":2,"price":12.50,"text":"a thing"},`, 15), ",") + `],"customer":{"name":"Acme","mail":"a@b.example"}}`)
	table := New(st, Limits{})
	b.ReportAllocs()
	for b.Loop() {
		if misfit, err := table.Check(b.Context(), "org", "invoice.paid", payload); misfit != nil || err != nil {
			b.Fatal(misfit, err)
		}
	}
}
