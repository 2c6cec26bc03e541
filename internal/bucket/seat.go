package bucket

import (
	"errors"
	"slices"

	"github.com/neohook/neohook/store"
)

// Kind is what is to be done.
type Kind uint8

// The kinds of Action.
const (
	// Nothing is to be done until something happens.
	Nothing Kind = iota
	// Join makes the handle a new node.
	Join
	// Bury ends another node.
	Bury
	// Claim asks for buckets.
	Claim
	// Gain lets the engine send for buckets.
	Gain
	// Lose lets the engine end what it does for buckets.
	Lose
	// Release gives buckets up.
	Release
	// Drop lets the engine cut off all that it does, for any bucket.
	Drop
)

// String names it for people.
func (k Kind) String() string {
	return [...]string{"nothing", "join", "bury", "claim", "gain", "lose", "release", "drop"}[k]
}

// Action is what a node does next.
type Action struct {
	Kind    Kind
	Buckets []store.Bucket // of Claim, Gain, Lose and Release
	Node    store.NodeKey  // of Bury, with the Beat that it stood still at
	Beat    int64
	Member  store.Member // of Join, and what the other of Bury said of itself
}

// Result is what came of an Action.
type Result struct {
	Err    error
	Node   store.NodeKey  // of Join
	Claims []store.Bucket // of Claim
}

// Seat is a node's place among the others. Its methods are pure steps: it reads no clock,
// calls nobody, and must be called by one at a time, but for Lease. One Action is under way
// at a time; beats go on meanwhile.
type Seat struct {
	// Lease says whether anything may begin.
	Lease Lease

	member   store.Member
	resigned bool

	node   store.NodeKey // 0 where there is none
	buried bool          // the node was, and what it did is not cut off yet

	held    map[store.Bucket]struct{} // the engine sends for them
	gaining []store.Bucket            // claimed, and not held yet

	view   *store.View // nil where it is outdated by what was done since
	done   int         // Actions that have begun or ended
	hurry  bool        // look again at once
	looked bool        // once as this node
	sawAt  Instant
	seen   map[store.NodeKey]sighting
}

// sighting is how another node's counter was first seen to stand.
type sighting struct {
	beat  int64
	since Instant
}

// NewSeat returns a Seat that has not joined.
func NewSeat(member store.Member) *Seat {
	return &Seat{member: member, held: make(map[store.Bucket]struct{})}
}

// Resign gives everything to the others, if any of them delivers, and claims nothing more.
// The node goes on as one that does not deliver.
func (s *Seat) Resign() { s.resigned = true }

// Beat is a beat under way.
type Beat struct {
	began Instant
	node  store.NodeKey
	done  int
}

// Beat begins a beat; ok is false while there is no node to beat for.
func (s *Seat) Beat(now Instant) (b Beat, ok bool) {
	s.hurry = false
	return Beat{began: now, node: s.node, done: s.done}, s.node != 0 && !s.buried
}

// Beaten ends it. now is when the answer was there, so that no counter is taken for older
// than it is.
func (s *Seat) Beaten(b Beat, view store.View, err error, now Instant) {
	if b.node != s.node || s.buried {
		return // of a node that it is not any more
	}
	if errors.Is(err, store.ErrBuried) {
		s.bury()
	}
	if err != nil {
		return
	}
	s.Lease.renew(b.began)
	s.watch(&view, now)
	if s.view = &view; b.done != s.done {
		s.view, s.hurry = nil, true // it may be of before what was done
	}
}

// watch notes how the others' counters stand. Who has not looked for a while can't tell
// whether the others live, and begins anew: after the database was away for all, nobody is
// buried for that.
func (s *Seat) watch(view *store.View, now Instant) {
	anew := !s.looked || now.Long-s.sawAt.Long >= trust
	seen := make(map[store.NodeKey]sighting, len(view.Nodes))
	for _, node := range view.Nodes {
		before, known := s.seen[node.Key]
		if !known || anew || before.beat != node.Beat {
			before = sighting{beat: node.Beat, since: now}
		}
		seen[node.Key] = before
	}
	s.seen, s.sawAt, s.looked = seen, now, true
}

// bury notes that the node is none any more.
func (s *Seat) bury() {
	s.Lease.void()
	s.buried, s.view = true, nil
	s.gaining = nil
}

// Hurries says whether to beat at once, as there may be more to do.
func (s *Seat) Hurries() bool { return s.hurry }

// Next returns what to do. Unless it is Nothing, Done must follow.
func (s *Seat) Next() Action {
	a := s.next()
	if a.Kind != Nothing {
		s.done++
	}
	return a
}

func (s *Seat) next() Action {
	switch {
	case s.buried:
		return Action{Kind: Drop}
	case s.node == 0:
		return Action{Kind: Join, Member: s.as()}
	case len(s.gaining) > 0:
		return Action{Kind: Gain, Buckets: s.gaining}
	case s.view == nil:
		return Action{}
	}
	if dead, found := s.dead(); found {
		return dead
	}
	if s.resigned && s.member.Delivers {
		return s.resign()
	}
	surplus, claim := divide(s.view, s.node)
	if lose := s.holding(surplus); len(lose) > 0 {
		return Action{Kind: Lose, Buckets: lose}
	}
	if len(surplus) > 0 {
		return Action{Kind: Release, Buckets: surplus}
	}
	if claim = append(s.strange(), claim...); len(claim) > 0 {
		return Action{Kind: Claim, Buckets: claim}
	}
	return Action{}
}

// as is what the node says of itself.
func (s *Seat) as() store.Member {
	as := s.member
	as.Delivers = as.Delivers && !s.resigned
	return as
}

// resign gives everything away by becoming another node, which delivers nothing. Where
// nobody is there to take it, it stays.
func (s *Seat) resign() Action {
	self, other := false, false
	for _, node := range s.view.Nodes {
		if node.Delivers {
			self = self || node.Key == s.node
			other = other || node.Key != s.node
		}
	}
	switch {
	case !self || !other:
		return Action{}
	case len(s.held) > 0:
		return Action{Kind: Lose, Buckets: sorted(s.held)}
	}
	return Action{Kind: Join, Member: s.as()}
}

// dead returns a node whose counter stood still for too long.
func (s *Seat) dead() (Action, bool) {
	for _, node := range s.view.Nodes {
		if node.Key == s.node {
			continue
		}
		if before := s.seen[node.Key]; s.sawAt.Short-before.since.Short >= patience {
			return Action{Kind: Bury, Node: node.Key, Beat: before.beat, Member: node.Member}, true
		}
	}
	return Action{}, false
}

// holding returns those of the buckets that the engine sends for.
func (s *Seat) holding(buckets []store.Bucket) (held []store.Bucket) {
	for _, bucket := range buckets {
		if _, is := s.held[bucket]; is {
			held = append(held, bucket)
		}
	}
	return held
}

// strange returns the buckets that are the node's without its having been told so, by a
// claim or release that ended in an error.
func (s *Seat) strange() (buckets []store.Bucket) {
	for bucket, owner := range s.view.Owners {
		if _, held := s.held[store.Bucket(bucket)]; owner == s.node && !held {
			buckets = append(buckets, store.Bucket(bucket))
		}
	}
	return buckets
}

// Done notes what came of an Action.
func (s *Seat) Done(a Action, r Result) {
	s.done++
	s.view = nil
	switch {
	case a.Kind == Drop:
		clear(s.held)
		s.buried, s.node = false, 0
		return
	case a.Kind == Lose: // also of a node that was buried meanwhile
		for _, bucket := range a.Buckets {
			delete(s.held, bucket)
		}
	case s.buried:
		return
	case errors.Is(r.Err, store.ErrBuried):
		s.bury()
		return
	}
	if s.buried {
		return
	}
	if a.Kind != Claim || len(r.Claims) > 0 { // others were faster: look when they have ended
		s.hurry = s.hurry || r.Err == nil || errors.Is(r.Err, store.ErrStale)
	}
	switch a.Kind {
	case Join:
		s.joined(r)
	case Claim:
		s.gaining = slices.DeleteFunc(r.Claims, func(bucket store.Bucket) bool { return len(s.holding([]store.Bucket{bucket})) > 0 })
	case Gain:
		if r.Err != nil {
			return // and again
		}
		s.gaining = nil
		for _, bucket := range a.Buckets {
			s.held[bucket] = struct{}{}
		}
	}
}

// joined begins as a new node. Where that failed, the handle is none.
func (s *Seat) joined(r Result) {
	s.Lease.void()
	s.node, s.looked, s.seen = r.Node, false, nil
}

func sorted(buckets map[store.Bucket]struct{}) []store.Bucket {
	all := make([]store.Bucket, 0, len(buckets))
	for bucket := range buckets {
		all = append(all, bucket)
	}
	slices.Sort(all)
	return all
}
