package sqlite

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// TestQueriesWalkAnIndex asks SQLite how it would run each query. None may read a table
// from end to end, or sort: its cost would grow with the table.
func TestQueriesWalkAnIndex(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "neohook.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, query := range map[string]string{
		"tenant": tenantSQL, "tenant by UID": tenantUIDSQL, "tenants up": tenantsUpSQL, "tenants down": tenantsDownSQL,
		"update tenant": updateTenantSQL, "delete tenant": deleteTenantSQL, "delete its endpoints": deleteEndpointsSQL,
		"routes": routesSQL, "routes version": routesVersionSQL, "raise routes": raiseRoutesSQL,
		"endpoint": endpointSQL, "endpoint by UID": endpointUIDSQL, "endpoints up": endpointsUpSQL, "endpoints down": endpointsDownSQL,
		"endpoints of tenant": tenantEndpointsSQL, "update endpoint": updateEndpointSQL, "delete endpoint": deleteEndpointSQL,
		"event type": eventTypeSQL, "event types up": eventTypesUpSQL, "event types down": eventTypesDownSQL,
		"active types up": activeTypesUpSQL, "active types down": activeTypesDownSQL, "event type named": eventTypeNamedSQL,
		"event type version": eventTypeVersionSQL, "update event type": updateEventTypeSQL, "delete event type": deleteEventTypeSQL,
		"event": eventSQL, "event by UID": eventByUIDSQL, "UID taken": eventUIDSQL, "events up": eventsUpSQL, "events down": eventsDownSQL,
		"deliveries of event up": deliveriesOfEventUpSQL, "deliveries of event down": deliveriesOfEventDownSQL,
		"put failing": putFailingSQL, "delete failing": deleteFailingSQL, "delete failing of tenant": deleteFailingOfTenantSQL, "failing": failingSQL,
		"open": openSQL, "waiting": waitingSQL, "delivery": deliverySQL, "tried": triedSQL,
		"retry delivery": retryDeliverySQL, "end delivery": endDeliverySQL,
		"attempt": attemptSQL, "attempt keys up": attemptKeysUpSQL, "attempt keys down": attemptKeysDownSQL,
		"attempts of delivery up": attemptsOfDeliveryUpSQL, "attempts of delivery down": attemptsOfDeliveryDownSQL, "attempts of delivery": attemptsOfDeliverySQL,
		"attempts at endpoint up": attemptsAtEndpointUpSQL, "attempts at endpoint down": attemptsAtEndpointDownSQL,
		"token": tokenSQL, "token by key": tokenOfSQL, "tokens up": tokensUpSQL, "tokens down": tokensDownSQL,
		"tokens of tenant up": tokensTenantUpSQL, "tokens of tenant down": tokensTenantDownSQL,
		"delete token": deleteTokenSQL, "delete named tokens": deleteNamedSQL, "delete tokens of tenant": deleteOfTenantSQL,
		"sweep tokens": sweepTokensSQL, "sweep refused tokens": sweepRefusedSQL, "tenant of token": tenantOfTokenSQL,
		"expire tokens": expireTokensSQL, "covering expiry": coveringExpirySQL, "covered expiries": coveredExpiriesSQL,
		"passed expiries": passedExpiriesSQL, "refused": refusedSQL,
		"once": onceSQL, "sweep once": sweepOnceSQL, "reserve": reserveSQL,
		"due": dueSQL, "next due": nextDueSQL, "deferred": deferredSQL, "delete deferred": deleteDeferredSQL, "deferral": deferralSQL,
		"cancel event": cancelEventSQL,
		"in outbox":    inOutboxSQL, "delete outbox": deleteOutboxSQL, "outbox": outboxSQL,
		"insert send": insertSendSQL, "open delivery": openDeliverySQL, "send": sendSQL, "sends": sendsOfSQL, "retry send": retrySendSQL, "end send": endSendSQL,
		"recover delivery": recoverDeliverySQL,
		"ledger block":     ledgerBlockSQL, "delete ledger blocks": deleteLedgerBlockSQL, "delete ledger run": deleteLedgerRunSQL,
		"open at endpoint up": openAtEndpointUpSQL, "open at endpoint down": openAtEndpointDownSQL,
		"ended at endpoint up": endedAtEndpointUpSQL, "ended at endpoint down": endedAtEndpointDownSQL,
		"failed at endpoint up": failedAtEndpointUpSQL, "failed at endpoint down": failedAtEndpointDownSQL,
		"counted event": countedEventSQL, "type number": typeNumberSQL, "count types": countTypesSQL, "types": typesOfSQL,
		"rollup": rollupSQL, "first start": firstStartSQL, "last start": lastStartSQL, "compact": compactSQL,
		"drop bound": dropBoundSQL, "drop": dropSQL, "drop up": dropUpSQL, "delete journal": deleteJournalSQL, "journal sizes": journalSizesSQL,
		"job": jobSQL, "job by key": jobByKeySQL, "jobs up": jobsUpSQL, "jobs down": jobsDownSQL,
		"jobs of tenant up": jobsOfTenantUp, "jobs of tenant down": jobsOfTenantDown, "running jobs": runningJobsSQL,
		"job of": jobOfSQL, "job at": jobAtSQL, "bound jobs": boundJobsSQL, "bound counts": boundCountsSQL, "step job": stepJobSQL, "running job": runningJobSQL, "count dropped": countDroppedSQL, "cancel job": cancelJobSQL,
		"sweep jobs": sweepJobsSQL, "count job": countJobSQL, "opening": openingJobSQL, "end opening": endOpeningSQL, "job of send": sendJobSQL,
		"untried up": untriedUpSQL, "untried down": untriedDownSQL, "accepted at": acceptance.atSQL, "begun at": beginning.atSQL,
	} {
		for _, step := range plan(t, s, query) {
			if strings.HasPrefix(step, "SCAN") && step != "SCAN strip" /* 64 rows */ || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
	// These begin at the rows of a table-valued function or of the recursion.
	for name, query := range map[string]string{"lanes": lanesSQL, "payloads": payloadsSQL, "attempts": attemptsSQL, "event types named": eventTypesNamedSQL, "endpoints of attempts": attemptEndpointsSQL, "expire sessions": expireSessionsSQL,
		"sums of tenant": sumsOfTenantSQL, "sums of endpoint": sumsOfEndpointSQL} {
		for _, step := range plan(t, s, query) {
			if strings.Contains(step, "TEMP B-TREE") ||
				strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "lane") && !strings.Contains(step, "place") && !strings.Contains(step, "wanted") && !strings.Contains(step, "step") && !strings.Contains(step, "json_each") && step != "SCAN CONSTANT ROW" {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
}

// TestLogMustBeThere has a database that can't have a log, as on some file systems.
func TestLogMustBeThere(t *testing.T) {
	c, err := connect(t.Context(), "file::memory:", writerPragmas)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	err = checkLog(t.Context(), c, "/mnt/a.db")
	if err == nil || !strings.Contains(err.Error(), "file system of /mnt/a.db") {
		t.Errorf("%v, want an error that names the file", err)
	}
}

func plan(t *testing.T, s *Store, query string) (steps []string) {
	t.Helper()
	err := s.read(t.Context(), func(ctx context.Context, c *conn) error {
		args := make([]any, 30) // more than any has
		for r, err := range c.rows(ctx, "EXPLAIN QUERY PLAN "+query, args...) {
			if err != nil {
				return err
			}
			r.at = 3
			steps = append(steps, r.text())
		}
		return nil
	})
	if err != nil || len(steps) == 0 {
		t.Fatalf("%s: %v", query, err)
	}
	return steps
}
