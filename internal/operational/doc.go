// Package operational tells operators what happens to their customers' endpoints and
// messages, by events of the engine's own.
//
// They are events like any other, of a tenant that stands for the customer's organisation,
// in an organisation of their own. A Herald decides what is announced, and puts that into
// the outbox with its cause; a Payload is made once the announced event is accepted.
// Nothing that happens in that organisation is announced: they can't feed on themselves.
package operational
