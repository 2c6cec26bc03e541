package neohook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// publishTx hands events of acme over in a transaction, which it leaves open. A payload is
// the event's UID, too.
func publishTx(t *testing.T, eng *neohook.Engine, tx store.Tx, payloads ...string) (receipts []neohook.Receipt) {
	t.Helper()
	for _, payload := range payloads {
		receipt, err := eng.PublishTx(t.Context(), tx, webhook.Event{Tenant: "acme", UID: payload, Type: "order.placed", Payload: []byte(payload)})
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, receipt)
	}
	return receipts
}

func commitTx(t *testing.T, tx *memstore.Tx) {
	t.Helper()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// accepted are the payloads of acme's events, in the order of their acceptance.
func accepted(t *testing.T, eng *neohook.Engine) (payloads []string) {
	t.Helper()
	for page := (neohook.Page{Limit: 250}); ; {
		list := must[neohook.List[webhook.Event]](t)(eng.Events(t.Context(), "acme", neohook.EventFilter{WithPayload: true}, page))
		for _, event := range list.Items {
			payloads = append(payloads, string(event.Payload))
		}
		if list.Done {
			return payloads
		}
		page.After = list.Last
	}
}

func TestEventOfATransactionIsAcceptedOnceThatIsCommitted(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		eng, _ := startFake(t, st, adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example"})
		start := time.Now()

		back := st.Begin()
		receipts := publishTx(t, eng, back, "back")
		back.Rollback()
		receipts[0].Committed() // which it was not
		told, untold := st.Begin(), st.Begin()
		receipts = publishTx(t, eng, told, "told")
		publishTx(t, eng, untold, "untold")
		time.Sleep(10 * time.Second)
		if came := payloads(adapter); len(came) != 0 {
			t.Errorf("%v came out of open transactions", came)
		}
		commitTx(t, told)
		for range 3 {
			receipts[0].Committed()
		}
		time.Sleep(50 * time.Millisecond)
		if came := payloads(adapter); !slices.Equal(came, []string{"told"}) {
			t.Errorf("%v came at once", came)
		}
		commitTx(t, untold)
		time.Sleep(time.Second + 50*time.Millisecond)
		if came := payloads(adapter); !slices.Equal(came, []string{"told", "untold"}) {
			t.Errorf("%v came within a second", came)
		}

		receipt := receipts[0].Event
		event := must[webhook.Event](t)(eng.Event(t.Context(), "acme", webhook.EventID(receipt.UID)))
		if receipt.ID != "" || !receipt.AcceptedAt.IsZero() || receipt.Tenant != event.Tenant || event.AcceptedAt.Before(start.Add(10*time.Second)) {
			t.Errorf("the receipt says %+v, and %+v was accepted", receipt, event)
		}
		stats := eng.Stats(t.Context())
		if stats.Publish.Accepted != 2 || len(stats.Publish.Refused) != 0 || stats.Outbox.Waiting != 0 {
			t.Errorf("counted %d as accepted, %v as refused, %d as waiting", stats.Publish.Accepted, stats.Publish.Refused, stats.Outbox.Waiting)
		}
	})
}

// One node does the outbox's work for all, and the others tell it.
func TestEventOfATransactionIsAcceptedAtOnceWhoeverIsTold(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		disk, adapter := memstore.New(), memadapter.New()
		var engines []*neohook.Engine
		for _, role := range []neohook.Role{neohook.RoleAll, neohook.RoleAll, neohook.RoleAPI} {
			eng, _ := startFake(t, disk.Node(), adapter, neohook.Options{Role: role})
			engines = append(engines, eng)
		}
		time.Sleep(settle)
		createTenant(t, engines[0], "acme")
		createEndpoint(t, engines[0], "acme", webhook.Endpoint{URL: "https://hook.example"})
		keyset, _ := aKeyset()
		never := must[*neohook.Engine](t)(neohook.New(t.Context(), disk.Node(), neohook.Options{Keyset: keyset, Adapter: adapter}))
		for i, eng := range append(engines, never) {
			time.Sleep(time.Minute + 500*time.Millisecond) // between two looks of the one that looks anyway
			tx := disk.Begin()
			receipt := publishTx(t, eng, tx, fmt.Sprint(i))[0]
			commitTx(t, tx)
			receipt.Committed()
			time.Sleep(50 * time.Millisecond)
			if came := payloads(adapter); len(came) != i+1 {
				t.Errorf("told through node %d, %v came", i, came)
			}
		}
	})
}

func TestEventOfATransactionIsStoredWithAllThatItIs(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		eng, _ := startFake(t, st, adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		eu := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://eu.example", Channels: []string{"eu"}})
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://us.example", Channels: []string{"us"}})
		due := time.Now().Add(time.Hour)
		want := webhook.Event{
			Tenant: "acme", UID: "order-1", Type: "order.placed", Channels: []string{"eu"}, Tags: []string{"vip"},
			DeliverAt: due, PayloadTTL: 10 * 24 * time.Hour, Payload: []byte("{ \"n\":1}\n"),
		}
		tx := st.Begin()
		receipt := must[neohook.Receipt](t)(eng.PublishTx(t.Context(), tx, want))
		empty := must[neohook.Receipt](t)(eng.PublishTx(t.Context(), tx, webhook.Event{Tenant: "acme", UID: "empty", Type: "a"}))
		commitTx(t, tx)
		receipt.Committed()
		time.Sleep(time.Second)
		got := must[webhook.Event](t)(eng.Event(t.Context(), "acme", "order-1"))
		want.ID, want.Tenant, want.AcceptedAt = got.ID, receipt.Event.Tenant, got.AcceptedAt
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) || got.ID == "" {
			t.Errorf("stored\n%+v, want\n%+v", got, want)
		}
		if got := must[webhook.Event](t)(eng.Event(t.Context(), "acme", "empty")); got.Payload == nil || len(got.Payload) != 0 || empty.Event.UID != "empty" {
			t.Errorf("stored %+v", got)
		}
		time.Sleep(2 * time.Hour)
		if at := begun(adapter, "", ""); len(at) != 1 || !at[0].Equal(due) || adapter.Requests()[0].Endpoint.ID != eu.ID {
			t.Errorf("came at %v, want once at %v", at, due)
		}
	})
}

func TestPublishTxRefusesWhatPublishDoesBeforeItWritesAnything(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st := memstore.New()
		eng, _ := startFake(t, st, memadapter.New(memadapter.Reply{StatusCode: 500}), neohook.Options{MaxTenantBacklog: 1, MaxPayloadBytes: 10, CheckPayloads: true})
		createTenant(t, eng, "acme")
		createTenant(t, eng, "full")
		createEndpoint(t, eng, "full", webhook.Endpoint{URL: "https://full.example"})
		publish(t, eng, "full", `{}`)
		if _, err := eng.CreateEventType(t.Context(), webhook.EventType{Name: "strict", Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{"type":"object"}`)}}); err != nil {
			t.Fatal(err)
		}
		must[webhook.Event](t)(eng.Publish(t.Context(), webhook.Event{Tenant: "acme", UID: "taken", Type: "a", Payload: []byte("1")}))
		must[webhook.Event](t)(eng.Once(neohook.Once{Key: "k"}).Publish(t.Context(), webhook.Event{Tenant: "acme", Type: "a", Payload: []byte("1")}))
		another := memstore.New()
		if _, err := another.InitInstance(t.Context(), store.Instance{CreatedAt: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}

		var invalid *webhook.InvalidError
		ok := webhook.Event{Tenant: "acme", Type: "order.placed", Payload: []byte("1")}
		tests := map[string]struct {
			spoil func(*webhook.Event)
			org   *neohook.Organisation
			is    error // nil is an InvalidError
		}{
			"no type":          {spoil: func(e *webhook.Event) { e.Type = "" }},
			"id given":         {spoil: func(e *webhook.Event) { e.ID = "msg_1" }},
			"too long":         {spoil: func(e *webhook.Event) { e.Payload = []byte("12345678901") }},
			"too soon":         {spoil: func(e *webhook.Event) { e.DeliverAt = time.Now().Add(time.Second) }},
			"once without key": {org: eng.Once(neohook.Once{})},
			"key is used":      {org: eng.Once(neohook.Once{Key: "k", Request: []byte("another")}), is: neohook.ErrKeyReused},
			"no such tenant":   {spoil: func(e *webhook.Event) { e.Tenant = "nobody" }, is: neohook.ErrNotFound},
			"another's tenant": {org: eng.In("org_other"), is: neohook.ErrNotFound},
			"uid is taken":     {spoil: func(e *webhook.Event) { e.UID = "taken" }, is: neohook.ErrConflict},
			"does not fit":     {spoil: func(e *webhook.Event) { e.Type = "strict" }, is: neohook.ErrPayload},
			"tenant is full":   {spoil: func(e *webhook.Event) { e.Tenant = "full" }, is: neohook.ErrBacklogFull},
		}
		tx := st.Begin()
		for name, test := range tests {
			event, org := ok, eng.Organisation
			if test.spoil != nil {
				test.spoil(&event)
			}
			if test.org != nil {
				org = test.org
			}
			_, err := org.PublishTx(t.Context(), tx, event)
			if test.is != nil && !errors.Is(err, test.is) || test.is == nil && !errors.As(err, &invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := eng.PublishTx(t.Context(), another.Begin(), ok); !errors.Is(err, neohook.ErrTxRefused) {
			t.Errorf("transaction of another store: %v", err)
		}
		commitTx(t, tx)
		if rows := must[int](t)(st.CountOutbox(t.Context(), 9)); rows != 0 {
			t.Errorf("%d rows were written", rows)
		}
		refused := 0
		for _, n := range eng.Stats(t.Context()).Publish.Refused {
			refused += int(n)
		}
		if refused != len(tests)+1 {
			t.Errorf("%d are counted as refused, want %d", refused, len(tests)+1)
		}
	})
}

func TestEventThatCanNoLongerBeAcceptedIsDroppedAndTold(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		var log bytes.Buffer
		eng, _ := startFake(t, st, adapter, neohook.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		acme := createTenant(t, eng, "acme")
		gone := createTenant(t, eng, "gone")
		listen(t, eng)
		tx := st.Begin()
		publishTx(t, eng, tx, "order-1", "order-2")
		if _, err := eng.PublishTx(t.Context(), tx, webhook.Event{Tenant: "gone", Type: "order.placed"}); err != nil {
			t.Fatal(err)
		}
		must[webhook.Event](t)(eng.Publish(t.Context(), webhook.Event{Tenant: "acme", UID: "order-1", Type: "order.placed", Payload: []byte(`"first"`)}))
		if err := eng.DeleteTenant(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		commitTx(t, tx)
		time.Sleep(3 * time.Second)
		if got := accepted(t, eng); !slices.Equal(got, []string{`"first"`, "order-2"}) {
			t.Errorf("accepted %v", got)
		}
		stats := eng.Stats(t.Context())
		if r := stats.Publish.Refused; len(r) != 2 || r[neohook.Conflicting] != 1 || r[neohook.UnknownTenant] != 1 || stats.Outbox.Waiting != 0 {
			t.Errorf("counted as refused %v, as waiting %d", r, stats.Outbox.Waiting)
		}
		for _, want := range []string{"reason=uid_taken tenant_id=" + string(acme.ID), "event_uid=order-1", "reason=tenant_deleted tenant_id=" + string(gone.ID)} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("the log does not say %q once:\n%s", want, log.String())
			}
		}
		told := notices(t, adapter)
		if !slices.Equal(typesOf(told), []string{"message.refused", "message.refused"}) {
			t.Fatalf("told of %v", told)
		}
		slices.SortFunc(told, func(a, b notice) int { return strings.Compare(a.Data["reason"].(string), b.Data["reason"].(string)) })
		sameData(t, told[0], "message.refused", map[string]any{"appId": gone.ID, "appUid": "gone", "msgEventId": nil, "eventType": "order.placed", "reason": "tenant_deleted"})
		sameData(t, told[1], "message.refused", map[string]any{"appId": acme.ID, "appUid": "acme", "msgEventId": "order-1", "eventType": "order.placed", "reason": "uid_taken"})
	})
}

func TestEventUnderAOnceIsAcceptedOnceByEitherDoor(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		var log bytes.Buffer
		eng, _ := startFake(t, st, adapter, neohook.Options{MaxPayloadBytes: 10, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example"})
		event := func(payload string) webhook.Event {
			return webhook.Event{Tenant: "acme", UID: payload, Type: "order.placed", Payload: []byte(payload)}
		}
		under := func(key string, request string) *neohook.Organisation {
			return eng.Once(neohook.Once{Key: key, Request: []byte(request), KeepFor: time.Hour})
		}
		insert := func(tx *memstore.Tx, key, payload string) neohook.Receipt {
			t.Helper()
			return must[neohook.Receipt](t)(under(key, payload).PublishTx(t.Context(), tx, event(payload)))
		}
		back := st.Begin()
		insert(back, "a", "a")
		back.Rollback()

		// Twice in one transaction, in another one beside it, and by Publish before these are
		// committed.
		tx, beside := st.Begin(), st.Begin()
		for range 2 {
			insert(tx, "a", "a")
			insert(tx, "b", "b")
		}
		insert(beside, "a", "a")
		insert(beside, "c", "c")
		reused := must[neohook.Receipt](t)(under("c", "other").PublishTx(t.Context(), beside, event("other"))).Event
		first := must[webhook.Event](t)(under("b", "b").Publish(t.Context(), event("b")))
		commitTx(t, beside)
		commitTx(t, tx)
		time.Sleep(2 * time.Second)
		if got := accepted(t, eng); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"a", "b", "c"}) {
			t.Errorf("accepted %v", got)
		}
		stats := eng.Stats(t.Context())
		if p := stats.Publish; p.Accepted != 3 || p.Replayed != 4 || p.Refused[neohook.Conflicting] != 1 || stats.Outbox.Waiting != 0 {
			t.Errorf("counted %+v, %d as waiting", p, stats.Outbox.Waiting)
		}
		if reused.ID != "" || strings.Count(log.String(), "reason=key_reused") != 1 {
			t.Errorf("of a key that was used for another request: %s", log.String())
		}

		// Once it is accepted a repeat is told which it is, and adds nothing.
		again := st.Begin()
		for _, payload := range []string{"a", "b"} {
			receipt := insert(again, payload, payload)
			repeated := must[webhook.Event](t)(under(payload, payload).Publish(t.Context(), event(payload)))
			if fmt.Sprintf("%+v", receipt.Event) != fmt.Sprintf("%+v", repeated) || receipt.Event.ID == "" {
				t.Errorf("the receipt of a repeat has\n%+v, Publish returns\n%+v", receipt.Event, repeated)
			}
			receipt.Committed()
		}
		if receipt := insert(again, "b", "b"); receipt.Event.ID != first.ID {
			t.Errorf("a repeat is of %s, want %s", receipt.Event.ID, first.ID)
		}
		// Whatever has become of what it asks for.
		late := event("b")
		late.DeliverAt = time.Now().Add(-time.Hour)
		if receipt := must[neohook.Receipt](t)(under("b", "b").PublishTx(t.Context(), again, late)); receipt.Event.ID != first.ID {
			t.Errorf("a late repeat is of %q, want %s", receipt.Event.ID, first.ID)
		}
		commitTx(t, again)
		if rows := must[int](t)(st.CountOutbox(t.Context(), 9)); rows != 0 {
			t.Errorf("%d rows were written for repeats", rows)
		}
		if came := payloads(adapter); len(came) != 3 {
			t.Errorf("%v came", came)
		}
		time.Sleep(2 * time.Hour)
		if receipt := insert(st.Begin(), "a", "d"); receipt.Event.ID != "" {
			t.Errorf("after its time a key is known still, of %s", receipt.Event.ID)
		}
	})
}

// Every transaction is open beside others, some are rolled back, and the routes change all
// the time: what arrives is what was committed, in order.
func TestManyTransactionsKeepTheirOrder(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		eng, _ := startFake(t, st, adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example", Ordered: true})
		long := st.Begin()
		publishTx(t, eng, long, "long-1", "long-2")
		var want []string
		for i := range 200 {
			tx, other := st.Begin(), st.Begin()
			names := []string{fmt.Sprintf("%03d-a", i), fmt.Sprintf("%03d-b", i)}
			publishTx(t, eng, other, fmt.Sprint("back-", i))
			receipts := publishTx(t, eng, tx, names...)
			other.Rollback()
			commitTx(t, tx)
			if i%7 == 0 {
				receipts[0].Committed()
			}
			if i%20 == 0 { // the routes that the events were matched against are old
				createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://none.example", EventTypes: []string{"none"}})
				time.Sleep(100 * time.Millisecond)
			}
			want = append(want, names...)
		}
		time.Sleep(5 * time.Second)
		if got := accepted(t, eng); !slices.Equal(got, want) {
			t.Errorf("accepted %v", got)
		}
		if got := payloads(adapter); !slices.Equal(got, want) {
			t.Errorf("arrived %v", got)
		}
		commitTx(t, long)
		time.Sleep(2 * time.Second)
		if got, want := payloads(adapter), append(want, "long-1", "long-2"); !slices.Equal(got, want) {
			t.Errorf("in the end %d have arrived, want %d", len(got), len(want))
		}
	})
}

func TestEventsOfATransactionWaitForRoomInTheirOrder(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New(memadapter.Reply{StatusCode: 200, Delay: 3 * time.Second})
		eng, _ := startFake(t, st, adapter, neohook.Options{MaxTenantBacklog: 2})
		createTenant(t, eng, "acme")
		createTenant(t, eng, "other")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example", Ordered: true})
		tx := st.Begin()
		want := []string{"1", "2", "3", "4", "5", "6", "7"}
		receipts := publishTx(t, eng, tx, want...)
		if _, err := eng.PublishTx(t.Context(), tx, webhook.Event{Tenant: "other", UID: "beside", Type: "a"}); err != nil {
			t.Fatal(err)
		}
		commitTx(t, tx)
		receipts[0].Committed()
		time.Sleep(time.Second)
		if got := accepted(t, eng); !slices.Equal(got, want[:2]) {
			t.Errorf("accepted at first %v", got)
		}
		if _, err := eng.Event(t.Context(), "other", "beside"); err != nil {
			t.Errorf("another tenant's event: %v", err)
		}
		if waiting := eng.Stats(t.Context()).Outbox.Waiting; waiting != 5 {
			t.Errorf("%d are said to wait", waiting)
		}
		time.Sleep(time.Minute)
		if got := payloads(adapter); !slices.Equal(got, want) {
			t.Errorf("arrived %v", got)
		}
	})
}

// TestEventsOfATransactionOutliveEachCall lets each call of the store, from when the engine
// begins to run, fail or be the last of its process.
func TestEventsOfATransactionOutliveEachCall(t *testing.T) {
	for _, kind := range []calamity{
		{moment: memstore.Before}, {moment: memstore.After}, {moment: memstore.Before, crash: true}, {moment: memstore.After, crash: true},
	} {
		reached := true
		for call := 1; reached; call++ {
			kind.call = call
			inFakeTime(t, func(t *testing.T) { reached = outlive(t, kind) })
			if !reached && call < 5 {
				t.Errorf("%v: there are no more", kind)
			}
		}
	}
}

// outlive says whether it came to the call. All of it is in fake time.
func outlive(t *testing.T, of calamity) bool {
	st, adapter := memstore.New(), memadapter.New()
	s := &survivor{
		t: t, calamity: of, adapter: adapter, opts: neohook.Options{Adapter: adapter},
		crashed: make(chan struct{}, 1),
	}
	s.opts.Keyset, _ = aKeyset()
	first, err := neohook.New(t.Context(), st, s.opts)
	if err != nil {
		t.Fatal(err)
	}
	createTenant(t, first, "acme")
	createEndpoint(t, first, "acme", webhook.Endpoint{URL: "https://hook.example", Ordered: true})
	var want []string
	for i := range 3 {
		tx := st.Begin()
		names := []string{fmt.Sprintf("%d-a", i), fmt.Sprintf("%d-b", i)}
		publishTx(t, first, tx, names...)
		commitTx(t, tx)
		want = append(want, names...)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.live(ctx, st.Reopen()) }()
	time.Sleep(time.Minute)
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.insist("looking", func(eng *neohook.Engine) error {
		if got := accepted(t, eng); !slices.Equal(got, want) {
			t.Errorf("%v, of %s: accepted %v", of, s.struck, got)
		}
		return nil
	})
	end()
	<-ended
	var arrived []string
	for _, payload := range payloads(adapter) {
		if !slices.Contains(arrived, payload) { // what was in flight in the crash may come twice
			arrived = append(arrived, payload)
		}
	}
	if !slices.Equal(arrived, want) {
		t.Errorf("%v, of %s: arrived %v", of, s.struck, arrived)
	}
	return s.struck != ""
}
