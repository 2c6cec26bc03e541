package neohook_test

import (
	"testing"

	"github.com/neohook/neohook/internal/planted"
)

// mistakes of one line that the chaos test must find.
var mistakes = map[string]planted.Mistake{
	"events of an unknown commit are not looked for":       {"internal/commit/writer.go", "w.lanes.Reread(time.Now(), concerned)", ""},
	"outcomes of an unknown commit are stored again":       {"internal/commit/writer.go", "return d.Doubtful }) {", "return false }) {"},
	"outcomes are forgotten where a commit failed":         {"internal/commit/writer.go", "w.outcomes.Return(time.Now(), done)", ""},
	"a repeated event is handed over again":                {"internal/commit/writer.go", "if verdicts[i].Kind != store.Accepted {", "if verdicts[i].Kind == 0 {"},
	"a page that failed is taken for an empty one":         {"internal/dispatch/page.go", "page, failed = lane.Page{PageRequest: request, Failed: true}, err", "page, failed = lane.Page{PageRequest: request}, err"},
	"a start does not look for the backlog":                {"internal/dispatch/dispatcher.go", "d.board.Recover(time.Now(), l.Tenant, l.Endpoint)", "_ = l"},
	"a delivery is lost when its attempt can't be made":    {"internal/dispatch/dispatcher.go", "d.board.Postpone(now, ended.Delivery, now.Add(pause))", "d.board.Finish(now, ended.Delivery, lane.Result{Ends: true})"},
	"an attempt that was cut off counts":                   {"internal/attempt/sender.go", "if ctx.Err() != nil && !answered(&result) {", "if false {"},
	"the schedule begins with its second wait":             {"internal/attempt/policy.go", ".Wait(out.Attempt.Number)", ".Wait(out.Attempt.Number + 1)"},
	"the lane does not hear of Retry-After":                {"internal/attempt/policy.go", "lesson.HoldUntil = ", "_ = "},
	"a wait begins with the attempt, not with its end":     {"internal/attempt/policy.go", "out.RetryAt = result.CompletedAt.Add(", "out.RetryAt = result.StartedAt.Add("},
	"an endpoint's own schedule is not used":               {"internal/attempt/policy.go", "case endpoint.Schedule != nil:", "case false:"},
	"a place in the queue is not given back":               {"internal/intake/queue.go", "q.stages[item.at].free(&item.line.parts[item.at], item)", ""},
	"outcomes that come while one is stored are dropped":   {"internal/outcome/queue.go", "append(taken[:len(taken):len(taken)], q.items...)", "taken"},
	"idempotency keys are not passed on":                   {"publish.go", "if accept.Once, err = o.storeOnce(", "if _, err = o.storeOnce("},
	"the order of endpoints is not asked for":              {"settings.go", "Ordered:     endpoint.Ordered,", "Ordered:     false,"},
	"the rate of endpoints is not asked for":               {"settings.go", "Rate:        endpoint.RateLimit,", "Rate:        0,"},
	"the store does not keep idempotency keys":             {"store/memstore/commit.go", "db.once[a.Once.Hash] = made{body: a.Once.Body, ttl: a.Once.TTL,", "_ = made{body: a.Once.Body, ttl: a.Once.TTL,"},
	"a send that succeeds leaves its delivery in memory":   {"internal/dispatch/dispatcher.go", "if delivery.Send != 0 && out.Attempt", "if false && out.Attempt"},
	"the lane does not hear of a cancelling":               {"cancel.go", "o.engine.lanes.Drop(time.Now(), []store.DeliveryRef{ref})", "_ = time.Now"},
	"the lane does not hear of an expunge":                 {"internal/retention/expunge.go", "k.Lanes.Forget(time.Now(), tenant, gone)", ""},
	"what was expunged is sent by what is in flight":       {"internal/retention/expunge.go", "err := k.Lanes.Cut(ctx, tenant, gone, patience)", "err := error(nil)"},
	"a repeated resend sends again":                        {"send.go", "[]store.Send{send}, nil, once)", "[]store.Send{send}, nil, nil)"},
	"a send of an unknown commit is not looked for":        {"internal/commit/do.go", "w.lanes.Reread(time.Now(), c.concerned)", "_ = time.Now"},
	"a change that could not be read is forgotten":         {"internal/dispatch/dispatcher.go", "d.board.Doubt(time.Now(), unread)", "_ = unread"},
	"a pause of everything is not stored":                  {"pause.go", "e.store.SetPaused(ctx, paused)", "error(nil)"},
	"a start does not know that everything is paused":      {"engine.go", "e.lanes.Pause(time.Now(), instance.Paused)", ""},
	"the pause of a tenant is not asked for":               {"settings.go", "endpoint.Paused || routes.Tenant.Paused", "endpoint.Paused"},
	"a manual attempt counts as the delivery's":            {"internal/attempt/policy.go", "out.Attempt.Trigger = webhook.Manual", ""},
	"an attempt of what was cancelled is taken for logged": {"internal/commit/writer.go", "if err == nil && delivery.State.Ended() && o.Attempt != nil {", "if false {"},
	"the store does not note what a send recovers":         {"store/memstore/send.go", "d.RecoveredAt = instant(now)", ""},
	"a send is not looked for after a start":               {"store/memstore/commit.go", "len(db.open(key))+len(db.sendsOf(key)) > 0", "len(db.open(key)) > 0"},
	"the store does not count attempts":                    {"store/memstore/commit.go", "d.Tried++", ""},
}

func TestPlantedBugsAreFound(t *testing.T) {
	planted.Find(t, mistakes, "^TestChaos", "CHAOS_RUNS=2000")
}
