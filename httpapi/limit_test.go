package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/neohook/neohook"
)

// The limit of a body was a constant: a payload that the engine was told to take did not
// get through to it.
func TestPayloadsThatTheEngineTakesFitIntoABody(t *testing.T) {
	const largest = 3 << 20
	w := newWorld(t, worldOptions{options: neohook.Options{MaxPayloadBytes: largest}})
	w.must("POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
	message := func(payloadBytes int) string {
		payload := `{"text":"` + strings.Repeat("x", payloadBytes-len(`{"text":""}`)) + `"}`
		return `{"eventType":"invoice.paid","payload":` + payload + `}`
	}
	tests := map[string]struct {
		body   string
		status int
		says   string
	}{
		"the largest payload":  {message(largest), http.StatusAccepted, "eventType"},
		"one byte more":        {message(largest + 1), http.StatusUnprocessableEntity, "must be at most 3145728 bytes"},
		"more than a body has": {message(2 * largest), http.StatusRequestEntityTooLarge, "larger than 6291456 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// Not over a connection: what is answered before it is read may be cut off there.
			got := httptest.NewRecorder()
			request := httptest.NewRequest("POST", "/api/v1/app/acme/msg?with_content=false", strings.NewReader(test.body))
			request.Header.Set("Authorization", "Bearer "+token)
			w.api.ServeHTTP(got, request)
			if got.Code != test.status || !strings.Contains(got.Body.String(), test.says) {
				t.Errorf("answer = %d %.200s, want %d with %q", got.Code, got.Body, test.status, test.says)
			}
		})
	}
}
