// Package httpadapter delivers webhooks over HTTP: signed, bounded in time and size, over
// connections that are kept, to addresses that may be dialled.
//
//	adapter, err := httpadapter.New(httpadapter.Options{})
//	if err != nil { … }
//	defer adapter.Close()
//
//	result := adapter.Deliver(ctx, delivery, endpoint)
//	if !result.Success {
//		log.Print(result.ErrorMessage())
//	}
//
// Make one Adapter and share it: it is what keeps the connections. Close ends it, and
// Shutdown lets what is in flight end first.
//
// # Requests
//
// Deliver posts a delivery's payload, byte for byte, with the headers that HeaderBuilder
// describes. Success is a status of 2xx; redirects are not followed; there is one attempt
// (package retry makes more). Verify sends a test event in the same way and is content
// with any status below 500. TestConnectivity asks with HEAD, and any answer will do.
//
// None of them returns an error. A webhook.Result tells what came of it; its JSON is the
// response info of the original adapter documentation, and in Go there is more: a stable
// code and the phase of a failure, timings, protocol, remote address, bytes, Retry-After.
//
// # Limits
//
// At most 10 requests run at a time, over at most 100 connections, 30 to one host and
// port; more wait for their turn, first come, first served. A caller that has its own
// control of concurrency turns the limits off, at no cost, with negative values.
//
// One deadline holds over a whole request, to the last byte of the answer. Of the answer
// 10,240 bytes are kept, and at most 1 MiB is read, on the wire and after decompression;
// its header has at most 64 KiB. What a receiver sends beyond that ends the request.
//
// # Addresses
//
// Only public addresses are dialled, on the ports 80, 443 and above 1023. Options.Egress
// opens others and names a proxy; see package egress.
//
// # Connections
//
// HTTP/1.1 is spoken by this package, in the caller's goroutine, with the parsers of
// net/http. HTTP/2 is net/http's. Which of them is agreed with the receiver where there
// is TLS; an endpoint's Protocol asks for one, and for HTTP/2 without TLS (h2c). HTTP/1.1
// takes less processor time for single small requests.
//
// A connection that was kept may be closed by the receiver in the moment it is used
// again. If nothing of the request has left, another connection is taken; if it has, the
// delivery fails with webhook.FaultReset, since nobody can tell whether it was heard. To
// make that rare, a receiver that announces how long it keeps connections (Keep-Alive:
// timeout=5) is believed, and each connection is looked at before it is used again.
//
// Where the receiver has certificates to check, an endpoint can have TLS settings of its
// own: Options.TLSFor.
//
// # How it is doing
//
// ConnectionStats counts requests, reuses, errors and waits. HealthCheck judges the last
// minute, and tells of the pool.
package httpadapter
