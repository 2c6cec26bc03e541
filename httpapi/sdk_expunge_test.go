package httpapi_test

import (
	"reflect"
	"testing"
	"time"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
)

// task waits until a task has ended, and returns it.
func task(t *testing.T, api *svix.Svix, id string) *models.BackgroundTaskOut {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		got, err := api.BackgroundTask.Get(t.Context(), id)
		check(t, err)
		if got.Status != models.BACKGROUNDTASKSTATUS_RUNNING || time.Now().After(deadline) {
			return got
		}
	}
}

func TestClientExpunges(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		ids := settle(w)
		api, ctx := w.client(token), t.Context()
		check(t, api.MessageAttempt.ExpungeContent(ctx, "acme", "order-1", ids["attempt"]))
		attempt, err := api.MessageAttempt.Get(ctx, "acme", "order-1", ids["attempt"], nil)
		check(t, err)
		if attempt.Response != "EXPUNGED" {
			t.Errorf("attempt %+v", attempt)
		}
		expired := map[string]any{"expired": true}
		check(t, api.Message.ExpungeContent(ctx, "acme", "order-1"))
		check(t, api.Message.ExpungeContent(ctx, "acme", "order-1"))
		message, err := api.Message.Get(ctx, "acme", "order-1", &svix.MessageGetOptions{WithContent: ptr(true)})
		check(t, err)
		if !reflect.DeepEqual(message.Payload, expired) {
			t.Errorf("message %+v", message)
		}
		_, err = api.MessageAttempt.Resend(ctx, "acme", "order-1", "orders", nil)
		refused(t, err, 400, `"code":"missing_payload"`)
		refused(t, api.Message.ExpungeContent(ctx, "acme", "nothing"), 404, "Message not found")

		started, err := api.Message.ExpungeAllContents(ctx, "acme", &svix.MessageExpungeAllContentsOptions{IdempotencyKey: ptr("all")})
		check(t, err)
		again, err := api.Message.ExpungeAllContents(ctx, "acme", &svix.MessageExpungeAllContentsOptions{IdempotencyKey: ptr("all")})
		check(t, err)
		done := task(t, api, started.Id)
		if again.Id != started.Id || done.Task != models.BACKGROUNDTASKTYPE_APPLICATION_PURGE_CONTENT || done.Status != models.BACKGROUNDTASKSTATUS_FINISHED || done.Data["messagesPurged"] != 1.0 {
			t.Errorf("started %+v, again %+v, done %+v", started, again, done)
		}
		if message, err = api.Message.Get(ctx, "acme", ids["msg2"], &svix.MessageGetOptions{WithContent: ptr(true)}); err != nil || !reflect.DeepEqual(message.Payload, expired) {
			t.Errorf("message %+v, %v", message, err)
		}
		_, err = api.Message.ExpungeAllContents(ctx, "nobody", nil)
		refused(t, err, 404, "Application not found")
	})
}

func TestClientCountsUsage(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		ids := settle(w)
		api, ctx := w.client(token), t.Context()
		since, until := time.Now().Add(-time.Hour), time.Now().Add(time.Minute)
		usage, err := api.Statistics.AggregateAppStats(ctx, models.AppUsageStatsIn{AppIds: []string{"acme", "nobody"}, Since: since, Until: until}, nil)
		check(t, err)
		if usage.Task != models.BACKGROUNDTASKTYPE_APPLICATION_STATS || !reflect.DeepEqual(usage.UnresolvedAppIds, []string{"nobody"}) {
			t.Errorf("usage %+v", usage)
		}
		want := []any{map[string]any{"appId": ids["app"], "appUid": "acme", "messageDestinations": 3.0}}
		if got := task(t, api, usage.Id); got.Status != models.BACKGROUNDTASKSTATUS_FINISHED || !reflect.DeepEqual(got.Data["appStats"], want) {
			t.Errorf("%+v, want %v", got, want)
		}
		_, err = api.Statistics.AggregateAppStats(ctx, models.AppUsageStatsIn{AppIds: []string{"nobody"}, Since: since, Until: until}, nil)
		refused(t, err, 422, `"loc":["body","appIds"]`)
		all, err := api.Statistics.AggregateAppStats(ctx, models.AppUsageStatsIn{Since: since, Until: until}, nil)
		check(t, err)
		if got := task(t, api, all.Id); len(all.UnresolvedAppIds) != 0 || !reflect.DeepEqual(got.Data["appStats"], want) {
			t.Errorf("%+v, want %v", got, want)
		}

		types, err := api.Statistics.AggregateEventTypes(ctx)
		check(t, err)
		want = []any{map[string]any{
			"appId": ids["app"], "appUid": "acme", "explicitlySubscribedEventTypes": []any{"invoice.paid"}, "hasCatchAllEndpoint": true,
		}}
		if got := task(t, api, types.Id); got.Task != models.BACKGROUNDTASKTYPE_EVENT_TYPE_AGGREGATE || !reflect.DeepEqual(got.Data["event_types"], want) {
			t.Errorf("%+v, want %v", got, want)
		}
		listed, err := api.BackgroundTask.List(ctx, &svix.BackgroundTaskListOptions{Task: ptr(models.BACKGROUNDTASKTYPE_EVENT_TYPE_AGGREGATE)})
		check(t, err)
		if len(listed.Data) != 1 || listed.Data[0].Id != types.Id {
			t.Errorf("listed %+v", listed.Data)
		}
	})
}

func TestClientAsksWhetherAnybodyListens(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	api, ctx := w.client(token).Message, t.Context()
	for _, in := range []struct {
		ask  models.MessagePrecheckIn
		want bool
	}{
		{models.MessagePrecheckIn{EventType: "order.made"}, true},
		{models.MessagePrecheckIn{EventType: "invoice.paid", Channels: []string{"eu"}}, true},
	} {
		got, err := api.Precheck(ctx, "acme", in.ask, nil)
		check(t, err)
		if got.Active != in.want {
			t.Errorf("%+v: %v", in.ask, got.Active)
		}
	}
	w.must("DELETE", "/api/v1/app/acme/endpoint/orders", "")
	if got, err := api.Precheck(ctx, "acme", models.MessagePrecheckIn{EventType: "order.made"}, nil); err != nil || got.Active {
		t.Errorf("%+v, %v", got, err)
	}
	_, err := api.Precheck(ctx, "nobody", models.MessagePrecheckIn{EventType: "order.made"}, nil)
	refused(t, err, 404, "Application not found")
}

func TestClientSendsRawMessages(t *testing.T) {
	w, box := overLoopback(t, memstore.New()), newInbox(t)
	w.must("POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
	w.must("POST", "/api/v1/app/acme/endpoint", `{"url":"`+box.server.URL+`"}`)
	api, ctx := w.client(token).Message, t.Context()
	for _, media := range []*string{nil, ptr("application/json")} {
		made, err := api.Create(ctx, "acme", *svix.NewMessageInRaw("a.b", "[1,  2]\n", media), nil)
		check(t, err)
		if got := box.next(t); string(got.body) != "[1,  2]\n" || got.header.Get("Content-Type") != "application/json" || got.header.Get("Webhook-Id") != made.Id {
			t.Errorf("got %q with %v", got.body, got.header)
		}
	}
	_, err := api.Create(ctx, "acme", *svix.NewMessageInRaw("a.b", "<a/>", ptr("application/xml")), nil)
	refused(t, err, 422, `"loc":["body","transformationsParams","headers","content-type"]`)
}
