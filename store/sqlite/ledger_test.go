package sqlite_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
)

// publisher commits events of one tenant under keys by number.
type publisher struct {
	*testing.T
	*sqlite.Store
	accept store.Accept
	now    time.Time
}

func newPublisher(t *testing.T, s *sqlite.Store) *publisher {
	key, err := s.NewKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tenant := store.Tenant{Key: store.TenantKey(key), Organisation: "org"}
	if err := s.InsertTenant(t.Context(), tenant, nil); err != nil {
		t.Fatal(err)
	}
	return &publisher{
		T: t, Store: s, accept: store.Accept{Tenant: tenant.Key, RouteVersion: 1, Type: "a"},
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

// publish commits events under the keys from number from to before to, in one batch.
func (p *publisher) publish(ttl time.Duration, from, to uint64) []store.Verdict {
	p.Helper()
	batch := &store.Batch{Now: p.now}
	for number := from; number < to; number++ {
		accept := p.accept
		hash := sha256.Sum256(binary.BigEndian.AppendUint64(nil, number))
		accept.Once = &store.Once{Hash: [16]byte(hash[:]), TTL: ttl}
		batch.Accepts = append(batch.Accepts, accept)
	}
	verdicts, err := p.Commit(p.Context(), batch)
	if err != nil {
		p.Fatal(err)
	}
	return verdicts
}

func (p *publisher) want(verdicts []store.Verdict, kind store.VerdictKind) {
	p.Helper()
	for i, verdict := range verdicts {
		if verdict.Kind != kind {
			p.Fatalf("verdict %d: %v, want %v", i, verdict.Kind, kind)
		}
	}
}

func (p *publisher) script(sql string) {
	p.Helper()
	if err := p.Script(p.Context(), sql); err != nil {
		p.Fatal(err)
	}
}

func (p *publisher) rows() (batches, runs, blocks int64) {
	p.Helper()
	batches, runs, blocks, err := p.LedgerRows(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	return batches, runs, blocks
}

func openSmall(t *testing.T, folder string, ledgerSize int) *sqlite.Store {
	t.Helper()
	s, err := sqlite.OpenSmall(t.Context(), filepath.Join(folder, "neohook.db"), ledgerSize)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLedgerKnowsEveryEvent(t *testing.T) {
	const (
		short, long = 10 * time.Minute, 12 * time.Hour
		longFrom    = 1_000_000 // the numbers of the long ones
		count       = 6000
	)
	folder := t.TempDir()
	p := newPublisher(t, openSmall(t, folder, 500))
	var first, firstLong []store.Verdict
	for from := uint64(0); from < count; from += 60 {
		p.now = p.now.Add(time.Second)
		first = append(first, p.publish(short, from, from+60)...)
		firstLong = append(firstLong, p.publish(long, longFrom+from/60, longFrom+from/60+1)...)
	}
	p.want(first, store.Accepted)
	p.want(firstLong, store.Accepted)
	if batches, runs, blocks := p.rows(); batches > 20 || runs < 8 || blocks < 8*200 {
		t.Fatalf("%d batches, %d runs, %d blocks: the ledger has not grown as the test wants", batches, runs, blocks)
	}

	same := func(what string, ttl time.Duration, from uint64, want []store.Verdict) {
		t.Helper()
		for i, got := range p.publish(ttl, from, from+uint64(len(want))) {
			if got.Kind != store.Replayed || got.Event != want[i].Event || !got.AcceptedAt.Equal(want[i].AcceptedAt) {
				t.Fatalf("%s, number %d: %+v, want a replay of %+v", what, i, got, want[i])
			}
		}
	}
	same("at once", short, 0, first)
	same("long ones", long, longFrom, firstLong)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p.Store = openSmall(t, folder, 500)
	same("after a reopen", short, 0, first)
	same("long ones after a reopen", long, longFrom, firstLong)
	for number := uint64(500_000); number < 502_000; number += 100 { // and it goes on growing
		p.want(p.publish(short, number, number+100), store.Accepted)
	}
	same("beside new ones", short, 0, first)

	// Half of them have expired, in the midst of runs: those keys are free again.
	p.now = first[count/2].AcceptedAt.Add(short)
	for from := uint64(0); from < count; from += 60 {
		want := store.Accepted
		if first[from].AcceptedAt.Add(short).After(p.now) {
			want = store.Replayed
		}
		p.want(p.publish(short, from, from+60), want)
	}
	p.now = p.now.Add(short)
	for from := uint64(0); from < count; from += 60 { // all have
		p.want(p.publish(short, from, from+60), store.Accepted)
	}
	same("long ones still", long, longFrom, firstLong)

	p.now = p.now.Add(long)
	for number := uint64(2_000_000); number < 2_000_600; number++ {
		p.want(p.publish(short, number, number+1), store.Accepted)
	}
	if _, runs, blocks := p.rows(); runs > 1 || blocks > 256 {
		t.Errorf("%d runs, %d blocks are left of what has expired", runs, blocks)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFullDiskIsToldAndStoresNothing(t *testing.T) {
	s := openSmall(t, t.TempDir(), 500)
	defer s.Close()
	p := newPublisher(t, s)
	p.script("PRAGMA max_page_count = 1") // as many as there are; gone with the connection
	large := p.accept
	large.Payload = make([]byte, 1<<20)
	verdicts, err := s.Commit(t.Context(), &store.Batch{Now: p.now, Accepts: []store.Accept{large}})
	if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrCommitUnknown) {
		t.Fatalf("verdicts %v, error %v, want ErrFull", verdicts, err)
	}
	p.want(p.publish(time.Hour, 0, 1), store.Accepted)
	listed, err := s.Events(t.Context(), p.accept.Tenant, store.EventFilter{}, store.Page{Limit: 9})
	if err != nil || len(listed.Items) != 1 {
		t.Errorf("%d events, error %v, want the one that came when there was room", len(listed.Items), err)
	}
}

// TestUndoneBatchLeavesNothing breaks the first transaction, which reserves keys and
// begins a span, in two ways: by one after which it can be rolled back, and by one that
// has SQLite end it, so that the connection is replaced.
func TestUndoneBatchLeavesNothing(t *testing.T) {
	for _, way := range []string{"ABORT", "ROLLBACK"} {
		t.Run(way, func(t *testing.T) {
			folder := t.TempDir()
			p := newPublisher(t, openSmall(t, folder, 500))
			p.script(`CREATE TEMP TRIGGER broken BEFORE INSERT ON event WHEN new.type = 'bad'
				BEGIN SELECT RAISE(` + way + `, 'broken by the test'); END`)
			bad := p.accept
			bad.Type = "bad"
			good := p.accept
			hash := sha256.Sum256(binary.BigEndian.AppendUint64(nil, 10))
			good.Once = &store.Once{Hash: [16]byte(hash[:]), TTL: time.Hour}
			verdicts, err := p.Commit(t.Context(), &store.Batch{Now: p.now, Accepts: []store.Accept{good, bad}})
			if err == nil || errors.Is(err, store.ErrCommitUnknown) {
				t.Fatalf("verdicts %v, error %v, want a plain error", verdicts, err)
			}
			first := p.publish(time.Hour, 0, 20)
			p.want(first, store.Accepted)
			listed, err := p.Events(t.Context(), p.accept.Tenant, store.EventFilter{}, store.Page{Limit: 99})
			if err != nil || len(listed.Items) != 20 {
				t.Errorf("%d events, error %v, want 20", len(listed.Items), err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			p.Store = openSmall(t, folder, 500)
			p.want(p.publish(time.Hour, 0, 20), store.Replayed)
			if again := p.publish(time.Hour, 20, 21)[0]; again.Event <= first[19].Event {
				t.Errorf("event %d behind %d", again.Event, first[19].Event)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
