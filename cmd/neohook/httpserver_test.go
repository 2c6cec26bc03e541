package main

import (
	"log/slog"
	"net/http"
	"testing"
)

func TestEveryWaitForAClientHasABound(t *testing.T) {
	server := newHTTPServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if server.ReadHeaderTimeout <= 0 || server.ReadTimeout <= 0 || server.WriteTimeout <= 0 ||
		server.IdleTimeout <= 0 || server.MaxHeaderBytes <= 0 {
		t.Errorf("a bound is missing: %+v", server)
	}
}
