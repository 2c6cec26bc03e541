-- Neohook's tables on PostgreSQL, version 1. They are made in a schema of their own, which
-- is the first in the search path here.
--
-- Works with programs that know version 1.
--
-- Keys are integers from sequences. Instants come from Neohook, durations are
-- microseconds. What a receiver is given to know, signing keys and custom headers, is
-- sealed: it can't be read here. Names are compared bytewise.

CREATE SEQUENCE directory_key AS bigint;
CREATE SEQUENCE event_key AS bigint;
CREATE SEQUENCE attempt_key AS bigint;
CREATE SEQUENCE send_key AS bigint;
CREATE SEQUENCE outbox_key AS bigint;

CREATE SEQUENCE node_key AS bigint;
CREATE SEQUENCE signal_key AS bigint;

CREATE TABLE instance (
	one              boolean PRIMARY KEY CHECK (one),
	sealed_id_secret bytea NOT NULL,
	created_at       timestamptz NOT NULL,
	paused           boolean NOT NULL
);

-- A deleted tenant or endpoint stays, marked: history refers to it.
CREATE TABLE tenant (
	key            bigint PRIMARY KEY,
	organisation   text COLLATE "C" NOT NULL,
	uid            text COLLATE "C",
	name           text NOT NULL,
	rate_limit     integer NOT NULL,
	paused         boolean NOT NULL,
	payloads_kept  bigint NOT NULL, -- 0 is the engine's
	attempts_kept  bigint NOT NULL,
	events_kept    bigint NOT NULL,
	metadata       jsonb,
	created_at     timestamptz NOT NULL,
	updated_at     timestamptz NOT NULL,
	version        bigint NOT NULL,
	routes_version bigint NOT NULL, -- rises with every change of it or its endpoints
	deleted_at     timestamptz
);
CREATE INDEX tenant_organisation ON tenant (organisation, key) WHERE deleted_at IS NULL;
CREATE INDEX tenant_departed ON tenant (key) WHERE deleted_at IS NOT NULL;
CREATE UNIQUE INDEX tenant_uid ON tenant (organisation, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;

CREATE TABLE endpoint (
	key            bigint PRIMARY KEY,
	tenant         bigint NOT NULL,
	uid            text COLLATE "C",
	name           text NOT NULL,
	description    text NOT NULL,
	url            text NOT NULL,
	method         text NOT NULL,
	protocol       text NOT NULL,
	timeout        bigint NOT NULL,
	disabled       boolean NOT NULL,
	paused         boolean NOT NULL,
	event_types    text[],
	channels       text[],
	rate_limit     integer NOT NULL,
	concurrency    integer NOT NULL, -- 0 is the engine's
	ordered        boolean NOT NULL,
	schedule       bigint[],         -- waits; NULL is the engine's
	final_statuses integer[],
	user_version   integer NOT NULL,
	metadata       jsonb,
	created_by     text NOT NULL,
	created_at     timestamptz NOT NULL,
	updated_at     timestamptz NOT NULL,
	sealed_secrets bytea,
	sealed_headers bytea,
	version        bigint NOT NULL,
	deleted_at     timestamptz
);
CREATE INDEX endpoint_tenant ON endpoint (tenant, key) WHERE deleted_at IS NULL;
CREATE INDEX endpoint_departed ON endpoint (tenant, key) WHERE deleted_at IS NOT NULL;
CREATE UNIQUE INDEX endpoint_uid ON endpoint (tenant, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;

-- The schemas are JSON that nobody looks into here.
CREATE TABLE event_type (
	key           bigint PRIMARY KEY,
	organisation  text COLLATE "C" NOT NULL,
	name          text COLLATE "C" NOT NULL,
	description   text NOT NULL,
	group_name    text NOT NULL,
	feature_flags text[],
	deprecated    boolean NOT NULL,
	archived      boolean NOT NULL,
	created_at    timestamptz NOT NULL,
	updated_at    timestamptz NOT NULL,
	version       bigint NOT NULL,
	schemas       bytea
);
CREATE UNIQUE INDEX event_type_name ON event_type (organisation, name);
CREATE INDEX event_type_active ON event_type (organisation, name) WHERE NOT archived;

-- Endpoints without a success since a failure.
CREATE TABLE failing (
	endpoint bigint PRIMARY KEY,
	since    timestamptz NOT NULL,
	told     integer NOT NULL -- percent of the time until they are disabled
);

-- Changes of the directory that are made a single time.
CREATE TABLE once (
	hash       bytea PRIMARY KEY,
	body       bytea NOT NULL,
	expires_at timestamptz NOT NULL,
	tenant     bigint NOT NULL, -- whose the changed thing is; 0 is none's
	answer     bytea
);
CREATE INDEX once_expiry ON once (expires_at);
CREATE INDEX once_tenant ON once (tenant) WHERE tenant <> 0;

CREATE TABLE token (
	key           bigint PRIMARY KEY,
	hash          bytea NOT NULL UNIQUE, -- SHA-256 of the text
	organisation  text COLLATE "C" NOT NULL,
	tenant        bigint, -- the only one it is for
	name          text NOT NULL,
	scopes        text[],
	portal        boolean NOT NULL,
	capabilities  text[],
	read_only     boolean NOT NULL,
	feature_flags text[],
	session       text,
	created_at    timestamptz NOT NULL,
	expires_at    timestamptz
);
CREATE INDEX token_organisation ON token (organisation, portal, key);
CREATE INDEX token_tenant ON token (tenant, portal, key);
CREATE INDEX token_expiry_index ON token (expires_at) WHERE expires_at IS NOT NULL;

-- Signed tokens that are refused, each by its hash, and those of a tenant.
CREATE TABLE refused_token (
	hash       bytea PRIMARY KEY,
	expires_at timestamptz
);
CREATE INDEX refused_token_expiry ON refused_token (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE token_expiry (
	tenant     bigint NOT NULL,
	refused_at timestamptz NOT NULL, -- from then on
	issued_at  timestamptz NOT NULL, -- by then
	PRIMARY KEY (tenant, refused_at, issued_at)
);

-- Work over much that is stored of a tenant, or of an organisation, done in steps.
CREATE TABLE job (
	key             bigint PRIMARY KEY,
	organisation    text COLLATE "C" NOT NULL,
	tenant          bigint NOT NULL,   -- 0 is the organisation's as a whole
	endpoint        bigint NOT NULL,   -- 0 is all of the tenant's
	kind            smallint NOT NULL,
	spec            bytea,
	through         bigint NOT NULL,   -- the highest event
	created_at      timestamptz NOT NULL,
	state           smallint NOT NULL, -- 1 is running
	error           text,
	at_endpoint     bigint NOT NULL,   -- where the walk goes on behind
	at_event        bigint NOT NULL,
	at_time         timestamptz,
	later_endpoints bigint[],          -- endpoints that it has left for now,
	later_events    bigint[],          -- and where it goes on at each
	examined        bigint NOT NULL,
	matched         bigint NOT NULL,
	updated_at      timestamptz NOT NULL,
	ended_at        timestamptz,
	made            bigint NOT NULL,
	succeeded       bigint NOT NULL,   -- of what was made
	failed          bigint NOT NULL,
	version         bigint NOT NULL,
	result          bytea              -- of one that counts
);
CREATE INDEX job_organisation ON job (organisation, key);
CREATE INDEX job_tenant ON job (organisation, tenant, key);
CREATE INDEX job_running ON job (key) WHERE state = 1;
CREATE INDEX job_ended ON job (ended_at) WHERE ended_at IS NOT NULL;

-- Events, and all that grows with them, are divided by ranges of the event's key. Keys
-- ascend with time, so the oldest range is dropped as a whole when its time is over, and
-- who asks for a key asks one range. The partition of a range is named after the first key
-- in it: event_from_1.
--
-- There is a row here for each partition. An event is accepted only where all five have its
-- key. A partition of history or attempt is there as long as that of event, since something
-- may come of an event late: what is in it can be truncated before.
CREATE TABLE key_range (
	of      text COLLATE "C" NOT NULL, -- event, payload, history, attempt or delivery
	low     bigint NOT NULL,           -- the first key in it
	high    bigint NOT NULL,           -- the first key behind it, where the next one begins
	made_at timestamptz NOT NULL,
	PRIMARY KEY (of, low)
);

CREATE TABLE event (
	key          bigint PRIMARY KEY,
	tenant       bigint NOT NULL,
	accepted_at  timestamptz NOT NULL,
	type         text NOT NULL,
	channels     text[],
	uid          text,
	tags         text[],
	deliver_at   timestamptz, -- of a deferred event
	cancelled_at timestamptz, -- when it was cancelled before that
	payload_ttl  bigint,      -- where it has its own
	only_for     bigint       -- the one endpoint that it is for
) PARTITION BY RANGE (key);
CREATE INDEX event_tenant ON event (tenant, key);
CREATE INDEX event_ttl ON event (payload_ttl, key) WHERE payload_ttl IS NOT NULL;

-- As it came; the row goes when the payload does.
CREATE TABLE payload (
	event bigint PRIMARY KEY,
	body  bytea NOT NULL
) PARTITION BY RANGE (event);

-- UIDs of events, as long as these are kept.
CREATE TABLE event_uid (
	tenant bigint NOT NULL,
	uid    text COLLATE "C" NOT NULL,
	event  bigint NOT NULL,
	PRIMARY KEY (tenant, uid)
);

-- Events that are published a single time, by how long that is known: up to 10 minutes, 12
-- hours, 7 days, or a year. Of each there are three parts, which are written to in turn and
-- emptied as a whole, when all in them has expired and before the turn comes to them again.
CREATE TABLE published (
	part        smallint NOT NULL, -- three times what is in published_turn as kept, and the turn's remainder
	hash        bytea NOT NULL,
	body        bytea NOT NULL,
	event       bigint NOT NULL,
	accepted_at timestamptz NOT NULL,
	expires_at  timestamptz NOT NULL
) PARTITION BY LIST (part);
CREATE TABLE published_0 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (0);
CREATE TABLE published_1 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (1);
CREATE TABLE published_2 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (2);
CREATE TABLE published_3 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (3);
CREATE TABLE published_4 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (4);
CREATE TABLE published_5 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (5);
CREATE TABLE published_6 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (6);
CREATE TABLE published_7 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (7);
CREATE TABLE published_8 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (8);
CREATE TABLE published_9 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (9);
CREATE TABLE published_10 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (10);
CREATE TABLE published_11 PARTITION OF published (PRIMARY KEY (hash)) FOR VALUES IN (11);
CREATE TABLE published_turn (
	kept     smallint PRIMARY KEY, -- 0 for 10 minutes, 1 for 12 hours, and so on
	turn     bigint NOT NULL,
	began_at timestamptz NOT NULL
);
INSERT INTO published_turn SELECT kept, 0, to_timestamp(0) FROM generate_series(0, 3) AS kept;

-- Events that are not matched to endpoints before their time.
CREATE TABLE deferred (
	due_at timestamptz NOT NULL,
	event  bigint NOT NULL,
	tenant bigint NOT NULL,
	PRIMARY KEY (due_at, event)
);
CREATE INDEX deferred_tenant ON deferred (tenant);
CREATE UNIQUE INDEX deferred_event ON deferred (event);

-- Events to be accepted, put here in the transaction of their cause. The row goes with the
-- acceptance. Where payload is NULL it is made then, of what the event is about. Programs
-- that publish within transactions of their own insert here on connections of their own.
-- Keys are not seen in their order; by their transactions the rows are found that were not
-- to be seen before, without walking over those that are gone and not cleared away yet.
CREATE TABLE outbox (
	key            bigint PRIMARY KEY,
	txid           xid8 NOT NULL DEFAULT pg_current_xact_id(),
	tenant         bigint,
	organisation   text, -- and its tenant's uid, where the tenant's key is NULL
	tenant_uid     text,
	uid            text,
	type           text NOT NULL,
	channels       text[],
	tags           text[],
	deliver_at     timestamptz,
	payload_ttl    bigint,
	payload        bytea,
	details        bytea,
	about_tenant   bigint,
	about_endpoint bigint,
	about_event    bigint,
	about_attempt  bigint,
	once_hash      bytea, -- where the event may be published a single time
	once_body      bytea,
	once_ttl       bigint
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX outbox_txid ON outbox (txid);

-- Open deliveries that are fresh: nothing was tried yet. The row goes when the delivery ends
-- or has to wait. What is deleted here is as much as what is published, and a transaction of
-- somebody else, that stays open, keeps it from being cleared away: so these are in ranges
-- that are dropped when they are empty.
CREATE TABLE delivery (
	endpoint bigint NOT NULL,
	event    bigint NOT NULL,
	PRIMARY KEY (endpoint, event)
) PARTITION BY RANGE (event);

-- Open deliveries that wait, for a retry or since they were opened later. So do those here
-- that are fresh, and were left when the others of their range had ended: these have no
-- retry_at. A delivery is in one of delivery, waiting and history.
CREATE TABLE waiting (
	endpoint bigint NOT NULL,
	event    bigint NOT NULL,
	tried    integer NOT NULL, -- scheduled attempts so far
	retry_at timestamptz,
	job      bigint NOT NULL,  -- that opened it; 0 is none
	PRIMARY KEY (endpoint, event)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX waiting_due ON waiting (endpoint, retry_at, event) WHERE retry_at IS NOT NULL;
CREATE INDEX waiting_fresh ON waiting (endpoint, event) WHERE retry_at IS NULL;
CREATE INDEX waiting_event ON waiting (event);
CREATE INDEX waiting_job ON waiting (job, endpoint, event) WHERE job <> 0 AND tried = 0;

-- What is to be sent because somebody asked for it: the row goes when that has ended.
CREATE TABLE send (
	key      bigint PRIMARY KEY,
	endpoint bigint NOT NULL,
	event    bigint NOT NULL,
	job      bigint NOT NULL, -- 0 is none
	retried  boolean NOT NULL, -- by the endpoint's schedule
	tried    integer NOT NULL,
	due_at   timestamptz NOT NULL
);
CREATE INDEX send_due ON send (endpoint, due_at, key);
CREATE INDEX send_alone ON send (endpoint) WHERE job = 0;
CREATE INDEX send_job ON send (job, endpoint, key) WHERE job <> 0 AND tried = 0;
CREATE INDEX send_event ON send (event);

-- How each delivery ended. state is 5 succeeded, 6 exhausted, 7 cancelled.
CREATE TABLE history (
	event        bigint NOT NULL,
	endpoint     bigint NOT NULL,
	state        smallint NOT NULL,
	reason       text, -- of a cancelled one
	tried        integer NOT NULL,
	ended_at     timestamptz NOT NULL,
	recovered_at timestamptz, -- when a send succeeded for one that had not
	PRIMARY KEY (event, endpoint)
) PARTITION BY RANGE (event);
CREATE INDEX history_endpoint ON history (endpoint, event);
CREATE INDEX history_failed ON history (endpoint, event) WHERE state <> 5;

CREATE TABLE attempt (
	key         bigint NOT NULL,
	event       bigint NOT NULL,
	endpoint    bigint NOT NULL,
	number      integer NOT NULL,
	trigger     smallint NOT NULL, -- 0 scheduled, 1 manual
	url         text NOT NULL,
	succeeded   boolean NOT NULL,
	status_code integer NOT NULL, -- 0 without an answer
	code        text,             -- why there was none
	timed_out   boolean NOT NULL,
	started_at  timestamptz NOT NULL,
	duration    bigint NOT NULL,
	response    bytea,            -- empty for one that was expunged
	PRIMARY KEY (event, endpoint, key)
) PARTITION BY RANGE (event);
CREATE INDEX attempt_endpoint ON attempt (endpoint, key);

-- What each transaction has counted, until it is folded into the rollups: places (minute,
-- tenant, endpoint, type), each with its counts. Transactions write to one part at a time,
-- by the clock, and a part from which all was folded is emptied as a whole.
CREATE SEQUENCE rollup_journal_number AS bigint;
CREATE TABLE rollup_journal (
	part    smallint NOT NULL, -- the turn's remainder
	turn    bigint NOT NULL,
	number  bigint NOT NULL DEFAULT nextval('rollup_journal_number'),
	entries bytea NOT NULL
) PARTITION BY LIST (part);
CREATE TABLE rollup_journal_0 PARTITION OF rollup_journal FOR VALUES IN (0);
CREATE TABLE rollup_journal_1 PARTITION OF rollup_journal FOR VALUES IN (1);
CREATE TABLE rollup_journal_2 PARTITION OF rollup_journal FOR VALUES IN (2);

-- What was counted, by unit (1 minute, 2 hour, 3 day), start (units since 1970), tenant,
-- endpoint and type. Accepted events are under endpoint 0. counts holds a byte for what
-- is counted and a varint, for all numbers that are not 0.
CREATE TABLE rollup (
	unit     smallint NOT NULL,
	start    bigint NOT NULL,
	tenant   bigint NOT NULL,
	endpoint bigint NOT NULL,
	type     integer NOT NULL, -- number of a rollup_type; 0 for those without one
	counts   bytea NOT NULL,
	PRIMARY KEY (unit, start, tenant, endpoint, type)
) WITH (fillfactor = 80);
CREATE TABLE rollup_type (
	tenant bigint NOT NULL,
	type   text COLLATE "C" NOT NULL,
	number integer NOT NULL,
	PRIMARY KEY (tenant, type)
);

-- How far each step has come, as a key of the rollups, inclusive: 1 from minutes into
-- hours, 2 from hours into days, 3 to 5 deleting minutes, hours and days.
CREATE TABLE rollup_progress (
	step     smallint PRIMARY KEY,
	start    bigint NOT NULL,
	tenant   bigint NOT NULL,
	endpoint bigint NOT NULL,
	type     integer NOT NULL
);
INSERT INTO rollup_progress (step, start, tenant, endpoint, type)
	SELECT step, -9223372036854775808, 0, 0, 0 FROM generate_series(1, 5) AS step;

-- Where a recount adds up, one transaction long; empty otherwise.
CREATE UNLOGGED TABLE rollup_recount (
	unit     smallint NOT NULL,
	start    bigint NOT NULL,
	tenant   bigint NOT NULL,
	endpoint bigint NOT NULL,
	type     integer NOT NULL,
	counts   bytea NOT NULL
);

-- From which instant on a tenant's history is whole, each the beginning of a day: before
-- it a sweep has deleted attempts, or events with how their deliveries ended.
CREATE TABLE whole_since (
	tenant   bigint PRIMARY KEY,
	attempts timestamptz NOT NULL,
	events   timestamptz NOT NULL
);

-- How far it is looked for what has had its time, in the order of events. Tenants with
-- times of their own, now or once, have rows of their own; all others share those of
-- tenant 0. kind is 1 payloads, 2 attempts, 3 events. Payloads with a time of their own have
-- a row for each such time. Two more kinds, of tenant 0, are 4 what is deleted of the
-- directory, where event is the tenant to go on behind, and 5 to look for such times.
CREATE TABLE sweep (
	tenant  bigint NOT NULL,
	kind    smallint NOT NULL,
	ttl     bigint NOT NULL, -- of payloads with a time of their own; else 0
	event   bigint NOT NULL, -- those below have been looked at
	look_at timestamptz NOT NULL, -- nothing is due before
	PRIMARY KEY (tenant, kind, ttl)
) WITH (fillfactor = 50);
INSERT INTO sweep (tenant, kind, ttl, event, look_at)
	SELECT 0, kind, 0, CASE WHEN kind < 4 THEN 1 ELSE 0 END, to_timestamp(0) FROM generate_series(1, 5) AS kind;

-- Events below this have been looked at by a sweep, or are about to be. Who raises it has
-- the table for itself, and so waits for those who have read it.
CREATE TABLE sweep_passed (event bigint NOT NULL);
INSERT INTO sweep_passed VALUES (0);

-- Events to look at apart from that, from an instant on: passed over before their time, or
-- not ended then, or something has happened to them since.
CREATE TABLE revisit (
	at    timestamptz NOT NULL,
	event bigint NOT NULL,
	PRIMARY KEY (at, event)
);
CREATE INDEX revisit_event ON revisit (event);

-- What somebody asked to delete, as far as it is not done.
CREATE TABLE expunge (
	key        bigint PRIMARY KEY,
	tenant     bigint NOT NULL,
	everything boolean NOT NULL, -- else the payloads of its events
	job        bigint NOT NULL,  -- that counts them as made; 0 is none
	through    bigint NOT NULL,  -- up to this one
	asked_at   timestamptz NOT NULL,
	next       bigint NOT NULL,  -- the event to go on with
	UNIQUE (tenant, everything, job)
);

-- The nodes that have joined, each incarnation by itself, and which of them sends for the
-- tenants of a bucket.
CREATE TABLE node (
	key      bigint PRIMARY KEY,
	name     text NOT NULL,
	delivers boolean NOT NULL,
	watches  text COLLATE "C" NOT NULL, -- an organisation, or none
	beat     bigint NOT NULL,           -- raised to show that it lives
	knows    integer NOT NULL           -- the newest version of these tables that its program knows
) WITH (fillfactor = 20);
-- The number of the last call that has changed what a node owns.
CREATE TABLE node_turn (
	node bigint PRIMARY KEY,
	turn bigint NOT NULL
) WITH (fillfactor = 20);
CREATE TABLE bucket (
	bucket smallint PRIMARY KEY,
	node   bigint -- NULL is nobody
);
INSERT INTO bucket SELECT generate_series(0, 1023);

-- What nodes have to hear of what others have stored: for whoever owns a bucket, or for a
-- node. The row goes when it was acted upon.
CREATE TABLE signal (
	key      bigint PRIMARY KEY,
	kind     smallint NOT NULL,
	bucket   smallint,
	node     bigint,
	tenant   bigint NOT NULL, -- 0 is none, here and below
	endpoint bigint NOT NULL,
	event    bigint NOT NULL,
	send     bigint NOT NULL,
	job      bigint NOT NULL,
	due_at   timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
