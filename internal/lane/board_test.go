package lane

import (
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

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

// board is one with room.
func board() *Board {
	return New(Limits{Attempts: 10, Unrecorded: 10, Rows: 100_000, Bytes: 1 << 20, Page: 10})
}

// offer brings in fresh deliveries with these numbers, and await sends under these keys.
func offer(b *Board, tenant store.TenantKey, endpoint store.EndpointKey, from, to store.EventKey) {
	for event := from; event <= to; event++ {
		b.Offer(noon, Delivery{Tenant: tenant, Endpoint: endpoint, Event: event}, plain)
	}
}

func await(b *Board, tenant store.TenantKey, endpoint store.EndpointKey, from, to store.SendKey) {
	for key := from; key <= to; key++ {
		b.Await(noon, Delivery{Tenant: tenant, Endpoint: endpoint, Event: store.EventKey(key), Send: key, Due: noon}, plain)
	}
}

// sends counts the sends among so many attempts, one after another.
func sends(t *testing.T, b *Board, attempts int) (count int) {
	t.Helper()
	for range attempts {
		if d := send(t, b, noon, Success, time.Time{}); d.Send != 0 {
			count++
		}
	}
	return count
}

func TestSendsTakeASmallShareOfTurns(t *testing.T) {
	tests := map[string]struct {
		flood func(b *Board) // of sends
		live  func(b *Board)
		want  int // sends among 160 attempts
	}{
		"beside the deliveries of their endpoint": {
			flood: func(b *Board) { await(b, 1, 1, 1, 200) },
			live:  func(b *Board) { offer(b, 1, 1, 1, 200) },
			want:  160 / sendTurn,
		},
		"beside another endpoint of their tenant": {
			flood: func(b *Board) { await(b, 1, 1, 1, 200) },
			live:  func(b *Board) { offer(b, 1, 2, 1, 200) },
			want:  160 / sendTurn,
		},
		"beside another tenant": {
			flood: func(b *Board) { await(b, 1, 1, 1, 200) },
			live:  func(b *Board) { offer(b, 2, 2, 1, 200) },
			want:  160 / sendTurn,
		},
		// They leave six turns to the other tenant, and then take turns with it, one each.
		"of many endpoints of a tenant": {
			flood: func(b *Board) {
				for ep := range store.EndpointKey(8) {
					await(b, 1, 10+ep, 1, 30)
				}
			},
			live: func(b *Board) { offer(b, 2, 2, 1, 200) },
			want: 160 * 8 / (6 + 8 + 8),
		},
		"alone they take all": {
			flood: func(b *Board) { await(b, 1, 1, 1, 100); await(b, 2, 2, 1, 100) },
			live:  func(*Board) {},
			want:  160,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := board()
			test.flood(b)
			test.live(b)
			if got := sends(t, b, 160); got < test.want-2 || got > test.want+2 {
				t.Errorf("%d of 160 turns were for sends, want %d", got, test.want)
			}
		})
	}
}

func TestSendsOfAnOrderedEndpointWaitForNoPredecessor(t *testing.T) {
	b := board()
	ordered := Settings{Concurrency: 5, Ordered: true}
	for event := store.EventKey(1); event <= 3; event++ {
		b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: event}, ordered)
	}
	if d := send(t, b, noon, Failure, noon.Add(time.Hour)); d.Event != 1 {
		t.Fatalf("event %d is first", d.Event)
	}
	await(b, 1, 1, 1, 2)
	b.Configure(noon, 1, ordered)
	d, given := b.Begin(noon)
	if !given || d.Send == 0 {
		t.Fatalf("begun %+v, want a send, as event 1 is to be waited for", d)
	}
	if d, given := b.Begin(noon); given {
		t.Fatalf("begun %+v beside another attempt", d)
	}
	b.Finish(noon, d, Result{Verdict: Failure})
	b.Record(noon, d, noon.Add(time.Hour))
	if d := send(t, b, noon, Success, time.Time{}); d.Send == 0 {
		t.Fatalf("begun %+v, want the other send", d)
	}
	hour := noon.Add(time.Hour)
	b.Advance(hour)
	if d := send(t, b, hour, Success, time.Time{}); d.Send != 0 || d.Event != 1 {
		t.Fatalf("begun %+v, want event 1", d)
	}
}

func TestWhatWasDroppedLeavesItsPlaceToOthers(t *testing.T) {
	b := board()
	ordered := Settings{Concurrency: 1, Ordered: true}
	for event := store.EventKey(1); event <= 200; event++ {
		b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: event}, ordered)
	}
	if d := send(t, b, noon, Failure, noon.Add(time.Hour)); d.Event != 1 {
		t.Fatalf("event %d is first", d.Event)
	}
	if _, given := b.Begin(noon); given {
		t.Fatal("something is sent before event 1 has ended")
	}
	b.Drop(noon, 1, 1, 0)
	b.Drop(noon, 1, 3, 0)
	for _, want := range []store.EventKey{2, 4} {
		if d := send(t, b, noon, Success, time.Time{}); d.Event != want {
			t.Fatalf("event %d is sent, want %d", d.Event, want)
		}
	}
	before := b.Stats().Rows
	for event := store.EventKey(100); event <= 200; event++ {
		b.Drop(noon, 1, event, 0)
	}
	if rows := b.Stats().Rows; rows > before-80 {
		t.Errorf("%d deliveries are held after 101 of %d were dropped", rows, before)
	}
	for event := store.EventKey(5); event < 100; event++ {
		if d := send(t, b, noon, Success, time.Time{}); d.Event != event {
			t.Fatalf("event %d is sent, want %d", d.Event, event)
		}
	}
	if stats := b.Stats(); stats != (Stats{}) {
		t.Errorf("all has ended, yet the board holds %+v", stats)
	}
}

// TestOrderDoesNotWaitForWhatWasDroppedBeyondMemory has an ordered endpoint whose next
// delivery waits in the store alone, and is cancelled there.
func TestOrderDoesNotWaitForWhatWasDroppedBeyondMemory(t *testing.T) {
	b := New(Limits{Attempts: 10, Unrecorded: 10, Rows: 1, Bytes: 1 << 20, Page: 10})
	ordered := Settings{Concurrency: 1, Ordered: true}
	b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: 1}, ordered)
	d, _ := b.Begin(noon)
	b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: 2}, ordered)
	b.Offer(noon, Delivery{Tenant: 2, Endpoint: 2, Event: 3}, ordered) // takes the room
	b.Finish(noon, d, Result{Verdict: Failure})
	b.Record(noon, d, noon.Add(time.Hour))
	b.Drop(noon, 1, 1, 0)
	var got []store.EventKey
	for range 10 {
		for request, wanted := b.TakePage(); wanted; request, wanted = b.TakePage() {
			page := Page{PageRequest: request, Settings: ordered}
			if request.Kind == FreshPage {
				page.Deliveries = []Delivery{{Tenant: request.Tenant, Endpoint: request.Endpoint, Event: 1 + store.EventKey(request.Endpoint)}}
			}
			b.PutPage(noon, page)
		}
		if d, given := b.Begin(noon); given {
			got = append(got, d.Event)
			b.Finish(noon, d, Result{Verdict: Success, Ends: true})
			b.Record(noon, d, time.Time{})
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, []store.EventKey{2, 3}) {
		t.Errorf("events %v were sent, want 2 and 3", got)
	}
}

func TestPausedEndpointTakesNoRoomAndGoesOnAtOnce(t *testing.T) {
	b := board()
	paused := Settings{Concurrency: 100, Paused: true}
	for event := store.EventKey(1); event <= 100; event++ {
		b.Offer(noon, Delivery{Tenant: 1, Endpoint: 1, Event: event}, paused)
		b.Await(noon, Delivery{Tenant: 1, Endpoint: 1, Event: event, Send: store.SendKey(event), Due: noon}, paused)
	}
	if stats := b.Stats(); stats.Rows != 0 {
		t.Errorf("%d deliveries are held of a paused endpoint", stats.Rows)
	}
	if _, wanted := b.TakePage(); wanted {
		t.Error("the backlog of a paused endpoint is read")
	}
	if wake := b.NextWake(); !wake.IsZero() {
		t.Errorf("a paused endpoint wakes the board at %v", wake)
	}
	b.Configure(noon, 1, plain)
	kinds := make(map[PageKind]bool)
	for request, wanted := b.TakePage(); wanted; request, wanted = b.TakePage() {
		kinds[request.Kind] = true
		b.PutPage(noon, Page{PageRequest: request, Settings: plain})
	}
	if !kinds[FreshPage] || !kinds[SendPage] {
		t.Errorf("pages of the kinds %v are read once it is resumed", kinds)
	}
}

func TestPausingEverythingIsOneStep(t *testing.T) {
	b := board()
	for ep := store.EndpointKey(1); ep <= 50; ep++ {
		offer(b, 1, ep, 10*store.EventKey(ep), 10*store.EventKey(ep)+5)
	}
	b.Pause(noon, true)
	if _, given := b.Begin(noon); given {
		t.Fatal("something is sent though everything is paused")
	}
	b.Advance(noon.Add(time.Hour))
	b.Pause(noon, false)
	if d, given := b.Begin(noon); !given || d.Endpoint != 1 {
		t.Fatalf("begun %+v, want what was next before the pause", d)
	}
}

// TestReceiversWishIsKeptWhileNothingIsToBeSent has an endpoint with nothing left to send
// that asked to be left alone for longer than it is remembered otherwise.
func TestReceiversWishIsKeptWhileNothingIsToBeSent(t *testing.T) {
	b := board()
	offer(b, 1, 1, 1, 1)
	d, _ := b.Begin(noon)
	quiet := noon.Add(time.Hour)
	b.Finish(noon, d, Result{Verdict: Throttled, Ends: true, HoldUntil: quiet})
	b.Record(noon, d, time.Time{})
	for now := noon; now.Before(quiet); now = now.Add(time.Minute) {
		b.Advance(now)
	}
	now := quiet.Add(-time.Minute)
	b.Offer(now, Delivery{Tenant: 1, Endpoint: 1, Event: 2}, plain)
	if _, given := b.Begin(now); given {
		t.Error("sent to before the receiver wanted")
	}
	if wake := b.NextWake(); !wake.Equal(quiet) {
		t.Errorf("wakes at %v, want %v", wake, quiet)
	}
	b.Advance(quiet)
	send(t, b, quiet, Success, time.Time{})
}

func TestPageFromBeforeATenantWasLetGoOfIsThrownAway(t *testing.T) {
	b := New(Limits{Attempts: 10, Unrecorded: 10, Rows: 100, Bytes: 1000, Page: 10})
	b.Share()
	its := []store.Bucket{store.BucketOf(1)}
	take := func() PageRequest {
		b.Own(noon, its)
		b.Recover(noon, 1, 1)
		b.Owned(its)
		request, wanted := b.TakePage()
		if !wanted {
			t.Fatal("no page is wanted")
		}
		return request
	}
	old := Page{PageRequest: take(), Settings: Settings{Concurrency: 1}}
	old.Deliveries = []Delivery{{Tenant: 1, Endpoint: 1, Event: 7, Due: noon.Add(-time.Hour)}}
	b.Disown(noon, its)
	b.PutPage(noon, old)
	take()
	b.PutPage(noon, old)
	if d, given := b.Begin(noon); given {
		t.Errorf("event %d of the old page is sent", d.Event)
	}
}

func TestPagesThatWereAskedForTogetherKeepToTheBytes(t *testing.T) {
	const bound = 1000
	b := New(Limits{Attempts: 10, Unrecorded: 10, Rows: 100, Bytes: bound, Page: 10})
	var requests []PageRequest
	for endpoint := store.EndpointKey(1); endpoint <= 8; endpoint++ {
		b.Recover(noon, 1, endpoint)
		request, wanted := b.TakePage()
		if !wanted {
			t.Fatal("no page is wanted")
		}
		requests = append(requests, request)
	}
	for i, request := range requests {
		event := store.EventKey(1 + i)
		payload := &store.Payload{Event: event, Body: make([]byte, request.Bytes)}
		b.PutPage(noon, Page{PageRequest: request, Settings: plain, Next: event + 1, Deliveries: []Delivery{
			{Tenant: 1, Endpoint: request.Endpoint, Event: event, Payload: payload},
		}})
	}
	if stats := b.Stats(); stats.Bytes > bound || stats.Rows != len(requests) {
		t.Errorf("%d pages of all that each may bring: %+v, want at most %d bytes", len(requests), stats, bound)
	}
}
