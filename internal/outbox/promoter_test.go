package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/internal/quota"
	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/internal/record/recordtest"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// desk is a Promoter with all that it works with, and somebody who commits.
type desk struct {
	*testing.T
	*memstore.Store
	records  *record.Translator
	intake   *intake.Queue
	promoter *Promoter

	mu       sync.Mutex
	types    []string // of the events that were accepted, in order
	batches  []int
	deferred []time.Time
	own      int // of these, somebody's own
	repeated int
	refused  []string
	closed   bool // nothing is accepted
}

// open begins at once; most is the quota of each tenant.
func open(t *testing.T, most int) *desk {
	t.Helper()
	d := &desk{T: t, Store: memstore.New(), records: recordtest.New(t)}
	d.intake = intake.New(intake.Limits{Bytes: 1 << 20, Wait: 5 * time.Second})
	d.promoter = New(Parts{
		Store: d, Intake: d.intake, Routes: routing.New(d, d.records, routing.Limits{}), Quota: quota.New(most, d), IDs: d.records.IDs,
		Ready:    func() bool { d.mu.Lock(); defer d.mu.Unlock(); return !d.closed },
		Deferred: func(at time.Time) { d.mu.Lock(); defer d.mu.Unlock(); d.deferred = append(d.deferred, at) },
		Accepted: func() { d.mu.Lock(); defer d.mu.Unlock(); d.own++ },
		Repeated: func() { d.mu.Lock(); defer d.mu.Unlock(); d.repeated++ },
		Announce: func(*store.Announced, Refusal) []store.Announcement { return nil },
		Refused: func(_ context.Context, row *store.Announced, why Refusal) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.refused = append(d.refused, row.Type+" "+string(why))
		},
		Log: slog.New(slog.DiscardHandler),
	})
	return d
}

// run promotes until the end of the test.
func (d *desk) run() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(d.Context()))
	var loops sync.WaitGroup
	loops.Go(func() { d.promoter.Run(ctx) })
	loops.Go(func() { d.commit(ctx) })
	d.Cleanup(func() { cancel(); loops.Wait() })
}

func (d *desk) commit(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.intake.Bell():
		}
		items := d.intake.Take(1000, 1<<20)
		batch := store.Batch{Now: time.Now()}
		for _, item := range items {
			batch.Accepts = append(batch.Accepts, item.Accept)
		}
		verdicts, err := d.Commit(context.WithoutCancel(ctx), &batch)
		d.mu.Lock()
		d.batches = append(d.batches, len(items))
		for i, item := range items {
			var verdict store.Verdict
			if err == nil {
				verdict = verdicts[i]
				if verdict.Kind == store.Accepted {
					d.types = append(d.types, item.Accept.Type)
				}
			}
			item.Done(verdict, err)
		}
		d.mu.Unlock()
	}
}

func (d *desk) tenant(organisation, uid string) store.TenantKey {
	d.Helper()
	key, err := d.NewKey(d.Context())
	if err == nil {
		err = d.InsertTenant(d.Context(), store.Tenant{Key: store.TenantKey(key), Organisation: organisation, UID: uid, CreatedAt: time.Now()}, nil)
	}
	if err != nil {
		d.Fatal(err)
	}
	return store.TenantKey(key)
}

// endpoint stores an endpoint that hears of these types, and announces something with it.
func (d *desk) endpoint(tenant store.TenantKey, types []string, announce ...store.Announcement) store.EndpointKey {
	d.Helper()
	key, err := d.NewKey(d.Context())
	ep := store.Endpoint{Key: store.EndpointKey(key), Tenant: tenant, EventTypes: types, CreatedAt: time.Now()}
	if err == nil {
		ep.SealedSecrets, err = d.records.Keyset.Seal([]byte("{}"), nil)
	}
	if err == nil {
		err = d.InsertEndpoint(d.Context(), ep, nil, announce...)
	}
	if err != nil {
		d.Fatal(err)
	}
	d.promoter.Routes.Refresh(tenant) // as whoever changes a tenant does
	d.promoter.Added(len(announce))
	return ep.Key
}

// deliver ends a delivery.
func (d *desk) deliver(tenant store.TenantKey, endpoint store.EndpointKey, event store.EventKey) {
	d.Helper()
	outcome := store.Outcome{Tenant: tenant, Endpoint: endpoint, Event: event, State: webhook.Succeeded, Attempt: &store.Attempt{Number: 1, Succeeded: true}}
	if _, err := d.Commit(d.Context(), &store.Batch{Now: time.Now(), Outcomes: []store.Outcome{outcome}}); err != nil {
		d.Fatal(err)
	}
	d.promoter.Quota.End(tenant, 1)
}

// accepted waits until nothing moves, and returns the types of the events of so far.
func (d *desk) accepted() []string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.types)
}

func (d *desk) left() int {
	d.Helper()
	rows, err := d.CountOutbox(d.Context(), 1000)
	if err != nil {
		d.Fatal(err)
	}
	return rows
}

func TestAnnouncedEventsAreAcceptedInOrderAndInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, 0)
		tenant := d.tenant("org_a", "acme")
		var want []string
		for i := range 200 {
			name := fmt.Sprintf("type-%03d", i)
			want = append(want, name)
			d.endpoint(tenant, nil, store.Announcement{Tenant: tenant, Type: name, Payload: []byte("{}")})
		}
		d.run() // what an earlier process has left
		if got := d.accepted(); !slices.Equal(got, want) {
			t.Errorf("accepted %v", got)
		}
		if len(d.batches) > 20 {
			t.Errorf("in %d batches: %v", len(d.batches), d.batches)
		}
		d.endpoint(tenant, nil, store.Announcement{Tenant: tenant, Type: "later", Payload: []byte("{}")})
		if got := d.accepted(); got[len(got)-1] != "later" {
			t.Errorf("what is announced meanwhile is not accepted")
		}
		if stats := d.promoter.Stats(); stats != (Stats{}) || d.own != 201 || d.left() != 0 {
			t.Errorf("afterwards %+v, %d are accepted, and %d rows are left", stats, d.own, d.left())
		}
	})
}

func TestAnnouncementOfSomebodysOwnNamesItsTenantEitherWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, 0)
		tenant := d.tenant("org_a", "acme")
		due := time.Now().Add(time.Hour).UTC()
		d.endpoint(tenant, nil,
			store.Announcement{Tenant: tenant, UID: "order-1", Type: "by-key", Channels: []string{"eu"}, Tags: []string{"x"}, Payload: []byte("1")},
			store.Announcement{Organisation: "org_a", TenantUID: "acme", Type: "by-uid", Payload: []byte{}},
			store.Announcement{Organisation: "org_b", TenantUID: "acme", Type: "nobodys", Payload: []byte{}},
			store.Announcement{Tenant: tenant, UID: "order-1", Type: "uid-taken", Payload: []byte{}},
			store.Announcement{Tenant: tenant, Type: "later", DeliverAt: due, PayloadTTL: 5 * 24 * time.Hour, Payload: []byte("2")},
		)
		d.run()
		if got := d.accepted(); !slices.Equal(got, []string{"by-key", "by-uid", "later"}) {
			t.Errorf("accepted %v", got)
		}
		events, err := d.Events(t.Context(), tenant, store.EventFilter{WithPayload: true}, store.Page{Limit: 9})
		if err != nil {
			t.Fatal(err)
		}
		first, last := events.Items[0], events.Items[2]
		if first.UID != "order-1" || !slices.Equal(first.Channels, []string{"eu"}) || !slices.Equal(first.Tags, []string{"x"}) || string(first.Payload) != "1" {
			t.Errorf("stored %+v", first)
		}
		if !last.DeliverAt.Equal(due) || last.PayloadTTL != 5*24*time.Hour || !slices.Equal(d.deferred, []time.Time{due}) {
			t.Errorf("stored %+v, noted as due %v", last, d.deferred)
		}
		if stats := d.promoter.Stats(); stats != (Stats{}) || d.own != 3 || d.left() != 0 {
			t.Errorf("afterwards %+v, %d are accepted, and %d rows are left", stats, d.own, d.left())
		}
		slices.Sort(d.refused)
		if want := []string{"nobodys tenant_deleted", "uid-taken uid_taken"}; !slices.Equal(d.refused, want) {
			t.Errorf("refused %v, want %v", d.refused, want)
		}
	})
}

func TestOperationalEventPastTheQuotaIsDroppedAndAnyOtherWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, 2)
		customer := d.tenant("org_a", "")
		told := d.tenant(operational.Organisation, "org_a")
		d.endpoint(told, nil)
		full := d.tenant("org_b", "")
		at := d.endpoint(full, nil)
		var announce []store.Announcement
		for range 3 {
			announce = append(announce,
				store.Announcement{Type: operational.EndpointUpdated, About: store.About{Tenant: customer, Endpoint: at}},
				store.Announcement{Type: "own", Tenant: full, Payload: []byte("{}")})
		}
		d.run()
		d.endpoint(customer, nil, announce...)
		want := []string{operational.EndpointUpdated, operational.EndpointUpdated, "own", "own"}
		if got := d.accepted(); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("accepted %v", got)
		}
		if stats := d.promoter.Stats(); stats != (Stats{Waiting: 1, Accepted: 2, Refused: 1}) || d.own != 2 || d.left() != 1 {
			t.Errorf("then %+v, and %d rows are left", stats, d.left())
		}
		// Another one's is not held up by the one that waits.
		other := d.tenant("org_b", "")
		d.endpoint(other, nil, store.Announcement{Type: "another", Tenant: other, Payload: []byte("{}")})
		time.Sleep(2 * rest)
		if got := d.accepted(); got[len(got)-1] != "another" {
			t.Errorf("accepted %v", got)
		}
		open, err := d.Fresh(t.Context(), at, 0, 9)
		if err != nil {
			t.Fatal(err)
		}
		for _, delivery := range open.Deliveries {
			d.deliver(full, at, delivery.Event)
		}
		time.Sleep(2 * rest)
		if got := d.accepted(); got[len(got)-1] != "own" || d.left() != 0 {
			t.Errorf("once there is room %v are accepted, and %d are left", got, d.left())
		}
	})
}

func TestWhatNobodyIsToldOfLeavesTheOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, 0)
		customer, another := d.tenant("org_a", ""), d.tenant("org_b", "")
		told := d.tenant(operational.Organisation, "org_a")
		hears := d.endpoint(told, []string{operational.EndpointDeleted})
		about := store.About{Tenant: customer, Endpoint: d.endpoint(customer, nil)}
		d.endpoint(customer, nil,
			store.Announcement{Type: operational.EndpointUpdated, About: about},                                           // not heard of
			store.Announcement{Type: operational.EndpointDeleted, About: store.About{Tenant: another}},                    // no such tenant
			store.Announcement{Type: operational.EndpointDeleted, About: store.About{Tenant: told, Endpoint: hears}},      // its own
			store.Announcement{Type: operational.EndpointDeleted, About: store.About{Tenant: customer, Event: 77}},        // expunged
			store.Announcement{Type: operational.EndpointDeleted, About: store.About{Tenant: 9999}},                       // gone
			store.Announcement{Type: operational.EndpointDeleted, About: about, Details: []byte("not what it should be")}, // broken
			store.Announcement{Type: operational.EndpointDeleted, About: about},
		)
		d.run()
		if got := d.accepted(); !slices.Equal(got, []string{operational.EndpointDeleted}) {
			t.Errorf("accepted %v", got)
		}
		if stats := d.promoter.Stats(); stats != (Stats{Accepted: 1}) || d.left() != 0 {
			t.Errorf("afterwards %+v, and %d rows are left", stats, d.left())
		}
	})
}

func TestAnnouncedEventsWaitForRoomOnTheDiskAndForAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, 0)
		d.closed = true
		fails := true
		d.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			switch {
			case !fails:
			case operation == "Outbox" && moment == memstore.Before:
				return errors.New("disk error")
			case operation == "Commit" && moment == memstore.After:
				return store.ErrCommitUnknown
			}
			return nil
		}
		tenant := d.tenant("org_a", "")
		d.endpoint(tenant, nil, store.Announcement{Tenant: tenant, Type: "a", Payload: []byte("{}")})
		d.run()
		change := func(to func()) {
			d.mu.Lock()
			to()
			d.mu.Unlock()
			time.Sleep(2 * rest)
		}
		change(func() {})
		if got := d.accepted(); len(got) != 0 || d.left() != 1 {
			t.Errorf("accepted %v without room", got)
		}
		change(func() { d.closed = false })
		if got := d.left(); got != 1 {
			t.Errorf("%d rows are left where the outbox can't be read", got)
		}
		change(func() { fails = false })
		if got := d.accepted(); !slices.Equal(got, []string{"a"}) || d.left() != 0 {
			t.Errorf("accepted %v in the end, and %d rows are left", got, d.left())
		}
	})
}

func TestCommitOfUnknownFateAcceptsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, moment := range []memstore.Moment{memstore.Before, memstore.After} {
			d := open(t, 0)
			unknown := 3
			d.Faults = func(_ context.Context, operation string, at memstore.Moment) error {
				d.mu.Lock()
				defer d.mu.Unlock()
				if operation == "Commit" && at == moment && unknown > 0 {
					unknown--
					return store.ErrCommitUnknown
				}
				return nil
			}
			tenant := d.tenant("org_a", "")
			for range 5 {
				d.endpoint(tenant, nil, store.Announcement{Tenant: tenant, Type: "a", Payload: []byte("{}")})
			}
			d.run()
			time.Sleep(10 * rest)
			synctest.Wait()
			events, err := d.Events(t.Context(), tenant, store.EventFilter{}, store.Page{Limit: 99})
			if err != nil || len(events.Items) != 5 || d.left() != 0 {
				t.Errorf("%d events are stored, and %d rows left: %v", len(events.Items), d.left(), err)
			}
			if waiting := d.promoter.Stats().Waiting; waiting != 0 {
				t.Errorf("%d are thought to wait", waiting)
			}
		}
	})
}

// The early one has the lowest key, and is committed when the first page has been read. Only
// then the late one is announced.
func TestWhatWasCommittedBeforeAnotherWasAnnouncedComesBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, 0)
		tenant := d.tenant("org_a", "")
		made := time.Now()
		if _, err := d.InitInstance(t.Context(), store.Instance{CreatedAt: made}); err != nil {
			t.Fatal(err)
		}
		announce := func(types ...string) *memstore.Tx {
			tx := d.Begin()
			for _, name := range types {
				if err := tx.Announce(t.Context(), made, store.Announcement{Tenant: tenant, Type: name, Payload: []byte{}}); err != nil {
					t.Error(err)
				}
			}
			return tx
		}
		commit := func(tx *memstore.Tx) {
			if err := tx.Commit(t.Context()); err != nil {
				t.Error(err)
			}
		}
		early := announce("early")
		commit(announce(slices.Repeat([]string{"between"}, page+page/2)...))
		read := 0
		d.Faults = func(_ context.Context, operation string, at memstore.Moment) error {
			if operation == "Outbox" && at == memstore.After {
				if read++; read == 1 {
					commit(early)
					commit(announce("late"))
				}
			}
			return nil
		}
		d.run()
		d.promoter.Expect()
		time.Sleep(2 * rest)
		got := slices.DeleteFunc(d.accepted(), func(name string) bool { return name == "between" })
		if !slices.Equal(got, []string{"early", "late"}) || d.left() != 0 {
			t.Errorf("accepted %v, and %d are left", got, d.left())
		}
	})
}

func TestOutboxIsFullAtItsBound(t *testing.T) {
	p := New(Parts{})
	p.Added(Most - 1)
	if p.Full() {
		t.Error("full below the bound")
	}
	p.Added(1)
	if !p.Full() {
		t.Error("not full at the bound")
	}
}
