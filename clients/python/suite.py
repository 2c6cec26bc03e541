"""The published Python client against a server: every group of operations.

    SERVER_URL=http://127.0.0.1:8071 TOKEN=... python -m unittest suite

The server must be new, and be let send to loopback.
"""

import json
import os
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from svix import models
from svix.api import (
    ApplicationListOptions,
    EndpointListOptions,
    EventTypeListOptions,
    MessageAttemptListAttemptedMessagesOptions,
    MessageAttemptListByEndpointOptions,
    MessageAttemptListByMsgOptions,
    MessageListOptions,
    Svix,
    SvixOptions,
)
from svix.api.message import MessageCreateOptions, MessageGetOptions, message_in_raw
from svix.exceptions import HttpError, HTTPValidationError, WebhookVerificationError
from svix.webhooks import Webhook


def client(token):
    return Svix(token, SvixOptions(server_url=os.environ["SERVER_URL"], retry_schedule=[]))


svix = client(os.environ["TOKEN"])


class Receiver(BaseHTTPRequestHandler):
    """Takes what it gets; what begins with /fail only while it is told so."""

    arrived = threading.Condition()
    requests = []
    failing = False

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(500 if Receiver.failing and self.path.startswith("/fail") else 204)
        self.end_headers()
        headers = {name.lower(): value for name, value in self.headers.items()}
        with Receiver.arrived:
            Receiver.requests.append((self.path, headers, body))
            Receiver.arrived.notify_all()

    def log_message(self, *_):
        pass


def await_message(message_id):
    """Waits for the webhook of a message, and takes it."""
    return await_request(lambda _, headers, __: headers["webhook-id"] == message_id)


def await_request(fits):
    """Waits for a request that fits, and takes it."""
    deadline = time.monotonic() + 30
    with Receiver.arrived:
        while True:
            for i, (path, headers, body) in enumerate(Receiver.requests):
                if fits(path, headers, body):
                    del Receiver.requests[i]
                    return headers, body
            if not Receiver.arrived.wait(deadline - time.monotonic()):
                raise AssertionError("nothing arrived in 30 s")


def eventually(ask, right):
    """Repeats a question until its answer is right."""
    deadline = time.monotonic() + 30
    while True:
        answer = ask()
        if right(answer):
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"still {answer} after 30 s")
        time.sleep(0.02)


class Suite(unittest.TestCase):
    counter = 0

    @classmethod
    def setUpClass(cls):
        cls.server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        cls.base = f"http://127.0.0.1:{cls.server.server_address[1]}"
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def refused(self, status, code, call, *args):
        with self.assertRaises((HttpError, HTTPValidationError)) as caught:
            call(*args)
        self.assertEqual(caught.exception.status_code, status)
        if code:
            self.assertEqual(caught.exception.code, code)

    def walk(self, page_of, name="id"):
        """Reads a list to its end, and back to its beginning."""
        pages, page = [], page_of(None)
        while True:
            pages.append([getattr(item, name) for item in page.data])
            if page.done:
                break
            page = page_of(page.iterator)
        forth = sum(pages, [])
        back = pages[-1]
        while page.prev_iterator:
            page = page_of(page.prev_iterator)
            back = [getattr(item, name) for item in page.data] + back
            if page.done:
                break
        self.assertEqual(back, forth)
        return forth

    def application(self, name):
        Suite.counter += 1
        return svix.application.create(models.ApplicationIn(name=name, uid=f"py-{name}-{Suite.counter}"))

    def endpoint(self, app, **more):
        return svix.endpoint.create(app.id, models.EndpointIn(**{"url": self.base + "/ok", "uid": "ep", **more}))

    def message(self, app, event_type="py.sent", payload=None, options=MessageCreateOptions(), **more):
        message = models.MessageIn(event_type=event_type, payload=payload or {}, **more)
        return svix.message.create(app.id, message, options)

    def test_health(self):
        svix.health.get()

    def test_applications(self):
        made = svix.application.create(
            models.ApplicationIn(name="Acme", uid="py-acme", throttle_rate=50, metadata={"plan": "gold"})
        )
        self.assertRegex(made.id, "^app_")
        self.assertEqual((made.uid, made.throttle_rate, made.metadata), ("py-acme", 50, {"plan": "gold"}))
        other = models.ApplicationIn(name="Other", uid="py-acme")
        self.refused(409, "conflict", svix.application.create, other)
        self.assertEqual(svix.application.get_or_create(other).id, made.id)
        self.assertEqual(svix.application.get("py-acme").id, made.id)
        replaced = svix.application.upsert("py-acme", models.ApplicationIn(name="Acme 2", uid="py-acme"))
        self.assertEqual((replaced.id, replaced.throttle_rate, replaced.metadata), (made.id, None, {}))
        self.assertEqual(svix.application.patch(made.id, models.ApplicationPatch(name="Acme 3")).name, "Acme 3")
        ids = [self.application("walked").id for _ in range(5)]
        walked = self.walk(lambda at: svix.application.list(ApplicationListOptions(limit=2, iterator=at)))
        self.assertEqual([id for id in walked if id in ids], ids)
        svix.application.delete(made.id)
        self.refused(404, "not_found", svix.application.get, made.id)

    def test_event_types(self):
        schemas = {"1": {"type": "object", "examples": [{"n": 7}]}}
        made = svix.event_type.create(models.EventTypeIn(name="py.made", description="Made", schemas=schemas))
        self.assertEqual((made.name, made.archived, made.schemas), ("py.made", False, schemas))
        again = models.EventTypeIn(name="py.made", description="again")
        self.refused(409, "event_type_exists", svix.event_type.create, again)
        self.assertEqual(svix.event_type.get("py.made").description, "Made")
        patched = svix.event_type.patch("py.made", models.EventTypePatch(description="patched"))
        self.assertEqual(patched.description, "patched")
        svix.event_type.upsert("py.put", models.EventTypeUpsertIn(description="put"))
        operation = {"description": "imported", "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}
        spec = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "webhooks": {"py.imported": {"post": operation}}}
        imported = svix.event_type.import_openapi(models.EventTypeImportOpenApiIn(spec=spec))
        self.assertEqual(imported.data.modified, ["py.imported"])
        names = self.walk(lambda at: svix.event_type.list(EventTypeListOptions(limit=2, iterator=at)), "name")
        self.assertLessEqual({"py.imported", "py.made", "py.put"}, set(names))
        svix.event_type.delete("py.put")
        self.assertTrue(svix.event_type.get("py.put").archived)

    def test_endpoints(self):
        app = self.application("endpoints")
        made = self.endpoint(app, uid="one", description="first", channels=["eu"], throttle_rate=9, metadata={"a": "b"})
        self.assertRegex(made.id, "^ep_")
        self.assertEqual((made.uid, made.description, made.channels, made.throttle_rate), ("one", "first", ["eu"], 9))
        self.refused(409, "conflict", svix.endpoint.create, app.id, models.EndpointIn(url=self.base, uid="one"))
        self.refused(422, None, svix.endpoint.create, app.id, models.EndpointIn(url="ftp://example.com"))
        put = svix.endpoint.upsert(app.id, "one", models.EndpointUpsertIn(url=self.base + "/other", uid="one"))
        self.assertEqual((put.id, put.url, put.channels), (made.id, self.base + "/other", None))
        self.assertTrue(svix.endpoint.patch(app.id, "one", models.EndpointPatch(disabled=True)).disabled)
        self.assertTrue(svix.endpoint.get(app.id, "one").disabled)
        ids = [made.id] + [self.endpoint(app, uid=None).id for _ in range(4)]
        ascending = models.Ordering.ASCENDING
        walked = self.walk(lambda at: svix.endpoint.list(app.id, EndpointListOptions(limit=2, iterator=at, order=ascending)))
        self.assertEqual(walked, ids)
        svix.endpoint.delete(app.id, "one")
        self.refused(404, "not_found", svix.endpoint.get, app.id, made.id)

    def test_headers_are_added_and_the_values_of_sensitive_ones_hidden(self):
        app = self.application("headers")
        self.endpoint(app)
        headers = {"Authorization": "Basic c2VzYW1l", "X-Trace": "on"}
        svix.endpoint.set_headers(app.id, "ep", models.EndpointHeadersIn(headers=headers))
        shown = svix.endpoint.get_headers(app.id, "ep")
        self.assertEqual((shown.headers, shown.sensitive), ({"X-Trace": "on"}, ["Authorization"]))
        change = models.EndpointHeadersPatchIn(headers={"X-More": "1"}, delete_headers=["X-Trace"])
        svix.endpoint.patch_headers(app.id, "ep", change)
        self.assertEqual(svix.endpoint.get_headers(app.id, "ep").headers, {"X-More": "1"})
        got, _ = await_message(self.message(app).id)
        self.assertEqual((got["authorization"], got["x-more"]), ("Basic c2VzYW1l", "1"))

    def test_a_rotated_secret_signs_beside_the_new_one(self):
        app = self.application("rotation")
        self.endpoint(app)
        old = svix.endpoint.get_secret(app.id, "ep").key
        svix.endpoint.rotate_secret(app.id, "ep", models.EndpointSecretRotateIn())
        fresh = svix.endpoint.get_secret(app.id, "ep").key
        self.assertNotEqual(fresh, old)
        headers, body = await_message(self.message(app, payload={"a": 1}).id)
        self.assertEqual(len(headers["webhook-signature"].split()), 2)
        for secret in (old, fresh):
            Webhook(secret).verify(body, headers)
        with self.assertRaises(WebhookVerificationError):
            Webhook("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").verify(body, headers)
        with self.assertRaises(WebhookVerificationError):
            Webhook(fresh).verify(body + b" ", headers)
        self.assertEqual(json.loads(body), {"a": 1})

    def test_an_example_is_sent(self):
        app = self.application("example")
        self.endpoint(app)
        schemas = {"1": {"type": "object", "examples": [{"n": 42}]}}
        svix.event_type.upsert("py.example", models.EventTypeUpsertIn(description="x", schemas=schemas))
        message = svix.endpoint.send_example(app.id, "ep", models.EventExampleIn(event_type="py.example"))
        _, body = await_message(message.id)
        self.assertEqual(json.loads(body), {"n": 42})

    def test_messages(self):
        app = self.application("messages")
        made = self.message(app, event_id="py-1", channels=["eu"], payload={"n": 1})
        self.assertRegex(made.id, "^msg_")
        self.assertEqual((made.event_id, made.event_type, list(made.channels)), ("py-1", "py.sent", ["eu"]))
        self.refused(409, "conflict", lambda: self.message(app, event_id="py-1"))
        self.refused(422, None, lambda: self.message(app, event_type="not a name"))
        self.refused(404, "not_found", svix.message.create, "none", models.MessageIn(event_type="a", payload={}))
        self.assertEqual(svix.message.get(app.id, "py-1", MessageGetOptions(with_content=True)).payload, {"n": 1})
        ids = [made.id] + [self.message(app, event_type="py.other").id for _ in range(4)]
        walked = self.walk(lambda at: svix.message.list(app.id, MessageListOptions(limit=2, iterator=at)))
        self.assertEqual(walked, ids[::-1])
        since = datetime.now(timezone.utc) - timedelta(minutes=1)
        some = MessageListOptions(event_types=["py.sent"], channel="eu", after=since, with_content=False)
        self.assertEqual([m.id for m in svix.message.list(app.id, some).data], [made.id])

    def test_a_repeat_under_an_idempotency_key_is_one_message(self):
        app = self.application("once")
        options = MessageCreateOptions(idempotency_key="py-" + app.id)
        first = self.message(app, payload={"n": 1}, options=options)
        self.assertEqual(self.message(app, payload={"n": 1}, options=options).id, first.id)
        self.refused(409, "idempotency_mismatch", lambda: self.message(app, payload={"n": 2}, options=options))
        self.assertEqual(len(svix.message.list(app.id).data), 1)

    def test_attempts(self):
        app = self.application("attempts")
        ep = self.endpoint(app)
        message = self.message(app, event_id="tried")
        tried = eventually(lambda: svix.message_attempt.list_by_msg(app.id, "tried").data, lambda data: len(data) == 1)
        attempt = tried[0]
        self.assertEqual((attempt.msg_id, attempt.endpoint_id), (message.id, ep.id))
        self.assertEqual((attempt.status, attempt.response_status_code), (models.MessageStatus.SUCCESS, 204))
        self.assertEqual(svix.message_attempt.get(app.id, "tried", attempt.id).id, attempt.id)
        for _ in range(4):
            self.message(app)
        by_endpoint = svix.message_attempt.list_by_endpoint
        eventually(lambda: by_endpoint(app.id, "ep").data, lambda data: len(data) == 5)
        options = MessageAttemptListByEndpointOptions
        walked = self.walk(lambda at: by_endpoint(app.id, "ep", options(limit=2, iterator=at)))
        self.assertEqual(len(walked), 5)
        failed = by_endpoint(app.id, "ep", options(status=models.MessageStatus.FAIL))
        self.assertEqual(failed.data, [])

    def test_a_message_is_sent_again_and_shown_where_it_was_tried(self):
        app = self.application("again")
        ok, fails = self.endpoint(app, uid="ok"), self.endpoint(app, uid="fails", url=self.base + "/fail")
        Receiver.failing = True
        message = self.message(app, payload={"n": 1})
        await_message(message.id), await_message(message.id)
        svix.message_attempt.resend(app.id, message.id, "ok")
        await_message(message.id)
        options = MessageAttemptListByMsgOptions(endpoint_id="ok")
        tried = eventually(lambda: svix.message_attempt.list_by_msg(app.id, message.id, options).data, lambda data: len(data) == 2)
        trigger = models.MessageAttemptTriggerType
        self.assertEqual([attempt.trigger_type for attempt in tried], [trigger.MANUAL, trigger.SCHEDULED])
        attempted = svix.message_attempt.list_attempted_messages
        first = eventually(lambda: attempted(app.id, "fails").data, lambda data: len(data) == 1)[0]
        self.assertEqual((first.id, first.status), (message.id, models.MessageStatus.SENDING))
        self.assertGreater(first.next_attempt, datetime.now(timezone.utc))
        places = svix.message_attempt.list_attempted_destinations(app.id, message.id).data
        status = models.MessageStatus
        self.assertEqual([(p.id, p.status) for p in places], [(ok.id, status.SUCCESS), (fails.id, status.FAIL)])
        Receiver.failing = False

    def test_what_failed_is_recovered_and_what_was_missed_is_replayed(self):
        app = self.application("recover")
        self.endpoint(app, uid="fails", url=self.base + "/fail")
        since = datetime.now(timezone.utc) - timedelta(minutes=1)
        Receiver.failing = True
        failed = self.message(app)
        await_message(failed.id)
        eventually(lambda: svix.message_attempt.list_by_msg(app.id, failed.id).data, lambda data: len(data) == 1)
        Receiver.failing = False
        task = svix.endpoint.recover(app.id, "fails", models.RecoverIn(since=since))
        self.assertEqual(task.task, models.BackgroundTaskType.ENDPOINT_RECOVER)
        await_message(failed.id)
        running = models.BackgroundTaskStatus.RUNNING
        done = eventually(lambda: svix.background_task.get(task.id), lambda task: task.status != running)
        self.assertEqual(done.status, models.BackgroundTaskStatus.FINISHED)
        self.assertIn(task.id, [task.id for task in svix.background_task.list().data])

        self.endpoint(app, uid="late", url=self.base + "/late")
        svix.endpoint.replay_missing(app.id, "late", models.ReplayIn(since=since))
        late = lambda path, headers, _: path == "/late" and headers["webhook-id"] == failed.id
        await_request(late)
        recorded = MessageAttemptListAttemptedMessagesOptions(status=models.MessageStatus.SUCCESS)
        attempted = svix.message_attempt.list_attempted_messages
        eventually(lambda: attempted(app.id, "late", recorded).data, lambda data: len(data) == 1)
        succeeded = models.BulkReplayIn(since=since, status=models.MessageStatus.SUCCESS)
        svix.endpoint.bulk_replay(app.id, "late", succeeded)
        await_request(late)
        stats = eventually(lambda: svix.endpoint.get_stats(app.id, "fails"), lambda stats: stats.success >= 1)
        self.assertEqual((stats.fail, stats.canceled), (1, 0))
        if hasattr(svix.endpoint, "get_attempt_stats"):  # newer clients have it
            self.assertEqual(svix.endpoint.get_attempt_stats(app.id, "fails").fail, 1)

    def test_tags_and_messages_that_wait_for_their_time(self):
        app = self.application("later")
        self.endpoint(app)
        at = datetime.now(timezone.utc) + timedelta(hours=1)
        made = self.message(app, tags=["vip"], deliver_at=at)
        self.assertEqual((made.tags, made.deliver_at), (["vip"], at))
        by_tag = lambda tag: [m.id for m in svix.message.list(app.id, MessageListOptions(tag=tag)).data]
        self.assertEqual((by_tag("vip"), by_tag("none")), ([made.id], []))
        self.assertEqual(svix.message_attempt.list_by_msg(app.id, made.id).data, [])

    def test_a_raw_message_is_sent_as_it_is(self):
        app = self.application("raw")
        self.endpoint(app)
        for media in (None, "application/json"):
            message = svix.message.create(app.id, message_in_raw("py.raw", "[1,  2]", media))
            headers, body = await_message(message.id)
            self.assertEqual((body, headers["content-type"]), (b"[1,  2]", "application/json"))
        self.refused(422, None, svix.message.create, app.id, message_in_raw("py.raw", "<a/>", "application/xml"))

    def test_it_is_asked_first_whether_anybody_listens(self):
        app = self.application("precheck")
        asked = lambda *channels: svix.message.precheck(
            app.id, models.MessagePrecheckIn(event_type="py.asked", channels=list(channels) or None)
        ).active
        self.assertFalse(asked())
        self.endpoint(app, channels=["eu"])
        self.assertEqual((asked("eu"), asked("us")), (True, False))

    def test_payloads_and_answers_are_expunged(self):
        app = self.application("expunge")
        self.endpoint(app)
        ids = [self.message(app, payload={"n": n}).id for n in range(4)]
        payload = lambda id: svix.message.get(app.id, id, MessageGetOptions(with_content=True)).payload
        expired = {"expired": True}
        tried = eventually(lambda: svix.message_attempt.list_by_msg(app.id, ids[0]).data, lambda data: len(data) == 1)
        svix.message_attempt.expunge_content(app.id, ids[0], tried[0].id)
        self.assertEqual(svix.message_attempt.get(app.id, ids[0], tried[0].id).response, "EXPUNGED")
        svix.message.expunge_content(app.id, ids[0])
        self.assertEqual((payload(ids[0]), payload(ids[1])), (expired, {"n": 1}))
        self.refused(400, "missing_payload", svix.message_attempt.resend, app.id, ids[0], "ep")
        left = 3
        if hasattr(svix.message, "bulk_expunge_content"):  # newer clients have it
            some = models.BulkExpungeContentsIn(ids=[ids[0], ids[1], "nothing"])
            results = svix.message.bulk_expunge_content(app.id, some).results
            self.assertEqual([results[id].value for id in some.ids], ["expunged", "expunged", "not-found"])
            left -= 1
        started = svix.message.expunge_all_contents(app.id)
        self.assertEqual(started.task, models.BackgroundTaskType.APPLICATION_PURGE_CONTENT)
        done = self.ended(started.id)
        self.assertEqual(done.data["messagesPurged"], left)
        self.assertEqual([payload(id) for id in ids], [expired] * 4)

    def ended(self, task_id):
        """Waits for the end of a task."""
        running = models.BackgroundTaskStatus.RUNNING
        task = eventually(lambda: svix.background_task.get(task_id), lambda task: task.status != running)
        self.assertEqual(task.status, models.BackgroundTaskStatus.FINISHED)
        return task

    def test_statistics_are_gathered_by_tasks(self):
        app = self.application("usage")
        svix.event_type.upsert("py.counted", models.EventTypeUpsertIn(description="x"))
        for uid in ("one", "two"):
            self.endpoint(app, uid=uid, event_types=["py.counted"])
        for _ in range(3):
            self.message(app, event_type="py.counted")
        now = datetime.now(timezone.utc)
        span = {"since": now - timedelta(minutes=1), "until": now + timedelta(minutes=1)}
        usage = svix.statistics.aggregate_app_stats(models.AppUsageStatsIn(app_ids=[app.uid, "nobody"], **span))
        self.assertEqual(list(usage.unresolved_app_ids), ["nobody"])
        stats = [{"appId": app.id, "appUid": app.uid, "messageDestinations": 6}]
        self.assertEqual(self.ended(usage.id).data["appStats"], stats)
        nobody = models.AppUsageStatsIn(app_ids=["nobody"], **span)
        self.refused(422, None, svix.statistics.aggregate_app_stats, nobody)
        types = self.ended(svix.statistics.aggregate_event_types().id)
        self.assertEqual(types.task, models.BackgroundTaskType.EVENT_TYPE_AGGREGATE)
        own = [of for of in types.data["event_types"] if of["appId"] == app.id][0]
        self.assertEqual((own["explicitlySubscribedEventTypes"], own["hasCatchAllEndpoint"]), (["py.counted"], False))

    def test_what_is_not_served_is_refused_as_not_found(self):
        app = self.application("unserved")
        self.refused(404, "not_found", svix.connector.list)
        self.refused(404, "not_found", svix.integration.list, app.id)
        self.refused(404, "not_found", svix.environment.export)

    def test_operators_are_told_of_what_happens(self):
        operational = svix.operational_webhook.endpoint
        told = operational.create(
            models.OperationalWebhookEndpointIn(url=self.base + "/operations", uid="py-ops", event_types=["endpoint.created"])
        )
        operational.set_headers("py-ops", models.OperationalWebhookEndpointHeadersIn(headers={"X-Ops": "1"}))
        self.assertEqual(operational.get_headers("py-ops").headers, {"X-Ops": "1"})
        old = operational.get_secret("py-ops").key
        operational.rotate_secret("py-ops", models.OperationalWebhookEndpointSecretIn())
        app = self.application("told")
        ep = self.endpoint(app)
        headers, body = await_request(lambda path, _, body: path == "/operations" and ep.id.encode() in body)
        Webhook(old).verify(body, headers)
        event = json.loads(body)
        self.assertEqual((headers["x-ops"], event["type"]), ("1", "endpoint.created"))
        self.assertEqual((event["data"]["appId"], event["data"]["endpointId"]), (app.id, ep.id))
        self.assertIn(told.id, [e.id for e in operational.list().data])
        operational.delete("py-ops")
        self.refused(404, "not_found", operational.get, "py-ops")

    def test_a_portals_token_is_for_its_application_alone(self):
        own, other = self.application("own"), self.application("other")
        self.endpoint(own, headers={"Authorization": "hidden"})
        access = svix.authentication.app_portal_access(own.id, models.AppPortalAccessIn())
        self.assertTrue(access.url)
        portal = client(access.token)
        self.assertEqual(len(portal.endpoint.list(own.id).data), 1)
        portal.endpoint.create(own.id, models.EndpointIn(url=self.base + "/ok", uid="mine"))
        self.assertEqual(portal.endpoint.get_headers(own.id, "ep").sensitive, ["Authorization"])
        self.refused(404, "not_found", portal.endpoint.list, other.id)
        self.refused(403, "insufficient_access", portal.application.list)
        message = models.MessageIn(event_type="a", payload={})
        self.refused(403, "insufficient_access", portal.message.create, own.id, message)
        viewer = models.AppPortalAccessIn(capabilities=[models.AppPortalCapability.VIEW_BASE])
        reader = client(svix.authentication.app_portal_access(own.id, viewer).token)
        self.assertEqual(len(reader.endpoint.list(own.id).data), 2)
        self.refused(403, None, reader.endpoint.create, own.id, models.EndpointIn(url=self.base))
        self.refused(403, None, reader.endpoint.get_secret, own.id, "ep")
        portal.authentication.logout()
        self.refused(401, "authentication_failed", portal.endpoint.list, own.id)
        svix.authentication.expire_all(own.id, models.ApplicationTokenExpireIn())
        self.refused(401, "authentication_failed", reader.endpoint.list, own.id)

    def test_a_wrong_token_is_refused(self):
        self.refused(401, "authentication_failed", client("wrong").application.list)
