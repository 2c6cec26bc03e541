// Package metrics tells what an engine counts, holds and waits for as Prometheus metrics.
//
// Every bound of the engine is there beside what it bounds, as neohook_…_limit. No label
// names a tenant or an endpoint, so the number of series does not grow with theirs; what
// one of them does is in its history. Programs that measure by other means take the same
// from neohook.Engine.Stats and leave this package, and with it the Prometheus client,
// out.
//
// A scrape looks at every endpoint that has something to send, in memory. Nothing is read
// from the store, but for the sizes of its tables: in the background, once a minute at most.
package metrics
