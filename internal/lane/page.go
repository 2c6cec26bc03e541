package lane

import (
	"time"

	"github.com/neohook/neohook/store"
)

// PageKind says what a page is of.
type PageKind uint8

// The kinds of page.
const (
	FreshPage   PageKind = iota + 1
	WaitingPage          // deliveries that wait
	SendPage             // manual sends
	pageKinds            = iota

	SettingsPage PageKind = iota // nothing but the settings
)

// kind is of the page that brings a delivery.
func (d *Delivery) kind() PageKind {
	switch {
	case d.Send != 0:
		return SendPage
	case d.Due.IsZero():
		return FreshPage
	}
	return WaitingPage
}

// PageRequest asks for deliveries from the store.
type PageRequest struct {
	Tenant   store.TenantKey
	Endpoint store.EndpointKey
	Kind     PageKind
	// From is the lowest number wanted of a FreshPage.
	From store.EventKey
	// Behind is the first place wanted of the other kinds.
	Behind store.Moment
	// Limit is the most deliveries.
	Limit int
	// Bytes is the most of payloads to bring along; further deliveries come without.
	Bytes int64

	number uint64
}

// Page is what the store had.
type Page struct {
	PageRequest
	Deliveries []Delivery
	// Next and More are those of a store.FreshPage. For the other kinds, More says that as
	// many came as were asked for.
	Next store.EventKey
	More bool
	// Settings are the endpoint's.
	Settings Settings
	// Failed says that the store could not be read; then nothing else is set.
	Failed bool
}

// pageRetry is the pause after a page that failed.
const pageRetry = time.Second

// WantsPage says that TakePage may have something to read.
func (b *Board) WantsPage() bool { return b.wanting.len() > 0 }

// TakePage returns the next page to read, or false. Its answer goes to PutPage.
func (b *Board) TakePage() (PageRequest, bool) {
	for b.wanting.len() > 0 {
		l := b.wanting.pop()
		l.wanted = false
		kind := l.wants(b.now, &b.limits)
		if kind == 0 {
			b.settle(l)
			continue
		}
		b.lastPage++
		l.page = &pageInFlight{number: b.lastPage, kind: kind, recorded: make(map[ref]struct{})}
		request := PageRequest{
			Tenant: l.tenant, Endpoint: l.endpoint, Kind: kind, From: l.from,
			Limit: b.pageRows(), Bytes: max(0, b.limits.Bytes-b.bytes) / shareOfFree, number: b.lastPage,
		}
		if kind != SettingsPage {
			l.lastPage = kind
		}
		if kind == WaitingPage || kind == SendPage {
			w := l.waits(kind)
			request.Behind = store.Moment{At: w.horizon.due, Key: w.horizon.key}
			request.Limit += w.behind() // those may come first, and are no news
		}
		return request, true
	}
	return PageRequest{}, false
}

// pageRows is how many deliveries to ask for: fewer when memory is short, but some, as a
// lane must go on.
func (b *Board) pageRows() int {
	const least = 8
	return max(min(b.limits.Page, (b.limits.Rows-b.rows)/shareOfFree), min(least, b.limits.Page))
}

// wants says which page would help the lane now; 0 is none. The kinds take turns.
func (l *lane) wants(now time.Time, limits *Limits) PageKind {
	switch {
	case l.page != nil || l.pageAfter.After(now):
		return 0
	case l.doubtful:
		return SettingsPage
	case l.settings.Paused && !l.settings.Closed:
		return 0
	}
	kind := l.lastPage
	for range pageKinds {
		if kind = kind%pageKinds + 1; l.wantsKind(kind, now, limits.Page) {
			return kind
		}
	}
	return 0
}

func (l *lane) wantsKind(kind PageKind, now time.Time, rows int) bool {
	if kind == FreshPage {
		return l.behind && l.fresh.len() <= rows/2
	}
	return l.waits(kind).wantsPage(now, l.settings.Closed, rows)
}

// PutPage takes in what was read for a page request, unless its tenant was let go of
// meanwhile.
func (b *Board) PutPage(now time.Time, page Page) {
	b.tick(now)
	l, found := b.lanes[page.Endpoint]
	if !found || l.page == nil || l.page.number != page.number {
		return
	}
	during := l.page
	l.page = nil
	if !page.Failed && !during.configured {
		b.configure(l, page.Settings)
	}
	switch {
	case page.Failed:
		l.pageAfter = now.Add(pageRetry)
	case page.Kind == SettingsPage:
		l.pageAfter = time.Time{}
	case page.Kind == FreshPage:
		l.pageAfter = time.Time{}
		b.putFresh(l, during, page)
	default:
		l.pageAfter = time.Time{}
		b.putWaiting(l, during, page)
	}
	b.settle(l)
}

func (b *Board) putFresh(l *lane, during *pageInFlight, page Page) {
	for _, d := range page.Deliveries {
		if during.isNews(l, &d) {
			if b.bytes+d.bytes() > b.limits.Bytes {
				d.Payload = nil // what was free at the asking has been taken since
			}
			b.hold(l, d)
			l.fresh.push(d)
		}
	}
	switch {
	case page.More:
		l.from = page.Next
	case during.skipped != 0:
		l.from = during.skipped
	default:
		l.behind = false
	}
	if during.skipped != 0 && during.skipped < l.from {
		l.from = during.skipped // what was held before is to be read again
	}
}

func (b *Board) putWaiting(l *lane, during *pageInFlight, page Page) {
	w := l.waits(page.Kind)
	w.horizon = during.spilled
	if page.More {
		w.horizon = w.horizon.sooner(page.Deliveries[len(page.Deliveries)-1].stands())
	}
	taken := 0
	for _, d := range page.Deliveries {
		if !during.isNews(l, &d) {
			continue
		}
		if taken == b.limits.Page { // those held at the asking have made way for more
			w.horizon = w.horizon.sooner(d.stands())
			break
		}
		taken++
		b.hold(l, d)
		b.wait(l, d)
	}
	l.ripen(b.now)
}

// isNews says that a delivery in a page is neither held nor was recorded, or forgotten,
// while the page was read.
func (p *pageInFlight) isNews(l *lane, d *Delivery) bool {
	if _, held := l.held[d.ref()]; held {
		return false
	}
	for _, gone := range p.gone {
		if gone(d.Event) {
			return false
		}
	}
	_, recorded := p.recorded[d.ref()]
	return !recorded
}
