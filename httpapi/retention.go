package httpapi

import (
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func retentionOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "application.get-retention", route: "GET /app/{app_id}/retention",
			scope: application, needs: access.View,
			summary: "Get how long is kept what an application's messages leave behind",
		}, getRetention),
		serves(operation{
			name: "application.update-retention", route: "PUT /app/{app_id}/retention",
			scope: organisationOnly, needs: access.Administer, names: retentionNames,
			summary: "Set how long is kept what an application's messages leave behind",
			about:   "It holds for what is stored already, too. What has not ended is kept in any case.",
		}, putRetention),
	}
}

// retentionIn is how long is kept what an application's messages leave behind. Null is
// the server's own time.
type retentionIn struct {
	Payloads opt[int64] `json:"payloadDays" is:"min=1,max=3650" doc:"Payloads, from their message's acceptance on; at most messageDays."`
	Attempts opt[int64] `json:"attemptDays" is:"min=1,max=3650" doc:"Attempts with their answers, from their beginning on; at most messageDays."`
	Messages opt[int64] `json:"messageDays" is:"min=1,max=3650" doc:"Messages, with how their deliveries ended, from their acceptance on."`
	rest
}

const day = 24 * time.Hour

func (in *retentionIn) retention() webhook.Retention {
	days := func(n opt[int64]) time.Duration { return time.Duration(n.Value) * day }
	return webhook.Retention{Payloads: days(in.Payloads), Attempts: days(in.Attempts), Events: days(in.Messages)}
}

// retentionOut is null where it is the server's own time.
type retentionOut struct {
	like[retentionIn]
	Payloads *float64 `json:"payloadDays"`
	Attempts *float64 `json:"attemptDays"`
	Messages *float64 `json:"messageDays"`
}

func showRetention(r webhook.Retention) retentionOut {
	days := func(kept time.Duration) *float64 { return unlessZero(kept.Hours() / day.Hours()) }
	return retentionOut{Payloads: days(r.Payloads), Attempts: days(r.Attempts), Messages: days(r.Events)}
}

// retentionNames are a body's words for the domain's fields.
var retentionNames = wireNames{"retention.payloads": "payloadDays", "retention.attempts": "attemptDays", "retention.events": "messageDays"}

func getRetention(c *call, _, _ *none) (out retentionOut, _ error) {
	found, err := c.org.Tenant(c.ctx(), c.tenant())
	if err != nil {
		return out, c.missing(err, "")
	}
	return showRetention(found.Retention), nil
}

func putRetention(c *call, _ *none, in *retentionIn) (out retentionOut, _ error) {
	kept, err := c.org.UpdateTenant(c.ctx(), c.tenant(), func(t *webhook.Tenant) error {
		t.Retention = in.retention()
		return nil
	})
	if err != nil {
		return out, c.missing(err, "")
	}
	return showRetention(kept.Retention), nil
}
