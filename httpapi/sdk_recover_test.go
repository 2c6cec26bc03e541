package httpapi_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"

	"github.com/neohook/neohook/store"
)

// What a client does after things went wrong.
func TestClientSendsAgain(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		ids := settle(w)
		api, ctx := w.client(token), t.Context()

		_, err := api.MessageAttempt.Resend(ctx, "acme", "order-1", "orders", nil)
		check(t, err)
		w.await(1)
		attempts, err := api.MessageAttempt.ListByMsg(ctx, "acme", "order-1", nil)
		check(t, err)
		if len(attempts.Data) != 2 || attempts.Data[0].TriggerType != models.MESSAGEATTEMPTTRIGGERTYPE_MANUAL {
			t.Errorf("attempts %+v", attempts.Data)
		}
		tried, err := api.MessageAttempt.ListAttemptedMessages(ctx, "acme", "down", nil)
		check(t, err)
		if len(tried.Data) != 1 || tried.Data[0].Id != ids["msg2"] || tried.Data[0].Status != models.MESSAGESTATUS_SENDING || tried.Data[0].NextAttempt == nil {
			t.Errorf("tried %+v", tried.Data)
		}
		places, err := api.MessageAttempt.ListAttemptedDestinations(ctx, "acme", ids["msg2"], nil)
		check(t, err)
		if len(places.Data) != 2 || places.Data[0].Id != ids["ep"] || places.Data[1].Status != models.MESSAGESTATUS_FAIL || !places.Done {
			t.Errorf("places %+v", places.Data)
		}

		since := time.Now().Add(-time.Hour)
		_, err = api.Endpoint.Patch(ctx, "acme", "down", models.EndpointPatch{Url: ptr("https://up.example")})
		check(t, err)
		recovered, err := api.Endpoint.Recover(ctx, "acme", "down", models.RecoverIn{Since: since}, nil)
		check(t, err)
		w.await(1)
		made, err := api.Endpoint.Create(ctx, "acme", models.EndpointIn{Url: "https://late.example", Uid: ptr("late")}, nil)
		check(t, err)
		replayed, err := api.Endpoint.ReplayMissing(ctx, "acme", "late", models.ReplayIn{Since: since}, nil)
		check(t, err)
		w.await(2)
		again, err := api.Endpoint.BulkReplay(ctx, "acme", "late", models.BulkReplayIn{Since: since, Status: ptr(models.MESSAGESTATUS_SUCCESS)}, nil)
		check(t, err)
		w.await(2)
		if recovered.Task != models.BACKGROUNDTASKTYPE_ENDPOINT_RECOVER || replayed.Task != models.BACKGROUNDTASKTYPE_ENDPOINT_REPLAY ||
			again.Task != models.BACKGROUNDTASKTYPE_ENDPOINT_BULK_REPLAY || !strings.HasPrefix(recovered.Id, "qtask_") {
			t.Errorf("tasks %+v, %+v, %+v", recovered, replayed, again)
		}
		task, err := api.BackgroundTask.Get(ctx, recovered.Id)
		check(t, err)
		if task.Id != recovered.Id || task.Data["kind"] != "recover" {
			t.Errorf("task %+v", task)
		}
		tasks, err := api.BackgroundTask.List(ctx, &svix.BackgroundTaskListOptions{Task: ptr(models.BACKGROUNDTASKTYPE_ENDPOINT_REPLAY)})
		check(t, err)
		if len(tasks.Data) != 1 || tasks.Data[0].Id != replayed.Id {
			t.Errorf("tasks %+v", tasks.Data)
		}
		stats, err := api.Endpoint.GetStats(ctx, "acme", made.Id, nil)
		check(t, err)
		if stats.Success != 4 || stats.Fail != 0 {
			t.Errorf("stats %+v", stats)
		}
	})
}

func TestClientIsToldOfWhatHappens(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		w.must("POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
		api, ctx := w.client(token).OperationalWebhook.Endpoint, t.Context()
		made, err := api.Create(ctx, models.OperationalWebhookEndpointIn{Url: "https://ops.example", Uid: ptr("ops"), FilterTypes: []string{"endpoint.created"}}, nil)
		check(t, err)
		check(t, api.UpdateHeaders(ctx, "ops", models.OperationalWebhookEndpointHeadersIn{Headers: map[string]string{"X-Api-Key": apiKey, "X-Trace": "on"}}))
		headers, err := api.GetHeaders(ctx, "ops")
		check(t, err)
		if headers.Headers["X-Trace"] != "on" || !slices.Equal(headers.Sensitive, []string{"X-Api-Key"}) {
			t.Errorf("headers %+v", headers)
		}
		before, err := api.GetSecret(ctx, "ops")
		check(t, err)
		check(t, api.RotateSecret(ctx, "ops", models.OperationalWebhookEndpointSecretIn{}, nil))
		after, err := api.GetSecret(ctx, "ops")
		check(t, err)
		if before.Key == after.Key {
			t.Error("the key was not replaced")
		}
		w.must("POST", "/api/v1/app/acme/endpoint", `{"url":"https://up.example"}`)
		w.await(1) // which only the operational endpoint can be the cause of
		put, err := api.Update(ctx, "ops", models.OperationalWebhookEndpointUpdate{Url: "https://ops2.example", Uid: ptr("ops")})
		check(t, err)
		all, err := api.List(ctx, nil)
		check(t, err)
		if put.Id != made.Id || len(all.Data) != 1 || all.Data[0].Url != "https://ops2.example/" {
			t.Errorf("put %+v, listed %+v", put, all.Data)
		}
		check(t, api.Delete(ctx, "ops"))
		_, err = api.Get(ctx, "ops")
		refused(t, err, 404, "Endpoint not found")
	})
}
