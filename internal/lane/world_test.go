package lane

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

// world drives a Board with random steps over a store of its own, and judges every
// delivery that the Board gives out. The same seed makes the same run.
type world struct {
	t      *testing.T
	rand   *rand.Rand
	now    time.Time
	limits Limits
	bodies int // payloads are shorter
	board  *Board
	paused bool

	next     store.EventKey
	nextSend store.SendKey
	rows     map[store.EndpointKey]map[ref]*row
	tenants  map[store.EndpointKey]store.TenantKey
	// tell tells the Board of what was stored last; nil where it knows.
	tell     func()
	sending  []Delivery
	sent     []done // finished, not recorded
	pages    []PageRequest
	read     map[int]Page // of pages, by position: what was read early
	lastSent map[store.EndpointKey]store.EventKey
	judges   map[store.EndpointKey]*judge
	tenantAt map[store.TenantKey]time.Time // of the latest attempt
	healthy  bool                          // every attempt succeeds
	gone     map[store.TenantKey][]func(store.EventKey) bool
	made     int
	ended    int
	*sharing // nil where the Board has all tenants
}

type done struct {
	Delivery
	result Result
}

// row is what is stored of a delivery or a send, and what became of it.
type row struct {
	send    bool
	event   store.EventKey // of a send
	retried bool           // of a send
	opening bool
	told    bool // the Board knows of it
	tried   int
	due     time.Time
	busy    bool // given out and not recorded
	sent    bool // and its outcome ended it
	probe   bool
	// closing says that it was given out to be ended without an attempt.
	closing bool
	// elsewhere was stored by somebody else, and the Board does not know of it.
	elsewhere bool
	// late was stored after what has higher numbers.
	late bool
	// ahead was out when its tenant was let go of, perhaps behind something that seemed to
	// have ended, and is open again since nobody could record it.
	ahead bool
	// again was out when all was to be read again: once postponed, it is as fresh as it was.
	again bool
	// dropped is not open any more in the store, and known says that the Board was told.
	dropped, known bool
}

const endpoints = 7

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // a replayable run
		now:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		rows: make(map[store.EndpointKey]map[ref]*row), tenants: make(map[store.EndpointKey]store.TenantKey),
		judges: make(map[store.EndpointKey]*judge), tenantAt: make(map[store.TenantKey]time.Time),
		gone: make(map[store.TenantKey][]func(store.EventKey) bool),
	}
	w.limits = Limits{
		Attempts: 1 + w.rand.IntN(12), Unrecorded: 1 + w.rand.IntN(20),
		Rows: 8 + w.rand.IntN(100), Bytes: int64(20 + w.rand.IntN(500)), Page: 1 + w.rand.IntN(16),
	}
	w.bodies = 1 + 40*w.rand.IntN(2)
	rates := []int{0, 0, 1, 3} // per second
	tenantRates := []int{rates[w.rand.IntN(4)], rates[w.rand.IntN(4)], rates[w.rand.IntN(4)]}
	for ep := store.EndpointKey(1); ep <= endpoints; ep++ {
		w.rows[ep] = make(map[ref]*row)
		w.tenants[ep] = store.TenantKey(1 + ep%3)
		w.judges[ep] = &judge{settings: Settings{
			Concurrency: 1 + w.rand.IntN(4), Rate: rates[w.rand.IntN(4)],
			TenantRate: tenantRates[ep%3], Ordered: w.rand.IntN(3) == 0,
		}}
	}
	w.start()
	return w
}

// start begins anew over what is stored, as after a crash.
func (w *world) start() {
	w.board = New(w.limits)
	w.share()
	w.board.Pause(w.now, w.paused)
	w.tell, w.sending, w.sent, w.pages = nil, nil, nil, nil
	w.read = make(map[int]Page)
	w.lastSent = make(map[store.EndpointKey]store.EventKey)
	for ep := store.EndpointKey(1); ep <= endpoints; ep++ {
		for of, r := range w.rows[ep] {
			if r.dropped {
				delete(w.rows[ep], of)
			}
			r.busy, r.sent, r.probe, r.closing, r.told = false, false, false, false, true
		}
		w.judges[ep] = &judge{settings: w.judges[ep].settings, ordered: w.judges[ep].ordered}
		if len(w.rows[ep]) > 0 && w.sharing == nil {
			w.board.Recover(w.now, w.tenants[ep], ep)
		}
	}
}

func (w *world) step() {
	switch w.rand.IntN(40) {
	case 0:
		w.configure()
	case 1:
		w.pause()
	case 2, 3:
		w.request()
	case 4:
		w.openLater()
	case 5:
		w.cancel()
	case 6:
		w.expunge()
	}
	if w.sharing != nil {
		w.stepShared()
	}
	switch w.rand.IntN(18) {
	case 0, 1:
		w.accept()
	case 2, 3, 4, 5:
		w.begin()
	case 6, 7, 8:
		w.finish()
	case 9, 10, 11:
		w.record()
	case 12:
		w.takePage()
	case 13, 14:
		w.putPage()
	case 15:
		w.advance()
	case 16, 17:
		w.tellNow()
	}
	for ep, j := range w.judges {
		if !w.board.Has(ep) { // nothing happened for so long that it is forgotten
			j.failures = 0
		}
	}
	stats := w.board.Stats()
	// A lane that must go on has a page of deliveries and one of sends beyond the limit.
	if most := w.limits.Rows + 2*(endpoints+1)*(w.limits.Page+8) + w.limits.Unrecorded; stats.Rows > most {
		w.t.Fatalf("%d rows are held, want at most %d", stats.Rows, most)
	}
}

// stored is called when something was stored: the Board is told of it now or later, but
// before anything else is stored.
func (w *world) stored(tell func()) {
	w.tell = tell
	if w.rand.IntN(3) > 0 {
		w.tellNow()
	}
}

func (w *world) tellNow() {
	if tell := w.tell; tell != nil {
		w.tell = nil
		tell()
	}
}

// anyEndpoint is the first half of the time.
func (w *world) anyEndpoint() store.EndpointKey {
	return store.EndpointKey(1 + w.rand.IntN(endpoints)*w.rand.IntN(2))
}

// anyEvent is one that was accepted, be it for an endpoint or not.
func (w *world) anyEvent() store.EventKey {
	return 1 + store.EventKey(w.rand.Int64N(max(1, int64(w.next))))
}

func (w *world) accept() {
	w.tellNow()
	var accepted []Delivery
	for range 1 + w.rand.IntN(6) {
		ep := w.anyEndpoint()
		w.next++
		w.made++
		w.rows[ep][ref(w.next)] = &row{}
		accepted = append(accepted, Delivery{
			Tenant: w.tenants[ep], Endpoint: ep, Event: w.next,
			Payload: &store.Payload{Event: w.next, Body: make([]byte, w.rand.IntN(w.bodies))},
		})
	}
	heard := w.takeSignals() // with the commit
	w.stored(func() {
		w.act(heard)
		for _, d := range accepted {
			w.board.Offer(w.now, d, w.judges[d.Endpoint].settings)
		}
	})
}

// request stores sends of any events, be they for the endpoint or not.
func (w *world) request() {
	w.tellNow()
	var sends []Delivery
	ep := w.anyEndpoint()
	for range 1 + w.rand.IntN(8) {
		event := w.anyEvent()
		if w.isGone(w.tenants[ep], event) {
			continue
		}
		w.nextSend++
		w.made++
		d := Delivery{
			Tenant: w.tenants[ep], Endpoint: ep, Event: event, Send: w.nextSend,
			Retried: w.rand.IntN(2) == 0, Due: w.soon(),
		}
		w.rows[ep][d.ref()] = &row{send: true, event: d.Event, retried: d.Retried, due: d.Due}
		sends = append(sends, d)
	}
	w.await(sends)
}

// openLater stores deliveries that wait from the beginning.
func (w *world) openLater() {
	w.tellNow()
	var opened []Delivery
	for range 1 + w.rand.IntN(3) {
		ep := w.anyEndpoint()
		w.next++
		w.made++
		d := Delivery{Tenant: w.tenants[ep], Endpoint: ep, Event: w.next, Due: w.soon()}
		w.rows[ep][d.ref()] = &row{opening: true, due: d.Due}
		opened = append(opened, d)
	}
	w.await(opened)
}

func (w *world) soon() time.Time {
	return w.now.Add(time.Duration(w.rand.IntN(2)*w.rand.IntN(200)) * time.Second)
}

func (w *world) await(stored []Delivery) {
	w.stored(func() {
		for _, d := range stored {
			if r := w.rows[d.Endpoint][d.ref()]; r != nil { // else somebody has ended it
				r.told = true
			}
			w.board.Await(w.now, d, w.judges[d.Endpoint].settings)
		}
	})
}

// cancel ends deliveries in the store, some of which may not be open.
func (w *world) cancel() {
	if w.next == 0 {
		return
	}
	w.tellNow()
	ep := w.anyEndpoint()
	var events []store.EventKey
	for range 1 + w.rand.IntN(1+w.rand.IntN(60)) {
		events = append(events, w.anyEvent())
	}
	for _, event := range events {
		w.drop(ep, event)
	}
	w.stored(func() { w.dropped(ep, events...) })
}

// expunge ends all that is open in the store for some events of a tenant, sends too.
func (w *world) expunge() {
	w.tellNow()
	tenant, from := store.TenantKey(1+w.rand.IntN(3)), w.anyEvent()
	through := min(w.next, from+store.EventKey(w.rand.IntN(4)*w.rand.IntN(20)))
	gone := func(event store.EventKey) bool { return from <= event && event <= through }
	doubtful := w.rand.IntN(2) == 0 // nobody knows whether it was stored
	if doubtful && w.rand.IntN(2) == 0 {
		w.stored(func() { w.review(tenant) })
		return
	}
	w.gone[tenant] = append(w.gone[tenant], gone)
	each := func(do func(ep store.EndpointKey, of ref, r *row)) {
		for ep, rows := range w.rows {
			for of, r := range rows {
				if w.tenants[ep] == tenant && gone(r.of(of)) {
					do(ep, of, r)
				}
			}
		}
	}
	each(func(_ store.EndpointKey, _ ref, r *row) {
		if !r.dropped {
			r.dropped = true
			w.ended++
		}
	})
	w.stored(func() {
		each(func(ep store.EndpointKey, of ref, r *row) {
			if r.known = true; !r.busy {
				delete(w.rows[ep], of)
			}
		})
		if doubtful {
			w.review(tenant)
		} else {
			w.board.Forget(w.now, tenant, gone)
		}
	})
}

// review tells the Board that nobody knows what of a tenant is open.
func (w *world) review(tenant store.TenantKey) {
	w.board.Review(w.now, tenant)
	for ep, of := range w.tenants {
		if of != tenant {
			continue
		}
		delete(w.lastSent, ep) // what was postponed is fresh again
		for _, r := range w.rows[ep] {
			r.again = r.busy
		}
	}
}

// isGone says that an event was expunged: nothing more is stored of it.
func (w *world) isGone(tenant store.TenantKey, event store.EventKey) bool {
	return slices.ContainsFunc(w.gone[tenant], func(gone func(store.EventKey) bool) bool { return gone(event) })
}

// of is the event of a row.
func (r *row) of(of ref) store.EventKey {
	if r.send {
		return r.event
	}
	return store.EventKey(of)
}

// drop ends a delivery in the store, if it is open.
func (w *world) drop(ep store.EndpointKey, event store.EventKey) {
	if r := w.rows[ep][ref(event)]; r != nil && !r.dropped {
		r.dropped = true
		w.ended++
	}
}

// dropped tells the Board.
func (w *world) dropped(ep store.EndpointKey, events ...store.EventKey) {
	for _, event := range events {
		if r := w.rows[ep][ref(event)]; r != nil && r.dropped {
			if r.known = true; !r.busy {
				delete(w.rows[ep], ref(event))
			}
		}
		w.board.Drop(w.now, ep, event, 0)
	}
}

func (w *world) pause() {
	w.paused = w.rand.IntN(6) == 0
	w.board.Pause(w.now, w.paused)
}

// configure changes what an endpoint wants.
func (w *world) configure() {
	ep := store.EndpointKey(1 + w.rand.IntN(endpoints))
	j := w.judges[ep]
	j.settings.Concurrency = 1 + w.rand.IntN(4)
	j.settings.Rate = w.rand.IntN(3)
	j.settings.Paused = w.rand.IntN(5) == 0
	if closed := w.rand.IntN(3) == 0; closed != j.settings.Closed {
		j.settings.Closed, j.ordered = closed, w.next
	}
	j.began = time.Time{} // from the next attempt on
	if w.rand.IntN(4) == 0 {
		w.board.Doubt(w.now, ep)
		return
	}
	w.board.Configure(w.now, ep, j.settings)
}

func (w *world) begin() {
	d, given := w.board.Begin(w.now)
	if !given {
		return
	}
	r, open := w.rows[d.Endpoint][d.ref()]
	what := fmt.Sprintf("endpoint %d event %d send %d", d.Endpoint, d.Event, d.Send)
	if w.sharing != nil {
		w.judgeShare(what, &d)
	}
	switch {
	case !open, r.dropped && r.known:
		w.t.Fatalf("%s is sent after it ended", what)
	case r.busy:
		w.t.Fatalf("%s is sent twice at a time", what)
	case r.tried != d.Tried:
		w.t.Fatalf("%s: Tried = %d, want %d", what, d.Tried, r.tried)
	case r.due.After(w.now) && !w.judges[d.Endpoint].settings.Closed:
		w.t.Fatalf("%s is sent %v early", what, r.due.Sub(w.now))
	case d.Due.IsZero() && d.Event < w.lastSent[d.Endpoint] && !r.elsewhere && !r.ahead:
		w.t.Fatalf("endpoint %d: fresh event %d is sent after %d", d.Endpoint, d.Event, w.lastSent[d.Endpoint])
	}
	if d.Due.IsZero() {
		w.lastSent[d.Endpoint] = max(w.lastSent[d.Endpoint], d.Event)
	}
	w.judgeStart(&d, r)
	r.busy, r.again = true, false
	w.sending = append(w.sending, d)
	if len(w.sending) > w.limits.Attempts || len(w.sending)+len(w.sent) > w.limits.Unrecorded {
		w.t.Fatalf("%d in flight, %d unrecorded: over %+v", len(w.sending), len(w.sent), w.limits)
	}
}

func (w *world) finish() {
	if len(w.sending) == 0 {
		return
	}
	i := w.rand.IntN(len(w.sending))
	d := w.sending[i]
	w.sending = slices.Delete(w.sending, i, i+1)
	j, r := w.judges[d.Endpoint], w.rows[d.Endpoint][d.ref()]
	if !r.closing {
		j.flying--
	}
	wasProbe := r.probe
	if r.probe {
		j.probing, r.probe = false, false
	}
	if w.rand.IntN(10) == 0 || r.ahead && w.rand.IntN(2) == 0 {
		if r.busy = false; r.known {
			delete(w.rows[d.Endpoint], d.ref())
		}
		if r.again {
			delete(w.lastSent, d.Endpoint)
		}
		w.board.Postpone(w.now, d, w.now.Add(time.Second))
		return
	}
	result := w.answer(&d, r, j, wasProbe)
	r.sent = result.Ends
	w.board.Finish(w.now, d, result)
	w.sent = append(w.sent, done{d, result})
}

// answer is what the receiver says. Two of the endpoints are down throughout.
func (w *world) answer(d *Delivery, r *row, j *judge, probe bool) Result {
	if r.closing {
		return Result{Ends: true}
	}
	if w.healthy || (d.Endpoint > 2 && w.rand.IntN(3) > 0) {
		j.failures = 0
		return Result{Verdict: Success, Ends: true}
	}
	result := Result{Verdict: []Verdict{Failure, Failure, Timeout, Throttled}[w.rand.IntN(4)], Ends: d.Tried >= 4 || r.send && !d.Retried}
	if d.Endpoint == 2 {
		result.Verdict = Failure // it is not sent less for it
	}
	if result.Verdict == Throttled && w.rand.IntN(2) == 0 {
		result.HoldUntil = w.now.Add(time.Duration(w.rand.IntN(60)*(1+w.rand.IntN(2)*29)) * time.Second)
		j.hold = later(j.hold, result.HoldUntil)
	}
	if j.failures++; j.failures <= openAfter || probe {
		j.failedAt = w.now
	}
	return result
}

// record stores what came of the oldest attempt that is over, as they are stored in the
// order in which they came.
func (w *world) record() {
	if len(w.sent) == 0 {
		return
	}
	w.tellNow()
	if len(w.sent) == 0 {
		return
	}
	d := w.sent[0]
	r := w.rows[d.Endpoint][d.ref()]
	due := time.Time{}
	if !d.result.Ends {
		due = w.now.Add(time.Duration(w.rand.IntN(300)) * time.Second)
	}
	recovers := r.send && d.result.Verdict == Success
	switch {
	case r.dropped: // the store only logs it
	case r.tried != d.Tried && d.result.Verdict != Success: // that too
		r.sent = false
	case d.result.Ends:
		r.dropped = true
		w.ended++
	default:
		r.tried, r.due, r.sent = d.Tried+1, due, false
	}
	if recovers {
		w.drop(d.Endpoint, d.Event)
	}
	w.stored(func() {
		w.sent = slices.Delete(w.sent, 0, 1)
		if r.busy = false; r.dropped {
			delete(w.rows[d.Endpoint], d.ref())
		}
		w.board.Record(w.now, d.Delivery, due)
		if recovers {
			w.dropped(d.Endpoint, d.Event)
		}
	})
}

func (w *world) takePage() {
	request, wanted := w.board.TakePage()
	if !wanted {
		return
	}
	w.pages = append(w.pages, request)
	if w.rand.IntN(2) == 0 { // else it is read when it is put
		w.read[len(w.pages)-1] = w.readPage(request)
	}
}

func (w *world) putPage() {
	if len(w.pages) == 0 {
		return
	}
	last := len(w.pages) - 1
	page, early := w.read[last]
	if !early {
		page = w.readPage(w.pages[last])
	}
	delete(w.read, last)
	w.pages = w.pages[:last]
	page.Failed = w.rand.IntN(8) == 0
	w.board.PutPage(w.now, page)
}

// readPage is what a store would answer.
func (w *world) readPage(request PageRequest) Page {
	page := Page{PageRequest: request, Settings: w.judges[request.Endpoint].settings}
	if request.Kind == SettingsPage {
		return page
	}
	if request.Kind == FreshPage {
		w.readFresh(&page)
		return page
	}
	for of, r := range w.rows[request.Endpoint] {
		if !r.dropped && !r.due.IsZero() && r.send == (request.Kind == SendPage) && !comesBefore(of, r, request.Behind) {
			page.Deliveries = append(page.Deliveries, w.stands(&request, of, r))
		}
	}
	slices.SortFunc(page.Deliveries, func(a, b Delivery) int {
		if order := a.Due.Compare(b.Due); order != 0 {
			return order
		}
		return cmp.Compare(abs(a.ref()), abs(b.ref()))
	})
	page.More = len(page.Deliveries) >= request.Limit
	page.Deliveries = page.Deliveries[:min(len(page.Deliveries), request.Limit)]
	return page
}

func comesBefore(of ref, r *row, from store.Moment) bool {
	due := r.due.Truncate(time.Microsecond)
	return cmp.Or(due.Compare(from.At), cmp.Compare(int64(abs(of)), from.Key)) < 0
}

func abs(of ref) ref { return max(of, -of) }

func (w *world) readFresh(page *Page) {
	rows := w.rows[page.Endpoint]
	examined := 0
	for _, of := range slices.Sorted(maps.Keys(rows)) {
		if r := rows[of]; r.send || r.dropped || store.EventKey(of) < page.From {
			continue
		}
		if examined == page.Limit {
			page.More = true
			return
		}
		examined++
		page.Next = store.EventKey(of) + 1
		if rows[of].due.IsZero() {
			page.Deliveries = append(page.Deliveries, w.stands(&page.PageRequest, of, rows[of]))
		}
	}
}

// stands is a row as a page brings it.
func (w *world) stands(request *PageRequest, of ref, r *row) Delivery {
	d := Delivery{Tenant: request.Tenant, Endpoint: request.Endpoint, Event: store.EventKey(of), Tried: r.tried, Due: r.due}
	if r.send {
		d.Event, d.Send, d.Retried = r.event, store.SendKey(-of), r.retried
	}
	return d
}

func (w *world) advance() {
	w.now = w.now.Add(time.Duration(w.rand.IntN(60)) * time.Second)
	if w.rand.IntN(100) == 0 { // the machine slept, or its clock was set
		w.now = w.now.Add(time.Duration(w.rand.IntN(20)) * time.Hour)
	}
	w.board.Advance(w.now)
}

// drain lets everything happen that can, and wants all to end.
func (w *world) drain() {
	w.healthy, w.paused = true, false
	if w.sharing != nil {
		w.ownAll()
	}
	w.board.Pause(w.now, false)
	for ep, j := range w.judges {
		j.settings.Paused = false
		w.board.Configure(w.now, ep, j.settings)
	}
	for round := 0; ; round++ {
		left := 0
		for _, rows := range w.rows {
			left += len(rows)
		}
		if left == 0 {
			break
		}
		if round > 100_000 {
			w.t.Fatalf("%d deliveries never end; board %+v, next wake %v, now %v", left, w.board.Stats(), w.board.NextWake(), w.now)
		}
		for range 20 {
			w.tellNow()
			w.hear()
			w.takePage()
			w.putPage()
			w.begin()
			w.finish()
			w.record()
		}
		if wake := w.board.NextWake(); wake.After(w.now) {
			w.now = wake
		}
		w.board.Advance(w.now)
	}
	for len(w.pages) > 0 {
		w.putPage()
	}
	for range 100 { // what a failed page left to do, and what is remembered for a while
		w.takePage()
		w.putPage()
		w.now = w.now.Add(10 * time.Minute)
		w.board.Advance(w.now)
	}
	if stats := w.board.Stats(); stats != (Stats{}) {
		w.t.Fatalf("all has ended, yet the board holds %+v", stats)
	}
}

// A run that fails is replayed by LANE_SEED=n go test -run TestEveryDelivery ./internal/lane.
func TestEveryDeliveryEndsOnceInOrderWithinLimits(t *testing.T) {
	first, count := uint64(0), runs(t)
	if text := os.Getenv("LANE_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, count = seed, 1
	}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprintf("LANE_SEED=%d", seed), func(t *testing.T) {
			// A Board that goes round in circles is told before all the tests are out of time.
			endless := time.AfterFunc(15*time.Second, func() { panic("a step does not end: " + t.Name()) })
			defer endless.Stop()
			w := newWorld(t, seed)
			for step := range 1500 {
				if step%500 == 499 && w.rand.IntN(2) == 0 {
					w.start()
				}
				w.step()
			}
			w.drain()
			if w.ended != w.made {
				t.Fatalf("%d of %d deliveries and sends ended", w.ended, w.made)
			}
		})
	}
}

// runs is how many seeds are replayed: LANE_RUNS, or 200.
func runs(t *testing.T) uint64 {
	text, set := os.LookupEnv("LANE_RUNS")
	if !set {
		return 200
	}
	count, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return count
}
