package httpapi_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Whatever is asked of whatever operation: no panic, no 5xx, and an answer that is JSON
// unless it is empty.
func FuzzRequest(f *testing.F) {
	for _, seed := range []struct{ method, path, query, body, key string }{
		{"POST", "/api/v1/app", "get_if_exists=true", `{"name":"x","uid":"u"}`, "k"},
		{"PUT", "/api/v1/app/x", "", `{"name":"x","metadata":{"a":"b"}}`, ""},
		{"PATCH", "/api/v1/app/acme", "", `{"throttleRate":null}`, ""},
		{"GET", "/api/v1/app", "limit=0&order=descending&iterator=-app_000000000000000000000000000", "", ""},
		{"POST", "/api/v1/app/acme/endpoint", "", `{"url":"http://example.com","channels":["a"],"headers":{"A":"b"}}`, "auto_1"},
		{"PATCH", "/api/v1/app/acme/endpoint/orders/headers", "", `{"headers":{"A":null},"deleteHeaders":["B"]}`, ""},
		{"POST", "/api/v1/app/acme/endpoint/orders/secret/rotate", "", `{"gracePeriodSeconds":5}`, ""},
		{"POST", "/api/v1/app/acme/msg", "with_content=true", `{"eventType":"a","payload":{"n":"\ud800"},"transformationsParams":{"rawPayload":"\u0000"}}`, "k"},
		{"GET", "/api/v1/app/acme/msg", "before=2026-01-01T00:00:00Z&event_types[]=a", "", ""},
		{"GET", "/api/v1/app/acme/attempt/endpoint/orders", "status=2&with_msg=true&after=9999-12-31T23:59:59Z", "", ""},
		{"DELETE", "/api/v1/app/acme/endpoint/%00", "", "", ""},
		{"PUT", "/api/v1/event-type/a", "", `{"description":"","schemas":{"1":{"$ref":"#/a","a":{"pattern":"(a|b){9}"}}},"featureFlag":"x"}`, ""},
		{"POST", "/api/v1/event-type/import/openapi", "", `{"specRaw":"openapi: 3.1.0\nwebhooks: {a: {post: {requestBody: {content: {j: {schema: {$ref: '#/webhooks'}}}}}}}"}`, "k"},
		{"GET", "/api/v1/event-type", "iterator=-~-a&with_content=true&include_archived=true", "", ""},
		{"POST", "/api/v1/app/acme/endpoint/orders/send-example", "", `{"eventType":"svix.ping"}`, ""},
		{"GET", "/api/v1//app/../", "", "", ""},
		{"GET", "relative", "", "", ""},
		{"BREW", "/api/v1/health/", "", "", ""},
	} {
		f.Add(seed.method, seed.path, seed.query, seed.body, seed.key)
	}
	w := fuzzWorld(f)
	f.Fuzz(func(t *testing.T, method, path, query, body, key string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Method, r.URL = method, &url.URL{Path: path, RawQuery: query}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header["Idempotency-Key"] = []string{key}
		answer := httptest.NewRecorder()
		w.server.Config.Handler.ServeHTTP(answer, r)
		if answer.Code >= 500 {
			t.Fatalf("%s %s?%s %s: %d %s", method, path, query, body, answer.Code, answer.Body)
		}
		if method == http.MethodHead || answer.Code == http.StatusNoContent {
			if answer.Body.Len() > 0 {
				t.Fatalf("%s %s: a body with %d", method, path, answer.Code)
			}
			return
		}
		if !json.Valid(answer.Body.Bytes()) || answer.Header().Get("Content-Type") != "application/json" {
			t.Fatalf("%s %s?%s %s: not JSON: %s", method, path, query, body, answer.Body)
		}
	})
}

// fuzzWorld is a world that lasts over all inputs and logs nothing.
func fuzzWorld(f *testing.F) *world {
	w := newWorld(f, worldOptions{log: slog.New(slog.DiscardHandler)})
	w.must("POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
	w.must("POST", "/api/v1/app/acme/endpoint", `{"url":"https://example.com","uid":"orders"}`)
	return w
}
