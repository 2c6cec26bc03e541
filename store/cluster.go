package store

import (
	"context"
	"errors"
	"time"
)

// ErrBuried is returned by a write whose handle's node has been buried, or has left: it
// stored nothing, and neither will any other before the handle has joined anew.
var ErrBuried = errors.New("node was given up by the others")

// BucketCount is how many buckets there are.
const BucketCount = 1024

// Bucket is a part of the tenants, 0 to BucketCount-1. What is sent for a tenant is sent by
// the node that owns its bucket.
type Bucket int16

// BucketOf returns the bucket that a tenant is in; that of 0, which stands for what is no
// tenant's, is 0. It is stored, and so will never change.
func BucketOf(tenant TenantKey) Bucket {
	// Keys ascend one by one, and are mixed so that neighbours are far apart (the finalizer
	// of SplitMix64).
	x := uint64(tenant)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return Bucket(x % BucketCount)
}

// NodeKey is a node's: that of one incarnation, drawn anew by each Join.
type NodeKey int64

// Member is what a node says of itself when it joins.
type Member struct {
	// Name is for people, such as a host's. It need not be unique.
	Name string
	// Delivers says that the node takes a share of the buckets.
	Delivers bool
	// Watches is an organisation; see SignalRoutes. "" is none.
	Watches string
}

// Node is a member as others see it.
type Node struct {
	Key NodeKey
	Member
	// Beat is raised by each Beat. It tells that the node lives by having changed, and
	// nothing by its value.
	Beat int64
}

// View is how a cluster stands, in one consistent reading.
type View struct {
	// Nodes are those that have joined, and neither left nor were buried, ascending by key.
	Nodes []Node
	// Owners are the nodes, of Nodes, that own the buckets; 0 is nobody.
	Owners [BucketCount]NodeKey
	// Paused is that of the Instance; false where there is none.
	Paused bool
}

// Cluster is what a Store offers beside, if several may be open on the same data, each
// with an engine of its own: each handle then is one node. All handles are Stores as
// before, and keep every promise together: what one has stored, all others find.
//
// # Fencing
//
// Once a handle has joined, each of its writes, which is every method that may change
// what is stored but for NewKey, checks in its own transaction that its node has not been
// buried, and else returns ErrBuried and stores nothing. A Bury that has returned comes
// behind every write of the node that was stored, and no other will be. Reading is not
// fenced, and neither is Scrub. A handle that has never joined is not fenced either, owns
// nothing, and can't Beat, Claim, Release or Bury: that is ErrBuried, too.
//
// # Ownership
//
// A handle knows which buckets its node owns. That does not change while a write runs: a
// bucket is owned by the handle for the whole of it or for nothing of it. The handle may
// know of fewer than are stored as its node's, after an error, but never of more, so long
// as the node is not buried. Hence whoever owns a bucket has either been signalled of
// what was written for it, or finds that in any reading begun after its Claim returned.
//
// Join, Leave, Claim and Release are called one at a time on a handle. One that ends in an
// error may still take effect, also later, but not behind another one of them that was
// called on the handle after it: a node numbers them, and what finds a higher number
// stored of its node changes nothing.
//
// Of an Outcome whose tenant's bucket is not owned by the handle's node, Failing and
// AnnounceFailing are passed over, unless the handle has never joined: the owner has that endpoint's state in memory, which
// they would part from what is stored.
//
// # Signals
//
// What a write stores that others have to act upon is posted, in its own transaction, as
// Signals; see SignalKind for which. One of a tenant is for whoever owns the tenant's bucket
// when it is heard, and is posted exactly where the writing handle does not own that
// bucket, whether or not anybody else does. One for nodes is posted for each that has
// joined, except that of the writing handle; a node whose Join runs at the same time either
// gets it, or finds what it tells of in any reading begun after its Join returned. Signals
// are kept until they are ended, or void: a bucket's by the Claim of it, a node's once it
// is buried or has left.
type Cluster interface {
	// Join makes the handle a new node, which owns no bucket, and returns its key. A node
	// that the handle has been before leaves first. Where Join ends in an error, the handle
	// is as after Leave, or still one that has never joined; and a node that was made all the
	// same is buried by others in time. No write is refused because of the first Join of a
	// handle: one that runs meanwhile is stored as before it, or as the node.
	Join(ctx context.Context, member Member) (NodeKey, error)
	// Leave ends the handle's node: it owns nothing any more, and further writes of the
	// handle return ErrBuried. It waits for writes under way. On a handle that is no node, or
	// whose node was buried, it does nothing.
	Leave(ctx context.Context) error
	// Beat raises the node's counter and returns how the cluster stands just after.
	Beat(ctx context.Context) (View, error)

	// Claim makes the node the owner of those of the buckets that nobody owns, and returns,
	// ascending, those of them that it owns now, whether or not it did before. The signals
	// of those that it did not own are ended with that, as whoever claims a bucket reads
	// everything of it anew. Of several claims at once, one gets a bucket.
	Claim(ctx context.Context, buckets []Bucket) ([]Bucket, error)
	// Release ends the ownership of those of the buckets that the node owns. It waits for
	// writes under way. Whatever its error, the handle does not count them as owned any
	// more; where they are still stored as its node's, Claim or another Release mends it.
	Release(ctx context.Context, buckets []Bucket) error
	// Bury ends another node whose counter stands at beat, as if it had left. It ends what
	// the node has open in the database, and waits until none of its writes is under way.
	// It returns ErrStale, and nothing has changed, where the counter has moved. A node that
	// is not there any more is no error.
	Bury(ctx context.Context, node NodeKey, beat int64) error

	// Signals returns those for the node and for the buckets that it owns, as of the call:
	// what was posted before it is found, but for what was ended.
	Signals(ctx context.Context) (Heard, error)
	// EndSignals ends signals that were acted upon. One that is gone is no error. Batch.Acted
	// does the same.
	EndSignals(ctx context.Context, keys []SignalKey) error
	// AwaitHeard returns when all that others had to hear of a tenant before the call has
	// been acted upon: each signal of the tenant that had been posted has ended, or the
	// bucket has no owner. Tenant 0 is for signals to nodes that are of no tenant.
	AwaitHeard(ctx context.Context, tenant TenantKey) error
	// Wake returns when there may be something to hear that was posted since the last Wake
	// of the handle's node returned: by a write of another handle, a few milliseconds after
	// it. It also returns, and says so, where the node was nudged since. It may return without
	// reason. It may also miss something, as a lost connection does, so look anyway now and
	// then. One call at a time.
	Wake(ctx context.Context) (nudged bool, err error)
	// Nudge has Wake return at the node that owns a bucket, if there is one, soon: there is
	// something for it that it looks for by itself. It may be called on a handle that has
	// never joined, writes nothing, and waits for nothing; that it does not get there is no
	// error.
	Nudge(bucket Bucket)

	// FreshOf is Backlog.Fresh for several endpoints: a page for each of from, in their
	// order, of up to limit deliveries each.
	FreshOf(ctx context.Context, from []FreshFrom, limit int) ([]FreshPage, error)
	// LanesIn is Backlog.Lanes for the tenants of some buckets.
	LanesIn(ctx context.Context, buckets []Bucket, after EndpointKey, limit int) ([]Lane, error)
	// FailingIn is Failures.FailingEndpoints for the tenants of some buckets.
	FailingIn(ctx context.Context, buckets []Bucket, after EndpointKey, limit int) ([]FailingEndpoint, error)
}

// SignalKey is a Signal's. Where one was posted by a transaction that was committed before
// another's began, its key is the lower one.
type SignalKey int64

// Signal tells a node of what another one has stored.
type Signal struct {
	Key    SignalKey
	Kind   SignalKind
	Tenant TenantKey // 0 where it is of none
	// The others are of some kinds, and else 0.
	Endpoint EndpointKey
	Event    EventKey
	Send     SendKey
	Job      JobKey
	// Due is of SignalWaiting: what it tells of is not due before.
	Due time.Time
}

// SignalKind is the kind of a Signal. To act upon a signal twice, or upon one of what has
// changed again since, must do no harm.
type SignalKind uint8

// The kinds of signal: what they tell of, with which fields beside Tenant, and what posts
// them. But for SignalPaused and SignalNodes they are for the owner of the tenant's bucket.
const (
	// SignalFresh tells that Endpoint has fresh deliveries from Event upwards: Commit, for
	// what it accepted. One for each endpoint in a transaction, with the lowest event.
	SignalFresh SignalKind = iota + 1
	// SignalWaiting tells that Endpoint has deliveries that wait, or sends, or is due to
	// them at another time: InsertSends, StepJob and Promote, for what they made, and Commit
	// for a delivery or send that goes on waiting. One for each endpoint in a transaction,
	// with the soonest Due.
	SignalWaiting
	// SignalEnded tells that the delivery of Event at Endpoint has ended, or, where Send is
	// not 0, that Send: Commit, Cancel and StepJob. One for each.
	SignalEnded
	// SignalForget tells that Event has lost its payload, and all that was open of it has
	// ended: ExpungePayload and ExpungeEvent, unless they changed nothing.
	SignalForget
	// SignalReview tells that anything of the tenant may have ended: ExpungeStep, where it
	// ended something.
	SignalReview
	// SignalRoutes tells that the tenant's Routes have another version: whatever raises it.
	// It is also for each node that Watches the tenant's organisation, whoever owns the
	// bucket.
	SignalRoutes
	// SignalJob tells that Job is new or was cancelled: InsertJob, and CancelJob where it
	// ended the job.
	SignalJob
	// SignalPaused tells all nodes that Instance.Paused has changed: SetPaused.
	SignalPaused
	// SignalNodes tells all nodes that nodes or owners have changed: Join, Leave, Release
	// and Bury, where they changed any.
	SignalNodes
)

// MostHeard is how many signals are given out at once.
const MostHeard = 10_000

// Heard are signals that a node is to act upon.
type Heard struct {
	// Signals are ascending by key, at most MostHeard. One that was given out before may be
	// left out or given out again, until it is ended.
	Signals []Signal
	// More says that there may be more: ask Cluster.Signals once these are ended.
	More bool
}
