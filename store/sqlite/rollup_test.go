package sqlite_test

import (
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
)

// accepted is how many events are counted, of any time and type.
func accepted(t *testing.T, s *sqlite.Store, tenant store.TenantKey) int64 {
	t.Helper()
	sums, err := s.Sums(t.Context(), store.SumQuery{Tenant: tenant, Unit: store.Hour, From: time.Unix(0, 0), To: time.Unix(1<<32, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if len(sums) == 0 {
		return 0
	}
	return sums[0].Counts[store.EventsAccepted]
}

func compactAll(t *testing.T, s *sqlite.Store, now time.Time) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.CompactRollups(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatWasUndoneIsNotCounted(t *testing.T) {
	s := openNew(t)
	p := newPublisher(t, s)
	p.publish(time.Hour, 0, 1)
	s.CountAndFail(t.Context(), p.now, p.accept.Tenant)
	p.publish(time.Hour, 1, 2)
	if got := accepted(t, s, p.accept.Tenant); got != 2 {
		t.Errorf("%d events are counted, 2 are stored", got)
	}
}

// A generation lasts a minute, so that the journal and the rollups stay small whatever
// the load.
func TestJournalIsFoldedIntoARollupAMinute(t *testing.T) {
	s := openNew(t)
	p := newPublisher(t, s)
	const minutes = 10
	number := uint64(0)
	for range minutes {
		for range 30 {
			p.publish(time.Hour, number, number+1)
			number++
			p.now = p.now.Add(2 * time.Second)
		}
	}
	rows, journal, err := s.RollupRows(t.Context())
	if err != nil || journal > 31 || rows[store.Minute] > minutes {
		t.Errorf("%d rows in the journal, %d minutes, %v; want a minute's at most, and %d", journal, rows[store.Minute], err, minutes)
	}
	compactAll(t, s, p.now)
	compactAll(t, s, p.now.Add(24*time.Hour))
	rows, journal, err = s.RollupRows(t.Context())
	if err != nil || journal != 0 || rows != [4]int64{store.Minute: minutes, store.Hour: 1, store.Day: 1} {
		t.Errorf("%d rows in the journal, %v by unit, %v", journal, rows, err)
	}
	compactAll(t, s, p.now.Add(store.Hour.Kept()+48*time.Hour))
	rows, _, err = s.RollupRows(t.Context())
	if err != nil || rows != [4]int64{store.Day: 1} {
		t.Errorf("%v by unit after their time, %v", rows, err)
	}
}

func TestRecountPutsRightWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		harm  string
		wrong bool
	}{
		"none":           {"SELECT 1", false},
		"all lost":       {"DELETE FROM rollup", true},
		"days lost":      {"DELETE FROM rollup WHERE unit = 3", true},
		"too many":       {"INSERT INTO rollup SELECT unit, start, tenant, endpoint + 77, type, counts FROM rollup", true},
		"others":         {"UPDATE rollup SET counts = x'010002'", true},
		"not readable":   {"UPDATE rollup SET counts = x'ff'", true},
		"unknown counts": {"UPDATE rollup SET counts = x'01ff02'", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := openNew(t)
			p := newPublisher(t, s)
			for day := range uint64(3) {
				p.publish(time.Hour, day*5, day*5+5)
				p.now = p.now.Add(24 * time.Hour)
			}
			compactAll(t, s, p.now)
			before := accepted(t, s, p.accept.Tenant)
			if err := s.Script(t.Context(), test.harm); err != nil {
				t.Fatal(err)
			}
			found, err := s.Recount(t.Context(), p.now)
			if err != nil {
				t.Fatal(err)
			}
			if got := accepted(t, s, p.accept.Tenant); got != before || found.Events != 15 || (found.Wrong > 0) != test.wrong {
				t.Errorf("%d events are counted, want %d; found %+v", got, before, found)
			}
			if again, err := s.Recount(t.Context(), p.now); err != nil || again.Wrong != 0 {
				t.Errorf("another recount found %+v, %v", again, err)
			}
		})
	}
}

// Statistics that can't be read are no reason not to accept events.
func TestDamagedCountsStopTheirReadersOnly(t *testing.T) {
	for harm, told := range map[string]string{
		"UPDATE rollup SET counts = x'ff'":          "neohook recount",
		"UPDATE rollup_journal SET entries = x'ff'": "", // it lives for a minute, and goes with what it holds
	} {
		folder := t.TempDir()
		s := openAt(t, folder)
		p := newPublisher(t, s)
		p.publish(time.Hour, 0, 5)
		if strings.Contains(harm, "rollup ") {
			compactAll(t, s, p.now.Add(time.Hour))
		}
		if err := s.Script(t.Context(), harm); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openAt(t, folder)
		p.Store = s
		p.publish(time.Hour, 5, 10)
		p.now = p.now.Add(2 * time.Minute)
		p.publish(time.Hour, 10, 15)
		query := store.SumQuery{Tenant: p.accept.Tenant, Unit: store.Day, From: time.Unix(0, 0), To: p.now.Add(48 * time.Hour)}
		if _, err := s.Sums(t.Context(), query); (err == nil) != (told == "") || err != nil && !strings.Contains(err.Error(), told) {
			t.Errorf("%s: %v; want an error that says what to do: %q", harm, err, told)
		}
		if _, err := s.Recount(t.Context(), p.now); err != nil {
			t.Fatal(err)
		}
		if got := accepted(t, s, p.accept.Tenant); got != 15 {
			t.Errorf("%s: %d events are counted after a recount, want 15", harm, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
