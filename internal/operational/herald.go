package operational

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/internal/failing"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// The attempts by which a message is failing, and from which on it has recovered.
const (
	failingAttempt   = 4
	recoveredAttempt = 5
)

// Routes knows tenants; see routing.Table.
type Routes interface {
	// Held returns a tenant's routes where they are in memory, else nil.
	Held(tenant store.TenantKey) *routing.Routes
	Routes(ctx context.Context, tenant store.TenantKey) (*routing.Routes, error)
}

// Tenants lists them; see store.Directory.
type Tenants interface {
	Tenants(ctx context.Context, organisation string, page store.Page) ([]store.Tenant, error)
}

// Herald decides what is announced. It is safe for concurrent use.
type Herald struct {
	routes Routes
	// full says that the outbox has as much as it may.
	full func() bool
	log  *slog.Logger

	audience  audience
	listening atomic.Bool // as the audience says, without its lock
	reading   sync.Mutex  // so that no old reading replaces a newer one

	shed atomic.Uint64
	told atomic.Int64 // when somebody was last told of it, in Unix seconds
}

// NewHerald returns a Herald to nobody yet.
func NewHerald(routes Routes, full func() bool, log *slog.Logger) *Herald {
	return &Herald{routes: routes, full: full, log: log}
}

// Load finds out who listens.
func (h *Herald) Load(ctx context.Context, tenants Tenants) error {
	const limit = 1000
	for page := (store.Page{Limit: limit}); ; {
		found, err := tenants.Tenants(ctx, Organisation, page)
		if err != nil {
			return err
		}
		for i := range found {
			if err := h.read(ctx, found[i].Key); err != nil {
				return err
			}
			page.After = int64(found[i].Key)
		}
		if len(found) < limit {
			return nil
		}
	}
}

// Meet says that a tenant of Organisation, with this UID, is about to get an endpoint.
func (h *Herald) Meet(tenant store.TenantKey, uid string) {
	h.reading.Lock()
	defer h.reading.Unlock()
	if _, known := h.audience.knows(tenant); !known {
		h.audience.put(tenant, listener{organisation: uid})
	}
}

// Changed says that a tenant, which need not be an operational one, or its endpoints may
// have changed. It counts for what is announced after it.
func (h *Herald) Changed(ctx context.Context, tenant store.TenantKey) {
	known, is := h.audience.knows(tenant)
	if !is {
		return
	}
	err := h.read(ctx, tenant)
	if err == nil {
		return
	}
	// What is announced to nobody is dropped when it leaves the outbox.
	h.log.WarnContext(ctx, "who is told of operational events could not be read", "error", err)
	h.reading.Lock()
	defer h.reading.Unlock()
	known.all = true
	h.audience.put(tenant, known)
	h.listening.Store(h.audience.listens())
}

func (h *Herald) read(ctx context.Context, tenant store.TenantKey) error {
	h.reading.Lock()
	defer h.reading.Unlock()
	routes, err := h.routes.Routes(ctx, tenant)
	switch {
	case errors.Is(err, store.ErrNotFound):
		h.audience.drop(tenant)
	case err != nil:
		return err
	default:
		h.audience.put(tenant, listenerOf(routes))
	}
	h.listening.Store(h.audience.listens())
	return nil
}

func listenerOf(routes *routing.Routes) listener {
	l := listener{organisation: routes.Tenant.UID, types: make(map[string]bool)}
	for _, known := range EventTypes() {
		if len(routes.Match(known.Name, nil)) > 0 {
			l.types[known.Name] = true
		}
	}
	return l
}

// Announce returns announcements of these types, those of which somebody in the
// organisation is told.
func (h *Herald) Announce(organisation string, about store.About, details Details, types ...string) (announce []store.Announcement) {
	for _, eventType := range types {
		if h.listening.Load() && h.hears(organisation, eventType) && h.hasRoom() {
			announce = append(announce, announcement(eventType, about, details))
		}
	}
	return announce
}

func announcement(eventType string, about store.About, details Details) store.Announcement {
	a := store.Announcement{Type: eventType, About: about}
	if details != (Details{}) {
		a.Details, _ = json.Marshal(details) // of these types it can't fail
	}
	return a
}

// Judge adds to an outcome what is announced with it. It is quick, and where nobody
// listens it costs nothing; told is the notice that the outcome has brought to light, if
// it has, and after is when a failing endpoint is disabled.
func (h *Herald) Judge(o *store.Outcome, told *failing.Notice, after time.Duration) {
	if !h.listening.Load() || o.Attempt == nil || o.Send != 0 || o.Attempt.Trigger != webhook.Scheduled {
		return
	}
	if eventType := typeOf(o); eventType != "" && h.tells(o.Tenant, eventType) {
		o.Announce = &store.Announcement{Type: eventType}
	}
	const all = 100 // then it is disabled, and that is told
	if told != nil && told.Percent < all && h.tells(o.Tenant, EndpointFailing) {
		since := told.Since.UTC().Truncate(time.Microsecond)
		made := announcement(EndpointFailing, store.About{}, Details{FailSince: since, Percent: told.Percent, DisabledAt: since.Add(after)})
		o.AnnounceFailing = &made
	}
}

// typeOf says what is announced of a scheduled attempt's outcome; "" is nothing.
func typeOf(o *store.Outcome) string {
	switch {
	case o.Attempt.Succeeded && o.Attempt.Number >= recoveredAttempt:
		return AttemptRecovered
	case o.State == webhook.Exhausted:
		return AttemptExhausted
	case o.State == webhook.Waiting && o.Attempt.Number == failingAttempt:
		return AttemptFailing
	}
	return ""
}

// tells says whether something of a tenant is to be announced.
func (h *Herald) tells(tenant store.TenantKey, eventType string) bool {
	// Where the tenant is not in memory, whose it is shows when it leaves the outbox.
	if routes := h.routes.Held(tenant); routes != nil && !h.hears(routes.Tenant.Organisation, eventType) {
		return false
	}
	return h.hasRoom()
}

func (h *Herald) hears(organisation, eventType string) bool {
	return organisation != Organisation && h.audience.hears(organisation, eventType)
}

// hasRoom says whether the outbox takes one more. It counts what it does not take.
func (h *Herald) hasRoom() bool {
	if !h.full() {
		return true
	}
	shed := h.shed.Add(1)
	const often = 60 // seconds
	if now, last := time.Now().Unix(), h.told.Load(); now-last >= often && h.told.CompareAndSwap(last, now) {
		h.log.Warn("operational events are not made, since too many wait to be accepted", "so_far", shed)
	}
	return false
}

// Shed is how many were not announced because the outbox was full.
func (h *Herald) Shed() uint64 { return h.shed.Load() }
