package neohook_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func TestDeliveriesAtAnEndpoint(t *testing.T) {
	withHistory(t, func(t *testing.T, h *history) {
		ctx := t.Context()
		acme := must[webhook.Tenant](t)(h.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		must[webhook.Tenant](t)(h.CreateTenant(ctx, webhook.Tenant{UID: "theirs", Name: "Theirs"}))
		ep := must[webhook.Endpoint](t)(h.CreateEndpoint(ctx, "acme", webhook.Endpoint{UID: "a", URL: "https://a.example"}))
		at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
		var ids []webhook.EventID
		for i := range 5 {
			ids = append(ids, h.accept(at(i), acme.ID, webhook.Event{
				UID: fmt.Sprint("e", i), Type: []string{"paid", "sent"}[i%2], Channels: []string{"us"}, Tags: []string{"t"}, Payload: []byte(fmt.Sprint(`{"n": `, i, `}`)),
			}))
		}
		h.attempted(acme.ID, ep.ID, ids[1], 0, store.Attempt{URL: ep.URL, StatusCode: 503, Response: []byte("busy"), StartedAt: at(10), Duration: time.Second})
		h.attempted(acme.ID, ep.ID, ids[2], 0, store.Attempt{URL: ep.URL, StatusCode: 500, StartedAt: at(11)})
		h.attempted(acme.ID, ep.ID, ids[2], 1, store.Attempt{URL: ep.URL, StatusCode: 204, Succeeded: true, StartedAt: at(12)})
		h.attempted(acme.ID, ep.ID, ids[3], 0, store.Attempt{URL: ep.URL, StatusCode: 204, Succeeded: true, StartedAt: at(13)})

		for name, test := range map[string]struct {
			filter neohook.DeliveryFilter
			want   []int
		}{
			"all":         {neohook.DeliveryFilter{}, []int{0, 1, 2, 3, 4}},
			"succeeded":   {neohook.DeliveryFilter{States: []webhook.State{webhook.Succeeded}}, []int{2, 3}},
			"open":        {neohook.DeliveryFilter{States: []webhook.State{webhook.Pending, webhook.Waiting}}, []int{0, 1, 4}},
			"attempted":   {neohook.DeliveryFilter{Attempted: true}, []int{1, 2, 3}},
			"by type":     {neohook.DeliveryFilter{Types: []string{"sent"}}, []int{1, 3}},
			"by status":   {neohook.DeliveryFilter{StatusClass: 500}, []int{1}},
			"by failures": {neohook.DeliveryFilter{FailedFrom: at(11)}, []int{2}},
			"by time":     {neohook.DeliveryFilter{From: at(1), To: at(3)}, []int{1, 2, 3}},
			"none":        {neohook.DeliveryFilter{Channel: "eu"}, nil},
		} {
			for _, descending := range []bool{false, true} {
				for limit := 1; limit < 7; limit++ {
					var got []int
					page := neohook.Page{Limit: limit, Descending: descending}
					for pages := 0; pages < 20; pages++ {
						list := must[neohook.List[neohook.EndpointDelivery]](t)(h.DeliveriesAtEndpoint(ctx, "acme", "a", test.filter, page))
						for _, d := range list.Items {
							got = append(got, slices.Index(ids, d.Event))
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

		list := must[neohook.List[neohook.EndpointDelivery]](t)(h.DeliveriesAtEndpoint(ctx, acme.ID, ep.ID, neohook.DeliveryFilter{WithPayload: true}, neohook.Page{}))
		for i, d := range list.Items {
			want := neohook.EndpointDelivery{
				Standing: must[webhook.Standing](t)(h.Delivery(ctx, "acme", ids[i], "a")),
				Of:       must[webhook.Event](t)(h.Event(ctx, "acme", ids[i])),
			}
			if made := want.Attempts; len(made) > 0 {
				want.Last, want.Attempts = &made[len(made)-1], nil
			}
			if !reflect.DeepEqual(d, want) {
				t.Errorf("delivery %d:\n got %+v\nwant %+v", i, d, want)
			}
		}

		_, err := h.DeliveriesAtEndpoint(ctx, "theirs", ep.ID, neohook.DeliveryFilter{}, neohook.Page{})
		wantErr(t, "of another tenant", err, neohook.ErrNotFound)
		_, err = h.DeliveriesAtEndpoint(ctx, "acme", "a", neohook.DeliveryFilter{}, neohook.Page{After: string(ep.ID)})
		wantErr(t, "an endpoint as cursor", err, webhook.ErrMalformedID)
		_, err = h.DeliveriesAtEndpoint(ctx, "acme", "a", neohook.DeliveryFilter{States: []webhook.State{webhook.Waiting, webhook.Parked}, StatusClass: 250}, neohook.Page{})
		var bad *webhook.InvalidError
		if !errors.As(err, &bad) || len(bad.Fields) != 2 || bad.Fields[0].Field != "states[1]" || bad.Fields[1].Field != "statusClass" {
			t.Errorf("a filter that can't be: %v", err)
		}
		if err := h.DeleteEndpoint(ctx, "acme", "a"); err != nil {
			t.Fatal(err)
		}
		_, err = h.DeliveriesAtEndpoint(ctx, "acme", ep.ID, neohook.DeliveryFilter{}, neohook.Page{})
		wantErr(t, "of a deleted endpoint", err, neohook.ErrNotFound)
	})
}
