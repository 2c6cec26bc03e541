package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestServerThatOnlyDeliversHasNoAPI(t *testing.T) {
	api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	handler := deliverOnly.withoutAPI(api)
	for path, want := range map[string]int{
		"/api/v1/health": http.StatusTeapot, "/api/v1/health/ping": http.StatusTeapot, "/metrics": http.StatusTeapot,
		"/api/v1/app": http.StatusNotFound, "/docs": http.StatusNotFound, "/": http.StatusNotFound,
	} {
		got := httptest.NewRecorder()
		handler.ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if got.Code != want {
			t.Errorf("%s: %d, want %d", path, got.Code, want)
		}
	}
}

func TestRoleNeedsADatabaseThatIsShared(t *testing.T) {
	for _, role := range []string{"api", "deliver"} {
		chosen, err := load([]string{"serve", "--role", role, "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		srv, err := openServer(t.Context(), chosen.(*serveCommand).settings, slog.New(slog.DiscardHandler))
		if err == nil {
			_ = srv.close()
		}
		if _, isUsage := errors.AsType[*usageError](err); !isUsage || !strings.Contains(err.Error(), "--database") {
			t.Errorf("role %s over the embedded database: %v, want a usage error that says what it needs", role, err)
		}
	}
}
