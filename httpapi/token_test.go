package httpapi_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/svix/svix-webhooks/go/models"

	"github.com/neohook/neohook/store"
)

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

// issued makes a token and returns its id and its text.
func (w *world) issued(path, body string) (id, text string) {
	w.Helper()
	made := w.must("POST", "/api/v1/auth/"+path, body)
	id, _ = made["id"].(string)
	text, _ = made["token"].(string)
	return id, text
}

func TestTokens(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		ids := settle(w)
		w.play("create", scenario{
			method: "POST", path: "/auth/token", status: 201, body: `{"name":"ci","scopes":["publish","read"],"appId":"acme","featureFlags":["beta"],"expiry":3600}`,
			want: []string{`"token":"nhk_`, `"name":"ci"`, `"scopes":["publish","read"]`, `"appId":"` + ids["app"] + `"`, `"featureFlags":["beta"]`, `"portal":false`, `"expiresAt":"2`},
		})
		w.play("create, with the least", scenario{
			method: "POST", path: "/auth/token", status: 201, body: `{"scopes":["admin"]}`,
			want: []string{`"name":""`, `"appId":null`, `"expiresAt":null`, `"featureFlags":null`, `"sessionId":null`},
		})
		for name, s := range map[string]scenario{
			"no scopes":              {body: `{"name":"x"}`, field: "body/scopes"},
			"empty scopes":           {body: `{"scopes":[]}`, field: "body/scopes"},
			"unknown scope":          {body: `{"scopes":["root"]}`, field: "body/scopes/[0]"},
			"portal is no scope":     {body: `{"scopes":["portal"]}`, field: "body/scopes/[0]"},
			"unknown application":    {body: `{"scopes":["read"],"appId":"nobody"}`, field: "body/appId"},
			"another's application":  {body: `{"scopes":["read"],"appId":"foreign"}`, field: "body/appId"},
			"no expiry at all":       {body: `{"scopes":["read"],"expiry":0}`, field: "body/expiry"},
			"an expiry too far":      {body: `{"scopes":["read"],"expiry":315360001}`, field: "body/expiry"},
			"flags for all":          {body: `{"scopes":["read"],"featureFlags":["a"]}`, field: "body/featureFlags"},
			"the folder's name":      {body: `{"scopes":["read"],"name":"data folder"}`, field: "body/name"},
			"a name of two lines":    {body: `{"scopes":["read"],"name":"a\nb"}`, field: "body/name"},
			"an odd organisation":    {path: "/auth/token?organisation=x", body: `{"scopes":["read"]}`, field: "query/organisation"},
			"an odd organisation, 2": {path: "/auth/token?organisation=org_%20", body: `{"scopes":["read"]}`, field: "query/organisation"},
		} {
			s.method, s.status = "POST", 422
			if s.path == "" {
				s.path = "/auth/token"
			}
			w.play(name, s)
		}
		id, text := w.issued("token", `{"name":"revocable","scopes":["read"]}`)
		w.play("is used", scenario{path: "/app", header: bearer(text), status: 200})
		w.play("get", scenario{path: "/auth/token/" + id, status: 200, want: []string{`"revocable"`}, not: []string{text, `"token":`}})
		w.play("list", scenario{path: "/auth/token?limit=1", status: 200, want: []string{`"revocable"`, `"done":false`, `"iterator":"` + id}, not: []string{text}})
		w.play("list, onward", scenario{path: "/auth/token?order=ascending&app_id=acme", status: 200, want: []string{`"ci"`, `"done":true`}, not: []string{"revocable"}})
		w.play("list of an unknown application", scenario{path: "/auth/token?app_id=nobody", status: 404, want: []string{"Application not found"}})
		w.play("list from a bad iterator", scenario{path: "/auth/token?iterator=tok_x", status: 422, field: "query/iterator"})
		w.play("list from another's iterator", scenario{path: "/auth/token?iterator=tok_" + strings.Repeat("0", 27), status: 422, field: "query/iterator"})
		other := bearer(otherToken)
		w.play("another organisation's get", scenario{path: "/auth/token/" + id, header: other, status: 404, not: []string{"revocable"}})
		w.play("another organisation's revoke", scenario{method: "DELETE", path: "/auth/token/" + id, header: other, status: 404})
		w.play("is still used", scenario{path: "/app", header: bearer(text), status: 200})
		w.play("get nothing", scenario{path: "/auth/token/tok_nothing", status: 404, want: []string{"Token not found"}})
		w.play("revoke", scenario{method: "DELETE", path: "/auth/token/" + id, status: 204})
		w.play("is revoked", scenario{path: "/app", header: bearer(text), status: 401})
		w.play("revoke again", scenario{method: "DELETE", path: "/auth/token/" + id, status: 404})
		w.play("get the revoked", scenario{path: "/auth/token/" + id, status: 404})
	})
}

func TestTokenIsMadeOnce(t *testing.T) {
	w := newWorld(t, worldOptions{})
	ask := func(body string) answer {
		return w.call("POST", "/api/v1/auth/token", body, map[string]string{"Idempotency-Key": "k"})
	}
	first, again := ask(`{"scopes":["read"]}`), ask(`{"scopes":["read"]}`)
	if first.status != 201 || again.status != 201 || first.body != again.body {
		t.Errorf("%d %s, then %d %s", first.status, first.body, again.status, again.body)
	}
	if got := ask(`{"scopes":["admin"]}`); got.status != 409 {
		t.Errorf("%d %s for another request under the same key", got.status, got.body)
	}
}

// The operator makes the first token of any other organisation.
func TestOperatorActsInOtherOrganisations(t *testing.T) {
	w := newWorld(t, worldOptions{})
	id, text := w.issued("token?organisation=org_new", `{"name":"theirs","scopes":["admin"]}`)
	w.play("is for them", scenario{method: "POST", path: "/app", header: bearer(text), body: `{"name":"New"}`, status: 201})
	w.play("is not seen at home", scenario{path: "/auth/token", status: 200, not: []string{"theirs"}})
	w.play("is seen there", scenario{path: "/auth/token?organisation=org_new", status: 200, want: []string{id}})
	w.play("get", scenario{path: "/auth/token/" + id + "?organisation=org_new", status: 200})
	w.play("get, elsewhere", scenario{path: "/auth/token/" + id + "?organisation=org_other", status: 404})
	for name, s := range map[string]scenario{
		"list": {path: "/auth/token?organisation=org_default"}, "create": {method: "POST", path: "/auth/token?organisation=org_default", body: `{"scopes":["admin"]}`},
		"get": {path: "/auth/token/" + id + "?organisation=org_default"}, "revoke": {method: "DELETE", path: "/auth/token/" + id + "?organisation=org_default"},
	} {
		s.header, s.status, s.want = bearer(text), 403, []string{`"insufficient_access"`}
		w.play("nobody else: "+name, s)
	}
	w.play("one's own may be named", scenario{path: "/auth/token?organisation=org_new", header: bearer(text), status: 200})
	w.play("revoke", scenario{method: "DELETE", path: "/auth/token/" + id + "?organisation=org_new", status: 204})
	w.play("is revoked", scenario{path: "/app", header: bearer(text), status: 401})
}

func TestPortal(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		w.play("let in", scenario{
			method: "POST", path: "/auth/app-portal-access/acme", status: 200,
			body: `{"featureFlags":["beta"],"expiry":3600,"readOnly":true,"capabilities":["ViewBase","ViewEndpointSecret"],"sessionId":"s"}`,
			want: []string{`"url":"` + w.server.URL + `/docs#token=nhk_`, `"token":"nhk_`},
		})
		w.play("is listed", scenario{
			path: "/auth/token?portal=true", status: 200,
			want: []string{`"portal":true`, `"capabilities":["ViewBase","ViewEndpointSecret"]`, `"readOnly":true`, `"sessionId":"s"`, `"featureFlags":["beta"]`, `"scopes":[]`},
		})
		w.play("is no token of programs", scenario{path: "/auth/token", status: 200, not: []string{`"portal":true`}})
		w.play("let in, without a body", scenario{method: "POST", path: "/auth/dashboard-access/acme", status: 200, want: []string{`/docs#token=nhk_`}})
		w.play("let in, older, nobody", scenario{method: "POST", path: "/auth/dashboard-access/nobody", status: 404, want: []string{"Application not found"}})
		for name, s := range map[string]scenario{
			"nobody":               {path: "nobody", body: `{}`, status: 404},
			"another's":            {path: "foreign", body: `{}`, status: 404},
			"no body":              {path: "acme", status: 422},
			"too short":            {path: "acme", body: `{"expiry":3599}`, status: 422, field: "body/expiry"},
			"too long":             {path: "acme", body: `{"expiry":604801}`, status: 422, field: "body/expiry"},
			"unknown capability":   {path: "acme", body: `{"capabilities":["ViewBase","Root"]}`, status: 422, field: "body/capabilities/[1]"},
			"no ViewBase":          {path: "acme", body: `{"capabilities":["ManageEndpoint"]}`, status: 422, field: "body/capabilities"},
			"odd flag":             {path: "acme", body: `{"featureFlags":["a b"]}`, status: 422, field: "body/featureFlags/[0]"},
			"bad body first":       {path: "nobody", body: `{"expiry":1}`, status: 422, field: "body/expiry"},
			"new, no uid":          {path: "newcomer", body: `{"application":{"name":"New"}}`, status: 422, field: "body/application/uid"},
			"new, another uid":     {path: "newcomer", body: `{"application":{"name":"New","uid":"other"}}`, status: 422, field: "body/application/uid"},
			"new, without a name":  {path: "newcomer", body: `{"application":{"uid":"newcomer"}}`, status: 422, field: "body/application/name"},
			"session of two lines": {path: "acme", body: `{"sessionId":"a\nb"}`, status: 422, field: "body/sessionId"},
		} {
			s.method, s.path = "POST", "/auth/app-portal-access/"+s.path
			w.play(name, s)
		}
		w.play("let in, and make the application", scenario{method: "POST", path: "/auth/app-portal-access/newcomer", body: `{"application":{"name":"New","uid":"newcomer"}}`, status: 200})
		w.play("it is there", scenario{path: "/app/newcomer", status: 200, want: []string{`"New"`}})
		w.play("let in again", scenario{method: "POST", path: "/auth/app-portal-access/newcomer", body: `{"application":{"name":"Ignored","uid":"other"}}`, status: 200})

		_, text := w.issued("app-portal-access/acme", `{"sessionId":"mine"}`)
		w.play("sees its own", scenario{path: "/app/acme/endpoint", header: bearer(text), status: 200, want: []string{`"orders"`}})
		w.play("sees no other", scenario{path: "/app/newcomer", header: bearer(text), status: 404, want: []string{"Entity not found"}})
		w.play("logout", scenario{method: "POST", path: "/auth/logout", header: bearer(text), status: 204})
		w.play("is out", scenario{path: "/app/acme/endpoint", header: bearer(text), status: 401})
		w.play("logout again", scenario{method: "POST", path: "/auth/logout", header: bearer(text), status: 401})

		_, mine := w.issued("app-portal-access/acme", `{"sessionId":"mine"}`)
		_, theirs := w.issued("app-portal-access/acme", `{"sessionId":"theirs"}`)
		_, program := w.issued("token", `{"scopes":["read"],"appId":"acme"}`)
		w.play("expire a session", scenario{method: "POST", path: "/auth/app/acme/expire-all", body: `{"sessionIds":["mine"]}`, status: 204})
		w.play("is expired", scenario{path: "/app/acme", header: bearer(mine), status: 401})
		w.play("is not", scenario{path: "/app/acme", header: bearer(theirs), status: 200})
		w.play("expire all", scenario{method: "POST", path: "/auth/app/acme/expire-all", body: `{}`, status: 204})
		w.play("is expired too", scenario{path: "/app/acme", header: bearer(theirs), status: 401})
		w.play("and the program's", scenario{path: "/app/acme", header: bearer(program), status: 401})
		w.play("expire too late", scenario{method: "POST", path: "/auth/app/acme/expire-all", body: `{"expiry":2419201}`, status: 422, field: "body/expiry"})
		w.play("expire nobody's", scenario{method: "POST", path: "/auth/app/nobody/expire-all", body: `{}`, status: 404})
		w.play("expire another's", scenario{method: "POST", path: "/auth/app/foreign/expire-all", body: `{}`, status: 404})
	})
}

// The published client, as its documentation has it used.
func TestClientAuthentication(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		ctx, admin := t.Context(), w.client(token)
		access := models.AppPortalAccessIn{
			Application:  &models.ApplicationIn{Name: "Acme", Uid: ptr("acme")},
			Capabilities: []models.AppPortalCapability{models.APPPORTALCAPABILITY_VIEW_BASE, models.APPPORTALCAPABILITY_MANAGE_ENDPOINT},
			Expiry:       ptr[uint64](3600), FeatureFlags: []string{"beta"}, ReadOnly: ptr(false), SessionId: ptr("s"),
		}
		made, err := admin.Authentication.AppPortalAccess(ctx, "acme", access, nil)
		check(t, err)
		page, err := url.Parse(made.Url)
		check(t, err)
		if page.Path != "/docs" || page.RawQuery != "" || page.Fragment != "token="+made.Token {
			t.Errorf("the page is %s", made.Url)
		}
		user := w.client(made.Token)
		ep, err := user.Endpoint.Create(ctx, "acme", models.EndpointIn{Url: "https://acme.example"}, nil)
		check(t, err)
		_, err = user.Endpoint.GetSecret(ctx, "acme", ep.Id)
		check(t, err)
		_, err = user.Application.List(ctx, nil)
		refused(t, err, 403, `"code":"insufficient_access"`)
		_, err = user.Message.Create(ctx, "acme", models.MessageIn{EventType: "a", Payload: map[string]any{}}, nil)
		refused(t, err, 403, `"code":"insufficient_access"`)
		_, err = admin.Application.Create(ctx, models.ApplicationIn{Name: "Other", Uid: ptr("other")}, nil)
		check(t, err)
		_, err = user.Endpoint.List(ctx, "other", nil)
		refused(t, err, 404, `"code":"not_found"`)

		check(t, user.Authentication.Logout(ctx, nil))
		_, err = user.Endpoint.List(ctx, "acme", nil)
		refused(t, err, 401, `"code":"authentication_failed"`)

		again, err := admin.Authentication.DashboardAccess(ctx, "acme", nil) //nolint:staticcheck // older programs call it
		check(t, err)
		user = w.client(again.Token)
		_, err = user.Application.Get(ctx, "acme")
		check(t, err)
		check(t, admin.Authentication.ExpireAll(ctx, "acme", models.ApplicationTokenExpireIn{SessionIds: []string{"another"}}, nil))
		_, err = user.Application.Get(ctx, "acme")
		check(t, err)
		check(t, admin.Authentication.ExpireAll(ctx, "acme", models.ApplicationTokenExpireIn{Expiry: ptr[int64](0)}, nil))
		_, err = user.Application.Get(ctx, "acme")
		refused(t, err, 401, `"code":"authentication_failed"`)
	})
}

// The answer to a token's maker is the shape that the published client has for tokens.
func TestTokenFitsTheClientsModel(t *testing.T) {
	w := newWorld(t, worldOptions{})
	got := w.call("POST", "/api/v1/auth/token", `{"name":"ci","scopes":["read"],"expiry":60}`, nil)
	var made models.ApiTokenOut
	check(t, json.Unmarshal([]byte(got.body), &made))
	if made.Id == "" || *made.Name != "ci" || made.Token == "" || len(made.Scopes) != 1 || time.Until(*made.ExpiresAt) > time.Minute {
		t.Errorf("%+v", made)
	}
}
