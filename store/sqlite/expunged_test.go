package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

// hoard is a store whose texts are all marked, so that it can be told from the bytes in the
// files of its folder what is left of which.
type hoard struct {
	*testing.T
	*sqlite.Store
	folder  string
	random  *rand.Rand
	now     time.Time
	number  int
	tenants []store.TenantKey
	at      map[store.TenantKey]store.EndpointKey
	marks   map[store.TenantKey][]string // of the tenant, and of its endpoints
	events  []hoarded
	beside  chan struct{} // a place for each transaction of a program; nil is none
}

type hoarded struct {
	tenant   store.TenantKey
	key      store.EventKey
	payload  string // the mark of each
	text     string
	attempt  store.AttemptKey
	response string
}

func newHoard(t *testing.T, seed uint64) *hoard {
	folder := t.TempDir()
	return &hoard{
		T: t, Store: openAt(t, folder), folder: folder, random: rand.New(rand.NewPCG(seed, 7)),
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		at:  make(map[store.TenantKey]store.EndpointKey), marks: make(map[store.TenantKey][]string),
	}
}

func (h *hoard) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

const markSize = 16

// mark returns 16 bytes that are nowhere else.
func (h *hoard) mark() string {
	h.number++
	return fmt.Sprintf("m%06x.%08x", h.number, h.random.Uint32())
}

// filled repeats a mark: whatever part of it is left, of 31 bytes or more, has it whole.
func filled(mark string, size int) []byte {
	return bytes.Repeat([]byte(mark), size/len(mark)+1)[:max(size, len(mark))]
}

func (h *hoard) once(answer []byte) *store.Once {
	once := &store.Once{Now: h.now, TTL: 12 * time.Hour, Answer: answer}
	for i := range once.Hash {
		once.Hash[i] = byte(h.random.Uint32())
	}
	return once
}

func (h *hoard) tenant(kept webhook.Retention) store.TenantKey {
	h.Helper()
	key, err := h.NewKey(h.Context())
	h.must(err)
	mark := h.mark()
	t := store.Tenant{
		Key: store.TenantKey(key), Organisation: "org", UID: "uid-" + mark, Name: string(filled(mark, h.random.IntN(200))), Retention: kept,
		Metadata: map[string]string{"a": string(filled(mark, h.random.IntN(3000)))}, CreatedAt: h.now, UpdatedAt: h.now,
	}
	answer, _ := json.Marshal(t)
	h.must(h.InsertTenant(h.Context(), t, h.once(answer)))
	h.tenants = append(h.tenants, t.Key)
	h.marks[t.Key] = append(h.marks[t.Key], mark)
	h.at[t.Key] = h.endpoint(t.Key)
	return t.Key
}

func (h *hoard) endpoint(tenant store.TenantKey) store.EndpointKey {
	h.Helper()
	key, err := h.NewKey(h.Context())
	h.must(err)
	mark := h.mark()
	ep := store.Endpoint{
		Key: store.EndpointKey(key), Tenant: tenant, UID: "uid-" + mark, URL: "https://example.com/" + mark, Description: string(filled(mark, h.random.IntN(500))),
		Metadata: map[string]string{"a": mark}, SealedHeaders: filled(mark, h.random.IntN(900)), CreatedAt: h.now, UpdatedAt: h.now,
	}
	answer, _ := json.Marshal(ep)
	h.must(h.InsertEndpoint(h.Context(), ep, h.once(answer)))
	h.marks[tenant] = append(h.marks[tenant], mark)
	ep.Version = 1
	for range h.random.IntN(3) { // what it was before is to be gone, too
		ep.Version++
		mark := h.mark()
		ep.Description = string(filled(mark, h.random.IntN(2000)))
		h.must(h.UpdateEndpoint(h.Context(), ep, h.once(nil)))
		h.marks[tenant] = append(h.marks[tenant], mark)
	}
	return ep.Key
}

// publish stores events of all sizes, and delivers most of them.
func (h *hoard) publish(count int) {
	h.Helper()
	batch := store.Batch{Now: h.now}
	first := len(h.events)
	for range count {
		tenant := h.tenants[h.random.IntN(len(h.tenants))]
		routes, err := h.Routes(h.Context(), tenant)
		h.must(err)
		ev := hoarded{tenant: tenant, payload: h.mark(), text: h.mark(), response: h.mark()}
		size := []int{20, 300, 1200, 3000, 7000, 9000, 30_000}[h.random.IntN(7)]
		accept := store.Accept{
			Tenant: tenant, RouteVersion: routes.Version, Endpoints: []store.EndpointKey{h.at[tenant]},
			UID: "uid-" + ev.text, Type: "a", Tags: []string{ev.text}, Payload: filled(ev.payload, h.random.IntN(size)), Once: h.once(nil),
		}
		if h.random.IntN(4) == 0 {
			accept.PayloadTTL = time.Duration(5+h.random.IntN(10)) * 24 * time.Hour
		}
		batch.Accepts = append(batch.Accepts, accept)
		h.events = append(h.events, ev)
	}
	verdicts, err := h.Commit(h.Context(), &batch)
	h.must(err)
	done := store.Batch{Now: h.now}
	for i, verdict := range verdicts {
		ev := &h.events[first+i]
		ev.key = verdict.Event
		o := store.Outcome{
			Tenant: ev.tenant, Endpoint: h.at[ev.tenant], Event: ev.key, State: webhook.Exhausted,
			Attempt: &store.Attempt{Number: 1, URL: "https://example.com/" + ev.text, Response: filled(ev.response, h.random.IntN(4000)), StartedAt: h.now},
		}
		if h.random.IntN(8) > 0 {
			done.Outcomes = append(done.Outcomes, o)
		}
	}
	_, err = h.Commit(h.Context(), &done)
	h.must(err)
	for i := range verdicts {
		ev := &h.events[first+i]
		listed, err := h.AttemptsOfEvent(h.Context(), ev.key, store.AttemptFilter{}, store.Page{Limit: 1})
		h.must(err)
		for _, a := range listed.Items {
			ev.attempt = a.Key
		}
	}
}

// absent checks that no file of the folder has any of the marks.
func (h *hoard) absent(what string, marks ...string) {
	h.Helper()
	h.must(h.Scrub(h.Context()))
	files, err := os.ReadDir(h.folder)
	h.must(err)
	unwanted := make(map[string]bool)
	for _, mark := range marks {
		unwanted[mark] = true
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(h.folder, file.Name()))
		h.must(err)
		for at := markAt(text, 0); at >= 0; at = markAt(text, at+1) {
			mark := string(text[at : at+markSize])
			if unwanted[mark] {
				h.Errorf("%s: %s is in %s, at %d of page %d", what, mark, file.Name(), at%8192, at/8192+1)
				delete(unwanted, mark)
			}
			// And no copy of anything may be where it is not overwritten when it goes.
			if file.Name() == "neohook.db" && sqlite.InFreeSpace(text, at) {
				h.Fatalf("a copy of %s is in the free space of page %d", mark, at/8192+1)
			}
		}
	}
}

// markAt returns where the next mark is, from a place on; -1 is nowhere.
func markAt(text []byte, from int) int {
	for {
		next := bytes.IndexByte(text[from:], 'm')
		if from += next; next < 0 || from+markSize > len(text) {
			return -1
		}
		if isMark(text[from : from+markSize]) {
			return from
		}
		from++
	}
}

// isMark looks at each byte: rows are binary, and have an 'm' and a '.' by chance.
func isMark(text []byte) bool {
	for i, b := range text {
		switch isDigit := '0' <= b && b <= '9' || 'a' <= b && b <= 'f'; {
		case i == 0 && b != 'm', i == 7 && b != '.', i != 0 && i != 7 && !isDigit:
			return false
		}
	}
	return true
}

// pop takes an event out, one of the oldest or any.
func (h *hoard) pop() hoarded {
	at := h.random.IntN(len(h.events))
	if h.random.IntN(3) == 0 {
		at = h.random.IntN(min(5, len(h.events)))
	}
	ev := h.events[at]
	h.events = append(h.events[:at], h.events[at+1:]...)
	return ev
}

// sweep lets time go on, and forgets the events that are gone.
func (h *hoard) sweep(days int) {
	h.Helper()
	const day = 24 * time.Hour
	h.now = h.now.Add(time.Duration(days) * day)
	for more := true; more; {
		swept, err := h.Sweep(h.Context(), h.now, webhook.Retention{Payloads: 20 * day, Attempts: 25 * day, Events: 30 * day}, time.Millisecond)
		h.must(err)
		more = swept.More
	}
	var left []hoarded
	for _, ev := range h.events {
		if _, err := h.Event(h.Context(), ev.tenant, ev.key); err == nil {
			left = append(left, ev)
		}
	}
	h.events = left
}

// history does what happens to a store, and at every turn lets go of something, and looks.
func (h *hoard) history(turns int) {
	const day = 24 * time.Hour
	for _, kept := range []webhook.Retention{{}, {Payloads: 6 * day, Attempts: 9 * day, Events: 12 * day}, {Events: 50 * day}} {
		h.tenant(kept)
	}
	for range turns {
		for range cap(h.beside) {
			h.beside <- struct{}{}
		}
		h.publish(10 + h.random.IntN(60))
		switch h.random.IntN(6) {
		case 0:
			h.sweep(1 + h.random.IntN(8))
		case 1:
			h.endpoint(h.tenants[h.random.IntN(len(h.tenants))])
		}
		if len(h.events) == 0 {
			continue
		}
		switch ev := h.pop(); h.random.IntN(10) {
		case 0, 1, 2, 3:
			_, err := h.ExpungePayload(h.Context(), h.now, ev.tenant, ev.key)
			h.must(err)
			h.absent("payload", ev.payload)
		case 4, 5:
			if ev.attempt != 0 && h.ExpungeResponse(h.Context(), ev.key, ev.attempt) == nil {
				h.absent("response", ev.response)
			}
		case 6, 7:
			_, err := h.ExpungeEvent(h.Context(), h.now, ev.tenant, ev.key)
			h.must(err)
			h.absent("event", ev.payload, ev.text, ev.response)
		case 8:
			h.events = append(h.events, ev)
			h.expunge(ev.tenant, false)
		case 9:
			h.events = append(h.events, ev)
			h.expunge(ev.tenant, true)
			h.tenant(webhook.Retention{Events: time.Duration(h.random.IntN(60)) * day})
		}
	}
}

func (h *hoard) expunge(tenant store.TenantKey, everything bool) {
	h.Helper()
	asked, err := h.InsertExpunge(h.Context(), "org", store.Expunge{Tenant: tenant, Everything: everything, AskedAt: h.now})
	h.must(err)
	for done := false; !done; {
		_, done, err = h.ExpungeStep(h.Context(), h.now, asked.Key, time.Millisecond)
		h.must(err)
	}
	var marks []string
	var left []hoarded
	for _, ev := range h.events {
		if ev.tenant != tenant {
			left = append(left, ev)
			continue
		}
		marks = append(marks, ev.payload)
		if everything {
			marks = append(marks, ev.text, ev.response)
		}
	}
	if !everything {
		h.absent("payloads", marks...)
		return
	}
	h.events = left
	for i, key := range h.tenants {
		if key == tenant {
			h.tenants = append(h.tenants[:i], h.tenants[i+1:]...)
			break
		}
	}
	h.absent("tenant", append(marks, h.marks[tenant]...)...)
}

// TestExpungedBytesAreInNoFile searches all files for what was expunged, while there is
// always somebody who reads.
func TestExpungedBytesAreInNoFile(t *testing.T) {
	seeds, turns := uint64(3), 30
	if os.Getenv("NEOHOOK_TEST_FULL") != "" {
		seeds, turns = 30, 150
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := newHoard(t, seed)
			h.must(h.Script(t.Context(), "PRAGMA synchronous = OFF"))
			stop := h.read()
			h.history(turns)
			stop()
			h.must(h.Close())
		})
	}
}

// read reads all the time until it is stopped.
func (h *hoard) read() (stop func()) {
	ctx, cancel := context.WithCancel(h.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for tenant := store.TenantKey(1); ctx.Err() == nil; tenant = tenant%20 + 1 {
				_, err := h.Events(ctx, tenant, store.EventFilter{WithPayload: true}, store.Page{Limit: 50})
				if err != nil && ctx.Err() == nil {
					h.Error(err)
					return
				}
			}
		})
	}
	return func() {
		cancel()
		readers.Wait()
	}
}

// TestExpungedBytesAreInNoFileBesideAProgramThatWrites does the same beside a program that
// writes all the time on a handle of its own, events among it.
func TestExpungedBytesAreInNoFileBesideAProgramThatWrites(t *testing.T) {
	turns := 8
	if os.Getenv("NEOHOOK_TEST_FULL") != "" {
		turns = 150
	}
	h := newHoard(t, 100)
	h.must(h.Script(t.Context(), "PRAGMA synchronous = OFF"))
	stop := h.program()
	h.history(turns)
	published := stop()
	rows, err := h.Outbox(t.Context(), 0, len(published)+1)
	h.must(err)
	var keys []store.OutboxKey
	for _, row := range rows {
		keys = append(keys, row.Key)
	}
	h.random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	h.must(h.DeleteOutbox(t.Context(), keys))
	h.absent("outbox", published...)
	h.must(h.Close())
	if len(keys) != len(published) || len(keys) == 0 {
		t.Errorf("%d rows were in the outbox of %d", len(keys), len(published))
	}
}

// program writes until it is stopped, and returns the marks of what it has published.
func (h *hoard) program() (stop func() (published []string)) {
	made, err := h.InitInstance(h.Context(), store.Instance{SealedIDSecret: []byte{1}, CreatedAt: h.now})
	h.must(err)
	db := handle(h.T, h.DSN())
	_, err = db.ExecContext(h.Context(), "CREATE TABLE app_order (key INTEGER PRIMARY KEY, what BLOB)")
	h.must(err)
	ctx, cancel := context.WithCancel(h.Context())
	h.beside = make(chan struct{}, 40)
	var published []string
	turn := func(random *rand.Rand, i int) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO app_order VALUES (?, zeroblob(?))", random.IntN(500), random.IntN(9000)); err != nil {
			return err
		}
		mark := fmt.Sprintf("m%06x.%08x", 1<<23+i, random.Uint32())
		a := store.Announcement{Tenant: 1 << 40, Type: "a", Payload: filled(mark, random.IntN([]int{30, 3000, 30_000}[i%3]))}
		if err := h.SQLTx(tx).Announce(ctx, made.CreatedAt, a); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		published = append(published, mark)
		return nil
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		random := rand.New(rand.NewPCG(1, 1))
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-h.beside:
			}
			if err := turn(random, i); err != nil && ctx.Err() == nil {
				h.Error(err)
				return
			}
		}
	})
	return func() []string {
		cancel()
		writer.Wait()
		return published
	}
}

// copies counts the marks in the database file that belong to no row.
func copies(t *testing.T, folder string) (count int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "neohook.db"))
	if err != nil {
		t.Fatal(err)
	}
	for at := markAt(text, 0); at >= 0; at = markAt(text, at+1) {
		if sqlite.InFreeSpace(text, at) {
			count++
		}
	}
	return count
}

// TestCopiesAreOverwrittenAfterACrash deletes events behind the store's back, and opens what
// a crash would have left.
func TestCopiesAreOverwrittenAfterACrash(t *testing.T) {
	h := newHoard(t, 1)
	h.tenant(webhook.Retention{})
	for range 10 {
		h.publish(60)
	}
	h.must(h.Close())
	db, err := sql.Open("sqlite", filepath.Join(h.folder, "neohook.db"))
	h.must(err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	statements := []string{"PRAGMA wal_autocheckpoint = 0", "PRAGMA secure_delete = ON"}
	for range 300 {
		statements = append(statements, fmt.Sprint("DELETE FROM event WHERE key = ", 1+h.random.IntN(600)))
	}
	for _, statement := range statements {
		_, err := db.ExecContext(t.Context(), statement)
		h.must(err)
	}
	crashed := t.TempDir()
	for _, name := range []string{"neohook.db", "neohook.db-wal"} {
		text, err := os.ReadFile(filepath.Join(h.folder, name))
		h.must(err)
		h.must(os.WriteFile(filepath.Join(crashed, name), text, 0o600))
	}
	_, err = db.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
	h.must(err)
	if copies(t, h.folder) == 0 {
		t.Fatal("SQLite leaves no copies: the test shows nothing")
	}
	s := openAt(t, crashed)
	h.must(s.Close())
	if left := copies(t, crashed); left > 0 {
		t.Errorf("%d copies are left", left)
	}
}

// A program's commit gets between a commit and the search for what it has left; and the log
// begins anew there, too.
func TestCopiesAreOverwrittenBehindAProgramsCommit(t *testing.T) {
	for _, anew := range []bool{false, true} {
		h := newHoard(t, 1)
		h.tenant(webhook.Retention{})
		for range 10 {
			h.publish(60)
		}
		db := handle(t, h.DSN())
		var statements []string
		for range 300 {
			statements = append(statements, fmt.Sprint("DELETE FROM event WHERE key = ", 1+h.random.IntN(600)))
		}
		h.must(h.CommitAndLet(t.Context(), statements, func() {
			program := []string{"CREATE TABLE app_order (key INTEGER PRIMARY KEY)"}
			if anew {
				program = []string{"PRAGMA wal_checkpoint(RESTART)", program[0], "INSERT INTO app_order VALUES (1)"}
			}
			for _, statement := range program {
				_, err := db.ExecContext(t.Context(), statement)
				h.must(err)
			}
		}))
		h.must(db.Close()) // whoever closes last moves the log
		h.must(h.Close())
		if left := copies(t, h.folder); left > 0 {
			t.Errorf("log begun anew %v: %d copies are left", anew, left)
		}
	}
}
