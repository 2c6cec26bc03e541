// Package webhook is the domain of Neohook: who is told (Tenant, Endpoint), what
// happened (Event), how far the telling has come (Delivery, Attempt), and the
// contract of whatever sends it (Adapter).
//
// An event is what happened. A delivery is one event for one endpoint, until it
// succeeds or ends. An attempt is one request. The package holds rules and no I/O,
// and imports nothing else of this module.
package webhook
