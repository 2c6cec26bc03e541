package httpapi_test

import (
	"bytes"
	"cmp"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

// The fixtures of the scenarios: secrets that must never be seen where they were not
// asked for.
const (
	knownSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	apiKey      = "sesame-open-up"
)

// settle fills a world: the organisation's application "acme" with two endpoints and two
// messages that were sent, and another organisation's application "foreign".
func settle(w *world) (ids map[string]string) {
	ids = make(map[string]string)
	ids["app"] = w.id("POST", "/api/v1/app", `{"name":"Acme","uid":"acme","metadata":{"plan":"gold"}}`)
	w.types("invoice.paid")
	ids["ep"] = w.id("POST", "/api/v1/app/acme/endpoint",
		`{"url":"https://Receiver.example","uid":"orders","secret":"`+knownSecret+`","headers":{"X-Api-Key":"`+apiKey+`","X-Trace":"on"}}`)
	ids["down"] = w.id("POST", "/api/v1/app/acme/endpoint",
		`{"url":"https://down.example/hook","uid":"down","eventTypes":["invoice.paid"],"channels":["eu"]}`)
	ids["msg"] = w.id("POST", "/api/v1/app/acme/msg", `{"eventType":"order.made","eventId":"order-1","payload":{"n":1}}`)
	w.await(1)
	ids["msg2"] = w.id("POST", "/api/v1/app/acme/msg", `{"eventType":"invoice.paid","channels":["eu"],"payload":{"n":2}}`)
	w.await(2)
	attempts, _ := w.must("GET", "/api/v1/app/acme/attempt/msg/order-1", "")["data"].([]any)
	if len(attempts) != 1 {
		w.Fatalf("attempts %v", attempts)
	}
	first, _ := attempts[0].(map[string]any)
	ids["attempt"], _ = first["id"].(string)

	other := map[string]string{"Authorization": "Bearer " + otherToken}
	for path, body := range map[string]string{"/api/v1/app": `{"name":"Foreign","uid":"foreign"}`} {
		if got := w.call("POST", path, body, other); got.status != 201 {
			w.Fatalf("%d %s", got.status, got.body)
		}
	}
	if got := w.call("POST", "/api/v1/app/foreign/endpoint", `{"url":"https://foreign.example","uid":"theirs"}`, other); got.status != 201 {
		w.Fatalf("%d %s", got.status, got.body)
	}
	if got := w.call("POST", "/api/v1/app/foreign/msg", `{"eventType":"x","eventId":"theirs","payload":{}}`, other); got.status != 202 {
		w.Fatalf("%d %s", got.status, got.body)
	}
	w.await(1)
	return ids
}

func onEachStore(t *testing.T, run func(*testing.T, store.Store)) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

func TestAnswersOutsideTheOperations(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	public := map[string]string{"Authorization": ""}
	w.play("root", scenario{path: "!/", header: public, status: 200, want: []string{testVersion, "/api/v1"}})
	w.play("health", scenario{path: "/health", header: public, status: 200, want: []string{`"database":{"status":"ok"}`, `"queue"`, `"cache"`}})
	w.play("health, HEAD", scenario{method: "HEAD", path: "/health/", header: public, status: 200})
	w.play("reference", scenario{path: "!/docs", header: public, status: 200, want: []string{"<!doctype html>", testVersion}, answers: map[string]string{"Content-Type": "text/html; charset=utf-8"}})
	w.play("document", scenario{path: "/openapi.json", header: public, status: 200, want: []string{`"openapi": "3.1.0"`, testVersion}})
	w.play("ping", scenario{path: "/health/ping", header: public, status: 204})
	w.play("ping, HEAD", scenario{method: "HEAD", path: "/health/ping", header: public, status: 204})
	w.play("wrong method", scenario{method: "POST", path: "/health", header: public, status: 405, answers: map[string]string{"Allow": "GET, HEAD"}})
	w.play("wrong method, many right", scenario{method: "TRACE", path: "/app/acme", status: 405, answers: map[string]string{"Allow": "GET, HEAD, PUT, PATCH, DELETE"}})
	for name, path := range map[string]string{
		"not there": "!/nothing", "below": "/nothing", "base": "!/api/v1",
		"not served": "/connector", "not served, deeper": "/app/acme/endpoint/orders/transformation",
		"empty segment": "/app//acme", "double slash": "!//api/v1/health", "two slashes at the end": "/app//", "dots": "/app/../health", "escaped dots": "/app/%2e%2e/health",
	} {
		w.play(name, scenario{path: path, status: 404, want: []string{`"not_found"`}})
	}
	w.play("slash at the end", scenario{path: "/app/acme/", status: 200, want: []string{`"Acme"`}})
	w.play("escaped", scenario{path: "/app/%61cme", status: 200, want: []string{`"Acme"`}})
	w.play("escaped slash", scenario{path: "/app/acme%2Fendpoint", status: 422, field: "path/app_id"})
}

func TestWhoMayAsk(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	as := func(authorization string) map[string]string { return map[string]string{"Authorization": authorization} }
	refused := []string{`"authentication_failed"`}
	w.play("nobody", scenario{path: "/app", header: as(""), status: 401, want: refused, answers: map[string]string{"WWW-Authenticate": "Bearer"}})
	w.play("unknown", scenario{path: "/app", header: as("Bearer nonsense"), status: 401, want: append(refused, "Invalid token")})
	w.play("no token", scenario{path: "/app", header: as("Bearer "), status: 401, want: refused})
	w.play("other scheme", scenario{path: "/app", header: as("Basic " + token), status: 401, want: refused})
	w.play("no scheme", scenario{path: "/app", header: as(token), status: 401, want: refused})
	w.play("scheme in capitals", scenario{path: "/app", header: as("BEARER " + token), status: 200})
	w.play("signing secret", scenario{path: "/app", header: as("Bearer " + knownSecret), status: 401, want: []string{"signing secret"}, not: []string{knownSecret}})
	w.play("prefix of a token", scenario{path: "/app", header: as("Bearer " + token[:len(token)-1]), status: 401, want: refused})
	w.play("head", scenario{method: "HEAD", path: "/app", status: 200})
	w.play("head of nothing", scenario{method: "HEAD", path: "/app/none", status: 404})
	w.play("a bad query comes before", scenario{path: "/app?limit=x", header: as("Bearer nonsense"), status: 400})
	w.play("a bad path comes after", scenario{path: "/app/a%20b", header: as("Bearer nonsense"), status: 401})
	w.play("a bad body comes after", scenario{method: "POST", path: "/app", body: "{", header: as("Bearer nonsense"), status: 401})
	w.play("an unknown application comes before a bad body", scenario{method: "POST", path: "/app/nobody/endpoint", body: "{", status: 404, want: []string{"Application not found"}})
	w.play("an unknown endpoint comes before a bad body", scenario{method: "PATCH", path: "/app/acme/endpoint/none", body: "{", status: 404, want: []string{"Endpoint not found"}})
	w.play("a message's bad body comes before an unknown application", scenario{method: "POST", path: "/app/nobody/msg", body: "{", status: 422, field: "body"})

	other := as("Bearer " + otherToken)
	w.play("sees its own", scenario{path: "/app", header: other, status: 200, want: []string{"Foreign"}, not: []string{"Acme", "acme"}})
	for name, s := range map[string]scenario{
		"application":    {path: "/app/acme"},
		"endpoints":      {path: "/app/acme/endpoint"},
		"secret":         {path: "/app/acme/endpoint/orders/secret"},
		"headers":        {path: "/app/acme/endpoint/orders/headers"},
		"messages":       {path: "/app/acme/msg"},
		"message":        {path: "/app/acme/msg/order-1"},
		"attempts":       {path: "/app/acme/attempt/endpoint/orders"},
		"publish":        {method: "POST", path: "/app/acme/msg", body: `{"eventType":"a","payload":{}}`},
		"delete":         {method: "DELETE", path: "/app/acme"},
		"patch":          {method: "PATCH", path: "/app/acme", body: `{"name":"Mine"}`},
		"delete, inside": {method: "DELETE", path: "/app/acme/endpoint/orders"},
		"rotate":         {method: "POST", path: "/app/acme/endpoint/orders/secret/rotate", body: `{}`},
		"put headers":    {method: "PUT", path: "/app/acme/endpoint/orders/headers", body: `{"headers":{}}`},
	} {
		s.header, s.status, s.not = other, 404, []string{"Acme", knownSecret, apiKey}
		w.play("another organisation's "+name, s)
	}
}

func TestCrossOrigin(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.play("may I", scenario{
		method: "OPTIONS", path: "/app", status: 204,
		header: map[string]string{
			"Authorization": "", "Origin": "https://pages.example", "Access-Control-Request-Method": "PATCH",
			"Access-Control-Request-Headers": "authorization,x-mine",
		},
		answers: map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "authorization,x-mine",
			"Access-Control-Max-Age": "600", "Access-Control-Allow-Credentials": "",
			"Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
		},
	})
	w.play("it asks", scenario{
		path: "/app", status: 200, header: map[string]string{"Origin": "https://pages.example"},
		answers: map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": ""},
	})
	w.play("a refusal is readable too", scenario{
		path: "/app", status: 401, header: map[string]string{"Origin": "null", "Authorization": ""},
		answers: map[string]string{"Access-Control-Allow-Origin": "*"},
	})
	w.play("no origin", scenario{path: "/app", status: 200, answers: map[string]string{"Access-Control-Allow-Origin": ""}})
	w.play("options without an origin", scenario{method: "OPTIONS", path: "/app", status: 405})
}

func TestApplications(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		id := settle(w)["app"]
		w.play("create", scenario{method: "POST", path: "/app", body: `{"name":"Beta","uid":"beta","throttleRate":5,"rateLimit":9,"metadata":{"a":"b"}}`, status: 201,
			want: []string{`"id":"app_`, `"uid":"beta"`, `"throttleRate":5`, `"rateLimit":5`, `"metadata":{"a":"b"}`, `"createdAt":"20`}, not: []string{"organisation"}})
		w.play("create the least", scenario{method: "POST", path: "/app", body: `{"name":"B"}`, status: 201, want: []string{`"throttleRate":null`, `"metadata":{}`}, not: []string{`"uid"`, `"rateLimit"`}})
		w.play("create by older names", scenario{method: "POST", path: "/app", body: `{"name":"C","rateLimit":7}`, status: 201, want: []string{`"throttleRate":7`}})
		w.play("nulls are defaults", scenario{method: "POST", path: "/app", body: `{"name":"D","uid":null,"throttleRate":null,"metadata":null}`, status: 201, want: []string{`"throttleRate":null`}})
		w.play("unknown is named", scenario{method: "POST", path: "/app?get_if_exists=false&shape=round", body: `{"name":"E","colour":"red"}`, status: 201,
			answers: map[string]string{"neohook-ignored": "shape, colour"}})
		w.play("uid is taken", scenario{method: "POST", path: "/app", body: `{"name":"Acme 2","uid":"acme"}`, status: 409, want: []string{`"conflict"`}})
		w.play("another organisation's uid is free", scenario{method: "POST", path: "/app", body: `{"name":"F","uid":"foreign"}`, status: 201, not: []string{"Foreign"}})
		w.play("get if exists", scenario{method: "POST", path: "/app?get_if_exists=true", body: `{"name":"Other name","uid":"acme"}`, status: 200, want: []string{id, `"name":"Acme"`}})
		w.play("get if exists creates", scenario{method: "POST", path: "/app?get_if_exists=true", body: `{"name":"Gamma","uid":"gamma"}`, status: 201})
		w.play("get if exists without a uid creates", scenario{method: "POST", path: "/app?get_if_exists=true", body: `{"name":"Acme"}`, status: 201, not: []string{id}})
		w.play("get if exists, no bool", scenario{method: "POST", path: "/app?get_if_exists=1", body: `{"name":"x"}`, status: 400, want: []string{"get_if_exists"}})
		for name, s := range badBodies("name", map[string]string{
			"empty name": `{"name":""}`, "null name": `{"name":null}`,
		}) {
			s.method, s.path = "POST", "/app"
			w.play("create, "+name, s)
			s.method, s.path = "PUT", "/app/acme"
			w.play("put, "+name, s)
		}
		for field, bodies := range map[string][]string{
			"uid":          {`{"name":"x","uid":""}`, `{"name":"x","uid":"a b"}`, `{"name":"x","uid":"app_x"}`, `{"name":"x","uid":"` + strings.Repeat("u", 257) + `"}`, `{"name":"x","uid":"é"}`},
			"throttleRate": {`{"name":"x","throttleRate":0}`, `{"name":"x","throttleRate":65536}`, `{"name":"x","throttleRate":-1}`, `{"name":"x","throttleRate":"5"}`},
			"rateLimit":    {`{"name":"x","rateLimit":0}`},
			"metadata":     {`{"name":"x","metadata":[]}`, `{"name":"x","metadata":{"k":"` + strings.Repeat("v", 4096) + `"}}`, `{"name":"x","metadata":{"\u0000":""}}`},
			"metadata/k":   {`{"name":"x","metadata":{"k":"\u0000"}}`},
		} {
			for _, body := range bodies {
				w.play("create, bad "+field, scenario{method: "POST", path: "/app", body: body, status: 422, field: "body/" + field})
				w.play("patch, bad "+field, scenario{method: "PATCH", path: "/app/acme", body: strings.Replace(body, `"name":"x",`, "", 1), status: 422, field: "body/" + field})
			}
		}
		w.play("list", scenario{path: "/app?limit=1", status: 200, want: []string{id, `"iterator":"` + id + `"`, `"prevIterator":"-` + id + `"`, `"done":false`}, not: []string{"Foreign"}})
		w.play("list, newest first", scenario{path: "/app?limit=1&order=descending", status: 200, not: []string{id, "Foreign"}})
		w.play("list, made-up iterator", scenario{path: "/app?iterator=app_" + strings.Repeat("0", 27), status: 422, field: "query/iterator"})
		w.play("get by uid", scenario{path: "/app/acme", status: 200, want: []string{id, `"metadata":{"plan":"gold"}`}})
		w.play("get by id", scenario{path: "/app/" + id, status: 200, want: []string{`"uid":"acme"`}})
		w.play("get none", scenario{path: "/app/none", status: 404, want: []string{"Application not found"}})
		w.play("get a made-up id", scenario{path: "/app/app_" + strings.Repeat("0", 27), status: 404})
		w.play("get a malformed id", scenario{path: "/app/app_1", status: 404})
		w.play("patch nothing", scenario{method: "PATCH", path: "/app/acme", body: `{}`, status: 200, want: []string{`"name":"Acme"`, `"uid":"acme"`, `"metadata":{"plan":"gold"}`}})
		w.play("patch some", scenario{method: "PATCH", path: "/app/acme", body: `{"name":"Acme Inc","throttleRate":3}`, status: 200, want: []string{`"name":"Acme Inc"`, `"throttleRate":3`, `"uid":"acme"`, `"plan":"gold"`}})
		w.play("patch clears", scenario{method: "PATCH", path: "/app/acme", body: `{"rateLimit":null,"metadata":null}`, status: 200, want: []string{`"throttleRate":null`, `"metadata":{}`, `"Acme Inc"`}})
		w.play("patch to a taken uid", scenario{method: "PATCH", path: "/app/acme", body: `{"uid":"beta"}`, status: 409})
		w.play("patch none", scenario{method: "PATCH", path: "/app/none", body: `{"name":"x"}`, status: 404})
		w.play("patch, null name", scenario{method: "PATCH", path: "/app/acme", body: `{"name":null}`, status: 422, field: "body/name"})
		w.play("put replaces", scenario{method: "PUT", path: "/app/acme", body: `{"name":"New","uid":"acme"}`, status: 200, want: []string{id, `"name":"New"`, `"throttleRate":null`}, not: []string{"gold"}})
		w.play("put drops what is left out", scenario{method: "PUT", path: "/app/acme", body: `{"name":"New"}`, status: 200, want: []string{id}, not: []string{`"uid"`}})
		w.play("its uid is gone", scenario{path: "/app/acme", status: 404})
		w.play("put creates", scenario{method: "PUT", path: "/app/delta", body: `{"name":"Delta","uid":"delta"}`, status: 201, want: []string{`"uid":"delta"`}})
		w.play("put creates by the body's uid", scenario{method: "PUT", path: "/app/nobody", body: `{"name":"Epsilon","uid":"epsilon"}`, status: 201, want: []string{`"uid":"epsilon"`}})
		w.play("put, taken uid", scenario{method: "PUT", path: "/app/nobody", body: `{"name":"Epsilon","uid":"beta"}`, status: 409})
		w.play("delete", scenario{method: "DELETE", path: "/app/" + id, status: 204})
		w.play("deleted", scenario{path: "/app/" + id, status: 404})
		w.play("delete again", scenario{method: "DELETE", path: "/app/" + id, status: 404})
		w.play("all below is gone", scenario{path: "/app/" + id + "/endpoint", status: 404, want: []string{"Application not found"}})
		w.play("its uid is free", scenario{method: "POST", path: "/app", body: `{"name":"Acme","uid":"acme"}`, status: 201})
	})
}

// badBodies are bodies that no operation takes, and some that name a field.
func badBodies(field string, more map[string]string) map[string]scenario {
	bad := map[string]scenario{
		"no body":   {status: 422, field: "body"},
		"malformed": {body: `{"` + field + `":`, status: 422},
		"a list":    {body: `[]`, status: 422, field: "body"},
		"a word":    {body: `nonsense`, status: 422, field: "body"},
		"missing":   {body: `{}`, status: 422, field: "body/" + field},
		"twice":     {body: `{"` + field + `":"a","` + field + `":"b"}`, status: 422, field: "body/" + field},
		"not UTF-8": {body: "{\"" + field + "\":\"\xff\"}", status: 422, field: "body"},
		"too long":  {body: `{"` + field + `":"` + strings.Repeat("x", 2<<20) + `"}`, status: 413},
		"gzip":      {body: `{"` + field + `":"x"}`, header: map[string]string{"Content-Encoding": "gzip"}, status: 415},
	}
	for name, body := range more {
		bad[name] = scenario{body: body, status: 422, field: "body/" + field}
	}
	return bad
}

func TestEndpoints(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		ids := settle(w)
		w.types("a.b", "x")
		id, path := ids["ep"], "/app/acme/endpoint"
		hidden := []string{knownSecret, apiKey, "whsec_", "X-Api-Key", "X-Trace"}
		w.play("create the least", scenario{method: "POST", path: path, body: `{"url":"https://a.example"}`, status: 201,
			want: []string{`"id":"ep_`, `"url":"https://a.example/"`, `"uid":null`, `"description":""`, `"disabled":false`, `"eventTypes":null`, `"filterTypes":null`,
				`"channels":null`, `"throttleRate":null`, `"rateLimit":null`, `"version":1`, `"metadata":{}`}, not: hidden})
		w.play("create all", scenario{method: "POST", path: path, status: 201, not: hidden,
			body: `{"url":"http://B.example:8080/x?y=Z","description":"d","uid":"all","disabled":true,"eventTypes":["a.b"],"channels":["c"],"throttleRate":9,"version":3,"secret":"` + knownSecret + `","headers":{"X-Trace":"on"},"metadata":{"m":"n"}}`,
			want: []string{`"url":"http://b.example:8080/x?y=Z"`, `"uid":"all"`, `"disabled":true`, `"eventTypes":["a.b"]`, `"filterTypes":["a.b"]`, `"channels":["c"]`, `"throttleRate":9`, `"rateLimit":9`, `"version":3`, `"m":"n"`}})
		w.play("its secret", scenario{path: path + "/all/secret", status: 200, want: []string{`{"key":"` + knownSecret + `"}`}})
		w.play("its headers", scenario{path: path + "/all/headers", status: 200, want: []string{`"X-Trace":"on"`}})
		w.play("create by older names", scenario{method: "POST", path: path, body: `{"url":"https://a.example","filterTypes":["x"],"rateLimit":2,"version":1}`, status: 201, want: []string{`"eventTypes":["x"]`, `"throttleRate":2`}})
		w.play("uid is taken", scenario{method: "POST", path: path, body: `{"url":"https://a.example","uid":"orders"}`, status: 409, want: []string{`"conflict"`}})
		w.play("no such application", scenario{method: "POST", path: "/app/none/endpoint", body: `{"url":"https://a.example"}`, status: 404, want: []string{"Application not found"}})
		for name, s := range badBodies("url", map[string]string{
			"ftp": `{"url":"ftp://a.example"}`, "no host": `{"url":"https:///x"}`, "relative": `{"url":"/x"}`, "empty": `{"url":""}`, "a number": `{"url":5}`, "null": `{"url":null}`,
			"no port": `{"url":"https://a.example:99999"}`, "line break": `{"url":"https://a.example/\r\nX: y"}`,
		}) {
			s.method, s.path = "POST", path
			w.play("create, url "+name, s)
			s.method, s.path = "PUT", path+"/orders"
			w.play("put, url "+name, s)
		}
		for field, bodies := range map[string][]string{
			"uid":                    {`"uid":""`, `"uid":"ep_x"`, `"uid":"a/b"`},
			"disabled":               {`"disabled":"no"`, `"disabled":1`},
			"eventTypes":             {`"eventTypes":[]`, `"eventTypes":"a"`},
			"eventTypes/[1]":         {`"eventTypes":["a","b c"]`, `"eventTypes":["a",null]`, `"eventTypes":["a",5]`},
			"filterTypes":            {`"filterTypes":[]`, `"filterTypes":["a"],"eventTypes":["b"]`},
			"channels":               {`"channels":[]`, `"channels":["1","2","3","4","5","6","7","8","9","10","11"]`},
			"channels/[0]":           {`"channels":[""]`},
			"throttleRate":           {`"throttleRate":0`, `"throttleRate":65536`},
			"rateLimit":              {`"rateLimit":0`},
			"version":                {`"version":0`, `"version":1.5`},
			"secret":                 {`"secret":"short"`, `"secret":"whsec_AAAA"`, `"secret":"whsec_!!!"`, `"secret":"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="`},
			"description":            {`"description":"\u0000"`},
			"metadata/a":             {`"metadata":{"a":1}`, `"metadata":{"a":"\u0000"}`},
			"headers/Webhook-Id":     {`"headers":{"Webhook-Id":"x"}`},
			"headers/X-A":            {`"headers":{"X-A":"a\r\nb"}`, `"headers":{"X-A":null}`},
			"headers/Content-Length": {`"headers":{"Content-Length":"0"}`},
		} {
			for _, body := range bodies {
				w.play("create, bad "+field, scenario{method: "POST", path: path, body: `{"url":"https://a.example",` + body + `}`, status: 422, field: "body/" + field, not: []string{"AAAA", "whpk_1SiA"}})
				if !strings.HasPrefix(field, "headers") {
					w.play("patch, bad "+field, scenario{method: "PATCH", path: path + "/orders", body: `{` + body + `}`, status: 422, field: "body/" + field})
				}
			}
		}
		w.play("list", scenario{path: path + "?limit=2", status: 200, want: []string{`"data":[{"id":"ep_`, `"iterator":"ep_`, `"prevIterator":"-ep_`, `"done":false`}, not: append(hidden, "theirs")})
		w.play("list, oldest first", scenario{path: path + "?limit=1&order=ascending", status: 200, want: []string{id}, not: hidden})
		w.play("list, odd order", scenario{path: path + "?order=random", status: 400, want: []string{"order"}})
		w.play("list, another's iterator", scenario{path: path + "?iterator=" + ids["app"], status: 422, field: "query/iterator"})
		w.play("list of none", scenario{path: "/app/none/endpoint", status: 404, want: []string{"Application not found"}})
		w.play("get by uid", scenario{path: path + "/orders", status: 200, want: []string{id, `"https://receiver.example/"`}, not: hidden})
		w.play("get by ids", scenario{path: "/app/" + ids["app"] + "/endpoint/" + id, status: 200, want: []string{`"orders"`}, not: hidden})
		w.play("get none", scenario{path: path + "/none", status: 404, want: []string{"Endpoint not found"}})
		w.play("get a made-up id", scenario{path: path + "/ep_" + strings.Repeat("0", 27), status: 404})
		w.play("get by another kind of id", scenario{path: path + "/" + ids["msg"], status: 404})
		w.play("get another application's", scenario{path: "/app/acme/endpoint/theirs", status: 404})
		w.play("patch nothing", scenario{method: "PATCH", path: path + "/down", body: `{}`, status: 200, want: []string{`"eventTypes":["invoice.paid"]`, `"channels":["eu"]`}})
		w.play("patch some", scenario{method: "PATCH", path: path + "/down", body: `{"url":"https://DOWN.example/2","disabled":true,"throttleRate":4,"description":"x"}`, status: 200,
			want: []string{`"url":"https://down.example/2"`, `"disabled":true`, `"throttleRate":4`, `"description":"x"`, `"eventTypes":["invoice.paid"]`}})
		w.play("patch clears", scenario{method: "PATCH", path: path + "/down", body: `{"eventTypes":null,"channels":null,"throttleRate":null,"metadata":null}`, status: 200,
			want: []string{`"eventTypes":null`, `"filterTypes":null`, `"channels":null`, `"throttleRate":null`}})
		w.play("patch clears by older names", scenario{method: "PATCH", path: path + "/all", body: `{"filterTypes":null,"rateLimit":null}`, status: 200, want: []string{`"eventTypes":null`, `"throttleRate":null`}})
		for _, field := range []string{"url", "description", "disabled", "version", "secret"} {
			w.play("patch, no "+field, scenario{method: "PATCH", path: path + "/down", body: `{"` + field + `":null}`, status: 422, field: "body/" + field})
		}
		w.play("patch to a taken uid", scenario{method: "PATCH", path: path + "/down", body: `{"uid":"orders"}`, status: 409})
		w.play("patch none", scenario{method: "PATCH", path: path + "/none", body: `{"uid":"x"}`, status: 404})
		w.play("put replaces", scenario{method: "PUT", path: path + "/orders", body: `{"url":"https://new.example/hook","uid":"orders"}`, status: 200, want: []string{id, `"url":"https://new.example/hook"`}, not: hidden})
		w.play("put keeps the secret", scenario{path: path + "/orders/secret", status: 200, want: []string{knownSecret}})
		w.play("put keeps the headers", scenario{path: path + "/orders/headers", status: 200, want: []string{`"X-Trace":"on"`, `"sensitive":["X-Api-Key"]`}, not: []string{apiKey}})
		w.play("put takes a secret and headers", scenario{method: "PUT", path: path + "/all", status: 200,
			body: `{"url":"https://b.example","uid":"all","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","headers":{"X-New":"1"}}`, not: []string{"whsec_", "X-New"}})
		w.play("the new secret", scenario{path: path + "/all/secret", status: 200, want: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}})
		w.play("the new headers", scenario{path: path + "/all/headers", status: 200, want: []string{`{"X-New":"1"}`}})
		w.play("put creates", scenario{method: "PUT", path: path + "/fresh", body: `{"url":"https://f.example","uid":"fresh"}`, status: 201, want: []string{`"uid":"fresh"`}})
		w.play("put, taken uid", scenario{method: "PUT", path: path + "/nobody", body: `{"url":"https://f.example","uid":"orders"}`, status: 409})
		w.play("put, no such application", scenario{method: "PUT", path: "/app/none/endpoint/x", body: `{"url":"https://f.example"}`, status: 404, want: []string{"Application not found"}})
		w.play("delete", scenario{method: "DELETE", path: path + "/fresh", status: 204})
		w.play("deleted", scenario{path: path + "/fresh", status: 404, want: []string{"Endpoint not found"}})
		w.play("delete again", scenario{method: "DELETE", path: path + "/fresh", status: 404})
		w.play("its uid is free", scenario{method: "POST", path: path, body: `{"url":"https://f.example","uid":"fresh"}`, status: 201})
	})
}

func TestSecrets(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		path := "/app/acme/endpoint/orders/secret"
		const ed25519 = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
		w.play("get", scenario{path: path, status: 200, want: []string{`{"key":"` + knownSecret + `"}`}})
		w.play("get none", scenario{path: "/app/acme/endpoint/none/secret", status: 404})
		w.play("a generated one", scenario{path: "/app/acme/endpoint/down/secret", status: 200, want: []string{`{"key":"whsec_`}})
		w.play("rotate", scenario{method: "POST", path: path + "/rotate", body: `{}`, status: 200})
		w.play("rotated", scenario{path: path, status: 200, want: []string{`{"key":"whsec_`}, not: []string{knownSecret}})
		w.play("rotate to a key", scenario{method: "POST", path: path + "/rotate", body: `{"key":"` + knownSecret + `","gracePeriodSeconds":0}`, status: 200})
		w.play("rotated to it", scenario{path: path, status: 200, want: []string{knownSecret}})
		w.play("rotate to Ed25519", scenario{method: "POST", path: path + "/rotate", body: `{"key":"` + ed25519 + `"}`, status: 200})
		w.play("its public half", scenario{path: path, status: 200, want: []string{`{"key":"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="}`}, not: []string{"whsk_", "6Xb/"}})
		for field, bodies := range map[string][]string{
			"key":                {`{"key":""}`, `{"key":"sesame"}`, `{"key":"whsec_AAAA"}`, `{"key":5}`},
			"gracePeriodSeconds": {`{"gracePeriodSeconds":-1}`, `{"gracePeriodSeconds":604801}`, `{"gracePeriodSeconds":"x"}`},
		} {
			for _, body := range bodies {
				w.play("bad "+field, scenario{method: "POST", path: path + "/rotate", body: body, status: 422, field: "body/" + field, not: []string{"sesame", "AAAA"}})
			}
		}
		w.play("no body", scenario{method: "POST", path: path + "/rotate", status: 422, field: "body"})
		w.play("rotate none", scenario{method: "POST", path: "/app/acme/endpoint/none/secret/rotate", body: `{}`, status: 404})
		for range 9 {
			w.must("POST", "/api/v1"+path+"/rotate", `{"gracePeriodSeconds":604800}`)
		}
		w.play("too many", scenario{method: "POST", path: path + "/rotate", body: `{}`, status: 400, want: []string{`"limit_reached"`}})
		w.play("patch replaces it at once", scenario{method: "PATCH", path: "/app/acme/endpoint/orders", body: `{"secret":"` + knownSecret + `"}`, status: 200, not: []string{"whsec_"}})
		w.play("and the old ones", scenario{method: "POST", path: path + "/rotate", body: `{}`, status: 200})
	})
}

func TestHeaders(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		path := "/app/acme/endpoint/orders/headers"
		w.play("get", scenario{path: path, status: 200, want: []string{`{"headers":{"X-Trace":"on"},"sensitive":["X-Api-Key"]}`}, not: []string{apiKey}})
		w.play("none", scenario{path: "/app/acme/endpoint/down/headers", status: 200, want: []string{`{"headers":{},"sensitive":[]}`}})
		w.play("get none", scenario{path: "/app/acme/endpoint/none/headers", status: 404})
		w.play("put", scenario{method: "PUT", path: path, body: `{"headers":{"X-One":"1","authorization":"Bearer ` + apiKey + `"}}`, status: 204})
		w.play("put, seen", scenario{path: path, status: 200, want: []string{`{"headers":{"X-One":"1"},"sensitive":["authorization"]}`}, not: []string{apiKey, "X-Trace"}})
		w.play("patch sets", scenario{method: "PATCH", path: path, body: `{"headers":{"X-Two":"2","X-One":"eins"}}`, status: 204})
		w.play("patch removes by null", scenario{method: "PATCH", path: path, body: `{"headers":{"X-Two":null,"x-one":null}}`, status: 204})
		w.play("patched", scenario{path: path, status: 200, want: []string{`{"headers":{"X-One":"eins"},"sensitive":["authorization"]}`}})
		w.play("patch removes by a list", scenario{method: "PATCH", path: path, body: `{"headers":null,"deleteHeaders":["authorization","X-None"]}`, status: 204})
		w.play("removed", scenario{path: path, status: 200, want: []string{`{"headers":{"X-One":"eins"},"sensitive":[]}`}})
		for field, body := range map[string]string{
			"headers":                `{"headers":[]}`,
			"headers/User-Agent":     `{"headers":{"User-Agent":"x"}}`,
			"headers/svix-id":        `{"headers":{"svix-id":"x"}}`,
			"headers/x-goog-a":       `{"headers":{"x-goog-a":"x"}}`,
			"headers/a b":            `{"headers":{"a b":"x"}}`,
			"headers/X-Long":         `{"headers":{"X-Long":"` + strings.Repeat("v", 4097) + `"}}`,
			"headers/X-Number":       `{"headers":{"X-Number":1}}`,
			"headers/X-Zero":         `{"headers":{"X-Zero":"a\u0000"}}`,
			"headers/webhook-secret": `{"headers":{"webhook-secret":"x"}}`,
		} {
			w.play("put, bad "+field, scenario{method: "PUT", path: path, body: body, status: 422, field: "body/" + field})
			if field != "headers" {
				w.play("patch, bad "+field, scenario{method: "PATCH", path: path, body: body, status: 422, field: "body/" + field})
			}
		}
		w.play("put, null", scenario{method: "PUT", path: path, body: `{"headers":null}`, status: 422, field: "body/headers"})
		w.play("put none", scenario{method: "PUT", path: "/app/acme/endpoint/none/headers", body: `{"headers":{}}`, status: 404})
		w.play("patch none", scenario{method: "PATCH", path: "/app/none/endpoint/none/headers", body: `{"headers":{}}`, status: 404, want: []string{"Application not found"}})
		w.play("put nothing", scenario{method: "PUT", path: path, body: `{"headers":{}}`, status: 204})
		w.play("nothing", scenario{path: path, status: 200, want: []string{`{"headers":{},"sensitive":[]}`}})
	})
}

// Deferred messages wait for their time and can be cancelled until then; tags find messages
// and their attempts again.
func TestDeferredAndTaggedMessages(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		path, ahead := "/app/acme/msg", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		w.play("defer", scenario{method: "POST", path: path, status: 202,
			body: `{"eventType":"a.b","eventId":"later","payload":{"n":1},"deliverAt":"` + ahead + `","tags":["red","blue"],"payloadRetentionPeriod":30}`,
			want: []string{`"tags":["red","blue"]`, `"deliverAt":"` + strings.TrimSuffix(ahead, "Z") + `.000000Z"`, `"cancelledAt":null`}})
		w.play("read back", scenario{path: path + "/later", status: 200, want: []string{`"tags":["red","blue"]`, `"deliverAt":"20`}})
		w.play("not sent yet", scenario{path: "/app/acme/attempt/msg/later", status: 200, want: []string{`"data":[]`}})
		w.play("cancel", scenario{method: "POST", path: path + "/later/cancel", status: 204})
		w.play("cancel again", scenario{method: "POST", path: path + "/later/cancel", status: 204})
		w.play("cancelled", scenario{path: path + "/later", status: 200, want: []string{`"cancelledAt":"20`}})
		w.play("cancel what was sent", scenario{method: "POST", path: path + "/order-1/cancel", status: 409, want: []string{`"not_deferred"`}})
		w.play("cancel what is not there", scenario{method: "POST", path: path + "/nothing/cancel", status: 404, want: []string{"Message not found"}})
		w.play("cancel of nobody", scenario{method: "POST", path: "/app/nobody/msg/later/cancel", status: 404, want: []string{"Application not found"}})

		w.play("tag", scenario{method: "POST", path: path, status: 202, body: `{"eventType":"a.b","eventId":"tagged","payload":{"n":2},"tags":["red"]}`})
		w.await(1)
		w.play("list by tag", scenario{path: path + "?tag=red", status: 200, want: []string{`"eventId":"tagged"`, `"eventId":"later"`}, not: []string{"order-1"}})
		w.play("list by another tag", scenario{path: path + "?tag=green", status: 200, want: []string{`"data":[]`}})
		w.play("attempts by tag", scenario{path: "/app/acme/attempt/endpoint/orders?tag=red&with_msg=true", status: 200, want: []string{`"eventId":"tagged"`}, not: []string{"order-1"}})
		w.play("no tag", scenario{path: path + "?tag=a%20b", status: 422, field: "query/tag"})
	})
}

func TestMessages(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		ids := settle(w)
		path := "/app/acme/msg"
		w.play("create", scenario{method: "POST", path: path, body: `{"eventType":"a.b","payload":{"z":1.50,"a":"\u00e9"},"eventId":"e-1","channels":["c"]}`, status: 202,
			want: []string{`"id":"msg_`, `"eventId":"e-1"`, `"eventType":"a.b"`, `"payload":{"z":1.50,"a":"\u00e9"}`, `"channels":["c"]`, `"timestamp":"20`}})
		w.play("create, without content", scenario{method: "POST", path: path + "?with_content=false", body: `{"eventType":"a.b","payload":{"n":1}}`, status: 202,
			want: []string{`"payload":{}`, `"eventId":null`, `"channels":null`}})
		w.play("create, by another name", scenario{method: "POST", path: path, body: `{"eventType":"a.b","data":{"n":1}}`, status: 202, want: []string{`"payload":{"n":1}`}})
		w.play("create, what is not there", scenario{method: "POST", path: path, status: 202,
			body: `{"eventType":"a.b","payload":{},"tags":[],"deliverAt":null,"payloadRetentionPeriod":90,"transformationsParams":{"x":1},"extra":true}`, answers: map[string]string{"neohook-ignored": "extra, transformationsParams.x"}})
		w.play("create, raw, of the usual type", scenario{method: "POST", path: path, body: `{"eventType":"a.b","payload":{},"transformationsParams":{"rawPayload":"[1]","headers":{"Content-Type":"application/json; charset=utf-8"}}}`, status: 202})
		w.play("create, raw", scenario{method: "POST", path: path, body: `{"eventType":"a.b","eventId":"raw","payload":{},"transformationsParams":{"rawPayload":"<a>\n"}}`, status: 202, want: []string{`"payload":{"raw":"<a>\n"}`}})
		w.play("raw, read back", scenario{path: path + "/raw", status: 200, want: []string{`"payload":{"raw":"<a>\n"}`}})
		w.play("event id is taken", scenario{method: "POST", path: path, body: `{"eventType":"a.b","payload":{},"eventId":"e-1"}`, status: 409, want: []string{`"conflict"`, "eventId"}})
		w.play("another application's is free", scenario{method: "POST", path: path, body: `{"eventType":"a.b","payload":{},"eventId":"theirs"}`, status: 202})
		w.play("no such application", scenario{method: "POST", path: "/app/none/msg", body: `{"eventType":"a","payload":{}}`, status: 404, want: []string{"Application not found"}})
		w.play("no such application, bad name", scenario{method: "POST", path: "/app/a%20b/msg", body: `{"eventType":"a","payload":{}}`, status: 422, field: "path/app_id"})
		w.play("brings its application", scenario{method: "POST", path: "/app/brought/msg", body: `{"eventType":"a","payload":{},"application":{"name":"Brought","uid":"brought"}}`, status: 202})
		w.play("it is there", scenario{path: "/app/brought", status: 200, want: []string{`"Brought"`}})
		w.play("brings one that is there", scenario{method: "POST", path: "/app/brought/msg", body: `{"eventType":"a","payload":{},"application":{"name":"Other"}}`, status: 202})
		w.play("it is as it was", scenario{path: "/app/brought", status: 200, want: []string{`"Brought"`}})
		w.play("brings one without a uid", scenario{method: "POST", path: "/app/brought2/msg", body: `{"eventType":"a","payload":{},"application":{"name":"Other"}}`, status: 422, field: "body/application/uid", want: []string{"application_uid_missing"}})
		w.play("brings another", scenario{method: "POST", path: "/app/brought2/msg", body: `{"eventType":"a","payload":{},"application":{"name":"Other","uid":"x"}}`, status: 422, field: "body/application/uid", want: []string{"application_uid_mismatch"}})
		w.play("brings a bad one", scenario{method: "POST", path: "/app/brought/msg", body: `{"eventType":"a","payload":{},"application":{"uid":"x"}}`, status: 422, field: "body/application/name"})
		for name, s := range badBodies("eventType", map[string]string{
			"empty": `{"eventType":"","payload":{}}`, "odd": `{"eventType":"a b","payload":{}}`, "a number": `{"eventType":1,"payload":{}}`,
		}) {
			s.method, s.path = "POST", path
			w.play("create, event type "+name, s)
		}
		for field, bodies := range map[string][]string{
			"payload":                {``, `"payload":null`, `"payload":[]`, `"payload":"{}"`, `"payload":1`, `"payload":true`, `"payload":{"a":01}`},
			"payload/a":              {`"payload":{"a":1,"a":2}`},
			"data":                   {`"data":[]`, `"data":{},"payload":{}`},
			"eventId":                {`"payload":{},"eventId":""`, `"payload":{},"eventId":"msg_1"`, `"payload":{},"eventId":"a b"`, `"payload":{},"eventId":{}`},
			"channels":               {`"payload":{},"channels":[]`, `"payload":{},"channels":["1","2","3","4","5","6"]`},
			"channels/[0]":           {`"payload":{},"channels":["a b"]`},
			"payloadRetentionPeriod": {`"payload":{},"payloadRetentionPeriod":4`, `"payload":{},"payloadRetentionPeriod":91`},
			"payloadRetentionHours":  {`"payload":{},"payloadRetentionHours":24`},
			"deliverAt":              {`"payload":{},"deliverAt":"2020-01-01T00:00:00Z"`, `"payload":{},"deliverAt":"9999-01-01T00:00:00Z"`, `"payload":{},"deliverAt":"soon"`},
			"tags/[0]":               {`"payload":{},"tags":["a b"]`},
			"tags":                   {`"payload":{},"tags":["1","2","3","4","5","6","7","8","9","10","11"]`},
			"transformationsParams/headers/content-type": {`"payload":{},"transformationsParams":{"rawPayload":"x","headers":{"content-type":"text/xml"}}`},
		} {
			for _, body := range bodies {
				w.play("create, bad "+field, scenario{method: "POST", path: path, body: strings.Replace(`{"eventType":"a",`+body+`}`, ",}", "}", 1), status: 422, field: "body/" + field})
			}
		}
		w.play("create, too long a payload", scenario{method: "POST", path: path, body: `{"eventType":"a","payload":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`, status: 422, field: "body/payload"})
		w.play("get by event id", scenario{path: path + "/order-1", status: 200, want: []string{ids["msg"], `"payload":{"n":1}`}})
		w.play("get by id", scenario{path: path + "/" + ids["msg"] + "?with_content=false", status: 200, want: []string{`"order-1"`, `"payload":{}`}})
		w.play("get none", scenario{path: path + "/none", status: 404, want: []string{"Message not found"}})
		w.play("get another application's", scenario{path: "/app/brought/msg/" + ids["msg"], status: 404})
		w.play("list", scenario{path: path + "?event_types=invoice.paid&limit=5", status: 200, want: []string{ids["msg2"], `"payload":{"n":2}`, `"done":true`}, not: []string{ids["msg"]}})
		w.play("list, without content", scenario{path: path + "?with_content=false&event_types[]=order.made&event_types[]=x", status: 200, want: []string{ids["msg"], `"payload":{}`}})
		w.play("list by channel", scenario{path: path + "?channel=eu", status: 200, want: []string{ids["msg2"]}, not: []string{ids["msg"]}})
		w.play("list by tag", scenario{path: path + "?tag=x", status: 200, want: []string{`{"data":[],"iterator":null,"done":true}`}})
		w.play("list before", scenario{path: path + "?before=2020-01-01T00:00:00Z", status: 200, want: []string{`"data":[]`}})
		w.play("create, nested as deep as can be", scenario{method: "POST", path: path, body: `{"eventType":"deep","payload":{"a":` + strings.Repeat("[", 9998) + strings.Repeat("]", 9998) + `}}`, status: 202})
		w.play("create, nested deeper", scenario{method: "POST", path: path, body: `{"eventType":"deep","payload":{"a":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}}`, status: 422})
		w.play("list, nested as deep as can be", scenario{path: path + "?event_types=deep", status: 200, want: []string{`"raw":"{`}})
		w.play("list of none", scenario{path: "/app/none/msg", status: 404})
	})
}

func TestAttempts(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		ids := settle(w)
		hidden := []string{knownSecret, apiKey, "foreign"}
		attempt := []string{`"msgId":"` + ids["msg"], `"endpointId":"` + ids["ep"], `"status":0`, `"statusText":"success"`, `"responseStatusCode":200`,
			`"response":"thank you"`, `"responseDurationMs":7`, `"triggerType":0`, `"url":"https://receiver.example/"`, `"timestamp":"20`}
		w.play("of a message", scenario{path: "/app/acme/attempt/msg/order-1", status: 200, want: append(attempt, `"done":true`), not: hidden})
		w.play("one", scenario{path: "/app/acme/msg/order-1/attempt/" + ids["attempt"] + "?expanded_statuses=true", status: 200, want: attempt, not: append(hidden, `"data"`),
			answers: map[string]string{"neohook-ignored": "expanded_statuses"}})
		w.play("one of another message", scenario{path: "/app/acme/msg/" + ids["msg2"] + "/attempt/" + ids["attempt"], status: 404})
		w.play("one that is none", scenario{path: "/app/acme/msg/order-1/attempt/atmpt_1", status: 404})
		w.play("one by a name", scenario{path: "/app/acme/msg/order-1/attempt/first", status: 404})
		w.play("at an endpoint", scenario{path: "/app/acme/attempt/endpoint/orders", status: 200, want: append(attempt, ids["msg2"]), not: hidden})
		w.play("at one that is down", scenario{path: "/app/acme/attempt/endpoint/down", status: 200, want: []string{`"status":2`, `"statusText":"fail"`, `"responseStatusCode":500`, `"response":"no"`}, not: hidden})
		w.play("without content", scenario{path: "/app/acme/attempt/endpoint/down?with_content=false", status: 200, want: []string{`"response":"{}"`}})
		w.play("with messages", scenario{path: "/app/acme/attempt/endpoint/down?with_msg=true", status: 200, want: []string{`"msg":{"id":"` + ids["msg2"], `"payload":{"n":2}`}})
		none := []string{`"data":[]`}
		w.play("that failed", scenario{path: "/app/acme/attempt/msg/" + ids["msg2"] + "?status=2", status: 200, want: []string{ids["down"]}, not: []string{ids["ep"]}})
		w.play("that succeeded", scenario{path: "/app/acme/attempt/msg/" + ids["msg2"] + "?status=0", status: 200, want: []string{ids["ep"]}, not: []string{ids["down"]}})
		w.play("that are pending", scenario{path: "/app/acme/attempt/msg/order-1?status=1", status: 200, want: none})
		w.play("that are being sent", scenario{path: "/app/acme/attempt/msg/order-1?status=3", status: 200, want: none})
		w.play("by class", scenario{path: "/app/acme/attempt/endpoint/down?status_code_class=500", status: 200, want: []string{ids["msg2"]}})
		w.play("by another class", scenario{path: "/app/acme/attempt/endpoint/down?status_code_class=400", status: 200, want: none})
		w.play("without an answer", scenario{path: "/app/acme/attempt/endpoint/down?status_code_class=0", status: 200, want: none})
		w.play("by channel", scenario{path: "/app/acme/attempt/endpoint/orders?channel=eu", status: 200, want: []string{ids["msg2"]}, not: []string{ids["msg"] + `"`}})
		w.play("by type", scenario{path: "/app/acme/attempt/endpoint/orders?event_types=order.made", status: 200, want: []string{ids["msg"]}, not: []string{ids["msg2"]}})
		w.play("by endpoint", scenario{path: "/app/acme/attempt/msg/" + ids["msg2"] + "?endpoint_id=down", status: 200, want: []string{ids["down"]}, not: []string{ids["ep"]}})
		w.play("by an endpoint that is none", scenario{path: "/app/acme/attempt/msg/order-1?endpoint_id=none", status: 404})
		w.play("by tag", scenario{path: "/app/acme/attempt/msg/order-1?tag=x", status: 200, want: none})
		w.play("after now", scenario{path: "/app/acme/attempt/msg/order-1?after=2100-01-01T00:00:00Z", status: 200, want: none})
		w.play("of none", scenario{path: "/app/acme/attempt/msg/none", status: 404})
		w.play("at none", scenario{path: "/app/acme/attempt/endpoint/none", status: 404, want: []string{"Endpoint not found"}})
		w.play("of another organisation's", scenario{path: "/app/foreign/attempt/endpoint/theirs", status: 404, want: []string{"Application not found"}})
		for query, status := range map[string]int{
			"status=4": 400, "status=success": 400, "status_code_class=1": 400, "limit=251": 422, "limit=x": 400, "iterator=x": 422,
			"iterator=" + ids["msg"]: 422, "iterator=atmpt_" + strings.Repeat("z", 27): 422, "iterator=atmpt_" + strings.Repeat("0", 27): 422,
			"before=now": 400, "with_content=yes": 400, "channel=": 422, "event_types=a%20b": 422, "%": 400,
		} {
			w.play("bad query "+query, scenario{path: "/app/acme/attempt/msg/order-1?" + query, status: status})
			w.play("bad query at an endpoint "+query, scenario{path: "/app/acme/attempt/endpoint/orders?" + query, status: status})
		}
	})
}

func TestIdempotency(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		path := "/api/v1/app/acme"
		for name, op := range map[string]struct{ method, path, body, other string }{
			"application": {"POST", "/api/v1/app", `{"name":"Once"}`, `{"name":"Twice"}`},
			"endpoint":    {"POST", path + "/endpoint", `{"url":"https://once.example"}`, `{"url":"https://twice.example"}`},
			"message":     {"POST", path + "/msg", `{"eventType":"once","payload":{"n":1}}`, `{"eventType":"once","payload":{"n":2}}`},
		} {
			t.Run(name, func(t *testing.T) {
				key := map[string]string{"Idempotency-Key": "key of " + name}
				first := w.call(op.method, op.path, op.body, key)
				again := w.call(op.method, op.path, op.body, key)
				if first.status/100 != 2 || again.status != first.status || again.body != first.body {
					t.Errorf("first %d %s, then %d %s", first.status, first.body, again.status, again.body)
				}
				if other := w.call(op.method, op.path, op.other, key); other.status != 409 || !strings.Contains(other.body, `"idempotency_mismatch"`) {
					t.Errorf("with another body: %d %s", other.status, other.body)
				}
				maps.Copy(key, map[string]string{"Idempotency-Key": "auto_1 of " + name})
				if fresh := w.call(op.method, op.path, op.body, key); fresh.status != first.status || fresh.body == first.body {
					t.Errorf("with another key: %d %s", fresh.status, fresh.body)
				}
				if elsewhere := w.call(op.method, op.path+"?x=y", op.body, key); elsewhere.status != first.status || elsewhere.body == first.body {
					t.Errorf("with another query: %d %s", elsewhere.status, elsewhere.body)
				}
				maps.Copy(key, map[string]string{"Authorization": "Bearer " + otherToken})
				if theirs := w.call(op.method, op.path, op.body, key); theirs.status/100 == 2 && theirs.body == first.body {
					t.Errorf("another organisation: %d %s", theirs.status, theirs.body)
				}
			})
		}
		t.Run("a failed request leaves the key free", func(t *testing.T) {
			key := map[string]string{"Idempotency-Key": "free"}
			if got := w.call("POST", path+"/msg", `{"eventType":"a"}`, key); got.status != 422 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if got := w.call("POST", path+"/msg", `{"eventType":"a","payload":{}}`, key); got.status != 202 {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
		t.Run("rotation", func(t *testing.T) {
			key := map[string]string{"Idempotency-Key": "rotate"}
			for range 2 {
				if got := w.call("POST", path+"/endpoint/orders/secret/rotate", `{}`, key); got.status != 200 {
					t.Fatalf("%d %s", got.status, got.body)
				}
			}
			ep, err := w.engine.Endpoint(t.Context(), "acme", "orders")
			if err != nil || len(ep.RetiringSecrets) != 1 || string(ep.RetiringSecrets[0].Secret) != knownSecret {
				t.Errorf("%d retiring secrets (%v), want the one before", len(ep.RetiringSecrets), err)
			}
		})
		w.play("a long key", scenario{method: "POST", path: "/app/acme/msg", body: `{"eventType":"a","payload":{}}`, header: map[string]string{"Idempotency-Key": strings.Repeat("k", 257)}, status: 422, field: "header/idempotency-key"})
		w.play("the longest key, and a long query", scenario{method: "POST", path: "/app/acme/msg?x=" + strings.Repeat("y", 1000), body: `{"eventType":"a","payload":{}}`, header: map[string]string{"Idempotency-Key": strings.Repeat("k", 256)}, status: 202})
	})
}

func TestFaultsOfTheServer(t *testing.T) {
	st := &brokenStore{Store: stores["memstore"](t)}
	w := newWorld(t, worldOptions{store: st})
	settle(w)
	st.broken.Store(true)
	for name, s := range map[string]scenario{
		"health":  {path: "/health", status: 503},
		"reading": {path: "/app", status: 500},
		"writing": {method: "POST", path: "/app", body: `{"name":"x"}`, status: 500},
		"panic":   {path: "/app/acme/endpoint/orders", status: 500},
	} {
		got := w.call(cmp.Or(s.method, http.MethodGet), "/api/v1"+s.path, s.body, nil)
		refusal(t, got, "")
		if got.status != s.status {
			t.Errorf("%s: %d %s, want %d", name, got.status, got.body, s.status)
		}
		if strings.Contains(got.body, "disk on fire") || strings.Contains(got.body, "index out") {
			t.Errorf("%s: %s tells of the inside", name, got.body)
		}
		if id := got.header.Get("neohook-request-id"); !strings.Contains(w.logged.String(), "request_id="+id+" ") {
			t.Errorf("%s: no line of the log has the request id %s", name, id)
		}
	}
	if !strings.Contains(w.logged.String(), "disk on fire") {
		t.Error("the log does not say why")
	}
	for _, secret := range []string{token, knownSecret, apiKey, "order-1 payload"} {
		if bytes.Contains([]byte(w.logged.String()), []byte(secret)) {
			t.Errorf("the log shows %s", secret)
		}
	}
}
