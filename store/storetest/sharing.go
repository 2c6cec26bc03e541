package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func recordsAreNotShared(w *world) {
	tenant := w.newTenant("")
	tenant.Metadata = map[string]string{"a": "b"}
	w.must(w.InsertTenant(w.ctx, tenant, nil))
	ep := w.newEndpoint(tenant.Key, "")
	ep.EventTypes, ep.Channels, ep.SealedSecrets = []string{"a"}, []string{"eu"}, []byte("secret")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	accept := w.accept(tenant.Key, ep.Key)
	accept.Channels, accept.Payload, accept.Once = []string{"eu"}, []byte("payload"), w.once(1, time.Hour)
	event := w.verdict(accept).Event
	o := w.outcome(tenant.Key, ep.Key, event, 0, webhook.Exhausted)
	w.record(o)

	// What was passed in is the caller's again, and what comes out too.
	spoil := func(t store.Tenant, ep store.Endpoint, channels []string, payload, response []byte) {
		t.Metadata["a"], ep.EventTypes[0], ep.Channels[0], ep.SealedSecrets[0] = "x", "x", "x", 'x'
		channels[0], payload[0], response[0] = "x", 'x', 'x'
	}
	spoil(tenant, ep, accept.Channels, accept.Payload, o.Attempt.Response)
	accept.Once.Body[0]++
	for range 2 {
		gotTenant := mustGet[store.Tenant](w)(w.Tenant(w.ctx, organisation, tenant.Key))
		gotEndpoint := mustGet[store.Routes](w)(w.Routes(w.ctx, tenant.Key)).Endpoints[0]
		gotEvent := mustGet[store.Event](w)(w.Event(w.ctx, tenant.Key, event))
		gotAttempt := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsOfEvent(w.ctx, event,
			store.AttemptFilter{WithResponse: true}, store.Page{Limit: 1})).Items[0]
		same(w, "metadata", gotTenant.Metadata["a"], "b")
		same(w, "event types", gotEndpoint.EventTypes[0], "a")
		same(w, "channels", gotEndpoint.Channels[0], "eu")
		same(w, "secrets", string(gotEndpoint.SealedSecrets), "secret")
		same(w, "event channels", gotEvent.Channels[0], "eu")
		same(w, "payload", string(gotEvent.Payload), "payload")
		same(w, "response", string(gotAttempt.Response), "busy")
		spoil(gotTenant, gotEndpoint, gotEvent.Channels, gotEvent.Payload, gotAttempt.Response)
	}
	payload := mustGet[[]store.Payload](w)(w.Payloads(w.ctx, []store.EventKey{event}))[0]
	same(w, "body", string(payload.Body), "payload")
}

// everyCall makes one call of each method.
func everyCall(w *world, ctx context.Context) map[string]error {
	tenant := store.Tenant{Key: 1 << 40, Organisation: organisation, Version: 2}
	ep := store.Endpoint{Key: 1 << 40, Tenant: 1, Version: 2}
	page := store.Page{Limit: 1}
	errs := make(map[string]error)
	call := func(what string, _ any, err error) { errs[what] = err }

	instance, err := w.InitInstance(ctx, store.Instance{SealedIDSecret: []byte{1}})
	call("InitInstance", instance, err)
	instance, err = w.Instance(ctx)
	call("Instance", instance, err)
	call("SetPaused", nil, w.SetPaused(ctx, true))
	stored, err := w.InitToken(ctx, store.Token{})
	call("InitToken", stored, err)
	call("ReplaceToken", nil, w.ReplaceToken(ctx, store.Token{}))
	call("InsertToken", nil, w.InsertToken(ctx, store.Token{}, nil))
	token, err := w.Token(ctx, [32]byte{}, w.now)
	call("Token", token, err)
	token, err = w.TokenOf(ctx, organisation, 1, w.now)
	call("TokenOf", token, err)
	tokens, err := w.Tokens(ctx, organisation, store.TokenFilter{}, w.now, page)
	call("Tokens", tokens, err)
	call("DeleteToken", nil, w.DeleteToken(ctx, organisation, 1, w.now))
	call("ExpireTokens", nil, w.ExpireTokens(ctx, 1, store.Expiry{Now: w.now, At: w.now}))
	call("RefuseToken", nil, w.RefuseToken(ctx, [32]byte{}, w.now, w.now))
	refused, err := w.Refused(ctx, store.SignedToken{}, w.now)
	call("Refused", refused, err)

	key, err := w.NewKey(ctx)
	call("NewKey", key, err)
	call("InsertTenant", nil, w.InsertTenant(ctx, tenant, nil))
	call("UpdateTenant", nil, w.UpdateTenant(ctx, tenant))
	call("DeleteTenant", nil, w.DeleteTenant(ctx, tenant.Key, w.now))
	gotTenant, err := w.Tenant(ctx, organisation, 1)
	call("Tenant", gotTenant, err)
	gotTenant, err = w.TenantByUID(ctx, organisation, "uid")
	call("TenantByUID", gotTenant, err)
	tenants, err := w.Tenants(ctx, organisation, page)
	call("Tenants", tenants, err)
	call("InsertEndpoint", nil, w.InsertEndpoint(ctx, ep, nil))
	call("UpdateEndpoint", nil, w.UpdateEndpoint(ctx, ep, nil))
	call("DeleteEndpoint", nil, w.DeleteEndpoint(ctx, 1, ep.Key, w.now))
	gotEndpoint, err := w.Endpoint(ctx, 1, 1)
	call("Endpoint", gotEndpoint, err)
	gotEndpoint, err = w.EndpointByUID(ctx, 1, "uid")
	call("EndpointByUID", gotEndpoint, err)
	endpoints, err := w.Endpoints(ctx, 1, page)
	call("Endpoints", endpoints, err)
	routes, err := w.Routes(ctx, 1)
	call("Routes", routes, err)
	call("Replay", nil, w.Replay(ctx, w.once(1, time.Hour), w.now))

	call("PutEventTypes", nil, w.PutEventTypes(ctx, []store.EventType{{Key: 1, Version: 1}}, nil))
	call("DeleteEventType", nil, w.DeleteEventType(ctx, organisation, "a"))
	eventType, err := w.EventType(ctx, organisation, "a")
	call("EventType", eventType, err)
	named, err := w.EventTypesNamed(ctx, organisation, []string{"a"})
	call("EventTypesNamed", named, err)
	types, err := w.EventTypes(ctx, organisation, store.EventTypeFilter{}, store.NamePage{Limit: 1})
	call("EventTypes", types, err)

	verdicts, err := w.Commit(ctx, &store.Batch{Now: w.now, Accepts: []store.Accept{{Tenant: 1}}})
	call("Commit", verdicts, err)
	verdicts, err = w.Commit(ctx, &store.Batch{})
	call("Commit of nothing", verdicts, err)

	lanes, err := w.Lanes(ctx, 0, 1)
	call("Lanes", lanes, err)
	fresh, err := w.Fresh(ctx, 1, 0, 1)
	call("Fresh", fresh, err)
	waiting, err := w.Waiting(ctx, 1, store.Moment{}, 1)
	call("Waiting", waiting, err)
	payloads, err := w.Payloads(ctx, []store.EventKey{1})
	call("Payloads", payloads, err)

	keys, _, err := w.InsertSends(ctx, w.now, []store.Send{{Tenant: 1}}, nil, nil)
	call("InsertSends", keys, err)
	keys, _, err = w.InsertSends(ctx, w.now, nil, nil, nil)
	call("InsertSends of none", keys, err)
	send, err := w.Send(ctx, 1)
	call("Send", send, err)
	held, err := w.CountOpen(ctx, 1, 1)
	call("CountOpen", held, err)
	held, err = w.CountSends(ctx, 1, 1)
	call("CountSends", held, err)
	sends, err := w.SendsOf(ctx, 1, store.Moment{}, 1)
	call("SendsOf", sends, err)
	cancelled, err := w.Cancel(ctx, w.now, nil)
	call("Cancel", cancelled, err)

	due, _, err := w.Due(ctx, w.now, 1)
	call("Due", due, err)
	promoted, err := w.Promote(ctx, w.now, []store.Promotion{{Event: 1, Tenant: 1}})
	call("Promote", promoted, err)
	call("CancelEvent", nil, w.CancelEvent(ctx, 1, 1, w.now))
	rows, err := w.Outbox(ctx, 0, 1)
	call("Outbox", rows, err)
	call("DeleteOutbox", nil, w.DeleteOutbox(ctx, []store.OutboxKey{1}))
	last, err := w.LastOutbox(ctx)
	call("LastOutbox", last, err)
	count, err := w.CountOutbox(ctx, 1)
	call("CountOutbox", count, err)
	sums, err := w.Sums(ctx, w.always())
	call("Sums", sums, err)
	more, err := w.CompactRollups(ctx, w.now)
	call("CompactRollups", more, err)
	recounted, err := w.Recount(ctx, w.now)
	call("Recount", recounted, err)

	event, err := w.Event(ctx, 1, 1)
	call("Event", event, err)
	event, err = w.EventByUID(ctx, 1, "uid")
	call("EventByUID", event, err)
	verdict, err := w.ReplayEvent(ctx, w.once(1, time.Hour), w.now)
	call("ReplayEvent", verdict, err)
	events, err := w.Events(ctx, 1, store.EventFilter{}, page)
	call("Events", events, err)
	attempt, err := w.Attempt(ctx, 1, 1)
	call("Attempt", attempt, err)
	attempts, err := w.AttemptsOfEvent(ctx, 1, store.AttemptFilter{}, page)
	call("AttemptsOfEvent", attempts, err)
	attempts, err = w.AttemptsAtEndpoint(ctx, 1, store.AttemptFilter{}, page)
	call("AttemptsAtEndpoint", attempts, err)
	delivery, err := w.Delivery(ctx, 1, 1)
	call("Delivery", delivery, err)
	deliveries, err := w.DeliveriesOfEvent(ctx, 1, 1, page)
	call("DeliveriesOfEvent", deliveries, err)
	atEndpoint, err := w.DeliveriesAtEndpoint(ctx, 1, store.DeliveryFilter{}, page)
	call("DeliveriesAtEndpoint", atEndpoint, err)
	untried, err := w.UntriedAtEndpoint(ctx, 1, 1, store.EventFilter{}, page)
	call("UntriedAtEndpoint", untried, err)
	job, err := w.InsertJob(ctx, store.Job{Key: 1 << 40, Organisation: organisation, Tenant: 1}, nil)
	call("InsertJob", job, err)
	jobMade, err := w.StepJob(ctx, w.now, store.JobStep{})
	call("StepJob", jobMade, err)
	job, err = w.CancelJob(ctx, organisation, 1, "", w.now)
	call("CancelJob", job, err)
	job, err = w.Job(ctx, organisation, 1)
	call("Job", job, err)
	jobs, err := w.Jobs(ctx, organisation, store.JobFilter{}, page)
	call("Jobs", jobs, err)
	running, err := w.RunningJobs(ctx, 0, 1)
	call("RunningJobs", running, err)
	jobOpen, _, err := w.JobOpen(ctx, 1, 1, 1)
	call("JobOpen", jobOpen, err)
	sweptJobs, err := w.SweepJobs(ctx, w.now, 1)
	call("SweepJobs", sweptJobs, err)
	failing, err := w.FailingEndpoints(ctx, 0, 1)
	call("FailingEndpoints", failing, err)

	swept, err := w.Sweep(ctx, w.now, webhook.Retention{Payloads: 1, Attempts: 1, Events: 1}, time.Second)
	call("Sweep", swept, err)
	turns, err := w.ExpungePayload(ctx, w.now, 1, 1)
	call("ExpungePayload", turns, err)
	call("ExpungeResponse", nil, w.ExpungeResponse(ctx, 1, 1))
	turns, err = w.ExpungeEvent(ctx, w.now, 1, 1)
	call("ExpungeEvent", turns, err)
	expunge, err := w.InsertExpunge(ctx, organisation, store.Expunge{Tenant: 1})
	call("InsertExpunge", expunge, err)
	expunges, err := w.Expunges(ctx, 0, 1)
	call("Expunges", expunges, err)
	turns, _, err = w.ExpungeStep(ctx, w.now, 1, time.Second)
	call("ExpungeStep", turns, err)
	call("Scrub", nil, w.Scrub(ctx))
	return errs
}

func endedContextChangesNothing(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	w.publish(1, tenant, ep)
	ended, end := context.WithCancel(w.ctx)
	end()
	for what, err := range everyCall(w, ended) {
		w.is(what, err, context.Canceled)
	}
	_, err := w.Instance(w.ctx)
	w.is("Instance", err, store.ErrNotFound)
	same(w, "tenants", len(mustGet[[]store.Tenant](w)(w.Tenants(w.ctx, organisation, store.Page{Limit: 9}))), 1)
	w.publish(1, tenant, ep) // and nothing is left open
	same(w, "open", len(mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 9)).Deliveries), 2)
}

func closedStoreSaysSo(w *world) {
	w.must(w.Close())
	w.must(w.Close())
	for what, err := range everyCall(w, w.ctx) {
		if !errors.Is(err, store.ErrClosed) {
			w.Errorf("%s: %v, want %v", what, err, store.ErrClosed)
		}
	}
}
