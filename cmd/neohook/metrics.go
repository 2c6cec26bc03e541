package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/metrics"
)

// metricsHandler serves what the engine, the Go runtime and the process tell of
// themselves, in the format that the scraper asks for.
func metricsHandler(engine *neohook.Engine) http.Handler {
	registry := prometheus.NewRegistry()
	version := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "neohook_build_info", Help: "1, with the version of the program.",
		ConstLabels: prometheus.Labels{"version": programVersion()},
	})
	version.Set(1)
	registry.MustRegister(
		version, metrics.New(engine),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	const atOnce = 2 // a scrape looks at every active endpoint
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: atOnce})
}

// onlyAt serves a handler at one path, and nothing elsewhere.
func onlyAt(path string, handler http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+path, handler)
	return mux
}
