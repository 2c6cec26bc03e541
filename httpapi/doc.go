// Package httpapi serves an engine over HTTP. On the wire it is what published Svix
// clients speak: their paths, names, statuses and page iterators. Inside, and in the
// packages below, the words are this project's own: an application is a tenant, a
// message is an event.
//
// Every operation is one row of a table (operations): its method, path, scope, and the
// types of its query, body and answer. Routing, decoding and validation are built from
// the rows, so that whatever is published about an operation is what is served.
//
// An answer that refuses is always JSON: {"code", "detail"}, or {"detail": [{"loc",
// "msg", "type"}]} for a request that is not valid, in which loc spells names as the
// client did. Statuses from 500 up are the server's own faults, and are logged under the
// answer's neohook-request-id.
//
// What a client sends and nobody knows is left alone, as clients of other versions need,
// and named in the answer's header neohook-ignored. What is known and not served yet is
// refused, never dropped.
//
// Request bodies are JSON as RFC 8259 has it, in UTF-8. Names must be unique in their
// object, in a payload too: receivers would disagree on what a repeated one means, and no
// client library writes one. An escaped lone surrogate ("\ud800") passes in a payload,
// since a text that JavaScript has cut writes one.
package httpapi
