package httpapi

import (
	"net/http"

	"github.com/neohook/neohook/access"
)

// operations is the table of all that is served below basePath.
func operations() []*operation {
	const (
		get, post, put, patch, del    = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
		ok, created, accepted, silent = http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent
		conflict                      = http.StatusConflict

		app     = "/app/{app_id}"
		ep      = app + "/endpoint/{endpoint_id}"
		secret  = ep + "/secret"
		headers = ep + "/headers"
		types   = "/event-type"
		typ     = types + "/{event_type_name}"
		msg     = app + "/msg/{msg_id}"
		token   = "/auth/token"

		delivery = msg + "/endpoint/{endpoint_id}"

		told   = "/operational-webhook/endpoint" // where operators are told of what happens
		toldAt = told + "/{operational_endpoint_id}"
	)

	return []*operation{
		serves(operation{
			name: "health.get", method: get, path: "/health", scope: anyone, status: ok,
			summary: "Say whether the server can work", others: []int{http.StatusServiceUnavailable},
		}, health),
		serves(operation{
			name: "health.ping", method: get, path: "/health/ping", scope: anyone, status: silent,
			summary: "Answer",
		}, ping),
		serves(operation{
			name: "document.get", method: get, path: "/openapi.json", scope: anyone, status: ok,
			summary: "Get the OpenAPI 3.1 document of this API",
		}, getDocument),

		serves(operation{
			name: "adapter.get", method: get, path: "/adapter", scope: operatorOnly, needs: access.View, status: ok,
			summary: "Get how the part that sends is doing, and what its connections are like",
		}, getAdapter),

		serves(operation{
			name: "authentication.app-portal-access", method: post, path: "/auth/app-portal-access/{app_id}",
			scope: organisationOnly, needs: access.Administer, status: ok, once: true, bodyFirst: true,
			summary: "Let a user of an application in",
			about:   "The answer is a token for this application and nothing else, and a page to open with it. Hand either to the user.",
		}, createPortalAccess),
		serves(operation{
			name: "authentication.dashboard-access", method: post, path: "/auth/dashboard-access/{app_id}",
			scope: organisationOnly, needs: access.Administer, status: ok, once: true, deprecated: true,
			summary: "Let a user of an application in, with every capability and for seven days",
		}, createDashboardAccess),
		serves(operation{
			name: "authentication.expire-all", method: post, path: "/auth/app/{app_id}/expire-all",
			scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "End all tokens for an application, or those of some sessions",
		}, expireAll),
		serves(operation{
			name: "authentication.logout", method: post, path: "/auth/logout", scope: anyToken, needs: access.Nothing, status: silent,
			summary: "End the token that asks",
			about:   "Whatever token is presented, it opens nothing any more: that of a portal, or the organisation's own.",
		}, logout),
		serves(operation{
			name: "token.list", method: get, path: token, scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "List the tokens", refusals: []int{http.StatusNotFound},
		}, listTokens),
		serves(operation{
			name: "token.create", method: post, path: token, scope: organisationOnly, needs: access.Administer, status: created, once: true,
			summary: "Create a token",
		}, createToken),
		serves(operation{
			name: "token.get", method: get, path: token + "/{token_id}", scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "Get a token, without its text",
		}, getToken),
		serves(operation{
			name: "token.revoke", method: del, path: token + "/{token_id}", scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "Revoke a token", about: "It opens nothing any more, through other nodes within a second.",
		}, deleteToken),

		serves(operation{
			name: "application.list", method: get, path: "/app", scope: organisationOnly, needs: access.View, status: ok,
			summary: "List the applications",
		}, listApplications),
		serves(operation{
			name: "application.create", method: post, path: "/app", scope: organisationOnly, needs: access.Administer, status: created,
			once:    true,
			summary: "Create an application, or return the one that has its uid",
			others:  []int{ok},
		}, createApplication),
		serves(operation{
			name: "application.get", method: get, path: app, scope: application, needs: access.View, status: ok,
			summary: "Get an application",
		}, getApplication),
		serves(operation{
			name: "application.update", method: put, path: app, scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "Create or replace an application",
			others:  []int{created}, refusals: []int{conflict}, upsert: true,
		}, putApplication),
		serves(operation{
			name: "application.patch", method: patch, path: app, scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "Change parts of an application", refusals: []int{conflict},
		}, patchApplication),
		serves(operation{
			name: "application.delete", method: del, path: app, scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "Delete an application with its endpoints",
		}, deleteApplication),

		serves(operation{
			name: "application.get-retention", method: get, path: app + "/retention", scope: application, needs: access.View, status: ok,
			summary: "Get how long is kept what an application's messages leave behind",
		}, getRetention),
		serves(operation{
			name: "application.update-retention", method: put, path: app + "/retention", scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "Set how long is kept what an application's messages leave behind",
			about:   "It holds for what is stored already, too. What has not ended is kept in any case.", names: retentionNames,
		}, putRetention),
		serves(operation{
			name: "application.expunge", method: post, path: app + "/expunge", scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "Delete an application with everything that is kept of it",
			about:   "It can't be undone. An application that was deleted before is named by its id. It may take long, and goes on when nobody waits.",
		}, expungeApplication),
		serves(operation{
			name: "application.pause", method: post, path: app + "/pause", scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "Send nothing to an application's endpoints for now",
			about:   "Messages are accepted, and their deliveries wait until it is resumed. What is in flight ends. Nothing is disabled meanwhile.",
		}, pauseApplication),
		serves(operation{
			name: "application.resume", method: post, path: app + "/resume", scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "Send to an application's endpoints again",
		}, resumeApplication),

		serves(operation{
			name: "pause.get", method: get, path: "/pause", scope: operatorOnly, needs: access.View, status: ok,
			summary: "Say whether everything is paused",
		}, getPause),
		serves(operation{
			name: "pause.begin", method: post, path: "/pause", scope: operatorOnly, needs: access.Administer, status: silent,
			summary: "Send nothing to anybody for now",
			about:   "Of all organisations. Messages are accepted and wait. It is stored, and so outlives a restart.",
		}, pauseAll),
		serves(operation{
			name: "pause.end", method: post, path: "/resume", scope: operatorOnly, needs: access.Administer, status: silent,
			summary: "Send again whatever is not paused for itself",
		}, resumeAll),

		serves(operation{
			name: "event-type.list", method: get, path: types, scope: anyToken, needs: access.View, status: ok,
			summary: "List the event types",
			about: "By name. An application's token gets the types that have no feature flag, and those that have one of its own.\n\n" +
				"A page with schemas may be short while `done` is false: go on.",
		}, listEventTypes),
		serves(operation{
			name: "event-type.create", method: post, path: types, scope: organisationOnly, needs: access.Administer, status: created,
			once: true, summary: "Create an event type",
			about: "An archived type of the name is replaced. Types need not be created to send messages of them; " +
				"endpoints can only subscribe to types that there are.",
			refusals: []int{conflict},
		}, createEventType),
		serves(operation{
			name: "event-type.import-openapi", method: post, path: types + "/import/openapi", scope: organisationOnly, needs: access.Administer, status: ok,
			once: true, summary: "Create and replace event types as an OpenAPI document describes them",
			about: "What is in the document's `webhooks`, or in `x-webhooks` before version 3.1, becomes event types by those names, with the schemas " +
				"of what is sent as version 1. Archived types are so no more; what the document says nothing of, groups and feature flags " +
				"(`x-svix-group-name`, `x-svix-feature-flags` of an operation), stays.\n\n" +
				"Changes of up to 500 types and 8 MiB are made together or not at all.",
		}, importOpenAPI),
		serves(operation{
			name: "event-type.get", method: get, path: typ, scope: anyToken, needs: access.View, status: ok,
			summary: "Get an event type", about: "An archived one too.",
		}, getEventType),
		serves(operation{
			name: "event-type.update", method: put, path: typ, scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "Create or replace an event type", about: "An archived one is one no more, unless the body says so.",
			others: []int{created}, upsert: true,
		}, putEventType),
		serves(operation{
			name: "event-type.patch", method: patch, path: typ, scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "Change parts of an event type",
		}, patchEventType),
		serves(operation{
			name: "event-type.delete", method: del, path: typ, scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "Archive an event type, or remove it",
			about:   "Messages of it are sent as before, and endpoints that subscribe to it hear of it as before.",
		}, deleteEventType),

		serves(operation{
			name: "endpoint.list", method: get, path: app + "/endpoint", scope: application, needs: access.View, status: ok,
			summary: "List the endpoints of an application",
		}, listEndpoints),
		serves(operation{
			name: "endpoint.create", method: post, path: app + "/endpoint", scope: application, needs: access.ManageEndpoint, status: created,
			once:    true,
			summary: "Create an endpoint",
		}, createEndpoint),
		serves(operation{
			name: "endpoint.get", method: get, path: ep, scope: application, needs: access.View, status: ok,
			summary: "Get an endpoint",
		}, getEndpoint),
		serves(operation{
			name: "endpoint.update", method: put, path: ep, scope: application, needs: access.ManageEndpoint, status: ok,
			summary: "Create or replace an endpoint",
			others:  []int{created}, refusals: []int{conflict}, upsert: true,
		}, putEndpoint),
		serves(operation{
			name: "endpoint.patch", method: patch, path: ep, scope: application, needs: access.ManageEndpoint, status: ok,
			summary: "Change parts of an endpoint", refusals: []int{conflict},
		}, patchEndpoint),
		serves(operation{
			name: "endpoint.delete", method: del, path: ep, scope: application, needs: access.ManageEndpoint, status: silent,
			summary: "Delete an endpoint",
		}, deleteEndpoint),
		serves(operation{
			name: "endpoint.pause", method: post, path: ep + "/pause", scope: application, needs: access.ManageEndpoint, status: silent,
			summary: "Send nothing to an endpoint for now",
			about:   "Its deliveries are made, and wait until it is resumed. What is in flight ends. It is not disabled meanwhile, however it had failed.",
		}, pauseEndpoint),
		serves(operation{
			name: "endpoint.resume", method: post, path: ep + "/resume", scope: application, needs: access.ManageEndpoint, status: silent,
			summary: "Send to an endpoint again",
		}, resumeEndpoint),
		serves(operation{
			name: "endpoint.condition", method: get, path: ep + "/condition", scope: application, needs: access.View, status: ok,
			summary: "Get how an endpoint is doing: its breaker, its failures, what is in flight",
			about:   "It is what the server has in memory at this moment. After a while without attempts it is forgotten, unless something is amiss.",
		}, getCondition),
		serves(operation{
			name: "endpoint.recover", method: post, path: ep + "/recover", scope: application, needs: access.CreateAttempts, status: accepted,
			once: true, refusals: []int{http.StatusTooManyRequests},
			summary: "Send again what failed at an endpoint since a time, and has not succeeded",
			about: "Each message is sent once more, and again by the endpoint's schedule where that fails. What is still being tried keeps its own " +
				"schedule. The task goes on by itself: see background-task.",
		}, startRecover),
		serves(operation{
			name: "endpoint.preview-recover", method: post, path: ep + "/recover/preview", scope: application, needs: access.View, status: ok,
			summary: "Count what a recovery would send again",
		}, previewRecover),
		serves(operation{
			name: "endpoint.replay-missing", method: post, path: ep + "/replay-missing", scope: application, needs: access.CreateAttempts, status: accepted,
			once: true, refusals: []int{http.StatusTooManyRequests},
			summary: "Send what an endpoint would have got since a time, and was never sent",
			about:   "Messages that were accepted before it was there, or while it was disabled, of the types and channels that it listens to.",
		}, startReplayMissing),
		serves(operation{
			name: "endpoint.preview-replay-missing", method: post, path: ep + "/replay-missing/preview", scope: application, needs: access.View, status: ok,
			summary: "Count what a replay would send",
		}, previewReplayMissing),
		serves(operation{
			name: "endpoint.bulk-replay", method: post, path: ep + "/bulk-replay", scope: application, needs: access.CreateAttempts, status: accepted,
			once: true, refusals: []int{http.StatusTooManyRequests},
			summary: "Send again what was for an endpoint and matches",
		}, startBulkReplay),
		serves(operation{
			name: "endpoint.get-stats", method: get, path: ep + "/stats", scope: application, needs: access.View, status: ok,
			summary: "Count an endpoint's attempts by what came of them",
			about:   "Over 28 days at most. The ends of the time are widened to whole minutes, hours or days, by how long ago it was.",
		}, getEndpointStats),
		serves(operation{
			name: "endpoint.get-attempt-stats", method: get, path: ep + "/attempt-stats", scope: application, needs: access.View, status: ok,
			summary: "Count an endpoint's attempts by what came of them",
			about:   "Over 28 days at most. The ends of the time are widened to whole minutes, hours or days, by how long ago it was.",
		}, getAttemptStats),
		serves(operation{
			name: "endpoint.send-example", method: post, path: ep + "/send-example", scope: application, needs: access.CreateAttempts, status: ok,
			once: true, summary: "Send an example of an event type to an endpoint",
			about:    "A message like any other, but for this endpoint only, and whatever event types and channels that listens to.",
			refusals: []int{http.StatusTooManyRequests},
		}, sendExample),
		serves(operation{
			name: "endpoint.verify", method: post, path: ep + "/verify", scope: application, needs: access.CreateAttempts, status: ok,
			summary:  "Send an endpoint a signed test event and tell what came of it, with the time of each part",
			about:    probeText,
			refusals: []int{http.StatusTooManyRequests},
		}, verifyEndpoint),
		serves(operation{
			name: "endpoint.test-connectivity", method: post, path: ep + "/test-connectivity", scope: application, needs: access.CreateAttempts, status: ok,
			summary:  "Ask with HEAD whether something at an endpoint's URL answers, with the time of each part",
			about:    probeText,
			refusals: []int{http.StatusTooManyRequests},
		}, testConnectivity),
		serves(operation{
			name: "endpoint.get-secret", method: get, path: secret, scope: application, needs: access.ViewSecret, status: ok,
			summary: "Get the secret that an endpoint's requests are verified with",
		}, getSecret),
		serves(operation{
			name: "endpoint.rotate-secret", method: post, path: secret + "/rotate", scope: application, needs: access.ManageSecret, status: ok,
			once:    true,
			summary: "Replace an endpoint's secret; the old one signs beside it for a while",
			names:   wireNames{"secret": "key"},
		}, rotateSecret),
		serves(operation{
			name: "endpoint.get-headers", method: get, path: headers, scope: application, needs: access.ViewHeaders, status: ok,
			summary: "Get the headers added to an endpoint's requests, less the sensitive ones",
		}, getHeaders),
		serves(operation{
			name: "endpoint.update-headers", method: put, path: headers, scope: application, needs: access.ManageEndpoint, status: silent,
			summary: "Replace the headers added to an endpoint's requests",
		}, putHeaders),
		serves(operation{
			name: "endpoint.patch-headers", method: patch, path: headers, scope: application, needs: access.ManageEndpoint, status: silent,
			summary: "Set and remove headers added to an endpoint's requests",
		}, patchHeaders),

		serves(operation{
			name: "message.list", method: get, path: app + "/msg", scope: application, needs: access.View, status: ok,
			summary: "List the messages of an application",
		}, listMessages),
		serves(operation{
			name: "message.create", method: post, path: app + "/msg", scope: application, needs: access.Publish, status: accepted,
			once:     true,
			summary:  "Send a message to the endpoints of an application",
			refusals: []int{http.StatusTooManyRequests}, names: eventNames, bodyFirst: true,
		}, createMessage),
		serves(operation{
			name: "message.precheck", method: post, path: app + "/msg/precheck/active", scope: application, needs: access.Publish, status: ok,
			summary: "Say whether any endpoint would get a message",
		}, precheckMessage),
		serves(operation{
			name: "message.create-batch", method: post, path: app + "/msg/batch", scope: application, needs: access.Publish, status: accepted,
			once: true, refusals: []int{http.StatusTooManyRequests}, bodyBytes: maxBatchBytes,
			names:   wireNames{"events": "messages"},
			summary: "Send up to 1,000 messages at once",
			about: "The messages are stored in one transaction where they can be. One that can't be accepted harms no other: the answer says " +
				"of each what became of it. Each endpoint gets them in their order.\n\n" +
				"With an `idempotency-key` each message is known by its place: a repeat of the request answers as before for those that were " +
				"accepted, and tries the others again.",
		}, createMessages),
		serves(operation{
			name: "message.get", method: get, path: msg, scope: application, needs: access.View, status: ok,
			summary: "Get a message",
		}, getMessage),

		serves(operation{
			name: "message.cancel", method: post, path: msg + "/cancel", scope: application, needs: access.Publish, status: silent,
			summary:  "Cancel a message before its deliverAt",
			about:    "It goes to nobody. To cancel it again is no error; one that is due can't be cancelled any more, only its deliveries.",
			refusals: []int{conflict},
		}, cancelMessage),

		serves(operation{
			name: "message.expunge-content", method: del, path: msg + "/content", scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "Delete a message's payload",
			about: "From memory and from the server's files, before the answer is given. What is open of it is cancelled; it can't be sent again. " +
				"To delete it again is no error.",
		}, expungePayload),
		serves(operation{
			name: "message.expunge", method: del, path: msg, scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "Delete a message with all that is kept of it", about: "Its deliveries, its attempts, and what was counted of it.",
		}, expungeMessage),
		serves(operation{
			name: "message.expunge-all-contents", method: post, path: app + "/msg/expunge-all-contents", scope: organisationOnly, needs: access.Administer,
			status: accepted, summary: "Delete the payloads of all messages of an application",
			about: "Of those that were accepted before. It may take long, and goes on when nobody waits; when it is answered it has been carried out.",
		}, expungePayloads),
		serves(operation{
			name: "message-attempt.list-by-endpoint", method: get, path: app + "/attempt/endpoint/{endpoint_id}",
			scope: application, needs: access.View, status: ok, summary: "List the attempts made at an endpoint",
		}, listAttemptsByEndpoint),
		serves(operation{
			name: "message-attempt.list-by-msg", method: get, path: app + "/attempt/msg/{msg_id}",
			scope: application, needs: access.View, status: ok, summary: "List the attempts made for a message",
		}, listAttemptsByMessage),
		serves(operation{
			name: "message-attempt.get", method: get, path: msg + "/attempt/{attempt_id}",
			scope: application, needs: access.View, status: ok, summary: "Get an attempt",
		}, getAttempt),

		serves(operation{
			name: "message-attempt.expunge-content", method: del, path: msg + "/attempt/{attempt_id}/content", scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "Delete what an attempt was answered",
		}, expungeResponse),
		serves(operation{
			name: "message-attempt.resend", method: post, path: delivery + "/resend", scope: application, needs: access.CreateAttempts, status: accepted,
			once: true, summary: "Send a message to an endpoint once more",
			about: "Whatever became of it there, and whatever the endpoint listens to. It is a single attempt, which changes nothing of the delivery's own " +
				"schedule, except that its success ends one that is still open. To a disabled endpoint nothing is sent.",
			refusals: []int{http.StatusTooManyRequests},
		}, resendMessage),
		serves(operation{
			name: "message-attempt.list-attempted-messages", method: get, path: ep + "/msg", scope: application, needs: access.View, status: ok,
			summary: "List the messages that an endpoint was sent, and how that went",
		}, listAttemptedMessages),
		serves(operation{
			name: "message-attempt.list-attempted-destinations", method: get, path: msg + "/endpoint", scope: application, needs: access.View, status: ok,
			summary: "List the endpoints that a message was sent to, deleted ones too, and how that went",
		}, listAttemptedEndpoints),
		serves(operation{
			name: "message-attempt.list-by-msg-deprecated", method: get, path: msg + "/attempt", scope: application, needs: access.View, status: ok,
			summary: "List the attempts made for a message", deprecated: true,
		}, listAttemptsByMessage),
		serves(operation{
			name: "message-attempt.list-by-delivery-deprecated", method: get, path: delivery + "/attempt", scope: application, needs: access.View, status: ok,
			summary: "List the attempts made for a message at an endpoint", deprecated: true,
		}, listAttemptsOfDelivery),

		serves(operation{
			name: "delivery.list", method: get, path: ep + "/delivery", scope: application, needs: access.View, status: ok,
			summary: "List the deliveries to an endpoint",
			about:   "A delivery is a message for an endpoint, tried or not. By state, event type, channel, tag, time and the class of the latest answer.",
		}, listDeliveries),
		serves(operation{
			name: "delivery.list-by-msg", method: get, path: msg + "/delivery", scope: application, needs: access.View, status: ok,
			summary: "List where a message stands at each endpoint",
		}, listDeliveriesOfMessage),
		serves(operation{
			name: "delivery.get", method: get, path: delivery + "/delivery", scope: application, needs: access.View, status: ok,
			summary: "Get where a message stands at an endpoint, with all that was tried",
		}, getDelivery),
		serves(operation{
			name: "delivery.cancel", method: post, path: delivery + "/cancel", scope: application, needs: access.CreateAttempts, status: silent,
			summary:  "Cancel the delivery of a message to an endpoint",
			about:    "No further attempt begins. One that is in flight goes on and is logged. To cancel it again is no error.",
			refusals: []int{conflict},
		}, cancelDelivery),
		serves(operation{
			name: "delivery.resend-where", method: post, path: app + "/delivery/resend", scope: application, needs: access.CreateAttempts, status: accepted,
			once: true, refusals: []int{http.StatusTooManyRequests},
			names: selectionNames, summary: "Send again the deliveries of an application that match",
			about: "Whatever became of them. The task goes on by itself: see background-task.",
		}, startResendWhere),
		serves(operation{
			name: "delivery.preview-resend-where", method: post, path: app + "/delivery/resend/preview", scope: application, needs: access.View, status: ok,
			names: selectionNames, summary: "Count the deliveries that would be sent again",
		}, previewResendWhere),
		serves(operation{
			name: "delivery.cancel-where", method: post, path: app + "/delivery/cancel", scope: application, needs: access.CreateAttempts, status: accepted,
			once: true, refusals: []int{http.StatusTooManyRequests},
			names: selectionNames, summary: "Cancel the open deliveries of an application that match",
			about: "The task goes on by itself: see background-task.",
		}, startCancelWhere),
		serves(operation{
			name: "delivery.preview-cancel-where", method: post, path: app + "/delivery/cancel/preview", scope: application, needs: access.View, status: ok,
			names: selectionNames, summary: "Count the deliveries that would be cancelled",
		}, previewCancelWhere),
		serves(operation{
			name: "background-task.list", method: get, path: "/background-task", scope: organisationOnly, needs: access.View, status: ok,
			summary: "List the tasks, running and ended", about: "One that has ended is kept for 30 days, and of an application the last 250.",
			refusals: []int{http.StatusNotFound},
		}, listTasks),
		serves(operation{
			name: "background-task.get", method: get, path: "/background-task/{task_id}", scope: organisationOnly, needs: access.View, status: ok,
			summary: "Get a task, and how far it has come",
		}, getTask),
		serves(operation{
			name: "background-task.cancel", method: post, path: "/background-task/{task_id}/cancel", scope: organisationOnly, needs: access.CreateAttempts, status: ok,
			summary: "Cancel a task", about: "It makes nothing more. What it has sent goes on, and what it has cancelled stays so. One that has ended stays as it is.",
		}, cancelTask),

		serves(operation{
			name: "statistics.application", method: get, path: app + "/stats", scope: application, needs: access.View, status: ok,
			summary: "Count what happened in an application", about: statsText,
		}, getApplicationStats),
		serves(operation{
			name: "statistics.series", method: get, path: app + "/stats/series", scope: application, needs: access.View, status: ok,
			summary: "Count what happened in an application, or at an endpoint, minute by minute, hour by hour or day by day",
		}, getSeries),
		serves(operation{
			name: "statistics.usage-by-app", method: get, path: "/stats/usage/app", scope: organisationOnly, needs: access.View, status: ok,
			summary: "Count what happened in each application", about: "In whole days of UTC.",
		}, listApplicationUsage),
		serves(operation{
			name: "statistics.usage-by-event-type", method: get, path: "/stats/usage/event-types", scope: organisationOnly, needs: access.View, status: ok,
			summary: "Count what happened to messages by their types", about: "Of all applications together, in whole days of UTC.",
		}, getTypesUsage),

		serves(operation{
			name: "delivery.stream", method: get, path: app + "/delivery/stream", scope: application, needs: access.View, status: ok,
			summary: "Follow an application's deliveries as they are recorded", about: streamText,
			media: streamType, refusals: []int{http.StatusTooManyRequests},
		}, streamDeliveries),

		serves(operation{
			name: "operational-webhook-endpoint.list", method: get, path: told, scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "List the endpoints that are told of what happens to endpoints and messages",
		}, operationally(listEndpoints)),
		serves(operation{
			name: "operational-webhook-endpoint.create", method: post, path: told, scope: organisationOnly, needs: access.Administer, status: created,
			summary: "Create an endpoint that is told of what happens", once: true,
		}, operationally(createEndpoint)),
		serves(operation{
			name: "operational-webhook-endpoint.get", method: get, path: toldAt, scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "Get an endpoint that is told of what happens",
		}, operationally(getEndpoint)),
		serves(operation{
			name: "operational-webhook-endpoint.update", method: put, path: toldAt, scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "Create or replace an endpoint that is told of what happens",
			others:  []int{created}, refusals: []int{conflict}, upsert: true,
		}, operationally(putEndpoint)),
		serves(operation{
			name: "operational-webhook-endpoint.delete", method: del, path: toldAt, scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "Delete an endpoint that is told of what happens",
		}, operationally(deleteEndpoint)),
		serves(operation{
			name: "operational-webhook-endpoint.get-secret", method: get, path: toldAt + "/secret", scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "Get the secret that its requests are verified with",
		}, operationally(getSecret)),
		serves(operation{
			name: "operational-webhook-endpoint.rotate-secret", method: post, path: toldAt + "/secret/rotate", scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "Replace its secret; the old one signs beside it for a while", once: true, names: wireNames{"secret": "key"},
		}, operationally(rotateSecret)),
		serves(operation{
			name: "operational-webhook-endpoint.get-headers", method: get, path: toldAt + "/headers", scope: organisationOnly, needs: access.Administer, status: ok,
			summary: "Get the headers added to its requests, less the sensitive ones",
		}, operationally(getHeaders)),
		serves(operation{
			name: "operational-webhook-endpoint.update-headers", method: put, path: toldAt + "/headers", scope: organisationOnly, needs: access.Administer, status: silent,
			summary: "Replace the headers added to its requests",
		}, operationally(putHeaders)),
	}
}

// rootOperation is what is at "/", above basePath.
func rootOperation() *operation {
	return serves(operation{
		name: "root", method: http.MethodGet, path: "/", scope: anyone, status: http.StatusOK,
		summary: "Say what this is",
	}, root)
}

// statsText is what the document says of statistics.
const statsText = "What retention has let go of since is counted still, what was expunged is not. The ends of the time are widened to whole " +
	"minutes if it began within two days, to whole hours within ninety, and else to whole days of UTC."
