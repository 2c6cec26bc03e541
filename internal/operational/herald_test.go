package operational

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/internal/failing"
	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/internal/record/recordtest"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// hall is a Herald and those who may listen to it.
type hall struct {
	*testing.T
	*memstore.Store
	records *record.Translator
	table   *routing.Table
	herald  *Herald
	full    bool
	log     bytes.Buffer
}

func newHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{T: t, Store: memstore.New(), records: recordtest.New(t)}
	h.table = routing.New(h, h.records, routing.Limits{})
	h.herald = NewHerald(h.table, func() bool { return h.full }, slog.New(slog.NewTextHandler(&h.log, nil)))
	return h
}

func (h *hall) tenant(organisation, uid string) store.TenantKey {
	h.Helper()
	key, err := h.NewKey(h.Context())
	if err == nil {
		err = h.InsertTenant(h.Context(), store.Tenant{Key: store.TenantKey(key), Organisation: organisation, UID: uid}, nil)
	}
	if err != nil {
		h.Fatal(err)
	}
	return store.TenantKey(key)
}

// listen gives a tenant an endpoint that hears of these types.
func (h *hall) listen(tenant store.TenantKey, uid string, types ...string) store.EndpointKey {
	h.Helper()
	h.herald.Meet(tenant, uid)
	key, err := h.NewKey(h.Context())
	if err == nil {
		err = h.InsertEndpoint(h.Context(), store.Endpoint{Key: store.EndpointKey(key), Tenant: tenant, EventTypes: types}, nil)
	}
	if err != nil {
		h.Fatal(err)
	}
	h.changed(tenant)
	return store.EndpointKey(key)
}

func (h *hall) changed(tenant store.TenantKey) {
	h.table.Refresh(tenant)
	h.herald.Changed(h.Context(), tenant)
}

// hears says whether something in an organisation is announced.
func (h *hall) hears(organisation, eventType string) bool {
	return len(h.herald.Announce(organisation, store.About{}, Details{}, eventType)) > 0
}

func (h *hall) wants(when string, organisation, eventType string, want bool) {
	h.Helper()
	if got := h.hears(organisation, eventType); got != want {
		h.Errorf("%s: %s in %s is announced: %v, want %v", when, eventType, organisation, got, want)
	}
}

func TestOnlyWhatSomebodyHearsOfIsAnnounced(t *testing.T) {
	h := newHall(t)
	h.wants("at first", "org_a", EndpointCreated, false)
	a := h.tenant(Organisation, "org_a")
	endpoint := h.listen(a, "org_a", EndpointCreated, "another.type")
	h.wants("with a listener", "org_a", EndpointCreated, true)
	h.wants("another type", "org_a", EndpointDeleted, false)
	h.wants("another organisation", "org_b", EndpointCreated, false)
	itself := h.tenant(Organisation, Organisation)
	h.listen(itself, Organisation)
	h.wants("the organisation of all", Organisation, EndpointCreated, false)

	second := NewHerald(h.table, func() bool { return false }, slog.New(slog.DiscardHandler))
	if err := second.Load(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	h.herald = second
	h.wants("after a start", "org_a", EndpointCreated, true)

	if err := h.DeleteEndpoint(t.Context(), a, endpoint, time.Now()); err != nil {
		t.Fatal(err)
	}
	h.changed(a)
	h.wants("without a listener", "org_a", EndpointCreated, false)
	h.listen(a, "org_a")
	if err := h.DeleteTenant(t.Context(), a, time.Now()); err != nil {
		t.Fatal(err)
	}
	another := h.tenant(Organisation, "org_a")
	h.listen(another, "org_a", EndpointDeleted)
	h.changed(a) // told late
	h.wants("by another tenant of the name", "org_a", EndpointDeleted, true)
	h.wants("as the first one heard", "org_a", EndpointCreated, false)
}

func TestWhereListenersCannotBeReadTooMuchIsAnnounced(t *testing.T) {
	h := newHall(t)
	a := h.tenant(Organisation, "org_a")
	failing := false
	h.Faults = func(context.Context, string, memstore.Moment) error {
		if failing {
			return errors.New("disk error")
		}
		return nil
	}
	h.listen(a, "org_a", EndpointCreated)
	failing = true
	h.changed(a)
	h.wants("after a failure", "org_a", EndpointDeleted, true)
	failing = false
	h.changed(a)
	h.wants("read again", "org_a", EndpointDeleted, false)
}

// outcome is of a scheduled attempt.
func outcome(tenant store.TenantKey, number int, state webhook.State) *store.Outcome {
	return &store.Outcome{Tenant: tenant, State: state, Attempt: &store.Attempt{Number: number, Succeeded: state == webhook.Succeeded}}
}

func TestOutcomesAreAnnouncedByTheirAttempt(t *testing.T) {
	h := newHall(t)
	customer, quiet := h.tenant("org_a", ""), h.tenant("org_b", "")
	h.listen(h.tenant(Organisation, "org_a"), "org_a")
	for _, tenant := range []store.TenantKey{customer, quiet} {
		if _, err := h.table.Routes(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	manual, send, unsent := outcome(customer, 5, webhook.Succeeded), outcome(customer, 5, webhook.Succeeded), outcome(customer, 4, webhook.Cancelled)
	manual.Attempt.Trigger, send.Send, unsent.Attempt = webhook.Manual, 7, nil
	for name, c := range map[string]struct {
		outcome *store.Outcome
		want    string
	}{
		"first success":          {outcome(customer, 1, webhook.Succeeded), ""},
		"fourth success":         {outcome(customer, 4, webhook.Succeeded), ""},
		"fifth success":          {outcome(customer, 5, webhook.Succeeded), AttemptRecovered},
		"ninth success":          {outcome(customer, 9, webhook.Succeeded), AttemptRecovered},
		"third failure":          {outcome(customer, 3, webhook.Waiting), ""},
		"fourth failure":         {outcome(customer, 4, webhook.Waiting), AttemptFailing},
		"fifth failure":          {outcome(customer, 5, webhook.Waiting), ""},
		"fourth is the last":     {outcome(customer, 4, webhook.Exhausted), AttemptExhausted},
		"first is the last":      {outcome(customer, 1, webhook.Exhausted), AttemptExhausted},
		"cancelled by it":        {outcome(customer, 4, webhook.Cancelled), ""},
		"manual":                 {manual, ""},
		"of a send":              {send, ""},
		"unsent":                 {unsent, ""},
		"nobody listens":         {outcome(quiet, 4, webhook.Waiting), ""},
		"whose it is, is unread": {outcome(999, 4, webhook.Waiting), AttemptFailing},
	} {
		h.herald.Judge(c.outcome, nil, time.Hour)
		got := ""
		if c.outcome.Announce != nil {
			got = c.outcome.Announce.Type
		}
		if got != c.want {
			t.Errorf("%s: announced as %q, want %q", name, got, c.want)
		}
	}
}

func TestFailingEndpointIsAnnouncedUntilItIsDisabled(t *testing.T) {
	h := newHall(t)
	customer := h.tenant("org_a", "")
	h.listen(h.tenant(Organisation, "org_a"), "org_a")
	since := time.Date(2026, 3, 1, 12, 0, 0, 999, time.FixedZone("east", 3600))
	for percent, want := range map[int]string{
		50:  `{"failSince":"2026-03-01T11:00:00Z","percent":50,"disabledAt":"2026-03-01T21:00:00Z"}`,
		100: "",
	} {
		o := outcome(customer, 1, webhook.Waiting)
		h.herald.Judge(o, &failing.Notice{Tenant: customer, Since: since, Percent: percent}, 10*time.Hour)
		got := ""
		if o.AnnounceFailing != nil && o.AnnounceFailing.Type == EndpointFailing {
			got = string(o.AnnounceFailing.Details)
		}
		if got != want {
			t.Errorf("at %d percent it is announced with %q, want %q", percent, got, want)
		}
	}
}

func TestFullOutboxIsNotAddedToAndSomebodyIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		h := newHall(t)
		customer := h.tenant("org_a", "")
		h.listen(h.tenant(Organisation, "org_a"), "org_a")
		h.full = true
		for range 60 * 10 {
			o := outcome(customer, 4, webhook.Waiting)
			h.herald.Judge(o, nil, time.Hour)
			if o.Announce != nil || h.hears("org_a", EndpointCreated) {
				t.Fatal("announced, and there is no room")
			}
			time.Sleep(time.Second)
		}
		if shed := h.herald.Shed(); shed != 2*600 {
			t.Errorf("%d are counted, want 1200", shed)
		}
		if lines := strings.Count(h.log.String(), "\n"); lines != 10 {
			t.Errorf("logged %d times in ten minutes: %s", lines, h.log.String())
		}
		h.full = false
		h.wants("with room again", "org_a", EndpointCreated, true)
	})
}

func BenchmarkJudge(b *testing.B) {
	h := NewHerald(nil, func() bool { return false }, slog.New(slog.DiscardHandler))
	h.listening.Store(true)
	o := outcome(1, 1, webhook.Succeeded)
	for b.Loop() {
		h.Judge(o, nil, time.Hour)
	}
}
