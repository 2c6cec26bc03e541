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
	board  *Board

	next     store.EventKey
	open     map[store.EndpointKey]map[store.EventKey]*row
	tenants  map[store.EndpointKey]store.TenantKey
	sending  []Delivery
	sent     []Delivery // finished, not recorded
	pages    []PageRequest
	read     map[int]Page // of pages, by position: what was read early
	lastSent map[store.EndpointKey]store.EventKey
	ended    int
}

type row struct {
	tried int
	due   time.Time
	busy  bool // given out and not recorded
}

const endpoints = 7

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // a replayable run
		now:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		open: make(map[store.EndpointKey]map[store.EventKey]*row), tenants: make(map[store.EndpointKey]store.TenantKey),
	}
	w.limits = Limits{
		EndpointConcurrency: 1 + w.rand.IntN(4), Attempts: 1 + w.rand.IntN(12), Unrecorded: 1 + w.rand.IntN(20),
		Rows: 8 + w.rand.IntN(100), Bytes: int64(20 + w.rand.IntN(500)), Page: 1 + w.rand.IntN(16),
	}
	for ep := store.EndpointKey(1); ep <= endpoints; ep++ {
		w.open[ep] = make(map[store.EventKey]*row)
		w.tenants[ep] = store.TenantKey(1 + ep%3)
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
			r.busy = false
		}
		if len(w.open[ep]) > 0 {
			w.board.Recover(w.now, w.tenants[ep], ep)
		}
	}
}

func (w *world) step() {
	switch w.rand.IntN(12) {
	case 0, 1, 2:
		w.accept()
	case 3, 4:
		w.begin()
	case 5:
		w.finish()
	case 6, 7:
		w.record()
	case 8:
		w.takePage()
	case 9, 10:
		w.putPage()
	case 11:
		w.advance()
	}
	stats := w.board.Stats()
	if most := w.limits.Rows + (endpoints+1)*(w.limits.Page+8) + w.limits.Unrecorded; stats.Rows > most {
		w.t.Fatalf("%d rows are held, want at most %d", stats.Rows, most)
	}
}

func (w *world) accept() {
	for range 1 + w.rand.IntN(6) {
		ep := store.EndpointKey(1 + w.rand.IntN(endpoints))
		w.next++
		w.open[ep][w.next] = &row{}
		w.board.Offer(w.now, Delivery{
			Tenant: w.tenants[ep], Endpoint: ep, Event: w.next,
			Payload: &store.Payload{Event: w.next, Body: make([]byte, w.rand.IntN(40))},
		})
	}
}

func (w *world) begin() {
	d, given := w.board.Begin()
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
	case r.due.After(w.now):
		w.t.Fatalf("endpoint %d event %d is sent %v early", d.Endpoint, d.Event, r.due.Sub(w.now))
	case d.Tried == 0 && d.Due.IsZero() && d.Event < w.lastSent[d.Endpoint]:
		w.t.Fatalf("endpoint %d: fresh event %d is sent after %d", d.Endpoint, d.Event, w.lastSent[d.Endpoint])
	}
	if d.Tried == 0 && d.Due.IsZero() {
		w.lastSent[d.Endpoint] = d.Event
	}
	r.busy = true
	w.sending = append(w.sending, d)
	flying := 0
	for _, other := range w.sending {
		if other.Endpoint == d.Endpoint {
			flying++
		}
	}
	if flying > w.limits.EndpointConcurrency || len(w.sending) > w.limits.Attempts ||
		len(w.sending)+len(w.sent) > w.limits.Unrecorded {
		w.t.Fatalf("%d at endpoint %d, %d in flight, %d unrecorded: over %+v",
			flying, d.Endpoint, len(w.sending), len(w.sent), w.limits)
	}
}

func (w *world) finish() {
	if len(w.sending) == 0 {
		return
	}
	i := w.rand.IntN(len(w.sending))
	d := w.sending[i]
	w.sending = slices.Delete(w.sending, i, i+1)
	if w.rand.IntN(10) == 0 {
		w.open[d.Endpoint][d.Event].busy = false
		w.board.Postpone(w.now, d, w.now.Add(time.Second))
		return
	}
	w.board.Finish(w.now, d)
	w.sent = append(w.sent, d)
}

func (w *world) record() {
	if len(w.sent) == 0 {
		return
	}
	i := w.rand.IntN(len(w.sent))
	d := w.sent[i]
	w.sent = slices.Delete(w.sent, i, i+1)
	if d.Tried < 4 && w.rand.IntN(3) > 0 {
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
	page := Page{PageRequest: request}
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
	w.board.Advance(w.now)
}

// drain lets everything happen that can, and wants all deliveries to end.
func (w *world) drain() {
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
	for range 100 { // what a failed page left to do
		w.takePage()
		w.putPage()
		w.now = w.now.Add(pageRetry)
		w.board.Advance(w.now)
	}
	if stats := w.board.Stats(); stats != (Stats{}) {
		w.t.Fatalf("all has ended, yet the board holds %+v", stats)
	}
}

// TestEveryDeliveryEndsOnceInOrderWithinLimits replays one run with LANE_SEED=n.
func TestEveryDeliveryEndsOnceInOrderWithinLimits(t *testing.T) {
	first, count := uint64(0), uint64(200)
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

func TestTenantsTakeTurnsWhateverTheirBacklog(t *testing.T) {
	b := New(Limits{EndpointConcurrency: 100, Attempts: 1, Unrecorded: 1000, Rows: 1000, Bytes: 1 << 20, Page: 10})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for event := store.EventKey(1); event <= 90; event++ { // tenant 1 floods two endpoints
		b.Offer(now, Delivery{Tenant: 1, Endpoint: store.EndpointKey(1 + event%2), Event: event})
	}
	b.Offer(now, Delivery{Tenant: 2, Endpoint: 3, Event: 91})
	b.Offer(now, Delivery{Tenant: 2, Endpoint: 3, Event: 92})
	var order []store.EndpointKey
	for range 5 {
		d, given := b.Begin()
		if !given {
			t.Fatal("Begin gave nothing out")
		}
		order = append(order, d.Endpoint)
		b.Finish(now, d)
		b.Record(now, d, time.Time{})
	}
	if want := []store.EndpointKey{2, 3, 1, 3, 2}; !slices.Equal(order, want) {
		t.Fatalf("endpoints took turns %v, want %v", order, want)
	}
}

func TestRetriesKeepAShareBesideFreshDeliveries(t *testing.T) {
	b := New(Limits{EndpointConcurrency: 1, Attempts: 10, Unrecorded: 10, Rows: 1000, Bytes: 1 << 20, Page: 10})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	retries := 0
	send := func(retry bool) (d Delivery) {
		d, given := b.Begin()
		if !given {
			t.Fatal("Begin gave nothing out")
		}
		b.Finish(now, d)
		due := time.Time{}
		if retry {
			due = now
		}
		b.Record(now, d, due)
		b.Advance(now)
		return d
	}
	for event := store.EventKey(1); event <= 40; event++ {
		b.Offer(now, Delivery{Tenant: 1, Endpoint: 1, Event: event})
	}
	for range 8 {
		send(true)
	}
	for range 16 {
		if send(false).Tried > 0 {
			retries++
		}
	}
	if want := 16 / retryTurn; retries != want {
		t.Fatalf("%d of 16 turns were for retries, want %d", retries, want)
	}
}
