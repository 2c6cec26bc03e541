package lane

import (
	"testing"

	"github.com/neohook/neohook/internal/planted"
)

// mistakes of one line that the replayed runs must find.
var mistakes = map[string]planted.Mistake{
	"what was recorded while a page was read is news again": {"page.go", "return !recorded", "return true || recorded"},
	"what was skipped while a page was read is forgotten":   {"page.go", "case during.skipped != 0:", "case during.skipped < 0:"},
	"what spilled while a page was read is forgotten":       {"page.go", "w.horizon = during.spilled", "w.horizon = horizon{}"},
	"a page that was cut short is taken for the last":       {"page.go", "\tcase page.More:", "\tcase page.More && page.Next < 0:"},
	"a behind lane takes fresh deliveries in":               {"board.go", "if l.behind || !l.takesIn()", "if !l.takesIn()"},
	"memory has no bound":                                   {"board.go", "len(l.held) < max(1, (b.limits.Rows-b.rows)/shareOfFree) && b.rows < b.limits.Rows &&", "true &&"},
	"an attempt keeps its place when it is postponed":       {"board.go", "b.land(l, d, Result{})", "b.flying--"},
	"unrecorded outcomes have no bound":                     {"board.go", "&& b.unrecorded < b.limits.Unrecorded", ""},
	"the endpoint's rate is not kept":                       {"board.go", "l.pace.take(b.now, l.settings.Rate)", ""},
	"the tenant's rate is not kept":                         {"turns.go", "if of.pace.next.After(now) {", "if false {"},
	"an order is broken by what waits":                      {"lane.go", "&& len(l.retries.waiting) == 0 && l.retries.horizon.none()", ""},
	"an order is broken by what is about to wait":           {"lane.go", "if l.unsettled > 0 {", "if false {"},
	"the receiver's wish for quiet is not heard":            {"lane.go", "l.hold = later(l.hold, result.HoldUntil)", ""},
	"a waiting delivery is sent before it is due":           {"waits.go", "!w.waiting[0].Due.After(now)", "!w.waiting[0].Due.After(now.Add(time.Minute))"},
	"a breaker lets several probes out":                     {"breaker.go", "b.probing = b.open", "b.probing = false"},
	"a breaker never opens":                                 {"breaker.go", "case b.failures >= openAfter,", "case b.failures >= 1<<20,"},
	"a lane that waited for a place is never let in":        {"crowd.go", "if l.crowded {\n\t\t\tl.crowded = false\n\t\t\treturn l", "if false {\n\t\t\treturn l"},
	"what was dropped is sent":                              {"drop.go", "l.held[of] = queuedNoMore", ""},
	"what was dropped in flight comes back":                 {"drop.go", "l.held[of] = outNoMore", ""},
	"a page brings back what was dropped meanwhile":         {"drop.go", "if l.page != nil {", "if false {"},
	"what was expunged is sent":                             {"forget.go", "} else if !gone(d.Event) {", "} else if true {"},
	"what was expunged in flight comes back":                {"forget.go", "\t\t\t\tl.held[of] = outNoMore", ""},
	"a send that was expunged in flight comes back":         {"forget.go", "event = l.outSends[of]", ""},
	"what is in doubt is not read again":                    {"reread.go", "\t\tb.Recover(now, tenant, endpoint)\n", ""},
	"what is out when all is in doubt comes back":           {"reread.go", "b.forgetAll(b.lanes[endpoint])", "b.forget(b.lanes[endpoint], func(store.EventKey) bool { return true })"},
	"what is out when all is in doubt is overtaken":         {"forget.go", "l.unsettled++", ""},
	"what was held before is not read again":                {"page.go", "if during.skipped != 0 && during.skipped < l.from {", "if false {"},
	"a page brings back what was expunged meanwhile":        {"page.go", "if gone(d.Event) {", "if gone(d.Event) && false {"},
	"what was dropped is let go of only when it is first":   {"board.go", "\tb.bury(l)\n", ""},
	"a paused endpoint is sent to":                          {"lane.go", "return !l.settings.Paused && len(", "return len("},
	"something is sent though everything is paused":         {"board.go", "if b.paused { //", "if false { //"},
	"a send that is to wait holds the order up":             {"board.go", "if d.Send == 0 && (!result.Ends", "if (!result.Ends"},
	"a send goes beside another in an ordered lane":         {"lane.go", "if l.inOrder() && len(l.flights) > 0 {", "if false {"},
	"what waits beyond memory is forgotten":                 {"lane.go", "\tw.horizon = w.horizon.sooner(at)", "\t_ = w"},
	"what spilled is noted for the other kind of page":      {"lane.go", "l.page.kind == kind {", "l.page.kind != kind {"},
	"a send is taken for the delivery of its event":         {"delivery.go", "return ref(-d.Send)", "return ref(d.Event)"},
	"sends are not looked for after a start":                {"reread.go", "\tl.spill(SendPage, at)", ""},
	"what is not the Board's is taken in":                   {"board.go", "if b.holdings == nil || b.owns(d.Tenant) && !b.recovering(d.Tenant) {", "if true {"},
	"what comes while a tenant is taken over goes first":    {"board.go", "&& !b.recovering(d.Tenant) {", "{"},
	"what was let go of is sent":                            {"own.go", "\tb.forgetAll(l)\n", ""},
	"what was let go of keeps its turns":                    {"own.go", "\tb.turns.disown(b.owns)\n", ""},
	"what was let go of keeps its wakes":                    {"own.go", "\tb.wakes = slices.DeleteFunc(b.wakes, func(l *lane) bool { return l.left })\n", ""},
	"a new owner begins with a token":                       {"board.go", "l.pace.next = b.since(l.tenant).Add(interval(settings.Rate))", "_ = 0"},
	"a new owner begins with a token of the tenant":         {"turns.go", "of.pace.next = since(l.tenant).Add(interval(l.settings.TenantRate))", "_ = since"},
	"what others made of something that is out is missed":   {"board.go", "case at == outBefore && !l.left:", "case at == outBefore && l.left:"},
	"what is out when it is let go of comes back":           {"forget.go", "\t\tl.held[of] = outBefore\n", ""},
	"what was cut off is not read again":                    {"board.go", "\t\tb.comeBack(l, &d)\n", ""},
	"what was accepted elsewhere comes behind what is held": {"reread.go", "l.fresh.filter(b.open(l, above))", ""},
	"what was accepted elsewhere comes behind what is read": {"reread.go", "l.page.gone = append(l.page.gone, above)", ""},
	"what was accepted elsewhere is not read":               {"lane.go", "if !l.behind || event < l.from {", "if !l.behind {"},
	"a send that was dropped is sent":                       {"drop.go", "of := (&Delivery{Event: event, Send: send}).ref()", "of := ref(event)"},
}

func TestPlantedBugsAreFound(t *testing.T) {
	planted.Find(t, mistakes, "^TestEveryDelivery", "LANE_RUNS=800")
}
