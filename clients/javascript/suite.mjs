// The published JavaScript client against a server: every group of operations.
//
//   SERVER_URL=http://127.0.0.1:8071 TOKEN=... node --test suite.mjs
//
// The server must be new, and be let send to loopback.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import http from "node:http";
import { ApiException, Svix, Webhook, messageInRaw } from "svix";

const serverUrl = process.env.SERVER_URL;
const client = (token) => new Svix(token, { serverUrl, numRetries: 0 });
const svix = client(process.env.TOKEN);

// The receiver answers by its path: /ok takes what it gets, /fail does not while it is told
// so.
const received = [];
const waiting = [];
let failing = false;
let receiver;
let base;

before(async () => {
  receiver = http.createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      response.statusCode = request.url.startsWith("/fail") && failing ? 500 : 204;
      response.end();
      received.push({ path: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() });
      waiting.splice(0).forEach((wake) => wake());
    });
  });
  await new Promise((done) => receiver.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${receiver.address().port}`;
});
after(() => receiver.close());

// arrived waits for a request that fits, and takes it.
async function arrived(fits) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const at = received.findIndex(fits);
    if (at >= 0) return received.splice(at, 1)[0];
    assert.ok(Date.now() < deadline, "nothing arrived in 30 s");
    await Promise.race([new Promise((wake) => waiting.push(wake)), new Promise((wake) => setTimeout(wake, 1000))]);
  }
}

// eventually repeats a question until its answer is right.
async function eventually(ask, right) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const answer = await ask();
    if (right(answer)) return answer;
    assert.ok(Date.now() < deadline, `still ${JSON.stringify(answer)} after 30 s`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

async function refused(promise, status, code) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ApiException, String(error));
    assert.equal(error.code, status);
    if (code) assert.equal(error.body.code, code);
    return true;
  });
}

// walk reads a list to its end, and back to its beginning.
async function walk(list, limit) {
  const pages = [];
  let page = await list({ limit });
  for (;;) {
    pages.push(page.data.map((item) => item.id ?? item.name));
    if (page.done) break;
    page = await list({ limit, iterator: page.iterator });
  }
  const forth = pages.flat();
  const back = [...pages.at(-1)];
  while (page.prevIterator) {
    page = await list({ limit, iterator: page.prevIterator });
    back.unshift(...page.data.map((item) => item.id ?? item.name));
    if (page.done) break;
  }
  assert.deepEqual(back, forth);
  return forth;
}

let counter = 0;
async function application(name) {
  return svix.application.create({ name, uid: `${name}-${process.pid}-${++counter}` });
}

test("health", async () => {
  await svix.health.get();
});

test("applications", async () => {
  const made = await svix.application.create({ name: "Acme", uid: "js-acme", throttleRate: 50, metadata: { plan: "gold" } });
  assert.match(made.id, /^app_/);
  assert.deepEqual([made.uid, made.name, made.throttleRate, made.metadata], ["js-acme", "Acme", 50, { plan: "gold" }]);
  assert.ok(made.createdAt instanceof Date && !Number.isNaN(made.createdAt.getTime()));
  await refused(svix.application.create({ name: "Other", uid: "js-acme" }), 409, "conflict");
  assert.equal((await svix.application.getOrCreate({ name: "Other", uid: "js-acme" })).id, made.id);
  assert.equal((await svix.application.get("js-acme")).id, made.id);
  const replaced = await svix.application.upsert("js-acme", { name: "Acme 2", uid: "js-acme" });
  assert.deepEqual([replaced.id, replaced.name, replaced.throttleRate ?? null, replaced.metadata], [made.id, "Acme 2", null, {}]);
  assert.equal((await svix.application.patch(made.id, { name: "Acme 3" })).name, "Acme 3");
  const ids = [];
  for (let i = 0; i < 5; i++) ids.push((await application("walked")).id);
  assert.deepEqual((await walk((options) => svix.application.list(options), 2)).slice(-5), ids);
  const newest = await svix.application.list({ limit: 1, order: "descending" });
  assert.equal(newest.data[0].id, ids[4]);
  await svix.application.delete(made.id);
  await refused(svix.application.get(made.id), 404, "not_found");
});

test("event types", async () => {
  const schemas = { 1: { type: "object", properties: { n: { type: "integer" } }, examples: [{ n: 7 }] } };
  const made = await svix.eventType.create({ name: "js.made", description: "Something was made", schemas });
  assert.deepEqual([made.name, made.archived, made.schemas], ["js.made", false, schemas]);
  await refused(svix.eventType.create({ name: "js.made", description: "again" }), 409, "event_type_exists");
  assert.equal((await svix.eventType.get("js.made")).description, "Something was made");
  assert.equal((await svix.eventType.patch("js.made", { description: "patched" })).description, "patched");
  assert.equal((await svix.eventType.upsert("js.put", { description: "put" })).name, "js.put");
  const spec = { openapi: "3.1.0", info: { title: "t", version: "1" }, webhooks: { "js.imported": { post: { description: "imported", requestBody: { content: { "application/json": { schema: { type: "object" } } } }, responses: { 200: { description: "ok" } } } } } };
  const imported = await svix.eventType.importOpenapi({ spec });
  assert.deepEqual(imported.data.modified, ["js.imported"]);
  const names = await walk((options) => svix.eventType.list(options), 2);
  assert.deepEqual(names.filter((name) => name.startsWith("js.")), ["js.imported", "js.made", "js.put"]);
  await svix.eventType.delete("js.put");
  assert.equal((await svix.eventType.get("js.put")).archived, true);
});

test("endpoints", async () => {
  const app = await application("endpoints");
  const made = await svix.endpoint.create(app.id, {
    url: `${base}/ok`, uid: "one", description: "first", channels: ["eu"], throttleRate: 9, metadata: { a: "b" }, headers: { "X-Trace": "on" },
  });
  assert.match(made.id, /^ep_/);
  assert.deepEqual([made.uid, made.description, made.channels, made.throttleRate, made.disabled], ["one", "first", ["eu"], 9, false]);
  await refused(svix.endpoint.create(app.id, { url: `${base}/ok`, uid: "one" }), 409, "conflict");
  await refused(svix.endpoint.create(app.id, { url: "ftp://example.com" }), 422);
  const replaced = await svix.endpoint.upsert(app.id, "one", { url: `${base}/other`, uid: "one" });
  assert.deepEqual([replaced.id, replaced.url, replaced.channels], [made.id, `${base}/other`, null]);
  assert.equal((await svix.endpoint.patch(app.id, "one", { disabled: true })).disabled, true);
  assert.equal((await svix.endpoint.get(app.id, "one")).disabled, true);
  const ids = [made.id];
  for (let i = 0; i < 4; i++) ids.push((await svix.endpoint.create(app.id, { url: `${base}/ok/${i}` })).id);
  assert.deepEqual(await walk((options) => svix.endpoint.list(app.id, { ...options, order: "ascending" }), 2), ids);
  await svix.endpoint.delete(app.id, "one");
  await refused(svix.endpoint.get(app.id, made.id), 404, "not_found");
});

test("headers are added, and the values of sensitive ones hidden", async () => {
  const app = await application("headers");
  await svix.endpoint.create(app.id, { url: `${base}/ok`, uid: "ep" });
  await svix.endpoint.setHeaders(app.id, "ep", { headers: { Authorization: "Basic c2VzYW1l", "X-Trace": "on" } });
  assert.deepEqual({ ...(await svix.endpoint.getHeaders(app.id, "ep")) }, { headers: { "X-Trace": "on" }, sensitive: ["Authorization"] });
  await svix.endpoint.patchHeaders(app.id, "ep", { headers: { "X-More": "1" }, deleteHeaders: ["X-Trace"] });
  assert.deepEqual((await svix.endpoint.getHeaders(app.id, "ep")).headers, { "X-More": "1" });
  const message = await svix.message.create(app.id, { eventType: "js.headers", payload: {} });
  const got = await arrived((r) => r.headers["webhook-id"] === message.id);
  assert.equal(got.headers.authorization, "Basic c2VzYW1l");
  assert.equal(got.headers["x-more"], "1");
});

test("a rotated secret signs beside the new one", async () => {
  const app = await application("rotation");
  await svix.endpoint.create(app.id, { url: `${base}/ok`, uid: "ep" });
  const old = (await svix.endpoint.getSecret(app.id, "ep")).key;
  await svix.endpoint.rotateSecret(app.id, "ep", {});
  const fresh = (await svix.endpoint.getSecret(app.id, "ep")).key;
  assert.notEqual(fresh, old);
  const message = await svix.message.create(app.id, { eventType: "js.rotated", payload: { a: 1 } });
  const got = await arrived((r) => r.headers["webhook-id"] === message.id);
  assert.equal(got.headers["webhook-signature"].split(" ").length, 2);
  for (const secret of [old, fresh]) new Webhook(secret).verify(got.body, got.headers);
  assert.throws(() => new Webhook("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").verify(got.body, got.headers));
  assert.throws(() => new Webhook(fresh).verify(got.body + " ", got.headers));
  assert.deepEqual(JSON.parse(got.body), { a: 1 });
});

test("an example is sent", async () => {
  const app = await application("example");
  await svix.endpoint.create(app.id, { url: `${base}/ok`, uid: "ep" });
  await svix.eventType.upsert("js.example", { description: "x", schemas: { 1: { type: "object", examples: [{ n: 42 }] } } });
  const message = await svix.endpoint.sendExample(app.id, "ep", { eventType: "js.example" });
  const got = await arrived((r) => r.headers["webhook-id"] === message.id);
  assert.deepEqual(JSON.parse(got.body), { n: 42 });
});

test("messages", async () => {
  const app = await application("messages");
  const made = await svix.message.create(app.id, { eventType: "js.sent", eventId: "js-1", channels: ["eu"], payload: { n: 1 } });
  assert.match(made.id, /^msg_/);
  assert.deepEqual([made.eventId, made.eventType, made.channels], ["js-1", "js.sent", ["eu"]]);
  await refused(svix.message.create(app.id, { eventType: "js.sent", eventId: "js-1", payload: {} }), 409, "conflict");
  await refused(svix.message.create("none", { eventType: "js.sent", payload: {} }), 404, "not_found");
  await refused(svix.message.create(app.id, { eventType: "not a name", payload: {} }), 422);
  assert.deepEqual((await svix.message.get(app.id, "js-1", { withContent: true })).payload, { n: 1 });
  const ids = [made.id];
  for (let i = 0; i < 4; i++) ids.push((await svix.message.create(app.id, { eventType: "js.other", payload: { i } })).id);
  assert.deepEqual(await walk((options) => svix.message.list(app.id, options), 2), [...ids].reverse());
  const some = await svix.message.list(app.id, { eventTypes: ["js.sent"], channel: "eu", after: new Date(Date.now() - 60_000), withContent: false });
  assert.deepEqual(some.data.map((m) => m.id), [made.id]);
});

test("a repeat under an idempotency key is one message", async () => {
  const app = await application("once");
  const options = { idempotencyKey: `js-${app.id}` };
  const first = await svix.message.create(app.id, { eventType: "js.once", payload: { n: 1 } }, options);
  const again = await svix.message.create(app.id, { eventType: "js.once", payload: { n: 1 } }, options);
  assert.equal(again.id, first.id);
  await refused(svix.message.create(app.id, { eventType: "js.once", payload: { n: 2 } }, options), 409, "idempotency_mismatch");
  assert.equal((await svix.message.list(app.id)).data.length, 1);
});

test("attempts", async () => {
  const app = await application("attempts");
  const ep = await svix.endpoint.create(app.id, { url: `${base}/ok`, uid: "ep" });
  const message = await svix.message.create(app.id, { eventType: "js.tried", eventId: "tried", payload: {} });
  const { data } = await eventually(() => svix.messageAttempt.listByMsg(app.id, "tried"), (page) => page.data.length === 1);
  const attempt = data[0];
  assert.deepEqual([attempt.msgId, attempt.endpointId, attempt.status, attempt.responseStatusCode, attempt.url], [message.id, ep.id, 0, 204, `${base}/ok`]);
  assert.equal((await svix.messageAttempt.get(app.id, "tried", attempt.id)).id, attempt.id);
  for (let i = 0; i < 4; i++) await svix.message.create(app.id, { eventType: "js.tried", payload: {} });
  await eventually(() => svix.messageAttempt.listByEndpoint(app.id, "ep"), (page) => page.data.length === 5);
  assert.equal((await walk((options) => svix.messageAttempt.listByEndpoint(app.id, "ep", options), 2)).length, 5);
  assert.equal((await svix.messageAttempt.listByEndpoint(app.id, "ep", { status: 2 })).data.length, 0);
});

test("a message is sent again, and shown where it was tried", async () => {
  const app = await application("again");
  const [ok, fails] = [await svix.endpoint.create(app.id, { url: `${base}/ok`, uid: "ok" }), await svix.endpoint.create(app.id, { url: `${base}/fail`, uid: "fails" })];
  failing = true;
  const message = await svix.message.create(app.id, { eventType: "js.again", payload: { n: 1 } });
  for (let i = 0; i < 2; i++) await arrived((r) => r.headers["webhook-id"] === message.id);
  await svix.messageAttempt.resend(app.id, message.id, "ok");
  await arrived((r) => r.headers["webhook-id"] === message.id && r.path === "/ok");
  const again = await eventually(() => svix.messageAttempt.listByMsg(app.id, message.id, { endpointId: "ok" }), (page) => page.data.length === 2);
  assert.deepEqual(again.data.map((a) => a.triggerType), [1, 0]);
  const tried = await eventually(() => svix.messageAttempt.listAttemptedMessages(app.id, "fails"), (page) => page.data.length === 1);
  assert.deepEqual([tried.data[0].id, tried.data[0].status, tried.data[0].statusText], [message.id, 3, "sending"]);
  assert.ok(tried.data[0].nextAttempt > new Date());
  assert.equal((await svix.messageAttempt.listAttemptedMessages(app.id, "fails", { status: 0 })).data.length, 0);
  const places = await svix.messageAttempt.listAttemptedDestinations(app.id, message.id);
  assert.deepEqual(places.data.map((p) => [p.id, p.status]), [[ok.id, 0], [fails.id, 2]]);
  failing = false;
});

test("what failed is recovered, and what was missed is replayed", async () => {
  const app = await application("recover");
  await svix.endpoint.create(app.id, { url: `${base}/fail`, uid: "fails" });
  const since = new Date(Date.now() - 60_000);
  failing = true;
  const failed = await svix.message.create(app.id, { eventType: "js.recover", payload: {} });
  await arrived((r) => r.headers["webhook-id"] === failed.id);
  await eventually(() => svix.messageAttempt.listByMsg(app.id, failed.id), (page) => page.data.length === 1);
  failing = false;
  const task = await svix.endpoint.recover(app.id, "fails", { since });
  assert.match(task.id, /^qtask_/);
  assert.equal(task.task, "endpoint.recover");
  await arrived((r) => r.headers["webhook-id"] === failed.id);
  const done = await eventually(() => svix.backgroundTask.get(task.id), (t) => t.status !== "running");
  assert.equal(done.status, "finished");
  assert.ok((await svix.backgroundTask.list({ limit: 250 })).data.some((t) => t.id === task.id));

  await svix.endpoint.create(app.id, { url: `${base}/ok/late`, uid: "late" });
  const replay = await svix.endpoint.replayMissing(app.id, "late", { since });
  assert.equal(replay.task, "endpoint.replay");
  await arrived((r) => r.headers["webhook-id"] === failed.id && r.path === "/ok/late");
  await eventually(() => svix.messageAttempt.listAttemptedMessages(app.id, "late", { status: 0 }), (page) => page.data.length === 1);
  const bulk = await svix.endpoint.bulkReplay(app.id, "late", { since, status: 0 });
  assert.equal(bulk.task, "endpoint.bulk-replay");
  await arrived((r) => r.headers["webhook-id"] === failed.id && r.path === "/ok/late");
  const stats = await eventually(() => svix.endpoint.getStats(app.id, "fails"), (s) => s.success >= 1);
  assert.deepEqual([stats.fail, stats.canceled, stats.pending, stats.sending], [1, 0, 0, 0]);
});

test("tags, and messages that wait for their time", async () => {
  const app = await application("later");
  await svix.endpoint.create(app.id, { url: `${base}/ok`, uid: "ep" });
  const deliverAt = new Date(Date.now() + 3_600_000);
  const made = await svix.message.create(app.id, { eventType: "js.later", payload: {}, tags: ["vip"], deliverAt });
  assert.deepEqual([made.tags, made.deliverAt.getTime()], [["vip"], deliverAt.getTime()]);
  assert.deepEqual((await svix.message.list(app.id, { tag: "vip" })).data.map((m) => m.id), [made.id]);
  assert.equal((await svix.message.list(app.id, { tag: "none" })).data.length, 0);
  assert.equal((await svix.messageAttempt.listByMsg(app.id, made.id)).data.length, 0);
});

test("a raw message is sent as it is", async () => {
  const app = await application("raw");
  await svix.endpoint.create(app.id, { url: `${base}/ok`, uid: "ep" });
  for (const type of [undefined, "application/json"]) {
    const message = await svix.message.create(app.id, messageInRaw("js.raw", "[1,  2]", type));
    const got = await arrived((r) => r.headers["webhook-id"] === message.id);
    assert.deepEqual([got.body, got.headers["content-type"]], ["[1,  2]", "application/json"]);
  }
  await refused(svix.message.create(app.id, messageInRaw("js.raw", "<a/>", "application/xml")), 422);
});

test("it is asked first whether anybody listens", async () => {
  const app = await application("precheck");
  assert.equal((await svix.message.precheck(app.id, { eventType: "js.asked" })).active, false);
  await svix.endpoint.create(app.id, { url: `${base}/ok`, channels: ["eu"] });
  assert.equal((await svix.message.precheck(app.id, { eventType: "js.asked", channels: ["eu"] })).active, true);
  assert.equal((await svix.message.precheck(app.id, { eventType: "js.asked", channels: ["us"] })).active, false);
});

test("payloads and answers are expunged", async () => {
  const app = await application("expunge");
  await svix.endpoint.create(app.id, { url: `${base}/ok`, uid: "ep" });
  const ids = [];
  for (let n = 0; n < 4; n++) ids.push((await svix.message.create(app.id, { eventType: "js.expunged", payload: { n } })).id);
  const payload = async (id) => (await svix.message.get(app.id, id, { withContent: true })).payload;
  const tried = await eventually(() => svix.messageAttempt.listByMsg(app.id, ids[0]), (page) => page.data.length === 1);
  await svix.messageAttempt.expungeContent(app.id, ids[0], tried.data[0].id);
  assert.equal((await svix.messageAttempt.get(app.id, ids[0], tried.data[0].id)).response, "EXPUNGED");
  await svix.message.expungeContent(app.id, ids[0]);
  assert.deepEqual([await payload(ids[0]), await payload(ids[1])], [{ expired: true }, { n: 1 }]);
  await refused(svix.messageAttempt.resend(app.id, ids[0], "ep"), 400, "missing_payload");
  let left = 3;
  if (svix.message.bulkExpungeContent) {
    // newer clients have it
    const { results } = await svix.message.bulkExpungeContent(app.id, { ids: [ids[0], ids[1], "nothing"] });
    assert.deepEqual({ ...results }, { [ids[0]]: "expunged", [ids[1]]: "expunged", nothing: "not-found" });
    left--;
  }
  const started = await svix.message.expungeAllContents(app.id);
  assert.equal(started.task, "application.purge_content");
  const done = await eventually(() => svix.backgroundTask.get(started.id), (t) => t.status !== "running");
  assert.deepEqual([done.status, done.data.messagesPurged], ["finished", left]);
  for (const id of ids) assert.deepEqual(await payload(id), { expired: true });
});

test("statistics are gathered by tasks", async () => {
  const app = await application("usage");
  await svix.eventType.upsert("js.counted", { description: "x" });
  for (const path of ["ok", "fail"]) await svix.endpoint.create(app.id, { url: `${base}/${path}`, eventTypes: ["js.counted"] });
  for (let n = 0; n < 3; n++) await svix.message.create(app.id, { eventType: "js.counted", payload: { n } });
  const since = new Date(Date.now() - 60_000);
  const until = new Date(Date.now() + 60_000);
  const usage = await svix.statistics.aggregateAppStats({ appIds: [app.uid, "nobody"], since, until });
  assert.deepEqual([usage.task, usage.unresolvedAppIds], ["application.stats", ["nobody"]]);
  const counted = await eventually(() => svix.backgroundTask.get(usage.id), (t) => t.status !== "running");
  assert.deepEqual(counted.data.appStats, [{ appId: app.id, appUid: app.uid, messageDestinations: 6 }]);
  await refused(svix.statistics.aggregateAppStats({ appIds: ["nobody"], since, until }), 422);
  const types = await svix.statistics.aggregateEventTypes();
  assert.equal(types.task, "event-type.aggregate");
  const gathered = await eventually(() => svix.backgroundTask.get(types.id), (t) => t.status !== "running");
  const own = gathered.data.event_types.find((of) => of.appId === app.id);
  assert.deepEqual([own.explicitlySubscribedEventTypes, own.hasCatchAllEndpoint], [["js.counted"], false]);
});

test("what is not served is refused as not found", async () => {
  const app = await application("unserved");
  await refused(svix.connector.list(), 404, "not_found");
  await refused(svix.integration.list(app.id), 404, "not_found");
  await refused(svix.environment.export(), 404, "not_found");
});

test("operators are told of what happens", async () => {
  const told = await svix.operationalWebhook.endpoint.create({ url: `${base}/operations`, uid: "js-ops", eventTypes: ["endpoint.created"] });
  assert.match(told.id, /^ep_/);
  await svix.operationalWebhook.endpoint.setHeaders("js-ops", { headers: { "X-Ops": "1" } });
  assert.deepEqual((await svix.operationalWebhook.endpoint.getHeaders("js-ops")).headers, { "X-Ops": "1" });
  const old = (await svix.operationalWebhook.endpoint.getSecret("js-ops")).key;
  await svix.operationalWebhook.endpoint.rotateSecret("js-ops", {});
  const app = await application("told");
  const ep = await svix.endpoint.create(app.id, { url: `${base}/ok`, uid: "ep" });
  const got = await arrived((r) => r.path === "/operations" && r.body.includes(ep.id));
  new Webhook(old).verify(got.body, got.headers);
  assert.equal(got.headers["x-ops"], "1");
  const event = JSON.parse(got.body);
  assert.deepEqual([event.type, event.data.appId, event.data.endpointId, event.data.endpointUid], ["endpoint.created", app.id, ep.id, "ep"]);
  assert.equal((await svix.operationalWebhook.endpoint.upsert("js-ops", { url: `${base}/other`, uid: "js-ops" })).url, `${base}/other`);
  assert.ok((await svix.operationalWebhook.endpoint.list()).data.some((e) => e.id === told.id));
  await svix.operationalWebhook.endpoint.delete("js-ops");
  await refused(svix.operationalWebhook.endpoint.get("js-ops"), 404, "not_found");
});

test("a portal's token is for its application alone", async () => {
  const [own, other] = [await application("own"), await application("other")];
  await svix.endpoint.create(own.id, { url: `${base}/ok`, uid: "ep", headers: { Authorization: "hidden" } });
  const access = await svix.authentication.appPortalAccess(own.id, {});
  assert.ok(access.url && access.token);
  const portal = client(access.token);
  assert.equal((await portal.endpoint.list(own.id)).data.length, 1);
  await portal.endpoint.create(own.id, { url: `${base}/ok`, uid: "mine" });
  assert.deepEqual((await portal.endpoint.getHeaders(own.id, "ep")).sensitive, ["Authorization"]);
  await refused(portal.endpoint.list(other.id), 404, "not_found");
  await refused(portal.application.list(), 403, "insufficient_access");
  await refused(portal.message.create(own.id, { eventType: "a", payload: {} }), 403, "insufficient_access");
  const reader = client((await svix.authentication.appPortalAccess(own.id, { capabilities: ["ViewBase"] })).token);
  assert.equal((await reader.endpoint.list(own.id)).data.length, 2);
  await refused(reader.endpoint.create(own.id, { url: `${base}/ok` }), 403);
  await refused(reader.endpoint.getSecret(own.id, "ep"), 403);
  await portal.authentication.logout();
  await refused(portal.endpoint.list(own.id), 401, "authentication_failed");
  await svix.authentication.expireAll(own.id, {});
  await refused(reader.endpoint.list(own.id), 401, "authentication_failed");
});

test("a wrong token is refused", async () => {
  await refused(client("wrong").application.list(), 401, "authentication_failed");
});
