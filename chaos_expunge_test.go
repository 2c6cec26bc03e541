package neohook_test

import (
	"fmt"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

func (c *chaos) planExpunges() {
	for i := range c.draw(12, "expunges") {
		event := c.events[c.draw(len(c.events), "expunge of event", i)]
		if !event.expunges {
			event.expunges = true
			c.expunges = append(c.expunges, event)
		}
	}
}

// expunge deletes the payload of an event at its moment of fake time, and insists.
func (c *chaos) expunge(i int, event *chaosEvent) {
	time.Sleep(time.Duration(c.draw(int(troubled/time.Second)-60, "expunged", i)) * time.Second)
	for acked := false; !acked; time.Sleep(time.Second) {
		c.note(func() { acked = !event.acked.IsZero() })
	}
	c.note(func() { event.expunged.began = time.Now() })
	c.insist(fmt.Sprint("expunge ", i), func(eng *neohook.Engine) error {
		return eng.ExpungePayload(c.t.Context(), webhook.TenantID(event.tenant.uid), event.got.ID)
	})
	c.note(func() { event.expunged.returned = time.Now() })
}

// judgeBegun is called with the mutex held, when an attempt begins: none may of what was
// expunged before, however slow the store is.
func (c *chaos) judgeBegun(what string, id webhook.EventID) {
	for _, event := range c.expunges {
		if event.got.ID == id && event.expunged.doneBefore(time.Now()) {
			c.t.Errorf("%s: its payload was expunged before", what)
		}
	}
}

// judgeExpunged wants the payloads that were expunged to be gone, and only these.
func (c *chaos) judgeExpunged() {
	for i, event := range c.events {
		got, err := c.current().eng.Event(c.t.Context(), webhook.TenantID(event.tenant.uid), event.got.ID)
		if err != nil || (got.Payload == nil) != event.expunges {
			c.t.Errorf("event %d, expunged: %v; its payload is %q, %v", i, event.expunges, got.Payload, err)
		}
	}
}
