package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
)

// What compatible servers answer to tokens that are signed, genuine or not.
func TestSignedTokens(t *testing.T) {
	w := newWorld(t, worldOptions{options: neohook.Options{JWT: access.JWT{Algorithm: "HS256", Key: []byte(estateSecret)}}})
	ids := settle(w)
	as := func(claims string) map[string]string { return bearer(signedToken(claims)) }
	user := func(app string) map[string]string {
		return as(fmt.Sprintf(`{"sub":%q,"org":"org_default","feature_flags":["beta"]}`, app))
	}
	other := w.id("POST", "/api/v1/app", `{"name":"Other","uid":"other"}`)
	w.must("POST", "/api/v1/event-type", `{"name":"beta.type","description":"","featureFlags":["beta"]}`)
	w.must("POST", "/api/v1/event-type", `{"name":"gold.type","description":"","featureFlags":["gold"]}`)

	for name, s := range map[string]scenario{
		"of the organisation":          {path: "/app", header: as(`{"sub":"org_default"}`), status: 200, want: []string{`"acme"`}},
		"of one that is nowhere":       {path: "/app", header: as(`{"sub":"org_23rb8YdGqMT0qIzpgGwdXfHirMu"}`), status: 200, want: []string{`"data":[]`}},
		"expired":                      {path: "/app", header: as(fmt.Sprintf(`{"sub":"org_default","exp":%d}`, time.Now().Unix())), status: 401, want: []string{"authentication_failed", "Invalid token"}},
		"the secret itself":            {path: "/app", header: bearer(estateSecret), status: 401, want: []string{"authentication_failed", "signing secret"}, not: []string{estateSecret}},
		"without a sub":                {path: "/app", header: as(`{}`), status: 401, want: []string{"authentication_failed", "sub"}},
		"sub with a wrong prefix":      {path: "/app", header: as(`{"sub":"user_1"}`), status: 400, want: []string{"bad_token", "sub"}},
		"org with a wrong prefix":      {path: "/app/acme", header: as(`{"sub":"app_x","org":"1"}`), status: 400, want: []string{"bad_token", "org"}},
		"org that is no text":          {path: "/app/acme", header: as(`{"sub":"app_x","org":"org_\u0000"}`), status: 400, want: []string{"bad_token", "org", "U+0000"}},
		"sub that is no text":          {path: "/app", header: as(`{"sub":"org_\u0000"}`), status: 400, want: []string{"bad_token", "sub", "U+0000"}},
		"sub that is too long":         {path: "/app", header: as(`{"sub":"org_` + strings.Repeat("x", 253) + `"}`), status: 400, want: []string{"bad_token", "sub"}},
		"its application":              {path: "/app/acme", header: user(ids["app"]), status: 200},
		"an operation that is not its": {method: "POST", path: "/app", header: user(ids["app"]), body: `{"name":"x"}`, status: 403, want: []string{"insufficient_access"}},
		"another application":          {path: "/app/other", header: user(ids["app"]), status: 404, want: []string{"not_found", "Entity not found"}},
		"one of another server":        {path: "/app/acme", header: user("app_" + strings.Repeat("2", 27)), status: 404},
		"event types":                  {path: "/event-type", header: user(ids["app"]), status: 200, want: []string{"beta.type"}, not: []string{"gold.type"}},
		"an event type behind a flag":  {path: "/event-type/gold.type", header: user(ids["app"]), status: 404},
		"all event types":              {path: "/event-type", header: as(`{"sub":"org_default"}`), status: 200, want: []string{"beta.type", "gold.type"}},
	} {
		w.play(name, s)
	}
	w.must("DELETE", "/api/v1/app/other", "")
	w.play("an application that was deleted", scenario{path: "/app/" + other, header: user(other), status: 404, want: []string{"not_found"}})
	mine := user(ids["app"])
	w.play("logout", scenario{method: "POST", path: "/auth/logout", header: mine, status: 204})
	w.play("is out", scenario{path: "/app/acme", header: mine, status: 401})
	before := as(fmt.Sprintf(`{"sub":%q,"org":"org_default","iat":%d}`, ids["app"], time.Now().Unix()-60))
	w.play("issued before", scenario{path: "/app/acme", header: before, status: 200})
	w.play("expire all", scenario{method: "POST", path: "/auth/app/acme/expire-all", body: `{}`, status: 204})
	w.play("issued before all were expired", scenario{path: "/app/acme", header: before, status: 401})
}
