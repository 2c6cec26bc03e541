package postgres

import (
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// accepting is the part of a commit that accepts events.
type accepting struct {
	accepts  []store.Accept
	now      time.Time
	verdicts []store.Verdict

	// What the verdicts depend on. Each event that is accepted changes it for those behind.
	keys      []store.EventKey // drawn, ascending; one for each Accept
	routes    map[store.TenantKey]int64
	outbox    map[store.OutboxKey]bool
	published map[[16]byte]published
	once      onceKeys
	uids      map[eventUID]bool
	held      *held

	taken []int // those that are accepted, by their places
}

// published is an event that was published under a hash.
type published struct {
	body       [16]byte
	event      store.EventKey
	acceptedAt time.Time
}

// verdict is that on an event under the same hash.
func (p published) verdict(once *store.Once) store.Verdict {
	if p.body != once.Body {
		return store.Verdict{Kind: store.Mismatched}
	}
	return store.Verdict{Kind: store.Replayed, Event: p.event, AcceptedAt: p.acceptedAt}
}

type eventUID struct {
	tenant store.TenantKey
	uid    string
}

func newAccepting(accepts []store.Accept, now time.Time, held *held) accepting {
	return accepting{
		accepts: accepts, held: held, now: now, verdicts: make([]store.Verdict, len(accepts)),
		routes: make(map[store.TenantKey]int64), outbox: make(map[store.OutboxKey]bool),
		published: make(map[[16]byte]published), uids: make(map[eventUID]bool),
	}
}

// highest is the highest key that was drawn, or 0.
func (a *accepting) highest() store.EventKey {
	if len(a.keys) == 0 {
		return 0
	}
	return a.keys[len(a.keys)-1]
}

const (
	routesVersionsSQL = `SELECT key, routes_version FROM tenant WHERE key = ANY ($1) AND deleted_at IS NULL`
	drawEventsSQL     = `SELECT nextval('event_key') FROM generate_series(1, $1::int)`
	lockOutboxSQL     = `SELECT key FROM outbox WHERE key = ANY ($1) ORDER BY key FOR UPDATE`
	eventUIDsSQL      = `SELECT tenant, uid FROM unnest($1::bigint[], $2::text[]) AS asked (of, wanted)
		JOIN event_uid ON tenant = of AND uid = wanted`
)

// ask finds out what the verdicts depend on. A change of routes that was acknowledged
// before is seen, as each statement sees what is committed when it begins.
func (a *accepting) ask(batch *pgx.Batch) {
	if len(a.accepts) == 0 {
		return
	}
	var (
		tenants []store.TenantKey
		from    []store.OutboxKey
		owners  []store.TenantKey
		uids    []string
		asked   = make(map[store.TenantKey]bool)
	)
	for i := range a.accepts {
		accept := &a.accepts[i]
		if !asked[accept.Tenant] {
			asked[accept.Tenant] = true
			tenants = append(tenants, accept.Tenant)
		}
		if accept.From != 0 {
			from = append(from, accept.From)
		}
		if accept.Once != nil {
			of := &a.once[keptWith(accept.Once)]
			of.hashes = append(of.hashes, accept.Once.Hash[:])
		}
		if accept.UID != "" {
			owners, uids = append(owners, accept.Tenant), append(uids, accept.UID)
		}
	}
	batch.Queue(routesVersionsSQL, tenants).Query(eachRow(func(rows pgx.Rows) error { return scanRoutesVersion(rows, a.routes) }))
	batch.Queue(drawEventsSQL, len(a.accepts)).Query(eachRow(func(rows pgx.Rows) error {
		var key store.EventKey
		err := rows.Scan(&key)
		a.keys = append(a.keys, key)
		return err
	}))
	if len(from) > 0 {
		batch.Queue(lockOutboxSQL, from).Query(eachRow(func(rows pgx.Rows) error {
			var key store.OutboxKey
			err := rows.Scan(&key)
			a.outbox[key] = true
			return err
		}))
	}
	a.once.ask(batch, a.now, func(hash [16]byte, found published) { a.published[hash] = found })
	if len(uids) > 0 {
		batch.Queue(eventUIDsSQL, owners, uids).Query(eachRow(func(rows pgx.Rows) error {
			var found eventUID
			err := rows.Scan(&found.tenant, &found.uid)
			a.uids[found] = true
			return err
		}))
	}
}

func scanRoutesVersion(rows pgx.Rows, into map[store.TenantKey]int64) error {
	var tenant store.TenantKey
	var version int64
	err := rows.Scan(&tenant, &version)
	into[tenant] = version
	return err
}

// eachRow calls scan for every row.
func eachRow(scan func(pgx.Rows) error) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

// judge gives each event its verdict, in their order.
func (a *accepting) judge() {
	for i := range a.accepts {
		accept := &a.accepts[i]
		a.verdicts[i] = a.refusal(accept)
		if a.verdicts[i].Kind != 0 {
			continue
		}
		key := a.keys[i]
		a.verdicts[i] = store.Verdict{Kind: store.Accepted, Event: key, AcceptedAt: a.now}
		a.taken = append(a.taken, i)
		delete(a.outbox, accept.From)
		if accept.Once != nil {
			a.published[accept.Once.Hash] = published{body: accept.Once.Body, event: key, acceptedAt: a.now}
		}
		if accept.UID != "" {
			a.uids[eventUID{accept.Tenant, accept.UID}] = true
		}
	}
}

// repeats says that somebody is told of what another transaction has stored. That may be
// seen before a standby has it, as after a crash, and must not be told before.
func (a *accepting) repeats() bool {
	return slices.ContainsFunc(a.verdicts, func(v store.Verdict) bool { return v.Kind == store.Replayed || v.Kind == store.UIDTaken })
}

// refusal is the verdict on an event that is not accepted, or none.
func (a *accepting) refusal(accept *store.Accept) store.Verdict {
	if accept.Bytes() > store.MaxEventBytes {
		return store.Verdict{Kind: store.TooLarge}
	}
	if accept.From != 0 && !a.outbox[accept.From] {
		return store.Verdict{Kind: store.Gone}
	}
	if accept.Once != nil {
		if before, is := a.published[accept.Once.Hash]; is {
			return before.verdict(accept.Once)
		}
	}
	if accept.RepeatOnly {
		return store.Verdict{Kind: store.NotRepeated}
	}
	if accept.UID != "" && a.uids[eventUID{accept.Tenant, accept.UID}] {
		return store.Verdict{Kind: store.UIDTaken}
	}
	switch version, is := a.routes[accept.Tenant]; {
	case !is:
		return store.Verdict{Kind: store.TenantGone}
	case version != accept.RouteVersion, a.held.has(accept):
		return store.Verdict{Kind: store.Rerouted}
	}
	return store.Verdict{}
}

const (
	insertEventsSQL = `INSERT INTO event (key, tenant, type, accepted_at)
		SELECT key, tenant, type, $1 FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS new (key, tenant, type)`
	// insertFullEventsSQL is for the events that have more than most. Lists are arrays as text.
	insertFullEventsSQL = `INSERT INTO event (key, tenant, type, accepted_at, channels, uid, tags, deliver_at, payload_ttl, only_for)
		SELECT key, tenant, type, $1, channels::text[], uid, tags::text[], deliver_at, payload_ttl, only_for
		FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::bigint[], $10::bigint[])
			AS new (key, tenant, type, channels, uid, tags, deliver_at, payload_ttl, only_for)`
	insertPayloadsSQL   = `INSERT INTO payload (event, body) SELECT * FROM unnest($1::bigint[], $2::bytea[])`
	insertDeliveriesSQL = `INSERT INTO delivery (endpoint, event) SELECT * FROM unnest($1::bigint[], $2::bigint[])`
	insertDeferredSQL   = `INSERT INTO deferred (due_at, event, tenant) SELECT * FROM unnest($1::timestamptz[], $2::bigint[], $3::bigint[])`
)

// store stores the events that are accepted, and counts them.
func (a *accepting) store(batch *pgx.Batch, counted *counted, told *post) {
	if len(a.taken) == 0 {
		return
	}
	a.storeEvents(batch)
	a.storePayloads(batch)
	var (
		endpoints      []store.EndpointKey
		events         []store.EventKey
		due            []time.Time
		deferred, from []int64
		owners         []store.TenantKey
	)
	for _, i := range a.taken {
		accept, key := &a.accepts[i], a.keys[i]
		counted.counts(a.now, accept.Tenant, 0, accept.Type)[store.EventsAccepted]++
		if accept.From != 0 {
			from = append(from, int64(accept.From))
		}
		if !accept.DeliverAt.IsZero() {
			due, deferred, owners = append(due, instant(accept.DeliverAt)), append(deferred, int64(key)), append(owners, accept.Tenant)
			continue
		}
		for _, endpoint := range distinct(accept.Endpoints) {
			endpoints, events = append(endpoints, endpoint), append(events, key)
			counted.counts(a.now, accept.Tenant, endpoint, accept.Type)[store.DeliveriesMade]++
			told.of(store.Signal{Kind: store.SignalFresh, Tenant: accept.Tenant, Endpoint: endpoint, Event: key})
		}
	}
	if len(events) > 0 {
		batch.Queue(insertDeliveriesSQL, endpoints, events)
	}
	if len(deferred) > 0 {
		batch.Queue(insertDeferredSQL, due, deferred, owners)
	}
	if len(from) > 0 {
		batch.Queue(deleteOutboxSQL, from)
	}
}

func distinct(endpoints []store.EndpointKey) []store.EndpointKey {
	if len(endpoints) < 2 {
		return endpoints
	}
	endpoints = slices.Clone(endpoints)
	slices.Sort(endpoints)
	return slices.Compact(endpoints)
}

func (a *accepting) storeEvents(batch *pgx.Batch) {
	type columns struct {
		keys    []store.EventKey
		tenants []store.TenantKey
		types   []string
	}
	var plain, full columns
	var channels, uids, tags []*string
	var due []*time.Time
	var ttls, only []*int64
	for _, i := range a.taken {
		accept := &a.accepts[i]
		to := &plain
		if accept.UID != "" || len(accept.Channels) > 0 || len(accept.Tags) > 0 || !accept.DeliverAt.IsZero() || accept.PayloadTTL != 0 || accept.Only != 0 {
			to = &full
			channels, uids, tags = append(channels, textOfList(accept.Channels)), append(uids, orNull(accept.UID)), append(tags, textOfList(accept.Tags))
			due, ttls = append(due, instantOrNull(accept.DeliverAt)), append(ttls, orNull(accept.PayloadTTL.Microseconds()))
			only = append(only, orNull(int64(accept.Only)))
		}
		to.keys, to.tenants, to.types = append(to.keys, a.keys[i]), append(to.tenants, accept.Tenant), append(to.types, accept.Type)
	}
	if len(plain.keys) > 0 {
		batch.Queue(insertEventsSQL, a.now, plain.keys, plain.tenants, plain.types)
	}
	if len(full.keys) > 0 {
		batch.Queue(insertFullEventsSQL, a.now, full.keys, full.tenants, full.types, channels, uids, tags, due, ttls, only)
	}
}

// storePayloads stores payloads many at a time, but bounded: a message to the server, and
// an array, have at most a gigabyte.
func (a *accepting) storePayloads(batch *pgx.Batch) {
	const most = 16 << 20
	var keys []store.EventKey
	var bodies [][]byte
	size := 0
	flush := func() {
		if len(keys) > 0 {
			batch.Queue(insertPayloadsSQL, keys, bodies)
		}
		keys, bodies, size = nil, nil, 0
	}
	for _, i := range a.taken {
		payload := a.accepts[i].Payload
		if payload == nil {
			payload = []byte{} // empty, not gone
		}
		if size += len(payload); size > most {
			flush()
			size = len(payload)
		}
		keys, bodies = append(keys, a.keys[i]), append(bodies, payload)
	}
	flush()
}

var quoteListed = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// textOfList writes an array as the server would, or NULL for an empty one: an array of
// arrays of different lengths can't be bound.
func textOfList(list []string) *string {
	if len(list) == 0 {
		return nil
	}
	var text strings.Builder
	text.WriteByte('{')
	for i, item := range list {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteByte('"')
		_, _ = quoteListed.WriteString(&text, item)
		text.WriteByte('"')
	}
	text.WriteByte('}')
	whole := text.String()
	return &whole
}
