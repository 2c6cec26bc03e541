package neohook_test

import (
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

func TestOptionsThatCannotServe(t *testing.T) {
	keyset := must[[]byte](t)(neohook.NewKeyset())
	for name, opts := range map[string]neohook.Options{
		"Organisation":        {Organisation: "acme"},
		"Schedule":            {Schedule: webhook.Schedule{time.Second, -1}},
		"Jitter":              {Jitter: 1.5},
		"MaxPayloadBytes":     {MaxPayloadBytes: -1},
		"EndpointConcurrency": {EndpointConcurrency: -1},
		"MaxInFlight":         {MaxInFlight: -1},
		"MaxMemoryBytes":      {MaxMemoryBytes: -1},
		"MaxWaitingBytes":     {MaxWaitingBytes: -1},
		"PublishWait":         {PublishWait: -1},
		"Grace":               {Grace: -1},
		"Retention":           {Retention: webhook.Retention{Events: time.Hour}},
		"Egress":              {Adapter: memadapter.New(), Egress: loopback},
		"SvixHeaders":         {Adapter: memadapter.New(), SvixHeaders: true},
		"UserAgent":           {Adapter: memadapter.New(), UserAgent: "Acme"},
	} {
		opts.Keyset = keyset
		if _, err := neohook.New(t.Context(), memstore.New(), opts); err == nil || !strings.Contains(err.Error(), "Options."+name) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	eng := must[*neohook.Engine](t)(neohook.New(t.Context(), memstore.New(), neohook.Options{Keyset: keyset, Organisation: "org_mine", Jitter: -1}))
	if made := must[webhook.Tenant](t)(eng.CreateTenant(t.Context(), webhook.Tenant{Name: "Acme"})); made.Organisation != "org_mine" {
		t.Errorf("organisation %q", made.Organisation)
	}
}
