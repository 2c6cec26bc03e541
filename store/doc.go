// Package store is what the engine asks of a database. The engine holds everything in
// flight; a store holds what must outlive it.
//
// Store is such parts joined, each small enough to read alone: Instances, Directory,
// EventTypes, Committer, Backlog, Sends, Deferred, Outbox, History, Deliveries, Jobs,
// Failures, Rollups, Sizes, Tokens. Package storetest holds every implementation to the same
// promises, case by case. One that several engines may use at once is a Cluster beside.
//
// Three things hold throughout. Inside, everything is known by an integer key; the
// identifiers that people see are made of them elsewhere. Time is told, never asked: no
// store reads a clock. Secrets arrive sealed: no store can read one.
//
// What arrives as a string is valid UTF-8 without U+0000, or no database could keep it as
// text: whoever calls a store has seen to that. Bytes are any.
//
// What goes in comes out, but for this: instants and durations are kept to the
// microsecond, cut, and instants come back in UTC; an empty slice or map comes back nil,
// except a payload, where nil says that it is gone, and an endpoint's schedule, where nil
// says that it has none of its own.
package store
