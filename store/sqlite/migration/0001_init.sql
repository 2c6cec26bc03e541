-- Neohook's tables on SQLite, version 1.
--
-- Works with programs that know version 1.
--
-- Keys are integers that Neohook gives, ascending. Instants are microseconds since 1970,
-- durations microseconds, lists and maps JSON. What a receiver is given to know, signing
-- keys and custom headers, is sealed: it can't be read here.

-- The version of these tables is in the file's header (user_version). Here is the one that
-- programs must know to work with them.
CREATE TABLE schema_needs (
	version INTEGER NOT NULL
) STRICT;
INSERT INTO schema_needs (version) VALUES (1);

-- From each counter, keys below reserved may be in use: a start goes on from there.
CREATE TABLE counter (
	name     TEXT PRIMARY KEY,
	reserved INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter (name, reserved) VALUES ('directory', 1), ('event', 1), ('attempt', 1), ('send', 1);

CREATE TABLE instance (
	one              INTEGER PRIMARY KEY CHECK (one = 1),
	sealed_id_secret BLOB NOT NULL,
	created_at       INTEGER NOT NULL,
	paused           INTEGER NOT NULL
) STRICT;

-- From expires_at on a token is as good as gone.
CREATE TABLE token (
	key           INTEGER PRIMARY KEY,
	hash          BLOB NOT NULL UNIQUE, -- SHA-256 of the text
	organisation  TEXT NOT NULL,
	tenant        INTEGER,              -- the only one it is for
	name          TEXT NOT NULL,
	scopes        TEXT,
	portal        INTEGER NOT NULL,
	capabilities  TEXT,
	read_only     INTEGER NOT NULL,
	feature_flags TEXT,
	session       TEXT,
	created_at    INTEGER NOT NULL,
	expires_at    INTEGER
) STRICT;
CREATE INDEX token_organisation ON token (organisation, portal);
CREATE INDEX token_tenant ON token (tenant, portal) WHERE tenant IS NOT NULL;
CREATE INDEX token_expires_at ON token (expires_at) WHERE expires_at IS NOT NULL;

-- Signed tokens that are refused until they expire.
CREATE TABLE refused_token (
	hash       BLOB PRIMARY KEY,
	expires_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refused_token_expires_at ON refused_token (expires_at) WHERE expires_at IS NOT NULL;

-- Signed tokens of a tenant that were issued by issued_at are refused from refused_at on.
CREATE TABLE token_expiry (
	tenant     INTEGER NOT NULL,
	refused_at INTEGER NOT NULL,
	issued_at  INTEGER NOT NULL,
	PRIMARY KEY (tenant, refused_at)
) STRICT, WITHOUT ROWID;

-- A deleted tenant or endpoint stays, marked: history refers to it.
CREATE TABLE tenant (
	key            INTEGER PRIMARY KEY,
	organisation   TEXT NOT NULL,
	uid            TEXT,
	name           TEXT NOT NULL,
	rate_limit     INTEGER NOT NULL,
	paused         INTEGER NOT NULL,
	payloads_kept  INTEGER NOT NULL, -- for so long; 0 is the engine's
	attempts_kept  INTEGER NOT NULL,
	events_kept    INTEGER NOT NULL,
	metadata       TEXT,
	created_at     INTEGER NOT NULL,
	updated_at     INTEGER NOT NULL,
	version        INTEGER NOT NULL,
	routes_version INTEGER NOT NULL, -- rises with every change of it or its endpoints
	deleted_at     INTEGER
) STRICT;
CREATE INDEX tenant_organisation ON tenant (organisation) WHERE deleted_at IS NULL;
CREATE INDEX tenant_deleted ON tenant (key) WHERE deleted_at IS NOT NULL;
CREATE UNIQUE INDEX tenant_uid ON tenant (organisation, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;

CREATE TABLE endpoint (
	key            INTEGER PRIMARY KEY,
	tenant         INTEGER NOT NULL,
	uid            TEXT,
	name           TEXT NOT NULL,
	description    TEXT NOT NULL,
	url            TEXT NOT NULL,
	method         TEXT NOT NULL,
	protocol       TEXT NOT NULL,
	timeout        INTEGER NOT NULL,
	disabled       INTEGER NOT NULL,
	paused         INTEGER NOT NULL,
	event_types    TEXT,
	channels       TEXT,
	rate_limit     INTEGER NOT NULL,
	concurrency    INTEGER NOT NULL, -- 0 is the engine's
	ordered        INTEGER NOT NULL,
	schedule       TEXT,             -- waits; NULL is the engine's
	final_statuses TEXT,
	user_version   INTEGER NOT NULL,
	metadata       TEXT,
	created_by     TEXT NOT NULL,
	created_at     INTEGER NOT NULL,
	updated_at     INTEGER NOT NULL,
	sealed_secrets BLOB,
	sealed_headers BLOB,
	version        INTEGER NOT NULL,
	deleted_at     INTEGER
) STRICT;
CREATE INDEX endpoint_tenant ON endpoint (tenant) WHERE deleted_at IS NULL;
CREATE INDEX endpoint_deleted ON endpoint (tenant) WHERE deleted_at IS NOT NULL;
CREATE UNIQUE INDEX endpoint_uid ON endpoint (tenant, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;

-- The schemas are the last column: a read of the others does not load them.
CREATE TABLE event_type (
	key           INTEGER PRIMARY KEY,
	organisation  TEXT NOT NULL,
	name          TEXT NOT NULL,
	description   TEXT NOT NULL,
	group_name    TEXT,
	feature_flags TEXT,
	deprecated    INTEGER NOT NULL,
	archived      INTEGER NOT NULL,
	created_at    INTEGER NOT NULL,
	updated_at    INTEGER NOT NULL,
	version       INTEGER NOT NULL,
	schemas       BLOB
) STRICT;
CREATE UNIQUE INDEX event_type_name ON event_type (organisation, name);
CREATE INDEX event_type_active ON event_type (organisation, name) WHERE NOT archived;

-- Endpoints without a success since a failure.
CREATE TABLE failing (
	endpoint INTEGER PRIMARY KEY,
	since    INTEGER NOT NULL,
	told     INTEGER NOT NULL -- percent of the time until they are disabled
) STRICT;

-- Lists by tenant, and by endpoint, are ordered by key. An index that begins with the
-- owner would be written to at a place for each owner: with a thousand of them, a page
-- for each event. So the index begins with the strip, 128 keys in a row, and what is
-- written stays together. A second table tells in which spans, of 64 strips each, an owner
-- has any, so that a walk passes over the others.
CREATE TABLE strip (nth INTEGER PRIMARY KEY) STRICT; -- those of a span
INSERT INTO strip WITH RECURSIVE counted (nth) AS (VALUES (0) UNION ALL SELECT nth + 1 FROM counted WHERE nth < 63)
	SELECT nth FROM counted;

-- The payload is the last column: a read of the others does not load it.
CREATE TABLE event (
	key          INTEGER PRIMARY KEY,
	tenant       INTEGER NOT NULL,
	accepted_at  INTEGER NOT NULL,
	type         TEXT NOT NULL,
	channels     TEXT,
	uid          TEXT,
	uid_hash     INTEGER, -- the beginning of its SHA-256
	tags         TEXT,
	deliver_at   INTEGER, -- of a deferred event
	cancelled_at INTEGER, -- when it was cancelled before that
	payload_ttl  INTEGER, -- where it has its own
	only_for     INTEGER, -- the endpoint, where it is for one whatever that listens to
	payload      BLOB,    -- as it came; NULL once it is gone
	strip        INTEGER GENERATED ALWAYS AS (key >> 7) VIRTUAL
) STRICT;
CREATE INDEX event_tenant ON event (strip, tenant);
CREATE INDEX event_uid ON event (tenant, uid_hash) WHERE uid_hash IS NOT NULL; -- those that have one
CREATE TABLE event_span (
	tenant INTEGER NOT NULL,
	span   INTEGER NOT NULL,
	PRIMARY KEY (tenant, span)
) STRICT, WITHOUT ROWID;

-- Events that are not matched to endpoints before their time.
CREATE TABLE deferred (
	due_at INTEGER NOT NULL,
	event  INTEGER NOT NULL,
	tenant INTEGER NOT NULL,
	PRIMARY KEY (due_at, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX deferred_tenant ON deferred (tenant);

-- Events to be accepted, put here in the transaction of their cause. The row goes with the
-- acceptance. Where payload is NULL it is made then, of what the event is about. Programs
-- that publish within transactions of their own insert here on connections of their own, so
-- SQLite gives the keys.
CREATE TABLE outbox (
	key            INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant         INTEGER,
	organisation   TEXT, -- and its tenant's uid, where the tenant's key is NULL
	tenant_uid     TEXT,
	uid            TEXT,
	type           TEXT NOT NULL,
	channels       TEXT,
	tags           TEXT,
	deliver_at     INTEGER,
	payload_ttl    INTEGER,
	payload        BLOB,
	details        BLOB,
	about_tenant   INTEGER,
	about_endpoint INTEGER,
	about_event    INTEGER,
	about_attempt  INTEGER,
	once_hash      BLOB, -- where the event may be published a single time
	once_body      BLOB,
	once_ttl       INTEGER
) STRICT;

-- Open deliveries only: the row goes when the delivery ends.
CREATE TABLE delivery (
	endpoint INTEGER NOT NULL,
	event    INTEGER NOT NULL,
	tried    INTEGER NOT NULL, -- scheduled attempts so far
	retry_at INTEGER,          -- NULL while fresh; one that was opened later never is
	PRIMARY KEY (endpoint, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_retry ON delivery (endpoint, retry_at) WHERE retry_at IS NOT NULL;

-- What is to be sent because somebody asked for it: the row goes when that has ended.
CREATE TABLE send (
	key      INTEGER PRIMARY KEY,
	endpoint INTEGER NOT NULL,
	event    INTEGER NOT NULL,
	job      INTEGER NOT NULL, -- 0 is none
	retried  INTEGER NOT NULL, -- by the endpoint's schedule
	tried    INTEGER NOT NULL,
	due_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX send_due ON send (endpoint, due_at);
CREATE INDEX send_alone ON send (endpoint) WHERE job = 0;
CREATE INDEX send_job ON send (job, endpoint, tried) WHERE job <> 0;
CREATE INDEX send_event ON send (event);

-- How each delivery ended. state is 5 succeeded, 6 exhausted, 7 cancelled.
CREATE TABLE history (
	event        INTEGER NOT NULL,
	endpoint     INTEGER NOT NULL,
	state        INTEGER NOT NULL,
	reason       TEXT, -- of a cancelled one
	tried        INTEGER NOT NULL,
	ended_at     INTEGER NOT NULL,
	recovered_at INTEGER, -- when a send succeeded for one that had not
	strip        INTEGER GENERATED ALWAYS AS (event >> 7) VIRTUAL,
	PRIMARY KEY (event, endpoint)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_failed ON history (endpoint, event) WHERE state <> 5;
CREATE INDEX history_endpoint ON history (strip, endpoint);
CREATE TABLE history_span (
	endpoint INTEGER NOT NULL,
	span     INTEGER NOT NULL,
	PRIMARY KEY (endpoint, span)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
	key         INTEGER PRIMARY KEY,
	event       INTEGER NOT NULL,
	endpoint    INTEGER NOT NULL,
	number      INTEGER NOT NULL,
	trigger     INTEGER NOT NULL, -- 0 scheduled, 1 manual
	url         TEXT NOT NULL,
	succeeded   INTEGER NOT NULL,
	status_code INTEGER NOT NULL, -- 0 without an answer
	code        TEXT,             -- why there was none
	timed_out   INTEGER NOT NULL,
	started_at  INTEGER NOT NULL,
	duration    INTEGER NOT NULL,
	response    BLOB,             -- empty once it was expunged
	strip       INTEGER GENERATED ALWAYS AS (key >> 7) VIRTUAL
) STRICT;
CREATE INDEX attempt_event ON attempt (event, endpoint);
CREATE INDEX attempt_endpoint ON attempt (strip, endpoint);
CREATE TABLE attempt_span (
	endpoint INTEGER NOT NULL,
	span     INTEGER NOT NULL,
	PRIMARY KEY (endpoint, span)
) STRICT, WITHOUT ROWID;

-- Work over many deliveries, in steps. state is 1 running, 2 finished, 3 cancelled, 4 failed.
CREATE TABLE job (
	key          INTEGER PRIMARY KEY,
	organisation TEXT NOT NULL,
	tenant       INTEGER NOT NULL, -- 0 is the organisation
	endpoint     INTEGER NOT NULL, -- 0 is all of the tenant's
	kind         INTEGER NOT NULL,
	spec         BLOB,
	through      INTEGER NOT NULL, -- the highest event
	created_at   INTEGER NOT NULL,
	state        INTEGER NOT NULL,
	error        TEXT,
	at_endpoint  INTEGER NOT NULL, -- where the walk goes on behind
	at_event     INTEGER NOT NULL,
	at_time      INTEGER,
	later        TEXT,             -- endpoints that it has left for now
	examined     INTEGER NOT NULL,
	matched      INTEGER NOT NULL,
	updated_at   INTEGER NOT NULL,
	ended_at     INTEGER,
	made         INTEGER NOT NULL,
	succeeded    INTEGER NOT NULL, -- of what was made
	failed       INTEGER NOT NULL,
	version      INTEGER NOT NULL,
	result       BLOB              -- what one has found that counts
) STRICT;
CREATE INDEX job_organisation ON job (organisation);
CREATE INDEX job_tenant ON job (tenant);
CREATE INDEX job_running ON job (key) WHERE state = 1;
CREATE INDEX job_ended ON job (ended_at) WHERE ended_at IS NOT NULL;

-- Open deliveries that a job has opened.
CREATE TABLE job_opening (
	endpoint INTEGER NOT NULL,
	event    INTEGER NOT NULL,
	job      INTEGER NOT NULL,
	PRIMARY KEY (endpoint, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_opening_job ON job_opening (job, endpoint);

-- Changes of the directory that are made a single time.
CREATE TABLE once (
	hash       BLOB PRIMARY KEY,
	body       BLOB NOT NULL,
	expires_at INTEGER NOT NULL,
	tenant     INTEGER NOT NULL, -- whose the changed thing is; 0 is none's
	answer     BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX once_expiry ON once (expires_at);
CREATE INDEX once_tenant ON once (tenant) WHERE tenant <> 0;

-- Events that are published a single time. A b-tree by hash would cost a page for each
-- event, as hashes are everywhere. So the newest are kept in memory, and here as they
-- came: a row for each batch. When there are many they become a run: 256 rows, one for
-- each first byte of the hash, whose key is the run's number, eight bits, and that byte.
-- The filter says which hashes a run does not have. A run is deleted as a whole.
CREATE TABLE ledger_batch (
	number  INTEGER PRIMARY KEY,
	entries BLOB NOT NULL
) STRICT;
CREATE TABLE ledger_run (
	number INTEGER PRIMARY KEY,
	class  INTEGER NOT NULL, -- of the time to live
	until  INTEGER NOT NULL, -- when the last of it expires
	filter BLOB NOT NULL
) STRICT;
CREATE TABLE ledger_block (
	key     INTEGER PRIMARY KEY,
	entries BLOB NOT NULL
) STRICT;

-- What was counted, by unit (1 minute, 2 hour, 3 day), start (units since 1970), tenant,
-- endpoint and type. Accepted events are under endpoint 0. counts holds a byte for what
-- is counted and a varint, for all numbers that are not 0. The key begins with the start,
-- so that what is written at a time is together.
CREATE TABLE rollup (
	unit     INTEGER NOT NULL,
	start    INTEGER NOT NULL,
	tenant   INTEGER NOT NULL,
	endpoint INTEGER NOT NULL,
	type     INTEGER NOT NULL, -- number of a rollup_type; 0 for those without one
	counts   BLOB NOT NULL,
	PRIMARY KEY (unit, start, tenant, endpoint, type)
) STRICT, WITHOUT ROWID;
CREATE TABLE rollup_type (
	tenant INTEGER NOT NULL,
	type   TEXT NOT NULL,
	number INTEGER NOT NULL,
	PRIMARY KEY (tenant, type)
) STRICT, WITHOUT ROWID;

-- What each transaction has counted, until it is folded into the rollups of minutes.
CREATE TABLE rollup_journal (
	number  INTEGER PRIMARY KEY,
	entries BLOB NOT NULL -- place and counts, one after the other
) STRICT;

-- How far each step has come, as a key of the rollups, inclusive: 1 from the journal's
-- rows up to through into minutes, 2 from minutes into hours, 3 from hours into days.
CREATE TABLE rollup_progress (
	step     INTEGER PRIMARY KEY,
	start    INTEGER NOT NULL,
	tenant   INTEGER NOT NULL,
	endpoint INTEGER NOT NULL,
	type     INTEGER NOT NULL,
	through  INTEGER NOT NULL
) STRICT;
INSERT INTO rollup_progress (step, start, tenant, endpoint, type, through)
	VALUES (1, -9223372036854775808, 0, 0, 0, 0), (2, -9223372036854775808, 0, 0, 0, 0), (3, -9223372036854775808, 0, 0, 0, 0);

-- Where a recount adds up, one transaction long; empty otherwise.
CREATE TABLE rollup_recount (
	unit     INTEGER NOT NULL,
	start    INTEGER NOT NULL,
	tenant   INTEGER NOT NULL,
	endpoint INTEGER NOT NULL,
	type     INTEGER NOT NULL,
	counts   BLOB NOT NULL,
	PRIMARY KEY (unit, start, tenant, endpoint, type)
) STRICT, WITHOUT ROWID;

-- From which instant on a tenant's history is whole, each the beginning of a day: before
-- it a sweep has deleted attempts, or events with how their deliveries ended.
CREATE TABLE whole_since (
	tenant   INTEGER PRIMARY KEY,
	attempts INTEGER NOT NULL,
	events   INTEGER NOT NULL
) STRICT;

-- How far it is looked for what has had its time, in the order of events. Tenants with
-- times of their own, now or once, have rows of their own; all others share those of
-- tenant 0. kind is 1 payloads, 2 attempts, 3 events; 4, of tenant 0, is what is deleted of
-- the directory, and then event is the tenant to go on behind.
CREATE TABLE sweep (
	tenant  INTEGER NOT NULL,
	kind    INTEGER NOT NULL,
	event   INTEGER NOT NULL, -- those below have been looked at
	look_at INTEGER NOT NULL, -- nothing is due before
	PRIMARY KEY (tenant, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX sweep_look ON sweep (look_at);
INSERT INTO sweep (tenant, kind, event, look_at) VALUES (0, 1, 1, 0), (0, 2, 1, 0), (0, 3, 1, 0), (0, 4, 0, 0);

-- Events to look at apart from that, from an instant on: with a payload that has its own
-- time, or passed over before their time, or not ended then.
CREATE TABLE revisit (
	at    INTEGER NOT NULL,
	event INTEGER NOT NULL,
	PRIMARY KEY (at, event)
) STRICT, WITHOUT ROWID;

-- What somebody asked to delete, as far as it is not done.
CREATE TABLE expunge (
	key        INTEGER PRIMARY KEY,
	tenant     INTEGER NOT NULL,
	everything INTEGER NOT NULL, -- else the payloads of its events
	job        INTEGER NOT NULL, -- 0 is none
	through    INTEGER NOT NULL, -- up to this one
	asked_at   INTEGER NOT NULL,
	next       INTEGER NOT NULL, -- the event to go on with
	page       INTEGER NOT NULL  -- of the file, to go on with where all else is done
) STRICT;
