package httpapi

import (
	"errors"
	"net/http"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func applicationOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "application.list", route: "GET /app",
			scope: organisationOnly, needs: access.View,
			summary: "List the applications",
		}, listApplications),
		serves(operation{
			name: "application.create", route: "POST /app",
			scope: organisationOnly, needs: access.Administer, status: http.StatusCreated, once: true, others: []int{http.StatusOK},
			summary: "Create an application, or return the one that has its uid",
		}, createApplication),
		serves(operation{
			name: "application.get", route: "GET /app/{app_id}",
			scope: application, needs: access.View,
			summary: "Get an application",
		}, getApplication),
		serves(operation{
			name: "application.update", route: "PUT /app/{app_id}",
			scope: organisationOnly, needs: access.Administer, upsert: true, refusals: []int{http.StatusConflict},
			summary: "Create or replace an application",
		}, putApplication),
		serves(operation{
			name: "application.patch", route: "PATCH /app/{app_id}",
			scope: organisationOnly, needs: access.Administer, refusals: []int{http.StatusConflict},
			summary: "Change parts of an application",
		}, patchApplication),
		serves(operation{
			name: "application.delete", route: "DELETE /app/{app_id}",
			scope: organisationOnly, needs: access.Administer,
			summary: "Delete an application with its endpoints",
		}, deleteApplication),
	}
}

// applicationIn is an application to be made or put in another's place.
type applicationIn struct {
	Name         opt[string]            `json:"name" is:"required,min=1" doc:"A name for people." eg:"Acme Inc."`
	UID          opt[string]            `json:"uid" is:"uid=app_" doc:"Your own name for the application, unique among yours. It serves wherever the id does." eg:"acme"`
	ThrottleRate opt[int64]             `json:"throttleRate" is:"min=1,max=65535" doc:"The most attempts per second, over all its endpoints. Null is no limit." eg:"100"`
	RateLimit    opt[int64]             `json:"rateLimit" is:"min=1,max=65535,older=throttleRate"`
	Metadata     opt[map[string]string] `json:"metadata" doc:"Whatever you want to keep with it, at most 4,096 bytes as JSON." eg:"{\"plan\":\"gold\"}"`
	rest
}

// fill writes all that the client rules over.
func (in *applicationIn) fill(t *webhook.Tenant) {
	t.UID, t.Name, t.Metadata = in.UID.Value, in.Name.Value, in.Metadata.Value
	t.RateLimit = int(in.ThrottleRate.or(in.RateLimit.Value))
}

func (in *applicationIn) check(bad *faults) { in.checkIn(bad, "body") }

func (in *applicationIn) checkIn(bad *faults, where ...string) {
	var t webhook.Tenant
	in.fill(&t)
	bad.domain(t.Validate(), rateNames(in.ThrottleRate, in.RateLimit), where...)
}

// rateNames tells under which name the client sent a rate.
func rateNames(throttle, limit opt[int64]) wireNames {
	if limit.Given && !throttle.Given {
		return wireNames{"throttleRate": "rateLimit"}
	}
	return nil
}

// applicationPatch is what changes of an application.
type applicationPatch struct {
	like[applicationIn]
	Name         opt[string]            `json:"name" is:"solid,min=1"`
	UID          opt[string]            `json:"uid" is:"uid=app_"`
	ThrottleRate opt[int64]             `json:"throttleRate" is:"min=1,max=65535"`
	RateLimit    opt[int64]             `json:"rateLimit" is:"min=1,max=65535,older=throttleRate"`
	Metadata     opt[map[string]string] `json:"metadata"`
	rest
}

func (in *applicationPatch) check(bad *faults) {
	t := webhook.Tenant{Name: "as it is"}
	_ = in.apply(&t)
	bad.domain(t.Validate(), rateNames(in.ThrottleRate, in.RateLimit), "body")
}

func (in *applicationPatch) apply(t *webhook.Tenant) error {
	in.Name.patch(&t.Name)
	in.UID.patch(&t.UID)
	patchInt(&t.RateLimit, in.RateLimit, in.ThrottleRate)
	in.Metadata.patch(&t.Metadata)
	return nil
}

// applicationOut is an application as shown.
type applicationOut struct {
	like[applicationIn]
	ID           webhook.TenantID  `json:"id" doc:"Sortable by the time of creation."`
	UID          string            `json:"uid,omitzero"`
	Name         string            `json:"name"`
	ThrottleRate *int              `json:"throttleRate"`
	RateLimit    *int              `json:"rateLimit,omitzero" is:"older=throttleRate"`
	Paused       bool              `json:"paused" doc:"Nothing is sent to its endpoints until it is resumed; what is for them waits."`
	CreatedAt    instant           `json:"createdAt" doc:"When it was made."`
	UpdatedAt    instant           `json:"updatedAt" doc:"When it was last changed."`
	Metadata     map[string]string `json:"metadata"`
}

func showApplication(t *webhook.Tenant) applicationOut {
	return applicationOut{
		ID: t.ID, UID: t.UID, Name: t.Name, Metadata: t.Metadata,
		ThrottleRate: unlessZero(t.RateLimit), RateLimit: unlessZero(t.RateLimit), Paused: t.Paused,
		CreatedAt: instant(t.CreatedAt), UpdatedAt: instant(t.UpdatedAt),
	}
}

func applicationIterator(t *webhook.Tenant) string { return string(t.ID) }

type applicationsQuery struct {
	limited
	Iterator opt[string] `query:"iterator" is:"iterator=app_" doc:"The iterator or prevIterator of another page; without one, the first page."`
	Order    opt[string] `query:"order" is:"enum=ascending|descending,default=ascending" doc:"By the time of creation."`
}

func listApplications(c *call, q *applicationsQuery, _ *none) (out listOut[applicationOut], _ error) {
	w := walkOf(q.Limit, q.Iterator, q.Order.Value == "descending")
	got, err := c.org.Tenants(c.ctx(), w.Page)
	if err != nil {
		return out, badIterator(err)
	}
	return listed(w, got, applicationIterator, showApplication), nil
}

type createApplicationQuery struct {
	GetIfExists opt[bool] `query:"get_if_exists" is:"default=false" doc:"Where the uid is taken, answer with the application that has it, unchanged, and 200."`
}

func createApplication(c *call, q *createApplicationQuery, in *applicationIn) (out applicationOut, _ error) {
	org, err := c.once()
	if err != nil {
		return out, err
	}
	var made webhook.Tenant
	in.fill(&made)
	// It is made first and looked for afterwards, so that two requests at once get the
	// same application, and a repeated one its first answer.
	made, err = org.CreateTenant(c.ctx(), made)
	if q.GetIfExists.Value && errors.Is(err, neohook.ErrConflict) {
		c.status = http.StatusOK
		made, err = c.org.Tenant(c.ctx(), webhook.TenantID(in.UID.Value))
	}
	if err != nil {
		return out, err
	}
	return showApplication(&made), nil
}

func getApplication(c *call, _, _ *none) (out applicationOut, _ error) {
	found, err := c.org.Tenant(c.ctx(), c.tenant())
	if err != nil {
		return out, c.missing(err, "")
	}
	return showApplication(&found), nil
}

func putApplication(c *call, _ *none, in *applicationIn) (out applicationOut, _ error) {
	put, err := upsert(c,
		func() (webhook.Tenant, error) {
			return c.org.UpdateTenant(c.ctx(), c.tenant(), func(t *webhook.Tenant) error {
				in.fill(t)
				return nil
			})
		},
		func() (webhook.Tenant, error) {
			var made webhook.Tenant
			in.fill(&made)
			return c.org.CreateTenant(c.ctx(), made)
		})
	if err != nil {
		return out, err
	}
	return showApplication(&put), nil
}

func patchApplication(c *call, _ *none, in *applicationPatch) (out applicationOut, _ error) {
	patched, err := c.org.UpdateTenant(c.ctx(), c.tenant(), in.apply)
	if err != nil {
		return out, c.missing(err, "")
	}
	return showApplication(&patched), nil
}

func deleteApplication(c *call, _, _ *none) (out none, _ error) {
	return out, c.missing(c.org.DeleteTenant(c.ctx(), c.tenant()), "")
}
