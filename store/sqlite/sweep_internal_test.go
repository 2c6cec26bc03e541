package sqlite

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestSweepQueriesWalkAnIndex is TestQueriesWalkAnIndex for what retention adds.
func TestSweepQueriesWalkAnIndex(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "neohook.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	queries := map[string]string{
		"next place": nextPlaceSQL, "move place": movePlaceSQL, "reset": resetSweepSQL, "delete places": deleteSweepSQL, "place": sweepPlaceSQL,
		"event": sweptEventSQL, "events": sweptEventsSQL, "events of tenant": sweptOfTenantSQL, "event of tenant": sweptOfOneSQL,
		"kept": keptSQL, "open lanes": openLanesSQL, "revisits": revisitsSQL, "delete revisit": deleteRevisitSQL, "event there": eventThereSQL,
		"delete events": deleteEventsSQL, "delete history": deleteHistorySQL, "delete attempts": deleteAttemptsSQL,
		"delete past attempts": deletePastAttemptsSQL, "remaining attempts": remainingAttemptsSQL, "delete payloads": deletePayloadsSQL,
		"delete departed": deleteDepartedSQL, "tenant stays": tenantStaysSQL, "purge tenant": purgeTenantSQL,
		"departed's history": departedHistorySQL, "departed's attempts": departedAttemptsSQL,
		"sends of event": sendsOfEventSQL, "delete send": deleteSendSQL, "expunge response": expungeResponseSQL,
		"expunged tenant": expungedTenantSQL, "expunges": expungesSQL, "expunge": expungeSQL, "move expunge": moveExpungeSQL,
		"delete expunge": deleteExpungeSQL,
	}
	for i, of := range listSQL {
		queries[fmt.Sprint("drop of list ", i)] = of.drop
	}
	for i, query := range expungeRowsSQL {
		queries[fmt.Sprint("expunged rows ", i)] = query
	}
	// These are of few rows at a time, and sort those.
	sorting := map[string]string{"open sends": openSendsSQL, "departed": nextDepartedSQL}
	for i, of := range listSQL {
		sorting[fmt.Sprint("owners of list ", i)] = of.owners
		if of.touched != "" {
			sorting[fmt.Sprint("touched of list ", i)] = of.touched
		}
	}
	small := map[string]bool{"SCAN strip": true, "SCAN CONSTANT ROW": true, "SCAN expunge": true, "SCAN outbox": true}
	check := func(name, query string, maySort bool) {
		for _, step := range plan(t, s, query) {
			if strings.HasPrefix(step, "SCAN") && !small[step] ||
				strings.Contains(step, "TEMP B-TREE") && !maySort {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
	for name, query := range queries {
		check(name, query, false)
	}
	for name, query := range sorting {
		check(name, query, true)
	}
}
