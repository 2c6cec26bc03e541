package httpapi_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/httpapi"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// samples are bodies that the operations take, by name. An operation that has a body and
// no sample fails the test.
var samples = map[string]string{
	"application.create":                          `{"name":"Sample"}`,
	"application.update":                          `{"name":"Sample","uid":"acme"}`,
	"application.patch":                           `{"name":"Sample"}`,
	"authentication.app-portal-access":            `{}`,
	"authentication.expire-all":                   `{"expiry":60}`,
	"endpoint.create":                             `{"url":"https://sample.example"}`,
	"endpoint.update":                             `{"url":"https://sample.example","uid":"acme-ep"}`,
	"endpoint.patch":                              `{"description":"sample"}`,
	"endpoint.rotate-secret":                      `{}`,
	"endpoint.update-headers":                     `{"headers":{"X-Sample":"1"}}`,
	"endpoint.patch-headers":                      `{"headers":{"X-Sample":"1"}}`,
	"endpoint.send-example":                       `{"eventType":"svix.ping"}`,
	"event-type.import-openapi":                   `{"spec":{"openapi":"3.1.0","webhooks":{"sample.imported":{"post":{"description":"sample"}}}}}`,
	"message.precheck":                            `{"eventType":"acme.type"}`,
	"event-type.create":                           `{"name":"sample.type","description":"sample"}`,
	"event-type.update":                           `{"description":"sample"}`,
	"event-type.patch":                            `{"description":"sample"}`,
	"endpoint.recover":                            `{"since":"2020-01-01T00:00:00Z","until":"2020-01-02T00:00:00Z"}`,
	"endpoint.preview-recover":                    `{"since":"2020-01-01T00:00:00Z","until":"2020-01-02T00:00:00Z"}`,
	"endpoint.replay-missing":                     `{"since":"2020-01-01T00:00:00Z","until":"2020-01-02T00:00:00Z"}`,
	"endpoint.preview-replay-missing":             `{"since":"2020-01-01T00:00:00Z","until":"2020-01-02T00:00:00Z"}`,
	"endpoint.bulk-replay":                        `{"since":"2020-01-01T00:00:00Z","until":"2020-01-02T00:00:00Z"}`,
	"delivery.resend-where":                       `{"state":"cancelled"}`,
	"delivery.preview-resend-where":               `{"state":"cancelled"}`,
	"delivery.cancel-where":                       `{"state":"waiting"}`,
	"delivery.preview-cancel-where":               `{"state":"waiting"}`,
	"application.update-retention":                `{"payloadDays":30}`,
	"message.create":                              `{"eventType":"acme.type","payload":{}}`,
	"message.bulk-expunge-contents":               `{"ids":["acme-msg"]}`,
	"statistics.aggregate-app-stats":              `{"since":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}`,
	"message.create-batch":                        `{"messages":[{"eventType":"acme.type","payload":{}}]}`,
	"operational-webhook-endpoint.create":         `{"url":"https://sample.example"}`,
	"operational-webhook-endpoint.update":         `{"url":"https://sample.example","uid":"acme-ep"}`,
	"operational-webhook-endpoint.rotate-secret":  `{}`,
	"operational-webhook-endpoint.update-headers": `{"headers":{"X-Sample":"1"}}`,
	"token.create":                                `{"scopes":["read"]}`,
}

// houses are whose things are: two applications of one organisation, and one of another.
// Everything that a house has says so in its name.
var houses = []string{"acme", "sibling", "foreign"}

const acme, sibling, foreignHouse = "acme", "sibling", "foreign"

// estate is a world in which each house has one of everything.
type estate struct {
	*world
	// things are the names and ids of each house's things, by the place in a path that they
	// go to.
	things map[string]map[string][]string
	tokens map[string]string // by kind
}

const estateSecret = "a secret that tests may know, and it is long enough"

// signedToken is a JWT.
func signedToken(claims string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(estateSecret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func newEstate(t testing.TB) *estate {
	t.Helper()
	st := memstore.New()
	e := &estate{
		world: newWorld(t, worldOptions{
			store: st, options: neohook.Options{JWT: access.JWT{Algorithm: "HS256", Key: []byte(estateSecret)}},
			metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		}),
		things: make(map[string]map[string][]string), tokens: make(map[string]string),
	}
	for _, house := range houses {
		e.furnish(house)
	}
	for _, kind := range kinds {
		if kind.issue != nil {
			e.tokens[kind.name] = kind.issue(e, st)
		}
	}
	return e
}

// furnish gives a house one of everything.
func (e *estate) furnish(house string) {
	e.Helper()
	org, ctx := e.engine.Organisation, e.Context()
	if house == foreignHouse {
		org = e.engine.In(otherOrg)
	}
	app, err := org.CreateTenant(ctx, webhook.Tenant{UID: house, Name: house + " name", Metadata: map[string]string{"of": house}})
	check(e, err)
	ep, err := org.CreateEndpoint(ctx, app.ID, webhook.Endpoint{
		UID: house + "-ep", URL: "https://" + house + ".example", Headers: map[string]string{"X-House": house + "-header"},
	})
	check(e, err)
	msg, err := org.Publish(ctx, webhook.Event{Tenant: app.ID, UID: house + "-msg", Type: house + ".type", Payload: []byte(`{"of":"` + house + `"}`)})
	check(e, err)
	e.await(1)
	attempts, err := org.AttemptsOfEvent(ctx, app.ID, msg.ID, neohook.AttemptFilter{}, neohook.Page{})
	check(e, err)
	_, err = org.CreateEventType(ctx, webhook.EventType{Name: house + ".type", Description: house})
	check(e, err)
	made, _, err := org.CreateToken(ctx, access.Token{Name: house + " token", Scopes: []access.Scope{access.Reader}})
	check(e, err)
	acting, operational, err := org.Operational(ctx)
	check(e, err)
	told, err := acting.CreateEndpoint(ctx, operational, webhook.Endpoint{UID: house + "-told", URL: "https://told-" + house + ".example", Disabled: true})
	check(e, err)
	job, err := org.ResendWhere(ctx, app.ID, neohook.Selection{DeliveryFilter: neohook.DeliveryFilter{Tag: "none", States: []webhook.State{webhook.Exhausted}}})
	check(e, err)
	e.things[house] = map[string][]string{
		"task_id":     {string(job.ID)},
		"app_id":      {string(app.ID), app.UID},
		"endpoint_id": {string(ep.ID), ep.UID},
		"msg_id":      {string(msg.ID), msg.UID},
		"attempt_id":  {string(attempts.Items[0].ID)},

		"event_type_name": {house + ".type"},
		"token_id":        {string(made.ID)},

		"operational_endpoint_id": {string(told.ID), told.UID},
	}
}

// isShared says that a thing belongs to its organisation as a whole.
func isShared(place string) bool {
	return place == "event_type_name" || place == "token_id" || place == "operational_endpoint_id" || place == "task_id"
}

// path fills in an operation's path with the things of the houses, one for each place, by
// their ids or by their uids.
func (e *estate) path(row httpapi.Row, byUID bool, owners ...string) string {
	e.Helper()
	path := row.Path
	for i, place := range row.Places {
		things := e.things[owners[i]][place]
		if len(things) == 0 {
			e.Fatalf("%s: no house has anything for {%s}: furnish it", row.Name, place)
		}
		thing := things[0]
		if byUID {
			thing = things[len(things)-1]
		}
		path = strings.Replace(path, "{"+place+"}", thing, 1)
	}
	return path
}

// kind is a kind of token and what it is good for.
type kind struct {
	name string
	// issue makes the token of an estate; nil is no token at all.
	issue func(e *estate, st store.Store) string
	// valid ones have these rights, in the organisation of a house; those that are confined,
	// for that house only.
	valid    bool
	rights   access.Rights
	house    string
	confined bool
}

var kinds = buildKinds()

func buildKinds() []kind {
	all := (&access.Token{Scopes: []access.Scope{access.Admin}}).Rights()
	list := []kind{
		{name: "none"},
		{name: "garbage", issue: func(*estate, store.Store) string { return "garbage" }},
		{name: "mistyped", issue: func(*estate, store.Store) string { return "nhk_" + strings.Repeat("0", 49) }},
		{name: "signing secret", issue: func(*estate, store.Store) string { return knownSecret }},
		{name: "expired", issue: func(e *estate, st store.Store) string {
			text := access.NewText()
			key, err := st.NewKey(e.Context())
			check(e, err)
			check(e, st.InsertToken(e.Context(), store.Token{
				Key: store.TokenKey(key), Hash: text.Hash(), Organisation: string(neohook.DefaultOrganisation), Scopes: []string{"admin"},
				CreatedAt: time.Now().Add(-time.Hour), ExpiresAt: time.Now().Add(-time.Minute),
			}, nil))
			return string(text)
		}},
		{name: "revoked", issue: func(e *estate, _ store.Store) string {
			made, text, err := e.engine.CreateToken(e.Context(), access.Token{Scopes: []access.Scope{access.Admin}})
			check(e, err)
			check(e, e.engine.RevokeToken(e.Context(), made.ID))
			return string(text)
		}},
		{name: "logged out, signed", issue: func(e *estate, _ store.Store) string {
			text := signedToken(`{"sub":"org_default","jti":"1"}`)
			check(e, e.engine.Logout(e.Context(), text))
			return text
		}},
		{name: "expired, signed", issue: func(*estate, store.Store) string { return signedToken(`{"sub":"org_default","exp":1}`) }},
		{name: "expired with its application's", issue: func(e *estate, _ store.Store) string {
			// Of an application of its own, as the others are to go on.
			app, err := e.engine.CreateTenant(e.Context(), webhook.Tenant{Name: "Past"})
			check(e, err)
			check(e, e.engine.ExpireTokens(e.Context(), app.ID, 0))
			return signedToken(fmt.Sprintf(`{"sub":%q,"org":"org_default","iat":%d}`, app.ID, time.Now().Unix()-10))
		}},
		{
			name: "signed, of the organisation", valid: true, rights: all, house: acme,
			issue: func(*estate, store.Store) string { return signedToken(`{"sub":"org_default"}`) },
		},
		{
			name: "signed, of the application", valid: true, rights: access.PortalRights(nil, false), house: acme, confined: true,
			issue: func(e *estate, _ store.Store) string {
				return signedToken(fmt.Sprintf(`{"sub":%q,"org":"org_default"}`, e.things[acme]["app_id"][0]))
			},
		},
	}
	for _, house := range houses {
		for _, scope := range access.Scopes() {
			list = append(list, ofScopes(house, true, scope))
			if house != sibling { // else it would be the same as that of acme
				list = append(list, ofScopes(house, false, scope))
			}
		}
		list = append(list, ofPortal(house, false), ofPortal(house, true))
	}
	for _, capability := range access.Capabilities() {
		list = append(list, ofPortal(acme, false, access.CanViewBase, capability))
	}
	return append(list, ofPortal(acme, true, access.Capabilities()...))
}

func ofScopes(house string, confined bool, scopes ...access.Scope) kind {
	token := access.Token{Scopes: scopes}
	k := kind{name: fmt.Sprint(scopes, " of ", house), valid: true, rights: token.Rights(), house: house, confined: confined}
	if confined {
		k.name += " alone"
		token.Tenant = webhook.TenantID(house)
	}
	k.issue = issuing(house, token)
	return k
}

func ofPortal(house string, readOnly bool, capabilities ...access.Capability) kind {
	token := access.Token{
		Portal: true, Tenant: webhook.TenantID(house), ReadOnly: readOnly, Capabilities: capabilities, ExpiresAt: time.Now().Add(time.Hour),
	}
	k := kind{
		name:  "portal of " + house,
		valid: true, rights: token.Rights(), house: house, confined: true, issue: issuing(house, token),
	}
	if readOnly {
		k.name += ", read-only"
	}
	for _, capability := range capabilities {
		k.name += ", " + string(capability)
	}
	return k
}

func issuing(house string, token access.Token) func(*estate, store.Store) string {
	return func(e *estate, _ store.Store) string {
		org := e.engine.Organisation
		if house == foreignHouse {
			org = e.engine.In(otherOrg)
		}
		_, text, err := org.CreateToken(e.Context(), token)
		check(e, err)
		return string(text)
	}
}

// expected is what the kind of token gets for an operation on the things of acme: 0 is
// that it is carried out.
func (k *kind) expected(row httpapi.Row) int {
	foreigner := k.house == foreignHouse
	switch {
	case row.Scope == "none":
		return 0
	case !k.valid:
		return http.StatusUnauthorized
	case !k.rights.Has(row.Needs),
		row.Scope == "operator" && (k.confined || foreigner),
		row.Scope == "organisation" && k.confined:
		return http.StatusForbidden
	case len(row.Places) == 0:
		return 0
	case foreigner && !(row.Upserts && len(row.Places) == 1), k.confined && k.house != acme && slices.Contains(row.Places, "app_id"):
		return http.StatusNotFound
	}
	return 0
}

// ask sends a request with a kind's token.
func (e *estate) ask(k *kind, row httpapi.Row, path string) answer {
	e.Helper()
	body := samples[row.Name]
	if row.Takes && body == "" {
		e.Fatalf("%s has a body: add a sample of it", row.Name)
	}
	header := map[string]string{"Authorization": ""}
	if k.issue != nil {
		header["Authorization"] = "Bearer " + e.tokens[k.name]
	}
	if row.Streams {
		return e.begin(path, header["Authorization"])
	}
	return e.call(row.Method, path, body, header)
}

// begin asks for what does not end by itself, and ends it once it has begun.
func (e *estate) begin(path, authorization string) answer {
	e.Helper()
	req, err := http.NewRequestWithContext(e.Context(), http.MethodGet, e.server.URL+path, nil)
	check(e, err)
	req.Header.Set("Authorization", authorization)
	resp, err := e.server.Client().Do(req)
	check(e, err)
	defer resp.Body.Close()
	got := answer{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(resp.Body)
		check(e, err)
		got.body = string(text)
	}
	return got
}

// marks are texts by which the things of a house are known.
func (e *estate) marks(house string) (marks []string) {
	for _, things := range e.things[house] {
		marks = append(marks, things...)
	}
	return append(marks, house+" name", house+".example", house+"-header", `"of":"`+house, house+" token")
}

func (e *estate) shows(what string, got answer, house string) {
	e.Helper()
	for _, mark := range e.marks(house) {
		if strings.Contains(got.body, mark) {
			e.Errorf("%s: %q of %s is in %d %s", what, mark, house, got.status, got.body)
		}
	}
}

var refusalCodes = map[int]string{401: "authentication_failed", 403: "insufficient_access", 404: "not_found"}

func (e *estate) refused(what string, got answer, status int) {
	e.Helper()
	var out struct{ Code string }
	_ = json.Unmarshal([]byte(got.body), &out)
	if got.status != status || out.Code != refusalCodes[status] {
		e.Errorf("%s: %d %s, want %d %s", what, got.status, got.body, status, refusalCodes[status])
	}
}

// Every operation is asked for with every kind of token. What it answers follows from
// what its row in the table says that it needs, and from nothing else.
func TestEveryOperationTakesTheTokensThatItSays(t *testing.T) {
	for _, row := range append(httpapi.Table(), metricsRow) {
		t.Run(row.Name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			owners := slices.Repeat([]string{acme}, len(row.Places))
			before := e.state()
			for i := range kinds { // those that are refused first: nothing changes
				k := &kinds[i]
				want := k.expected(row)
				if want == 0 {
					continue
				}
				for _, byUID := range []bool{false, true} {
					got := e.ask(k, row, e.path(row, byUID, owners...))
					e.refused(k.name, got, want)
					e.shows(k.name, got, acme)
				}
			}
			if after := e.state(); after != before {
				t.Errorf("refused requests changed something: before\n%s\nafter\n%s", before, after)
			}
			for i := range kinds {
				k := &kinds[i]
				if k.expected(row) != 0 {
					continue
				}
				got := e.ask(k, row, e.path(row, i%2 == 0, owners...))
				if got.status/100 != 2 && !slices.ContainsFunc(impossible, func(code string) bool { return strings.Contains(got.body, code) }) {
					t.Errorf("%s: %d %s, want it carried out", k.name, got.status, got.body)
				}
				if row.Method != http.MethodGet { // and what the next one asks for may be gone
					e = newEstate(t)
				}
			}
		})
	}
}

// impossible are refusals of what is allowed: the adapter of these tests has no network to
// test, and what was sent is not deferred and can't be cancelled.
var impossible = []string{`"not_supported"`, `"not_deferred"`, `"delivery_ended"`}

// metricsRow is what is beside the API.
var metricsRow = httpapi.Row{Way: httpapi.Way{Name: "metrics", Method: "GET", Path: "/metrics"}, Scope: "operator", Needs: access.View}

// Each name in each path is, in turn, that of another application's or another
// organisation's thing. That is not found, and nothing of it is shown or changed.
func TestNoPathLeadsIntoAnothersHouse(t *testing.T) {
	callers := []string{"[admin] of acme", "portal of acme", "[admin] of acme alone", "signed, of the application", "signed, of the organisation"}
	for _, row := range httpapi.Table() {
		if len(row.Places) == 0 {
			continue
		}
		t.Run(row.Name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			before, tried := e.houses(), 0
			try := func(k *kind, owners []string, byUID bool) {
				path := e.path(row, byUID, owners...)
				got := e.ask(k, row, path)
				what := fmt.Sprintf("%s, %s", k.name, path)
				after := e.houses()
				for house, was := range before {
					if is := after[house]; is != was && !(row.Upserts && house != foreignHouse) {
						t.Errorf("%s: %s was\n%s\nand is\n%s", what, house, was, is)
					}
				}
				tried++
				switch {
				case row.Upserts && got.status == http.StatusConflict: // the sample's uid is taken at home
				case row.Upserts && got.status == http.StatusCreated: // another of that name, at home
					e = newEstate(t)
					before = e.houses()
				default:
					e.refused(what, got, http.StatusNotFound)
					e.shows(what, got, foreignHouse)
					if k.confined {
						e.shows(what, got, sibling)
					}
				}
			}
			for _, owners := range fillings(row.Places) {
				for i := range kinds {
					k := &kinds[i]
					if slices.Contains(callers, k.name) && k.expected(row) == 0 && !k.leads(row.Places, owners) {
						try(k, owners, false)
						try(k, owners, true)
					}
				}
			}
			if tried == 0 {
				t.Error("nobody may ask for it")
			}
		})
	}
}

// houses tells what each house is like.
func (e *estate) houses() map[string]string {
	e.Helper()
	all := make(map[string]string)
	for _, house := range houses {
		org, ctx, ref := e.engine.Organisation, e.Context(), webhook.TenantID(e.things[house]["app_id"][0])
		if house == foreignHouse {
			org = e.engine.In(otherOrg)
		}
		tenant, err := org.Tenant(ctx, ref)
		check(e, err)
		endpoints, err := org.Endpoints(ctx, ref, neohook.Page{})
		check(e, err)
		events, err := org.Events(ctx, ref, neohook.EventFilter{WithPayload: true}, neohook.Page{})
		check(e, err)
		typ, err := org.EventType(ctx, house+".type")
		check(e, err)
		token, err := org.Token(ctx, webhook.TokenID(e.things[house]["token_id"][0]))
		check(e, err)
		all[house] = fmt.Sprintf("%+v\n%+v\n%+v\n%+v\n%+v", tenant, endpoints, events, typ, token)
	}
	return all
}

// leads says whether things of these owners are, together, something that is there for
// the caller.
func (k *kind) leads(places, owners []string) bool {
	var in string
	for i, place := range places {
		switch {
		case owners[i] == foreignHouse:
			return false
		case isShared(place):
		case in != "" && in != owners[i], k.confined && owners[i] != k.house:
			return false
		default:
			in = owners[i]
		}
	}
	return true
}

// fillings are all ways to fill places with things of the houses.
func fillings(places []string) (ways [][]string) {
	ways = [][]string{{}}
	for _, place := range places {
		var longer [][]string
		for _, way := range ways {
			for _, house := range houses {
				if !isShared(place) || house != sibling { // it is acme's as well
					longer = append(longer, append(slices.Clone(way), house))
				}
			}
		}
		ways = longer
	}
	return ways
}

// A reference in a query leads no further than one in a path.
func TestNoQueryLeadsIntoAnothersHouse(t *testing.T) {
	e := newEstate(t)
	for path, place := range map[string]string{
		"/api/v1/app/acme/attempt/msg/acme-msg?endpoint_id=":  "endpoint_id",
		"/api/v1/auth/token?app_id=":                          "app_id",
		"/api/v1/app?iterator=":                               "app_id",
		"/api/v1/app/acme/endpoint?iterator=":                 "endpoint_id",
		"/api/v1/app/acme/msg?iterator=":                      "msg_id",
		"/api/v1/app/acme/attempt/endpoint/acme-ep?iterator=": "attempt_id",
	} {
		for _, house := range []string{sibling, foreignHouse} {
			got := e.call("GET", path+e.things[house][place][0], "", nil)
			if got.status >= 500 {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
			if !strings.HasPrefix(path, "/api/v1/app?") || house == foreignHouse { // siblings are in that list
				for _, mark := range e.marks(house) {
					if strings.Contains(got.body, mark) && !strings.Contains(mark, "token") && mark != e.things[house]["app_id"][0] {
						t.Errorf("%s: %q of %s is in %s", path, mark, house, got.body)
					}
				}
			}
		}
	}
}

// An application whose uid has moved to another opens nothing for the former's token.
func TestConfinedTokenFollowsItsApplicationAndNotTheName(t *testing.T) {
	e := newEstate(t)
	caller := map[string]string{"Authorization": "Bearer " + e.tokens["portal of acme"]}
	if got := e.call("GET", "/api/v1/app/acme", "", caller); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	rename := func(from, to string) {
		e.must("PATCH", "/api/v1/app/"+from, `{"uid":"`+to+`"}`)
	}
	rename("acme", "moved")
	rename("sibling", "acme") // within the second for which a token is remembered
	for path, want := range map[string]int{
		"/api/v1/app/acme": 404, "/api/v1/app/acme/endpoint": 404, "/api/v1/app/acme/endpoint/sibling-ep": 404,
		"/api/v1/app/moved": 200, "/api/v1/app/moved/endpoint": 200,
	} {
		got := e.call("GET", path, "", caller)
		if got.status != want {
			t.Errorf("%s: %d %s, want %d", path, got.status, got.body, want)
		}
		for _, mark := range e.marks(sibling) {
			if mark != "acme" && strings.Contains(got.body, mark) {
				t.Errorf("%s shows %q: %s", path, mark, got.body)
			}
		}
	}
	if names := slices.Sorted(maps.Keys(e.things)); !slices.Equal(names, []string{acme, foreignHouse, sibling}) {
		t.Fatal(names)
	}
}
