-- Neohook's tables on SQLite, version 1.
--
-- Keys are integers that Neohook gives, ascending. Instants are microseconds since 1970,
-- durations microseconds, lists and maps JSON. What a receiver is given to know, signing
-- keys and custom headers, is sealed: it can't be read here.

-- From each counter, keys below reserved may be in use: a start goes on from there.
CREATE TABLE counter (
	name     TEXT PRIMARY KEY,
	reserved INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter (name, reserved) VALUES ('directory', 1), ('event', 1), ('attempt', 1);

CREATE TABLE instance (
	one              INTEGER PRIMARY KEY CHECK (one = 1),
	sealed_id_secret BLOB NOT NULL,
	created_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE token (
	hash         BLOB PRIMARY KEY, -- SHA-256 of the text
	organisation TEXT NOT NULL,
	name         TEXT NOT NULL,
	created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A deleted tenant or endpoint stays, marked: history refers to it.
CREATE TABLE tenant (
	key            INTEGER PRIMARY KEY,
	organisation   TEXT NOT NULL,
	uid            TEXT,
	name           TEXT NOT NULL,
	rate_limit     INTEGER NOT NULL,
	metadata       TEXT,
	created_at     INTEGER NOT NULL,
	updated_at     INTEGER NOT NULL,
	version        INTEGER NOT NULL,
	routes_version INTEGER NOT NULL, -- rises with every change of it or its endpoints
	deleted_at     INTEGER
) STRICT;
CREATE INDEX tenant_organisation ON tenant (organisation) WHERE deleted_at IS NULL;
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
	event_types    TEXT,
	channels       TEXT,
	rate_limit     INTEGER NOT NULL,
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
CREATE UNIQUE INDEX endpoint_uid ON endpoint (tenant, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;

-- The payload is the last column: a read of the others does not load it.
CREATE TABLE event (
	key         INTEGER PRIMARY KEY,
	tenant      INTEGER NOT NULL,
	accepted_at INTEGER NOT NULL,
	type        TEXT NOT NULL,
	channels    TEXT,
	uid         TEXT,
	payload     BLOB -- as it came; NULL once it is gone
) STRICT;
CREATE INDEX event_tenant ON event (tenant);
CREATE UNIQUE INDEX event_uid ON event (tenant, uid) WHERE uid IS NOT NULL;

-- Open deliveries only: the row goes when the delivery ends.
CREATE TABLE delivery (
	endpoint INTEGER NOT NULL,
	event    INTEGER NOT NULL,
	tried    INTEGER NOT NULL, -- scheduled attempts so far
	retry_at INTEGER,          -- NULL while fresh
	PRIMARY KEY (endpoint, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_retry ON delivery (endpoint, retry_at) WHERE retry_at IS NOT NULL;

-- How each delivery ended. state is 5 succeeded, 6 exhausted, 7 cancelled.
CREATE TABLE history (
	endpoint INTEGER NOT NULL,
	event    INTEGER NOT NULL,
	state    INTEGER NOT NULL,
	reason   TEXT, -- of a cancelled one
	tried    INTEGER NOT NULL,
	ended_at INTEGER NOT NULL,
	PRIMARY KEY (endpoint, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_failed ON history (endpoint, event) WHERE state <> 5;

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
	started_at  INTEGER NOT NULL,
	duration    INTEGER NOT NULL,
	response    BLOB
) STRICT;
CREATE INDEX attempt_event ON attempt (event);
CREATE INDEX attempt_endpoint ON attempt (endpoint);

-- What is done a single time. A slot holds those of one time to live whose expiry falls
-- into one span of that length: two slots at most can hold a live one, and a slot whose
-- span has passed is deleted as a range. So neither needs an index on the expiry.
CREATE TABLE once_slot (
	slot INTEGER PRIMARY KEY,
	ttl  INTEGER NOT NULL,
	span INTEGER NOT NULL, -- expiry divided by ttl
	UNIQUE (ttl, span)
) STRICT;
CREATE TABLE once (
	slot    INTEGER NOT NULL,
	hash    BLOB NOT NULL,
	body    BLOB NOT NULL,
	made_at INTEGER NOT NULL,
	event   INTEGER NOT NULL, -- 0 where it was no event
	answer  BLOB,
	PRIMARY KEY (slot, hash)
) STRICT, WITHOUT ROWID;
