package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func eventIsItsTenantsOnly(w *world) {
	mine, other := w.tenant(), w.tenant()
	accept := w.accept(mine)
	accept.UID = "order-1"
	key := w.verdict(accept).Event
	_, err := w.Event(w.ctx, other, key)
	w.is("Event", err, store.ErrNotFound)
	_, err = w.EventByUID(w.ctx, other, "order-1")
	w.is("EventByUID", err, store.ErrNotFound)
	_, err = w.Event(w.ctx, mine, key+1)
	w.is("the next key", err, store.ErrNotFound)
	_, err = w.EventByUID(w.ctx, mine, "order-2")
	w.is("another UID", err, store.ErrNotFound)
	same(w, "Events", mustGet[store.Listed[store.Event]](w)(w.Events(w.ctx, other, store.EventFilter{}, store.Page{Limit: 9})),
		store.Listed[store.Event]{Done: true})
}

// walkList reads a list in pages and returns the keys. It holds each page to what Listed
// says.
func walkList[T any](w *world, limit int, descending bool, read func(store.Page) (store.Listed[T], error), place func(T) (int64, time.Time)) []int64 {
	w.Helper()
	var keys []int64
	page := store.Page{Limit: limit, Descending: descending}
	for range 1000 {
		listed, err := read(page)
		w.must(err)
		if len(listed.Items) > limit {
			w.Fatalf("%d items on a page of %d", len(listed.Items), limit)
		}
		for _, item := range listed.Items {
			key, _ := place(item)
			keys = append(keys, key)
		}
		if len(listed.Items) == limit { // then nothing behind the last one was examined
			key, at := place(listed.Items[limit-1])
			same(w, "Last", listed.Last, key)
			same(w, "LastAt", listed.LastAt, at)
		}
		if listed.Done {
			return keys
		}
		if listed.Last == page.After || listed.Last == 0 {
			w.Fatalf("the walk stands at %d", page.After)
		}
		page.After = listed.Last
	}
	w.Fatal("the walk has no end")
	return nil
}

func placeOfEvent(ev store.Event) (int64, time.Time)          { return int64(ev.Key), ev.AcceptedAt }
func placeOfAttempt(a store.LoggedAttempt) (int64, time.Time) { return int64(a.Key), a.StartedAt }

func eventsPageBothWays(w *world) {
	tenant, other := w.tenant(), w.tenant()
	var want []int64
	for range 9 {
		w.now = w.now.Add(time.Second)
		want = append(want, int64(w.publish(1, tenant)[0]))
		w.publish(1, other)
	}
	read := func(page store.Page) (store.Listed[store.Event], error) {
		return w.Events(w.ctx, tenant, store.EventFilter{}, page)
	}
	for _, limit := range []int{1, 2, 3, 9, 10} {
		same(w, fmt.Sprint("up by ", limit), walkList(w, limit, false, read, placeOfEvent), want)
		same(w, fmt.Sprint("down by ", limit), walkList(w, limit, true, read, placeOfEvent), reversed(want))
	}
	exact := mustGet[store.Listed[store.Event]](w)(read(store.Page{Limit: 9}))
	same(w, "a page that takes all is the last", exact.Done, true)
	same(w, "without payload", exact.Items[0].Payload, nil)
	same(w, "accepted at", exact.Items[8].AcceptedAt, w.now)
}

func eventFiltersNarrow(w *world) {
	tenant := w.tenant()
	start := w.now
	var keys []store.EventKey
	for i, ev := range []struct {
		typ      string
		channels []string
		tags     []string
	}{
		{"a", nil, []string{"x", "y"}}, {"b", []string{"eu"}, nil}, {"a", []string{"eu", "us"}, []string{"y"}},
		{"c", []string{"us"}, []string{"eu"}}, {"b", nil, nil},
	} {
		w.now = start.Add(time.Duration(i) * time.Minute)
		accept := w.accept(tenant)
		accept.Type, accept.Channels, accept.Tags = ev.typ, ev.channels, ev.tags
		keys = append(keys, w.verdict(accept).Event)
	}
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	for what, c := range map[string]struct {
		filter store.EventFilter
		want   []int
	}{
		"nothing":           {store.EventFilter{}, []int{0, 1, 2, 3, 4}},
		"one type":          {store.EventFilter{Types: []string{"a"}}, []int{0, 2}},
		"two types":         {store.EventFilter{Types: []string{"c", "b"}}, []int{1, 3, 4}},
		"type of none":      {store.EventFilter{Types: []string{"A"}}, nil},
		"channel":           {store.EventFilter{Channel: "eu"}, []int{1, 2}},
		"tag":               {store.EventFilter{Tag: "y"}, []int{0, 2}},
		"tag of none":       {store.EventFilter{Tag: "Y"}, nil},
		"tag and channel":   {store.EventFilter{Tag: "y", Channel: "eu"}, []int{2}},
		"from, inclusive":   {store.EventFilter{From: minute(3)}, []int{3, 4}},
		"from, just behind": {store.EventFilter{From: minute(3).Add(time.Microsecond)}, []int{4}},
		"to, inclusive":     {store.EventFilter{To: minute(1)}, []int{0, 1}},
		"to, just before":   {store.EventFilter{To: minute(1).Add(-time.Microsecond)}, []int{0}},
		"all of it":         {store.EventFilter{Types: []string{"a", "b"}, Channel: "eu", From: minute(2), To: minute(4)}, []int{2}},
	} {
		var want []int64
		for _, i := range c.want {
			want = append(want, int64(keys[i]))
		}
		read := func(page store.Page) (store.Listed[store.Event], error) {
			return w.Events(w.ctx, tenant, c.filter, page)
		}
		for _, limit := range []int{1, 2, 9} {
			same(w, what, walkList(w, limit, false, read, placeOfEvent), want)
			same(w, what+", down", walkList(w, limit, true, read, placeOfEvent), reversed(want))
		}
	}
}

func eventsBringPayloadsWhenAsked(w *world) {
	tenant := w.tenant()
	for i := range 5 {
		accept := w.accept(tenant)
		accept.Payload = fmt.Appendf(nil, "payload %d", i)
		accept.Type = []string{"even", "odd"}[i%2]
		w.commit(accept)
	}
	listed := mustGet[store.Listed[store.Event]](w)(w.Events(w.ctx, tenant,
		store.EventFilter{Types: []string{"odd"}, WithPayload: true}, store.Page{Limit: 9, Descending: true}))
	var got []string
	for _, ev := range listed.Items {
		got = append(got, string(ev.Payload))
	}
	same(w, "payloads", got, []string{"payload 3", "payload 1"})
}

func pageOfLargePayloadsIsShort(w *world) {
	tenant := w.tenant()
	var want []int64
	for _, size := range []int{store.MostPagePayload/2 + 1, store.MostPagePayload/2 + 1, 1, store.MostPagePayload + 1, 1} {
		accept := w.accept(tenant)
		accept.Payload = make([]byte, size)
		want = append(want, int64(w.verdict(accept).Event))
	}
	for payload, counts := range map[bool][]int{true: {1, 2, 1, 1}, false: {5}} {
		var pages []int
		read := func(page store.Page) (store.Listed[store.Event], error) {
			listed, err := w.Events(w.ctx, tenant, store.EventFilter{WithPayload: payload}, page)
			if len(listed.Items) > 0 {
				pages = append(pages, len(listed.Items))
			}
			return listed, err
		}
		same(w, "events", walkList(w, 9, false, read, placeOfEvent), want)
		same(w, "events on each page", pages, counts)
	}
}

// filteredListsAdvance has more rows than a page may examine, and a filter that lets one
// through.
func filteredListsAdvance(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	batch := make([]store.Accept, 2500)
	for i := range batch {
		batch[i] = w.accept(tenant, ep)
	}
	batch[1700].Type = "rare"
	verdicts := w.commit(batch...)
	read := func(page store.Page) (store.Listed[store.Event], error) {
		return w.Events(w.ctx, tenant, store.EventFilter{Types: []string{"rare"}}, page)
	}
	want := []int64{int64(verdicts[1700].Event)}
	same(w, "events up", walkList(w, 5, false, read, placeOfEvent), want)
	same(w, "events down", walkList(w, 5, true, read, placeOfEvent), want)
	first := mustGet[store.Listed[store.Event]](w)(read(store.Page{Limit: 5}))
	if first.Done || first.Last == 0 || !first.LastAt.Equal(w.now) {
		w.Errorf("first page of 2500 rows that do not match: %+v", first)
	}

	outcomes := make([]store.Outcome, len(verdicts))
	for i, verdict := range verdicts {
		outcomes[i] = w.outcome(tenant, ep, verdict.Event, 0, webhook.Succeeded)
	}
	outcomes[1700].Attempt.StatusCode = 299
	outcomes[1700].Attempt.StartedAt = w.now.Add(time.Second)
	w.record(outcomes...)
	attempts := func(page store.Page) (store.Listed[store.LoggedAttempt], error) {
		return w.AttemptsAtEndpoint(w.ctx, ep, store.AttemptFilter{From: w.now.Add(time.Second)}, page)
	}
	same(w, "attempts up", len(walkList(w, 5, false, attempts, placeOfAttempt)), 1)
	same(w, "attempts down", len(walkList(w, 5, true, attempts, placeOfAttempt)), 1)
}

func attemptComesBackAsLogged(w *world) {
	tenant := w.tenant()
	created := w.now
	ep := w.endpoint(tenant)
	w.now = w.now.Add(time.Hour)
	accept := w.accept(tenant, ep)
	accept.Type, accept.Channels, accept.Tags = "order.made", []string{"eu"}, []string{"x", "y"}
	event := w.verdict(accept).Event
	o := w.outcome(tenant, ep, event, 0, webhook.Waiting)
	o.Attempt = &store.Attempt{
		Key: 77, Number: 1, Trigger: webhook.Manual, URL: "https://example.com/then", StatusCode: 0, Code: webhook.FaultConnectTimeout, TimedOut: true,
		Response: []byte{0, 'n', 'o', 0xff}, StartedAt: w.now.Add(time.Second + 1), Duration: 1500*time.Microsecond + 7,
	}
	w.record(o)
	listed := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsOfEvent(w.ctx, event, store.AttemptFilter{WithResponse: true}, store.Page{Limit: 9}))
	if len(listed.Items) != 1 || listed.Items[0].Key <= 0 {
		w.Fatalf("listed %+v", listed)
	}
	want := store.LoggedAttempt{
		Attempt: *o.Attempt, Event: event, Endpoint: ep, EventType: "order.made", Channels: []string{"eu"}, Tags: []string{"x", "y"},
		EventAcceptedAt: w.now, EndpointCreatedAt: created,
	}
	want.Key = listed.Items[0].Key
	want.StartedAt, want.Duration = w.now.Add(time.Second), 1500*time.Microsecond
	same(w, "listed", listed.Items[0], want)
	same(w, "Attempt", mustGet[store.LoggedAttempt](w)(w.Attempt(w.ctx, event, want.Key)), want)
}

func attemptIsItsEventsOnly(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	events := w.publish(2, tenant, ep)
	w.record(w.outcome(tenant, ep, events[0], 0, webhook.Succeeded))
	listed := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsOfEvent(w.ctx, events[0], store.AttemptFilter{}, store.Page{Limit: 9}))
	key := listed.Items[0].Key
	same(w, "Attempt", mustGet[store.LoggedAttempt](w)(w.Attempt(w.ctx, events[0], key)).Event, events[0])
	_, err := w.Attempt(w.ctx, events[1], key)
	w.is("of another event", err, store.ErrNotFound)
	_, err = w.Attempt(w.ctx, events[0], key+1)
	w.is("the next key", err, store.ErrNotFound)
}

func attemptsPageBothWays(w *world) {
	tenant := w.tenant()
	a, b := w.endpoint(tenant), w.endpoint(tenant)
	events := w.publish(2, tenant, a, b)
	for tried := range 4 {
		for _, event := range events {
			w.record(w.outcome(tenant, a, event, tried, webhook.Waiting), w.outcome(tenant, b, event, tried, webhook.Waiting))
		}
	}
	for what, read := range map[string]func(store.Page) (store.Listed[store.LoggedAttempt], error){
		"of event": func(page store.Page) (store.Listed[store.LoggedAttempt], error) {
			return w.AttemptsOfEvent(w.ctx, events[0], store.AttemptFilter{}, page)
		},
		"at endpoint": func(page store.Page) (store.Listed[store.LoggedAttempt], error) {
			return w.AttemptsAtEndpoint(w.ctx, a, store.AttemptFilter{Endpoint: b}, page) // which is not looked at
		},
	} {
		want := walkList(w, 99, false, read, placeOfAttempt)
		same(w, what, len(want), 8)
		same(w, what+", ascending", slices.IsSorted(want), true)
		for _, limit := range []int{1, 3, 8} {
			same(w, what, walkList(w, limit, false, read, placeOfAttempt), want)
			same(w, what+", down", walkList(w, limit, true, read, placeOfAttempt), reversed(want))
		}
	}
	one := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsOfEvent(w.ctx, events[1], store.AttemptFilter{Endpoint: b}, store.Page{Limit: 99}))
	same(w, "of event at one endpoint", len(one.Items), 4)
	for i, attempt := range one.Items {
		same(w, "endpoint", attempt.Endpoint, b)
		same(w, "event", attempt.Event, events[1])
		same(w, "number", attempt.Number, i+1)
	}
}

func attemptFiltersNarrow(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	start := w.now
	type made struct {
		typ      string
		channels []string
		tags     []string
		status   int
	}
	for i, m := range []made{
		{"a", nil, nil, 200}, {"b", []string{"eu"}, nil, 204}, {"a", []string{"eu"}, []string{"x"}, 302},
		{"b", nil, []string{"y", "x"}, 404}, {"a", nil, []string{"y"}, 500}, {"b", []string{"us"}, nil, 0},
	} {
		accept := w.accept(tenant, ep)
		accept.Type, accept.Channels, accept.Tags = m.typ, m.channels, m.tags
		o := w.outcome(tenant, ep, w.verdict(accept).Event, 0, webhook.Exhausted)
		o.Attempt.Number = i
		o.Attempt.StatusCode = m.status
		o.Attempt.Succeeded = m.status/100 == 2
		o.Attempt.StartedAt = start.Add(time.Duration(i) * time.Minute)
		w.record(o)
	}
	yes, no := true, false
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	for what, c := range map[string]struct {
		filter store.AttemptFilter
		want   []int
	}{
		"nothing":         {store.AttemptFilter{}, []int{0, 1, 2, 3, 4, 5}},
		"types":           {store.AttemptFilter{Types: []string{"a"}}, []int{0, 2, 4}},
		"channel":         {store.AttemptFilter{Channel: "eu"}, []int{1, 2}},
		"tag":             {store.AttemptFilter{Tag: "x"}, []int{2, 3}},
		"succeeded":       {store.AttemptFilter{Succeeded: &yes}, []int{0, 1}},
		"not succeeded":   {store.AttemptFilter{Succeeded: &no}, []int{2, 3, 4, 5}},
		"200":             {store.AttemptFilter{StatusClass: 200}, []int{0, 1}},
		"300":             {store.AttemptFilter{StatusClass: 300}, []int{2}},
		"400":             {store.AttemptFilter{StatusClass: 400}, []int{3}},
		"500":             {store.AttemptFilter{StatusClass: 500}, []int{4}},
		"100":             {store.AttemptFilter{StatusClass: 100}, nil},
		"no status":       {store.AttemptFilter{NoStatus: true}, []int{5}},
		"from, inclusive": {store.AttemptFilter{From: minute(4)}, []int{4, 5}},
		"to, inclusive":   {store.AttemptFilter{To: minute(1)}, []int{0, 1}},
		"all of it":       {store.AttemptFilter{Types: []string{"a"}, Succeeded: &no, From: minute(1), To: minute(3)}, []int{2}},
	} {
		listed := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsAtEndpoint(w.ctx, ep, c.filter, store.Page{Limit: 99}))
		var got []int
		for _, attempt := range listed.Items {
			got = append(got, attempt.Number)
		}
		same(w, what, got, c.want)
		same(w, what+", done", listed.Done, true)
	}
}

func attemptsBringResponsesWhenAsked(w *world) {
	tenant, ep, event := w.one()
	w.record(w.outcome(tenant, ep, event, 0, webhook.Exhausted))
	for _, with := range []bool{false, true} {
		var want []byte
		if with {
			want = []byte("busy")
		}
		filter, page := store.AttemptFilter{WithResponse: with}, store.Page{Limit: 1}
		of := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsOfEvent(w.ctx, event, filter, page))
		same(w, "of event", of.Items[0].Response, want)
		at := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsAtEndpoint(w.ctx, ep, filter, page))
		same(w, "at endpoint", at.Items[0].Response, want)
	}
}

func historyOutlivesItsEndpoint(w *world) {
	tenant, ep, event := w.one()
	w.record(w.outcome(tenant, ep, event, 0, webhook.Waiting))
	w.must(w.DeleteEndpoint(w.ctx, tenant, ep, w.now))
	w.record(w.outcome(tenant, ep, event, 1, webhook.Succeeded))
	w.must(w.DeleteTenant(w.ctx, tenant, w.now))
	same(w, "attempts", w.attempts(event), 2)
	at := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsAtEndpoint(w.ctx, ep, store.AttemptFilter{}, store.Page{Limit: 9}))
	same(w, "at the endpoint", len(at.Items), 2)
	same(w, "endpoint created at", at.Items[0].EndpointCreatedAt, w.now)
	same(w, "delivery", w.delivery(ep, event).State, webhook.Succeeded)
	same(w, "event", mustGet[store.Event](w)(w.Event(w.ctx, tenant, event)).Type, "invoice.paid")
}

func deliveriesOfEventTellWhereItStandsEverywhere(w *world) {
	tenant := w.tenant()
	eps := []store.EndpointKey{w.endpoint(tenant), w.endpoint(tenant), w.endpoint(tenant), w.endpoint(tenant), w.endpoint(tenant)}
	event := w.publish(2, tenant, eps[:4]...)[0]
	same(w, "of nobody", mustGet[[]store.DatedDelivery](w)(w.DeliveriesOfEvent(w.ctx, tenant, event+2, store.Page{Limit: 9})), nil)
	born := w.now
	w.now = w.now.Add(time.Second)
	w.record(
		w.outcome(tenant, eps[0], event, 0, webhook.Succeeded),
		w.outcome(tenant, eps[1], event, 0, webhook.Waiting),
	)
	want := make([]store.DatedDelivery, 4)
	for i := range want {
		want[i] = store.DatedDelivery{DeliveryRecord: w.delivery(eps[i], event), EndpointCreatedAt: born}
	}
	list := func(page store.Page) []store.DatedDelivery {
		w.Helper()
		return mustGet[[]store.DatedDelivery](w)(w.DeliveriesOfEvent(w.ctx, tenant, event, page))
	}
	same(w, "all", list(store.Page{Limit: 9}), want)
	same(w, "first", list(store.Page{Limit: 2}), want[:2])
	same(w, "behind", list(store.Page{Limit: 2, After: int64(eps[1])}), want[2:])
	same(w, "down", list(store.Page{Limit: 2, Descending: true}), []store.DatedDelivery{want[3], want[2]})
	same(w, "down behind", list(store.Page{Limit: 9, After: int64(eps[2]), Descending: true}), []store.DatedDelivery{want[1], want[0]})

	w.must(w.DeleteEndpoint(w.ctx, tenant, eps[0], w.now))
	w.must(w.DeleteEndpoint(w.ctx, tenant, eps[2], w.now))
	same(w, "deleted while open", list(store.Page{Limit: 9}), []store.DatedDelivery{want[0], want[1], want[3]})
	ended := w.outcome(tenant, eps[2], event, 0, webhook.Cancelled)
	ended.Attempt, ended.Reason = nil, webhook.EndpointDeleted
	w.record(ended)
	want[2].DeliveryRecord = w.delivery(eps[2], event)
	same(w, "and ended", list(store.Page{Limit: 9}), want)

	other := w.tenant()
	same(w, "another tenant's", mustGet[[]store.DatedDelivery](w)(w.DeliveriesOfEvent(w.ctx, other, event, store.Page{Limit: 9})), nil)
}

func deliveryTellsWhereItStands(w *world) {
	tenant, ep, event := w.one()
	other := w.endpoint(tenant)
	_, err := w.Delivery(w.ctx, other, event)
	w.is("not for that endpoint", err, store.ErrNotFound)
	_, err = w.Delivery(w.ctx, ep, event+1)
	w.is("no such event", err, store.ErrNotFound)
	same(w, "pending", w.delivery(ep, event), store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Pending})
	due := w.outcome(tenant, ep, event, 0, webhook.Waiting)
	due.RetryAt = time.Time{} // an instant like others
	w.record(due)
	same(w, "waiting", w.delivery(ep, event), store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Waiting, Tried: 1})
}

// listsByTimeExamineThatTimeOnly has many more rows than a page may examine, over days, and
// asks for a part of them: the first page has it, however far it lies from where the walk
// would begin.
func listsByTimeExamineThatTimeOnly(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	begin := w.now
	var events []store.EventKey
	for range 30 {
		keys := w.publish(100, tenant, ep)
		outcomes := make([]store.Outcome, len(keys))
		for i, key := range keys {
			outcomes[i] = w.outcome(tenant, ep, key, 0, webhook.Succeeded)
		}
		w.record(outcomes...)
		events = append(events, keys...)
		w.now = w.now.Add(12 * time.Hour)
	}
	day := func(n int) time.Time { return begin.Add(time.Duration(n) * 24 * time.Hour) }
	for what, c := range map[string]struct {
		from, to    time.Time
		first, last int // of the events
	}{
		"the first day":  {time.Time{}, day(1).Add(-time.Hour - 1), 0, 200},
		"a day between":  {day(5), day(5).Add(13 * time.Hour), 1000, 1200},
		"the last day":   {day(14), time.Time{}, 2800, 3000},
		"before all":     {time.Time{}, begin.Add(-2 * time.Hour), 0, 0},
		"after all":      {day(20), day(30), 0, 0},
		"between two":    {day(3).Add(2 * time.Hour), day(3).Add(10 * time.Hour), 0, 0},
		"all that there": {begin, day(15), 0, 3000},
	} {
		for _, descending := range []bool{false, true} {
			page := store.Page{Limit: 250, Descending: descending}
			listed := mustGet[store.Listed[store.Event]](w)(w.Events(w.ctx, tenant, store.EventFilter{From: c.from, To: c.to}, page))
			attempts := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsAtEndpoint(w.ctx, ep, store.AttemptFilter{From: c.from, To: c.to}, page))
			count := min(c.last-c.first, 250)
			same(w, what+": events", len(listed.Items), count)
			same(w, what+": attempts", len(attempts.Items), count)
			same(w, what+": examined", []int{listed.Examined, attempts.Examined}, []int{count, count})
			same(w, what+": done", []bool{listed.Done, attempts.Done}, []bool{c.last-c.first <= 250, c.last-c.first <= 250})
			if count > 0 {
				first := events[c.first]
				if descending {
					first = events[c.last-1]
				}
				same(w, what+": the first event", listed.Items[0].Key, first)
				same(w, what+": the first attempt's event", attempts.Items[0].Event, first)
			}
		}
	}
}
