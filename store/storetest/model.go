package storetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
)

// Model does the same random operations on a store and on package memstore, and compares
// every answer. openAt is as for RunDurable: now and then the store is opened anew.
func Model(t *testing.T, openAt func(t *testing.T, folder string) store.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		folder := t.TempDir()
		p := &pair{
			T: rt, tested: openAt(t, folder), model: memstore.New(),
			now:      modelBegins,
			events:   map[store.EventKey]store.EventKey{0: 0},
			attempts: map[store.AttemptKey]store.AttemptKey{0: 0},
			sends:    map[store.SendKey]store.SendKey{0: 0},
			rows:     map[store.OutboxKey]store.OutboxKey{0: 0},
		}
		defer func() { _ = p.tested.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"":               p.compareBacklog,
			"insertTenant":   p.insertTenant,
			"updateTenant":   p.updateTenant,
			"deleteTenant":   p.deleteTenant,
			"insertEndpoint": p.insertEndpoint,
			"updateEndpoint": p.updateEndpoint,
			"deleteEndpoint": p.deleteEndpoint,
			"commit":         p.commit,
			"commitAgain":    p.commit, // as it is what a store mostly does
			"insertSends":    p.insertSends,
			"cancel":         p.cancel,
			"setPaused":      p.setPaused,
			"replay":         p.replay,
			"insertToken":    p.insertToken,
			"endTokens":      p.endTokens,
			"readTokens":     p.readTokens,

			"putEventTypes":   p.putEventTypes,
			"deleteEventType": p.deleteEventType,
			"readEventTypes":  p.readEventTypes,

			"promote":        p.promote,
			"cancelEvent":    p.cancelEvent,
			"deleteOutbox":   p.deleteOutbox,
			"sweep":          p.sweep,
			"expunge":        p.expunge,
			"expungeTenant":  p.expungeTenant,
			"readDirectory":  p.readDirectory,
			"readEvents":     p.readEvents,
			"readAttempts":   p.readAttempts,
			"readDelivery":   p.readDelivery,
			"readDeliveries": p.readDeliveries,
			"readSums":       p.readSums,
			"compact":        p.compact,
			"recount":        p.recount,
			"night": func(rt *rapid.T) {
				p.now = p.now.Add(time.Duration(rapid.IntRange(1, 30).Draw(rt, "hours")) * time.Hour)
			},
			"insertJob": p.insertJob,
			"stepJob":   p.stepJob,
			"cancelJob": p.cancelJob,
			"readJobs":  p.readJobs,
			"tick": func(rt *rapid.T) {
				p.now = p.now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(rt, "ms")) * time.Millisecond)
			},
			"reopen": func(rt *rapid.T) {
				if err := p.tested.Close(); err != nil {
					rt.Fatal(err)
				}
				p.tested = openAt(t, folder)
			},
		})
	})
}

// pair is a store and its model. Keys of the directory are drawn so that both have the
// same; those of events and attempts are translated, as a store may leave some out.
type pair struct {
	*rapid.T
	tested, model store.Store
	now           time.Time

	tenants   []store.Tenant
	endpoints []store.Endpoint
	inserted  []store.EventKey // the tested store's
	tokens    []store.Token
	jobs      []store.Job

	events   map[store.EventKey]store.EventKey // the tested store's to the model's
	attempts map[store.AttemptKey]store.AttemptKey
	sends    map[store.SendKey]store.SendKey
	sent     []store.Send // under the tested store's keys
	rows     map[store.OutboxKey]store.OutboxKey

	deferrals int // events deferred so far
}

// agree compares two answers, or two errors.
func agree[V any](p *pair, what string, tested, model V, testedErr, modelErr error) {
	p.Helper()
	if !sameError(testedErr, modelErr) {
		p.Fatalf("%s: %v, the model says %v", what, testedErr, modelErr)
	}
	got := p.translate(reflect.ValueOf(&tested).Elem()).Interface()
	if testedErr == nil && !reflect.DeepEqual(got, any(model)) {
		p.Fatalf("%s:\n  got %+v\nmodel %+v", what, got, model)
	}
}

func sameError(a, b error) bool {
	var replayA, replayB *store.ReplayError
	if errors.As(a, &replayA) && errors.As(b, &replayB) {
		return reflect.DeepEqual(replayA, replayB)
	}
	for _, known := range []error{store.ErrNotFound, store.ErrConflict, store.ErrStale, store.ErrClosed, store.ErrNotDeferred} {
		if errors.Is(a, known) && errors.Is(b, known) {
			return true
		}
	}
	return a == nil && b == nil
}

// translate copies an answer with the model's keys in place of the tested store's.
func (p *pair) translate(v reflect.Value) reflect.Value {
	switch key := v.Interface().(type) {
	case store.EventKey:
		return reflect.ValueOf(lookUp(p.events, key))
	case store.AttemptKey:
		return reflect.ValueOf(lookUp(p.attempts, key))
	case store.SendKey:
		return reflect.ValueOf(lookUp(p.sends, key))
	case store.OutboxKey:
		return reflect.ValueOf(lookUp(p.rows, key))
	case time.Time:
		return v
	}
	switch v.Kind() { //nolint:exhaustive // the others hold no key
	case reflect.Struct:
		copied := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			copied.Field(i).Set(p.translate(v.Field(i)))
		}
		return copied
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		copied := reflect.New(v.Type().Elem())
		copied.Elem().Set(p.translate(v.Elem()))
		return copied
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return v
		}
		copied := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			copied.Index(i).Set(p.translate(v.Index(i)))
		}
		return copied
	}
	return v
}

// lookUp gives an unknown key back as one that the model has not.
func lookUp[K ~int64](known map[K]K, key K) K {
	if translated, is := known[key]; is {
		return translated
	}
	return -key
}

// change does the same to both and compares the errors.
func (p *pair) change(what string, do func(store.Store) error) error {
	p.Helper()
	err := do(p.tested)
	agree(p, what, 0, 0, err, do(p.model))
	return err
}

// key draws a key that is the same in both.
func (p *pair) key() int64 {
	tested, err := p.tested.NewKey(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	for {
		model, err := p.model.NewKey(p.Context())
		if err != nil {
			p.Fatal(err)
		}
		if model == tested {
			return tested
		}
		if model > tested {
			p.Fatalf("key %d was given before", tested)
		}
	}
}

func (p *pair) pick(from ...string) string { return rapid.SampledFrom(from).Draw(p.T, "choice") }

func (p *pair) chance(percent int) bool { return rapid.IntRange(0, 99).Draw(p.T, "percent") < percent }

func (p *pair) organisation() string { return p.pick("org_a", "org_a", "org_a", "org_b") }

func (p *pair) uid() string { return p.pick("", "", "x", "y", "z") }

// once is nil, or one of few of a kind, so that there are repeats.
func (p *pair) once(kind byte) *store.Once {
	if p.chance(40) {
		return nil
	}
	number := rapid.IntRange(0, 11).Draw(p.T, "once")
	once := &store.Once{
		Hash: [16]byte{byte(number * 37), kind, 15: byte(number)}, Now: p.now,
		TTL:    []time.Duration{10 * time.Second, time.Minute, time.Hour}[number%3],
		Answer: []byte(p.pick("", "one", "two")),
	}
	if p.chance(10) {
		once.Body[0] = 1
	}
	return once
}

func (p *pair) tenant() store.Tenant {
	if len(p.tenants) == 0 || p.chance(5) {
		return store.Tenant{Key: 999_999_999, Organisation: "org_a"}
	}
	return rapid.SampledFrom(p.tenants).Draw(p.T, "tenant")
}

func (p *pair) endpoint() store.Endpoint {
	if len(p.endpoints) == 0 || p.chance(5) {
		return store.Endpoint{Key: 999_999_999, Tenant: p.tenant().Key}
	}
	return rapid.SampledFrom(p.endpoints).Draw(p.T, "endpoint")
}

func (p *pair) event() store.EventKey {
	if len(p.inserted) == 0 {
		return 0
	}
	return rapid.SampledFrom(p.inserted).Draw(p.T, "event")
}

// version is the one behind that which is stored, or another.
func (p *pair) version(stored int64) int64 {
	if p.chance(15) {
		return int64(rapid.IntRange(0, 5).Draw(p.T, "version"))
	}
	return stored + 1
}
