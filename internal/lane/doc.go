// Package lane decides which delivery is sent next.
//
// Each endpoint with open deliveries has a lane: what of it is held in memory, what is
// only in the store, and how much is in flight. A Board joins the lanes of a node and
// lets them take turns, by tenant first and endpoint second, so that nobody's flood
// delays anybody else's event.
//
// A Board is a state and pure steps on it. It reads no clock, starts no goroutine and
// does no I/O: it is told what happened and says what to do, so that a run can be
// replayed. It is not safe for concurrent use.
//
// # What is in memory
//
// Memory is bounded, the backlog is not. Fresh deliveries are held as long as there is
// room; from the first one for which there is none, the lane is behind: from that
// number on its fresh deliveries are only in the store, and are paged in, in order, as
// the held ones go out. It is live again when a page comes back short and nothing was
// accepted since it was asked for. Waiting deliveries are held likewise up to a horizon
// of time, and paged in when the horizon comes; and manual sends, which are a kind of
// their own, up to another.
//
// What ends in another way than by its own attempts, as by being cancelled, is dropped. A
// paused lane takes nothing in, and reads nothing, until it is resumed.
//
// The room of a lane is a share of the room that is left, so that a few slow lanes can't
// take it all: the more is held, the less each may add.
package lane
