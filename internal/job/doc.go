// Package job does work over much that is stored in steps: it sends again what failed,
// sends what was never tried, and resends or cancels what a filter lets through. It also
// counts over all of an organisation, and watches over the deletion of a tenant's payloads.
//
// A job over deliveries goes through the endpoints in the order of their keys, and at each through the
// deliveries by the events' keys, up to the highest event that it is for. Each delivery
// has one place in that order, however it ends meanwhile, so who goes on behind the last
// place visits each exactly once. How far a job has come is stored in the transaction
// that stores what it makes of what it found: a crash repeats and skips nothing.
//
// It is in nobody's way. Its rate is bounded, its steps are short and between the batches
// of what is published, and what it has under way is bounded: at an endpoint that does
// not answer it waits, and goes on elsewhere.
//
// What a step decides is in pure functions, of what is stored and what was read; Runner
// adds the reading, the storing and the clock.
package job
