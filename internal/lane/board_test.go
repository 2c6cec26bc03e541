package lane

import (
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

	next     store.EventKey
	open     map[store.EndpointKey]map[store.EventKey]*row
	tenants  map[store.EndpointKey]store.TenantKey
	sending  []Delivery
	sent     []Delivery // finished, not recorded
	pages    []PageRequest
	read     map[int]Page // of pages, by position: what was read early
	lastSent map[store.EndpointKey]store.EventKey
	judges   map[store.EndpointKey]*judge
	tenantAt map[store.TenantKey]time.Time // of the latest attempt
	healthy  bool                          // every attempt succeeds
	ended    int
}

// judge is what the rules allow for an endpoint, worked out apart from the Board.
type judge struct {
	settings Settings
	flying   int
	began    time.Time // the latest attempt
	hold     time.Time
	failures int       // in a row
	failedAt time.Time // the latest of them that lengthens the pause
	// ordered is the number from which on order is kept: an endpoint that was closed and
	// opened again may get what was about to be ended late.
	ordered store.EventKey
	probing bool // an attempt began since so many failed
}

type row struct {
	tried int
	due   time.Time
	busy  bool // given out and not recorded
	sent  bool // and its outcome ended it
	probe bool
	// closing says that it was given out to be ended without an attempt.
	closing bool
}

const endpoints = 7

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // a replayable run
		now:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		open: make(map[store.EndpointKey]map[store.EventKey]*row), tenants: make(map[store.EndpointKey]store.TenantKey),
		judges: make(map[store.EndpointKey]*judge), tenantAt: make(map[store.TenantKey]time.Time),
	}
	w.limits = Limits{
		Attempts: 1 + w.rand.IntN(12), Unrecorded: 1 + w.rand.IntN(20),
		Rows: 8 + w.rand.IntN(100), Bytes: int64(20 + w.rand.IntN(500)), Page: 1 + w.rand.IntN(16),
	}
	w.bodies = 1 + 40*w.rand.IntN(2)
	rates := []int{0, 0, 1, 3} // per second
	tenantRates := []int{rates[w.rand.IntN(4)], rates[w.rand.IntN(4)], rates[w.rand.IntN(4)]}
	for ep := store.EndpointKey(1); ep <= endpoints; ep++ {
		w.open[ep] = make(map[store.EventKey]*row)
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
	w.sending, w.sent, w.pages = nil, nil, nil
	w.read = make(map[int]Page)
	w.lastSent = make(map[store.EndpointKey]store.EventKey)
	for ep := store.EndpointKey(1); ep <= endpoints; ep++ {
		for _, r := range w.open[ep] {
			r.busy, r.sent, r.probe, r.closing = false, false, false, false
		}
		w.judges[ep] = &judge{settings: w.judges[ep].settings, ordered: w.judges[ep].ordered}
		if len(w.open[ep]) > 0 {
			w.board.Recover(w.now, w.tenants[ep], ep)
		}
	}
}

func (w *world) step() {
	if w.rand.IntN(40) == 0 {
		w.configure()
	}
	switch w.rand.IntN(16) {
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
	}
	stats := w.board.Stats()
	if most := w.limits.Rows + (endpoints+1)*(w.limits.Page+8) + w.limits.Unrecorded; stats.Rows > most {
		w.t.Fatalf("%d rows are held, want at most %d", stats.Rows, most)
	}
}

func (w *world) accept() {
	for range 1 + w.rand.IntN(6) {
		ep := store.EndpointKey(1 + w.rand.IntN(endpoints)*w.rand.IntN(2)) // half for the first
		w.next++
		w.open[ep][w.next] = &row{}
		w.board.Offer(w.now, Delivery{
			Tenant: w.tenants[ep], Endpoint: ep, Event: w.next,
			Payload: &store.Payload{Event: w.next, Body: make([]byte, w.rand.IntN(w.bodies))},
		}, w.judges[ep].settings)
	}
}

// configure changes what an endpoint wants.
func (w *world) configure() {
	ep := store.EndpointKey(1 + w.rand.IntN(endpoints))
	j := w.judges[ep]
	j.settings.Concurrency = 1 + w.rand.IntN(4)
	j.settings.Rate = w.rand.IntN(3)
	if closed := w.rand.IntN(3) == 0; closed != j.settings.Closed {
		j.settings.Closed, j.ordered = closed, w.next
	}
	j.began = time.Time{} // from the next attempt on
	w.board.Configure(w.now, ep, j.settings)
}

func (w *world) begin() {
	d, given := w.board.Begin(w.now)
	if !given {
		return
	}
	r, open := w.open[d.Endpoint][d.Event]
	switch {
	case !open:
		w.t.Fatalf("endpoint %d event %d is sent after it ended", d.Endpoint, d.Event)
	case r.busy:
		w.t.Fatalf("endpoint %d event %d is sent twice at a time", d.Endpoint, d.Event)
	case r.tried != d.Tried:
		w.t.Fatalf("endpoint %d event %d: Tried = %d, want %d", d.Endpoint, d.Event, d.Tried, r.tried)
	case r.due.After(w.now) && !w.judges[d.Endpoint].settings.Closed:
		w.t.Fatalf("endpoint %d event %d is sent %v early", d.Endpoint, d.Event, r.due.Sub(w.now))
	case d.Tried == 0 && d.Due.IsZero() && d.Event < w.lastSent[d.Endpoint]:
		w.t.Fatalf("endpoint %d: fresh event %d is sent after %d", d.Endpoint, d.Event, w.lastSent[d.Endpoint])
	}
	if d.Tried == 0 && d.Due.IsZero() {
		w.lastSent[d.Endpoint] = d.Event
	}
	w.judgeStart(d, r)
	r.busy = true
	w.sending = append(w.sending, d)
	if len(w.sending) > w.limits.Attempts || len(w.sending)+len(w.sent) > w.limits.Unrecorded {
		w.t.Fatalf("%d in flight, %d unrecorded: over %+v", len(w.sending), len(w.sent), w.limits)
	}
}

// judgeStart holds the start of an attempt against what its endpoint and tenant want.
func (w *world) judgeStart(d Delivery, r *row) {
	j := w.judges[d.Endpoint]
	if r.closing = j.settings.Closed; r.closing {
		return
	}
	if j.settings.Ordered {
		for event, other := range w.open[d.Endpoint] {
			if event > j.ordered && event < d.Event && !other.sent {
				w.t.Fatalf("ordered endpoint %d: event %d is sent before %d", d.Endpoint, d.Event, event)
			}
		}
	}
	if j.flying++; j.began.IsZero() { // it may have been allowed more before
	} else if j.flying > j.settings.Concurrency || (j.settings.Ordered && j.flying > 1) {
		w.t.Fatalf("endpoint %d: %d in flight, want at most %d", d.Endpoint, j.flying, j.settings.Concurrency)
	}
	if gap := w.now.Sub(j.began); j.settings.Rate > 0 && gap < time.Second/time.Duration(j.settings.Rate) {
		w.t.Fatalf("endpoint %d: sent %v after the attempt before, at %d/s", d.Endpoint, gap, j.settings.Rate)
	}
	tenant := w.tenants[d.Endpoint]
	if gap := w.now.Sub(w.tenantAt[tenant]); j.settings.TenantRate > 0 && gap < time.Second/time.Duration(j.settings.TenantRate) {
		w.t.Fatalf("tenant %d: sent %v after the attempt before, at %d/s", tenant, gap, j.settings.TenantRate)
	}
	if w.now.Before(j.hold) {
		w.t.Fatalf("endpoint %d is sent to %v before it wanted", d.Endpoint, j.hold.Sub(w.now))
	}
	if j.failures >= openAfter {
		if j.probing || w.now.Sub(j.failedAt) < firstPause {
			w.t.Fatalf("endpoint %d: sent after %d failures in a row, %v after the last, probing %v",
				d.Endpoint, j.failures, w.now.Sub(j.failedAt), j.probing)
		}
		j.probing, r.probe = true, true
	}
	j.began, w.tenantAt[tenant] = w.now, w.now
}

func (w *world) finish() {
	if len(w.sending) == 0 {
		return
	}
	i := w.rand.IntN(len(w.sending))
	d := w.sending[i]
	w.sending = slices.Delete(w.sending, i, i+1)
	j, r := w.judges[d.Endpoint], w.open[d.Endpoint][d.Event]
	if !r.closing {
		j.flying--
	}
	wasProbe := r.probe
	if r.probe {
		j.probing, r.probe = false, false
	}
	if w.rand.IntN(10) == 0 {
		r.busy = false
		w.board.Postpone(w.now, d, w.now.Add(time.Second))
		return
	}
	result := w.answer(d, j, wasProbe)
	r.sent = result.Ends
	w.board.Finish(w.now, d, result)
	w.sent = append(w.sent, d)
}

// answer is what the receiver says. Two of the endpoints are down throughout.
func (w *world) answer(d Delivery, j *judge, probe bool) Result {
	if w.open[d.Endpoint][d.Event].closing {
		return Result{Ends: true}
	}
	if w.healthy || (d.Endpoint > 2 && w.rand.IntN(3) > 0) {
		j.failures = 0
		return Result{Verdict: Success, Ends: true}
	}
	result := Result{Verdict: []Verdict{Failure, Failure, Timeout, Throttled}[w.rand.IntN(4)], Ends: d.Tried >= 4}
	if d.Endpoint == 2 {
		result.Verdict = Failure // it is not sent less for it
	}
	if result.Verdict == Throttled && w.rand.IntN(2) == 0 {
		result.HoldUntil = w.now.Add(time.Duration(w.rand.IntN(60)) * time.Second)
		j.hold = later(j.hold, result.HoldUntil)
	}
	if j.failures++; j.failures <= openAfter || probe {
		j.failedAt = w.now
	}
	return result
}

func (w *world) record() {
	if len(w.sent) == 0 {
		return
	}
	d := w.sent[0] // outcomes are recorded in the order in which they came
	w.sent = slices.Delete(w.sent, 0, 1)
	if !w.open[d.Endpoint][d.Event].sent {
		due := w.now.Add(time.Duration(w.rand.IntN(300)) * time.Second)
		*w.open[d.Endpoint][d.Event] = row{tried: d.Tried + 1, due: due}
		w.board.Record(w.now, d, due)
		return
	}
	delete(w.open[d.Endpoint], d.Event)
	w.ended++
	w.board.Record(w.now, d, time.Time{})
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
	rows := w.open[request.Endpoint]
	for _, event := range slices.Sorted(maps.Keys(rows)) {
		d := Delivery{Tenant: request.Tenant, Endpoint: request.Endpoint, Event: event, Tried: rows[event].tried, Due: rows[event].due}
		switch {
		case request.Kind == WaitingPage:
			if d.Tried > 0 {
				page.Deliveries = append(page.Deliveries, d)
			}
		case event < request.From:
		case int(page.Next) == request.Limit: // counts what was examined, for now
			page.More = true
		default:
			page.Next++
			if d.Tried == 0 {
				page.Deliveries = append(page.Deliveries, d)
			}
		}
	}
	if request.Kind == WaitingPage {
		slices.SortStableFunc(page.Deliveries, func(a, b Delivery) int { return a.Due.Compare(b.Due) })
		page.More = len(page.Deliveries) >= request.Limit
		page.Deliveries = page.Deliveries[:min(len(page.Deliveries), request.Limit)]
		return page
	}
	page.Next = w.after(rows, request)
	return page
}

// after is the number behind the last one that a fresh page examined.
func (w *world) after(rows map[store.EventKey]*row, request PageRequest) store.EventKey {
	next, examined := request.From, 0
	for _, event := range slices.Sorted(maps.Keys(rows)) {
		if event >= request.From && examined < request.Limit {
			next, examined = event+1, examined+1
		}
	}
	return next
}

func (w *world) advance() {
	w.now = w.now.Add(time.Duration(w.rand.IntN(60)) * time.Second)
	if w.rand.IntN(100) == 0 { // the machine slept, or its clock was set
		w.now = w.now.Add(time.Duration(w.rand.IntN(20)) * time.Hour)
	}
	w.board.Advance(w.now)
}

// drain lets everything happen that can, and wants all deliveries to end.
func (w *world) drain() {
	w.healthy = true
	for round := 0; ; round++ {
		left := 0
		for _, rows := range w.open {
			left += len(rows)
		}
		if left == 0 {
			break
		}
		if round > 100_000 {
			w.t.Fatalf("%d deliveries never end; board %+v, next wake %v, now %v", left, w.board.Stats(), w.board.NextWake(), w.now)
		}
		for range 20 {
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
			w := newWorld(t, seed)
			for step := range 1500 {
				if step%500 == 499 && w.rand.IntN(2) == 0 {
					w.start()
				}
				w.step()
			}
			w.drain()
			if w.ended != int(w.next) {
				t.Fatalf("%d of %d deliveries ended", w.ended, w.next)
			}
		})
	}
}

var plain = Settings{Concurrency: 100}

// send begins and finishes an attempt and records it.
func send(t *testing.T, b *Board, now time.Time, verdict Verdict, retryAt time.Time) Delivery {
	t.Helper()
	d, given := b.Begin(now)
	if !given {
		t.Fatal("Begin gave nothing out")
	}
	b.Finish(now, d, Result{Verdict: verdict, Ends: retryAt.IsZero()})
	b.Record(now, d, retryAt)
	b.Advance(now)
	return d
}

func TestTenantsTakeTurnsWhateverTheirBacklog(t *testing.T) {
	b := New(Limits{Attempts: 10, Unrecorded: 1000, Rows: 1000, Bytes: 1 << 20, Page: 10})
	for event := store.EventKey(1); event <= 90; event++ { // tenant 1 floods two endpoints
		b.Offer(noon, Delivery{Tenant: 1, Endpoint: store.EndpointKey(1 + event%2), Event: event}, plain)
	}
	b.Offer(noon, Delivery{Tenant: 2, Endpoint: 3, Event: 91}, plain)
	b.Offer(noon, Delivery{Tenant: 2, Endpoint: 3, Event: 92}, plain)
	var order []store.EndpointKey
	for range 5 {
		order = append(order, send(t, b, noon, Success, time.Time{}).Endpoint)
	}
	if want := []store.EndpointKey{2, 3, 1, 3, 2}; !slices.Equal(order, want) {
		t.Fatalf("endpoints took turns %v, want %v", order, want)
	}
}

func TestRetriesKeepAShareBesideFreshDeliveries(t *testing.T) {
	b := New(Limits{Attempts: 10, Unrecorded: 10, Rows: 1000, Bytes: 1 << 20, Page: 10})
	for event := store.EventKey(1); event <= 40; event++ {
		b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: event}, plain)
	}
	for range 8 {
		send(t, b, noon, Failure, noon)
	}
	retries := 0
	for range 16 {
		if send(t, b, noon, Success, time.Time{}).Tried > 0 {
			retries++
		}
	}
	if want := 16 / retryTurn; retries != want {
		t.Fatalf("%d of 16 turns were for retries, want %d", retries, want)
	}
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// TestReceiversThatHangLeaveSteadyOnesTheirPlace has far more endpoints that never
// answer than attempts may be in flight.
func TestReceiversThatHangLeaveSteadyOnesTheirPlace(t *testing.T) {
	const attempts = 100
	b := New(Limits{Attempts: attempts, Unrecorded: 1000, Rows: 100_000, Bytes: 1 << 20, Page: 10})
	b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: 1}, plain)
	send(t, b, noon, Success, time.Time{}) // endpoint 1 is known to answer
	event := store.EventKey(1)
	for ep := store.EndpointKey(2); ep < 1000; ep++ {
		event++
		b.Offer(noon, Delivery{Tenant: store.TenantKey(ep), Endpoint: ep, Event: event}, plain)
	}
	hanging := 0
	for _, given := b.Begin(noon); given; _, given = b.Begin(noon) {
		hanging++
	}
	if want := attempts * 7 / 10; hanging != want {
		t.Errorf("%d attempts are given to endpoints nobody knows, want %d", hanging, want)
	}
	for range attempts - hanging {
		event++
		b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: event}, plain)
		if d, given := b.Begin(noon); !given || d.Endpoint != 1 {
			t.Fatalf("the steady endpoint has no place: %+v", b.Stats())
		}
	}
	// Its own attempts become slow: now it shares the places of the others.
	later := noon.Add(2 * slowAfter)
	b.Advance(later)
	if got := b.Stats().Unsteady; got != attempts {
		t.Errorf("%d attempts count as slow, want all %d", got, attempts)
	}
}

func TestEndpointThatTimesOutShrinksToOneSlotAndRecovers(t *testing.T) {
	b := New(Limits{Attempts: 100, Unrecorded: 1000, Rows: 1000, Bytes: 1 << 20, Page: 10})
	for event := store.EventKey(1); event <= 100; event++ {
		b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: event}, Settings{Concurrency: 4})
	}
	inFlight := func() (flights []Delivery) {
		for d, given := b.Begin(noon); given; d, given = b.Begin(noon) {
			flights = append(flights, d)
		}
		return flights
	}
	finish := func(flights []Delivery, verdict Verdict) {
		for _, d := range flights {
			b.Finish(noon, d, Result{Verdict: verdict, Ends: true})
			b.Record(noon, d, time.Time{})
		}
	}
	var got []int
	for _, verdict := range []Verdict{Timeout, Success, Success, Throttled, Success} {
		flights := inFlight()
		got = append(got, len(flights))
		finish(flights, verdict)
	}
	// After four timeouts one; after its success two; after two successes four; after
	// four throttled answers one.
	if want := []int{4, 1, 2, 4, 1}; !slices.Equal(got, want) {
		t.Errorf("attempts in flight %v, want %v", got, want)
	}
}

func TestBreakerOpensAfterManyFailuresProbesAndCloses(t *testing.T) {
	b := New(Limits{Attempts: 100, Unrecorded: 1000, Rows: 1000, Bytes: 1 << 20, Page: 10})
	for event := store.EventKey(1); event <= 100; event++ {
		b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: event}, plain)
	}
	for range openAfter {
		send(t, b, noon, Failure, time.Time{})
	}
	now := noon
	for _, pause := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
		if wake := b.NextWake(); !wake.Equal(now.Add(pause)) {
			t.Fatalf("the next probe is %v after the last failure, want %v", wake.Sub(now), pause)
		}
		b.Advance(now.Add(pause - 1))
		if _, given := b.Begin(now.Add(pause - 1)); given {
			t.Fatalf("sent before the pause of %v was over", pause)
		}
		now = now.Add(pause)
		b.Advance(now)
		d, given := b.Begin(now)
		if _, second := b.Begin(now); !given || second {
			t.Fatalf("given %v, and another %v: want a single probe", given, second)
		}
		b.Finish(now, d, Result{Verdict: Failure, Ends: true})
		b.Record(now, d, time.Time{})
	}
	now = now.Add(40 * time.Second)
	b.Advance(now)
	send(t, b, now, Success, time.Time{})
	for range 10 {
		if _, given := b.Begin(now); !given {
			t.Fatal("the breaker did not close after a success")
		}
	}
}

func TestHandfulOfFailuresKeepsTheirSchedule(t *testing.T) {
	b := New(Limits{Attempts: 100, Unrecorded: 1000, Rows: 1000, Bytes: 1 << 20, Page: 10})
	b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: 1}, plain)
	now := noon
	for _, wait := range []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour} {
		send(t, b, now, Failure, now.Add(wait))
		if wake := b.NextWake(); !wake.Equal(now.Add(wait)) {
			t.Fatalf("the retry is due after %v, want %v", wake.Sub(now), wait)
		}
		now = now.Add(wait)
		b.Advance(now)
	}
	if d := send(t, b, now, Failure, time.Time{}); d.Tried != 7 {
		t.Errorf("the last attempt has Tried = %d, want 7", d.Tried)
	}
}

func TestNewOwnerOfALimitedEndpointBeginsWithoutAToken(t *testing.T) {
	b := New(Limits{Attempts: 100, Unrecorded: 1000, Rows: 1000, Bytes: 1 << 20, Page: 10})
	b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: 1}, Settings{Concurrency: 1, Rate: 2})
	b.Offer(noon, Delivery{Tenant: 2, Endpoint: 2, Event: 2}, Settings{Concurrency: 1, TenantRate: 2})
	if _, given := b.Begin(noon); given {
		t.Fatal("the first attempt of a start was begun at once")
	}
	now := noon.Add(500 * time.Millisecond)
	if wake := b.NextWake(); !wake.Equal(now) {
		t.Fatalf("wakes at %v, want %v", wake, now)
	}
	b.Advance(now)
	send(t, b, now, Success, time.Time{})
	send(t, b, now, Success, time.Time{})
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

func TestDeliveryThatAPageBroughtBeforeItsOfferIsNotSentTwice(t *testing.T) {
	b := New(Limits{Attempts: 10, Unrecorded: 10, Rows: 1000, Bytes: 1 << 20, Page: 10})
	d := Delivery{Tenant: 1, Endpoint: 1, Event: 1}
	b.Recover(noon, d.Tenant, d.Endpoint)
	for {
		request, wanted := b.TakePage()
		if !wanted {
			break
		}
		page := Page{PageRequest: request, Settings: plain}
		if request.Kind == FreshPage {
			page.Deliveries = []Delivery{d} // it is committed, and about to be offered
		}
		b.PutPage(noon, page)
	}
	if _, given := b.Begin(noon); !given {
		t.Fatal("Begin gave nothing out")
	}
	b.Offer(noon, d, plain)
	if _, given := b.Begin(noon); given {
		t.Fatal("Begin gave the delivery out twice")
	}
	b.Finish(noon, d, Result{Verdict: Success, Ends: true})
	b.Record(noon, d, time.Time{})
	if stats := b.Stats(); stats != (Stats{}) {
		t.Fatalf("all has ended, yet the board holds %+v", stats)
	}
}
