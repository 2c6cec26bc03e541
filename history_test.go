package neohook_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/internal/seal"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// The history is written straight into the store, with the keys that the identifiers
// hold: so the tests see what the directory makes of it, and nothing else.

// withHistory runs a test over each store with a known keyset.
func withHistory(t *testing.T, test func(t *testing.T, h *history)) {
	t.Helper()
	for name, open := range map[string]func(*testing.T) store.Store{"memstore": openMemory, "sqlite": openSQLite} {
		t.Run(name, func(t *testing.T) {
			keyset := must[[]byte](t)(neohook.NewKeyset())
			h := &history{T: t, store: open(t)}
			h.Engine = newEngine(t, h.store, neohook.Options{Keyset: keyset})
			instance := must[store.Instance](t)(h.store.Instance(t.Context()))
			opener := must[*seal.Keyset](t)(seal.Parse(keyset))
			secret := must[[]byte](t)(opener.Open(instance.SealedIDSecret, []byte("instance id secret")))
			h.ids = must[*ident.Codec](t)(ident.New(secret))
			test(t, h)
		})
	}
}

type history struct {
	*testing.T
	*neohook.Engine
	store store.Store
	ids   *ident.Codec
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// accept stores an event of a tenant for all its endpoints.
func (h *history) accept(at time.Time, tenant webhook.TenantID, ev webhook.Event) webhook.EventID {
	h.Helper()
	key, _, err := h.ids.ParseTenant(tenant)
	if err != nil {
		h.Fatal(err)
	}
	routes := must[store.Routes](h.T)(h.store.Routes(h.Context(), key))
	var endpoints []store.EndpointKey
	for _, ep := range routes.Endpoints {
		endpoints = append(endpoints, ep.Key)
	}
	verdicts := must[[]store.Verdict](h.T)(h.store.Commit(h.Context(), &store.Batch{Now: at, Accepts: []store.Accept{{
		Tenant: key, RouteVersion: routes.Version, Endpoints: endpoints, UID: ev.UID, Type: ev.Type, Channels: ev.Channels, Tags: ev.Tags, Payload: ev.Payload,
	}}}))
	if verdicts[0].Kind != store.Accepted {
		h.Fatalf("verdict %+v", verdicts[0])
	}
	return h.ids.Event(verdicts[0].AcceptedAt, verdicts[0].Event)
}

// attempted records an attempt.
func (h *history) attempted(tenant webhook.TenantID, endpoint webhook.EndpointID, event webhook.EventID, tried int, a store.Attempt) {
	h.Helper()
	tenantKey, _, err1 := h.ids.ParseTenant(tenant)
	endpointKey, _, err2 := h.ids.ParseEndpoint(endpoint)
	eventKey, _, err3 := h.ids.ParseEvent(event)
	if err1 != nil || err2 != nil || err3 != nil {
		h.Fatal(err1, err2, err3)
	}
	outcome := store.Outcome{Tenant: tenantKey, Endpoint: endpointKey, Event: eventKey, Tried: tried, Attempt: &a, State: webhook.Succeeded}
	if a.Number = tried + 1; !a.Succeeded {
		outcome.State, outcome.RetryAt = webhook.Waiting, a.StartedAt.Add(time.Minute)
	}
	must[[]store.Verdict](h.T)(h.store.Commit(h.Context(), &store.Batch{Now: a.StartedAt, Outcomes: []store.Outcome{outcome}}))
}

func TestEvents(t *testing.T) {
	withHistory(t, func(t *testing.T, h *history) {
		ctx := t.Context()
		acme := must[webhook.Tenant](t)(h.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		theirs := must[webhook.Tenant](t)(h.CreateTenant(ctx, webhook.Tenant{Name: "Theirs"}))
		var ids []webhook.EventID
		for i := range 6 {
			ids = append(ids, h.accept(noon.Add(time.Duration(i)*time.Minute), acme.ID, webhook.Event{
				UID: fmt.Sprint("e", i), Type: []string{"paid", "sent"}[i%2], Channels: []string{"eu", "us"}[:i%3], Payload: []byte(fmt.Sprint(`{"n": `, i, `}`)),
			}))
		}
		want := webhook.Event{
			ID: ids[3], Tenant: acme.ID, UID: "e3", Type: "sent", Payload: []byte(`{"n": 3}`), AcceptedAt: noon.Add(3 * time.Minute),
		}
		for _, ref := range []webhook.EventID{ids[3], "e3"} {
			if got := must[webhook.Event](t)(h.Event(ctx, "acme", ref)); !reflect.DeepEqual(got, want) {
				t.Errorf("by %s: %+v\nwant %+v", ref, got, want)
			}
			_, err := h.Event(ctx, theirs.ID, ref)
			wantErr(t, "of another tenant", err, neohook.ErrNotFound)
		}

		for name, test := range map[string]struct {
			filter neohook.EventFilter
			want   []int
		}{
			"all":         {neohook.EventFilter{}, []int{0, 1, 2, 3, 4, 5}},
			"by type":     {neohook.EventFilter{Types: []string{"sent", "x"}}, []int{1, 3, 5}},
			"by channel":  {neohook.EventFilter{Channel: "us"}, []int{2, 5}},
			"by time":     {neohook.EventFilter{From: noon.Add(time.Minute), To: noon.Add(4 * time.Minute)}, []int{1, 2, 3, 4}},
			"all at once": {neohook.EventFilter{Types: []string{"sent"}, Channel: "eu", From: noon, To: noon.Add(time.Hour)}, []int{1, 5}},
			"none":        {neohook.EventFilter{Types: []string{"x"}}, nil},
		} {
			for _, descending := range []bool{false, true} {
				for limit := 1; limit < 8; limit++ {
					page := neohook.Page{Limit: limit, Descending: descending}
					var got []int
					for pages := 0; ; pages++ {
						if pages > 20 {
							t.Fatalf("%s: never done", name)
						}
						list := must[neohook.List[webhook.Event]](t)(h.Events(ctx, "acme", test.filter, page))
						for _, ev := range list.Items {
							got = append(got, slices.Index(ids, ev.ID))
							if ev.Payload != nil || ev.Tenant != acme.ID {
								t.Errorf("%s: %+v", name, ev)
							}
						}
						if page.After = list.Last; list.Done {
							break
						}
					}
					want := slices.Clone(test.want)
					if descending {
						slices.Reverse(want)
					}
					if !slices.Equal(got, want) {
						t.Errorf("%s, limit %d, descending %v: %v, want %v", name, limit, descending, got, want)
					}
				}
			}
		}
		list := must[neohook.List[webhook.Event]](t)(h.Events(ctx, "acme", neohook.EventFilter{WithPayload: true}, neohook.Page{Limit: 1}))
		if string(list.Items[0].Payload) != `{"n": 0}` {
			t.Errorf("with payload: %+v", list.Items[0])
		}
		_, err := h.Events(ctx, "acme", neohook.EventFilter{}, neohook.Page{After: string(acme.ID)})
		wantErr(t, "a tenant as cursor", err, webhook.ErrMalformedID)
	})
}

func TestAttempts(t *testing.T) {
	withHistory(t, func(t *testing.T, h *history) {
		ctx := t.Context()
		acme := must[webhook.Tenant](t)(h.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		theirs := must[webhook.Tenant](t)(h.CreateTenant(ctx, webhook.Tenant{UID: "theirs", Name: "Theirs"}))
		a := must[webhook.Endpoint](t)(h.CreateEndpoint(ctx, "acme", webhook.Endpoint{UID: "a", URL: "https://a.example"}))
		b := must[webhook.Endpoint](t)(h.CreateEndpoint(ctx, "acme", webhook.Endpoint{UID: "b", URL: "https://b.example"}))
		first := h.accept(noon, acme.ID, webhook.Event{UID: "first", Type: "paid", Channels: []string{"eu"}, Payload: []byte("{}")})
		second := h.accept(noon, acme.ID, webhook.Event{Type: "sent", Payload: []byte("{}")})

		at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
		h.attempted(acme.ID, a.ID, first, 0, store.Attempt{URL: a.URL, StatusCode: 503, Response: []byte("busy"), StartedAt: at(0), Duration: time.Second})
		h.attempted(acme.ID, b.ID, first, 0, store.Attempt{URL: b.URL, Code: webhook.FaultRefused, Response: []byte("refused"), StartedAt: at(1)})
		h.attempted(acme.ID, a.ID, first, 1, store.Attempt{URL: a.URL, StatusCode: 200, Succeeded: true, StartedAt: at(2)})
		h.attempted(acme.ID, a.ID, second, 0, store.Attempt{URL: a.URL, StatusCode: 204, Succeeded: true, StartedAt: at(3)})

		type numbered struct {
			endpoint webhook.EndpointID
			number   int
		}
		order := func(list neohook.List[webhook.Attempt]) (got []numbered) {
			for _, attempt := range list.Items {
				got = append(got, numbered{attempt.Endpoint, attempt.Number})
			}
			return got
		}
		yes, no := true, false
		for name, test := range map[string]struct {
			filter neohook.AttemptFilter
			want   []numbered
		}{
			"all":           {neohook.AttemptFilter{}, []numbered{{a.ID, 1}, {b.ID, 1}, {a.ID, 2}}},
			"by endpoint":   {neohook.AttemptFilter{Endpoint: a.ID}, []numbered{{a.ID, 1}, {a.ID, 2}}},
			"by its uid":    {neohook.AttemptFilter{Endpoint: "b"}, []numbered{{b.ID, 1}}},
			"succeeded":     {neohook.AttemptFilter{Succeeded: &yes}, []numbered{{a.ID, 2}}},
			"failed":        {neohook.AttemptFilter{Succeeded: &no}, []numbered{{a.ID, 1}, {b.ID, 1}}},
			"5xx":           {neohook.AttemptFilter{StatusClass: 500}, []numbered{{a.ID, 1}}},
			"no answer":     {neohook.AttemptFilter{NoStatus: true}, []numbered{{b.ID, 1}}},
			"by time":       {neohook.AttemptFilter{From: at(1), To: at(1)}, []numbered{{b.ID, 1}}},
			"by type":       {neohook.AttemptFilter{Types: []string{"sent"}}, nil},
			"by channel":    {neohook.AttemptFilter{Channel: "eu", Succeeded: &yes}, []numbered{{a.ID, 2}}},
			"other channel": {neohook.AttemptFilter{Channel: "us"}, nil},
		} {
			list := must[neohook.List[webhook.Attempt]](t)(h.AttemptsOfEvent(ctx, "acme", "first", test.filter, neohook.Page{}))
			if got := order(list); !slices.Equal(got, test.want) || !list.Done {
				t.Errorf("%s: %v, want %v", name, got, test.want)
			}
		}
		list := must[neohook.List[webhook.Attempt]](t)(h.AttemptsAtEndpoint(ctx, "acme", "a", neohook.AttemptFilter{Endpoint: "not looked at"}, neohook.Page{Descending: true}))
		if got := order(list); !slices.Equal(got, []numbered{{a.ID, 1}, {a.ID, 2}, {a.ID, 1}}) || list.Items[0].Event != second {
			t.Errorf("at the endpoint: %v", got)
		}

		// Page by page, and each by its id.
		page := neohook.Page{Limit: 1}
		for number := 0; ; number++ {
			part := must[neohook.List[webhook.Attempt]](t)(h.AttemptsOfEvent(ctx, "acme", first, neohook.AttemptFilter{WithResponse: true}, page))
			for _, attempt := range part.Items {
				if part.Last != string(attempt.ID) {
					t.Errorf("Last = %s, item %s", part.Last, attempt.ID)
				}
				got := must[webhook.Attempt](t)(h.Attempt(ctx, acme.ID, "first", attempt.ID))
				if !reflect.DeepEqual(got, attempt) {
					t.Errorf("by id %+v\nlisted %+v", got, attempt)
				}
				_, err := h.Attempt(ctx, "acme", second, attempt.ID)
				wantErr(t, "under another event", err, neohook.ErrNotFound)
				_, err = h.Attempt(ctx, theirs.ID, first, attempt.ID)
				wantErr(t, "under another tenant", err, neohook.ErrNotFound)
			}
			if page.After = part.Last; part.Done {
				if number < 2 || number > 3 {
					t.Errorf("%d pages", number+1)
				}
				break
			}
		}
		all := must[neohook.List[webhook.Attempt]](t)(h.AttemptsOfEvent(ctx, "acme", first, neohook.AttemptFilter{WithResponse: true}, neohook.Page{}))
		want := webhook.Attempt{
			ID: all.Items[0].ID, Event: first, Endpoint: a.ID, EventType: "paid", Channels: []string{"eu"}, Number: 1,
			URL: a.URL, StatusCode: 503, Response: []byte("busy"), StartedAt: at(0), Duration: time.Second,
		}
		if !reflect.DeepEqual(all.Items[0], want) {
			t.Errorf("attempt %+v\nwant    %+v", all.Items[0], want)
		}

		_, err := h.AttemptsOfEvent(ctx, "acme", first, neohook.AttemptFilter{Endpoint: "nobody"}, neohook.Page{})
		wantErr(t, "at no endpoint", err, neohook.ErrNotFound)
		_, err = h.AttemptsOfEvent(ctx, "acme", first, neohook.AttemptFilter{StatusClass: 404}, neohook.Page{})
		wantFields(t, "a status", err, "statusClass")
		_, err = h.AttemptsAtEndpoint(ctx, "acme", "a", neohook.AttemptFilter{StatusClass: 600}, neohook.Page{})
		wantFields(t, "a class beyond", err, "statusClass")
		_, err = h.AttemptsOfEvent(ctx, "theirs", first, neohook.AttemptFilter{}, neohook.Page{})
		wantErr(t, "of another tenant", err, neohook.ErrNotFound)
		_, err = h.AttemptsAtEndpoint(ctx, "acme", "a", neohook.AttemptFilter{}, neohook.Page{After: string(first)})
		wantErr(t, "an event as cursor", err, webhook.ErrMalformedID)

		// What was sent to an endpoint that is gone stays in the event's log.
		if err := h.DeleteEndpoint(ctx, "acme", "b"); err != nil {
			t.Fatal(err)
		}
		list = must[neohook.List[webhook.Attempt]](t)(h.AttemptsOfEvent(ctx, "acme", first, neohook.AttemptFilter{}, neohook.Page{}))
		if len(list.Items) != 3 {
			t.Errorf("after the deletion of an endpoint: %v", order(list))
		}
	})
}
