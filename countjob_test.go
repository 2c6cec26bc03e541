package neohook_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

func usage(t webhook.Tenant, deliveries int64) webhook.TenantUsage {
	return webhook.TenantUsage{Tenant: t.ID, UID: t.UID, Deliveries: deliveries}
}

func listens(t webhook.Tenant, all bool, types []string) webhook.TenantSubscriptions {
	return webhook.TenantSubscriptions{Tenant: t.ID, UID: t.UID, Types: types, All: all}
}

func TestJobsCountWhatWasMadeAndWhatIsListenedTo(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		eng, _ := startFake(t, memstore.New(), memadapter.New(memadapter.Reply{StatusCode: 500}), neohook.Options{Schedule: webhook.Schedule{time.Second}})
		ctx := t.Context()
		acme, idle, other := createTenant(t, eng, "acme"), createTenant(t, eng, "idle"), createTenant(t, eng, "other")
		createEndpoint(t, eng, acme.ID, webhook.Endpoint{URL: "https://a.example", EventTypes: []string{"b", "a"}})
		createEndpoint(t, eng, acme.ID, webhook.Endpoint{URL: "https://b.example", EventTypes: []string{"c", "a"}, Disabled: true})
		createEndpoint(t, eng, other.ID, webhook.Endpoint{URL: "https://c.example"})
		gone := createEndpoint(t, eng, other.ID, webhook.Endpoint{URL: "https://d.example", EventTypes: []string{"d"}})
		for range 3 {
			must[webhook.Event](t)(eng.Publish(ctx, webhook.Event{Tenant: acme.ID, Type: "a", Payload: []byte("{}")}))
			must[webhook.Event](t)(eng.Publish(ctx, webhook.Event{Tenant: other.ID, Type: "d", Payload: []byte("{}")}))
		}
		foreign := must[webhook.Tenant](t)(eng.In("org_other").CreateTenant(ctx, webhook.Tenant{Name: "foreign", UID: "foreign"}))
		if err := eng.DeleteEndpoint(ctx, other.ID, gone.ID); err != nil {
			t.Fatal(err)
		}
		ended := func(job webhook.Job, err error) webhook.Job {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			if job.State != webhook.JobRunning {
				t.Errorf("started as %+v", job)
			}
			time.Sleep(time.Minute)
			return must[webhook.Job](t)(eng.Job(ctx, job.ID))
		}
		same := func(what string, got, want any) {
			t.Helper()
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, want %+v", what, got, want)
			}
		}
		time.Sleep(time.Minute)

		all := ended(eng.CountUsage(ctx, nil, neohook.Span{}))
		same("of all", all.Usage, []webhook.TenantUsage{usage(acme, 3), usage(idle, 0), usage(other, 6)})
		same("examined", all.Progress.Examined, int64(3))
		some := ended(eng.CountUsage(ctx, []webhook.TenantID{"other", "nobody", acme.ID, "acme", foreign.ID}, neohook.Span{}))
		same("of some", some.Usage, []webhook.TenantUsage{usage(other, 6), usage(acme, 3)})
		same("unknown", some.Unknown, []string{"nobody", string(foreign.ID)})
		before := ended(eng.CountUsage(ctx, []webhook.TenantID{"acme"}, neohook.Span{From: time.Now().Add(-48 * time.Hour), To: time.Now().Add(-24 * time.Hour)}))
		same("before", before.Usage, []webhook.TenantUsage{usage(acme, 0)})
		types := ended(eng.CountSubscriptions(ctx))
		same("subscriptions", types.Subscriptions, []webhook.TenantSubscriptions{
			listens(acme, false, []string{"a", "b", "c"}), listens(idle, false, nil), listens(other, true, nil),
		})
		for _, job := range must[neohook.List[webhook.Job]](t)(eng.Jobs(ctx, neohook.JobFilter{}, neohook.Page{})).Items {
			if job.Usage != nil || job.Subscriptions != nil {
				t.Errorf("a list has what was found: %+v", job)
			}
		}

		_, err := eng.CountUsage(ctx, []webhook.TenantID{"nobody"}, neohook.Span{})
		wantFields(t, "of nobody", err, "tenants")
		_, err = eng.CountUsage(ctx, make([]webhook.TenantID, neohook.MaxUsageTenants+1), neohook.Span{})
		wantFields(t, "of too many", err, "tenants")
		_, err = eng.CountUsage(ctx, nil, neohook.Span{From: time.Now(), To: time.Now()})
		wantFields(t, "of no time", err, "from")
		once := eng.Once(neohook.Once{Key: "k", Request: []byte("r")})
		first := must[webhook.Job](t)(once.CountUsage(ctx, []webhook.TenantID{"acme", "nobody"}, neohook.Span{}))
		createTenant(t, eng, "nobody")
		same("again", ended(first, nil).ID, must[webhook.Job](t)(once.CountUsage(ctx, []webhook.TenantID{"acme", "nobody"}, neohook.Span{})).ID)
		same("told as before", must[webhook.Job](t)(once.CountUsage(ctx, nil, neohook.Span{})).Unknown, []string{"nobody"})
	})
}
