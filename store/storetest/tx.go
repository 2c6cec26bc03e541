package storetest

import (
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

// OpenTx is a transaction that is not the store's own. Exactly one of Commit and Rollback
// is called.
type OpenTx struct {
	store.Tx
	Commit, Rollback func() error
}

// RunTx holds a store to what it promises of transactions that are not its own. open
// returns an empty store, closed in t.Cleanup, and what begins one on its database;
// oneWriter says that while one has written nothing else can.
func RunTx(t *testing.T, oneWriter bool, open func(*testing.T) (store.Store, func() OpenTx)) {
	for _, c := range []struct {
		promise string
		holds   func(*foreign)
		apart   bool // needs several writers at a time
	}{
		{"CommittedAnnouncementComesBackAsStored", committedAnnouncementComesBackAsStored, false},
		{"RolledBackAnnouncementLeavesNothing", rolledBackAnnouncementLeavesNothing, false},
		{"AnnouncementIsNotSeenBeforeItsCommit", announcementIsNotSeenBeforeItsCommit, false},
		{"AnnouncementsAscend", announcementsAscend, false},
		{"AnnouncedInATransactionIsAcceptedOnce", announcedInATransactionIsAcceptedOnce, false},
		{"SameOnceIsAnnouncedInAsManyTransactionsAsAsk", sameOnceIsAnnouncedInAsManyTransactionsAsAsk, true},
		{"OneWhoHasAnnouncedMayAskForARepeat", oneWhoHasAnnouncedMayAskForARepeat, false},
		{"TransactionOfAnotherStoreIsRefused", transactionOfAnotherStoreIsRefused, false},
		{"LongTransactionHoldsUpNothing", longTransactionHoldsUpNothing, true},
		{"WalkToTheLastKeyKeepsTheOrder", walkToTheLastKeyKeepsTheOrder, true},
	} {
		if c.apart && oneWriter {
			continue
		}
		t.Run(c.promise, func(t *testing.T) {
			s, begin := open(t)
			f := &foreign{world: newWorld(t, s), begin: begin}
			made := mustGet[store.Instance](f.world)(s.InitInstance(f.ctx, store.Instance{SealedIDSecret: []byte("sealed"), CreatedAt: f.now}))
			f.made = made.CreatedAt
			c.holds(f)
		})
	}
}

type foreign struct {
	*world
	begin func() OpenTx
	made  time.Time
}

// announce announces events of these types in one transaction, and leaves it open.
func (f *foreign) announce(types ...string) OpenTx {
	f.Helper()
	tx := f.begin()
	for _, name := range types {
		f.must(tx.Announce(f.ctx, f.made, store.Announcement{Tenant: 1, Type: name, Payload: []byte(name)}))
	}
	return tx
}

func (f *foreign) commit(types ...string) {
	f.Helper()
	f.must(f.announce(types...).Commit())
}

func (f *foreign) last() store.OutboxKey {
	f.Helper()
	return mustGet[store.OutboxKey](f.world)(f.LastOutbox(f.ctx))
}

func committedAnnouncementComesBackAsStored(f *foreign) {
	whole := store.Announcement{
		Tenant: 5, Organisation: "org_b", TenantUID: "t", UID: "u", Type: "a.b", Channels: []string{"eu", "us"}, Tags: []string{"x-1", "Y_2.z"},
		DeliverAt: f.now.Add(time.Hour), PayloadTTL: 5 * 24 * time.Hour, Payload: []byte("{\"n\":1, \"\\u0000\": \"\x00\xff'\"}"),
		Details: []byte("{}"), About: store.About{Tenant: 6, Endpoint: 7, Event: 8, Attempt: 9}, Once: f.announcedOnce(1),
	}
	empty := store.Announcement{Type: "c", Payload: []byte{}, Channels: []string{}, Tags: []string{}}
	least := store.Announcement{Type: "d"}
	tx := f.begin()
	for _, a := range []store.Announcement{whole, empty, least} {
		f.must(tx.Announce(f.ctx, f.made, a))
	}
	f.must(tx.Commit())
	got := f.outbox()
	same(f.world, "rows", len(got), 3)
	empty.Channels, empty.Tags = nil, nil
	for i, want := range []store.Announcement{whole, empty, least} {
		same(f.world, "row", got[i], store.Announced{Key: got[i].Key, Announcement: want})
	}
	same(f.world, "count", mustGet[int](f.world)(f.CountOutbox(f.ctx, 9)), 3)
}

func rolledBackAnnouncementLeavesNothing(f *foreign) {
	f.must(f.announce("no").Rollback())
	f.commit("yes")
	f.must(f.announce("no", "nor this").Rollback())
	same(f.world, "announced", f.announced(), []string{"yes"})
}

func announcementIsNotSeenBeforeItsCommit(f *foreign) {
	tx := f.announce("a")
	same(f.world, "while it is open", len(f.outbox()), 0)
	f.must(tx.Commit())
	same(f.world, "then", f.announced(), []string{"a"})
}

func announcementsAscend(f *foreign) {
	same(f.world, "last key before any", f.last(), 0)
	f.commit("a", "b", "c")
	f.must(f.announce("no").Rollback())
	f.commit("d", "e")
	same(f.world, "announced", f.announced(), []string{"a", "b", "c", "d", "e"})
	rows := f.outbox()
	for i := 1; i < len(rows); i++ {
		if rows[i].Key <= rows[i-1].Key {
			f.Errorf("key %d is not above %d", rows[i].Key, rows[i-1].Key)
		}
	}
	same(f.world, "last key", f.last(), rows[4].Key)
	f.must(f.DeleteOutbox(f.ctx, []store.OutboxKey{rows[3].Key, rows[4].Key}))
	same(f.world, "last key of one deleted", f.last(), rows[4].Key)
	f.commit("f")
	if key := f.outbox()[3].Key; key <= rows[4].Key {
		f.Errorf("key %d is not above %d, which was in use", key, rows[4].Key)
	}
}

func announcedInATransactionIsAcceptedOnce(f *foreign) {
	tenant := f.tenant()
	ep := f.endpoint(tenant)
	f.commit("a")
	accept := f.accept(tenant, ep)
	accept.From = f.outbox()[0].Key
	verdicts := f.world.commit(accept, accept)
	same(f.world, "verdicts", f.kinds(verdicts), []store.VerdictKind{store.Accepted, store.Gone})
	same(f.world, "left", len(f.outbox()), 0)
}

// Neither waits for the other, whichever of them is committed first, or at all.
func sameOnceIsAnnouncedInAsManyTransactionsAsAsk(f *foreign) {
	announce := func(number uint64) OpenTx {
		tx := f.begin()
		for range 2 {
			f.must(tx.Announce(f.ctx, f.made, store.Announcement{Tenant: 1, Type: "a", Payload: []byte{}, Once: f.announcedOnce(number)}))
		}
		return tx
	}
	a, b, back := announce(1), announce(1), announce(1)
	f.must(b.Commit())
	f.must(back.Rollback())
	f.must(a.Commit())
	same(f.world, "rows", len(f.outbox()), 4)
}

func oneWhoHasAnnouncedMayAskForARepeat(f *foreign) {
	tenant := f.tenant()
	accept := f.accept(tenant)
	accept.Once = f.once(1, time.Hour)
	event := f.verdict(accept)
	other := f.once(1, time.Hour)
	other.Body[0]++
	tx := f.announce("a")
	for _, c := range []struct {
		once *store.Once
		want store.Verdict
	}{
		{f.once(1, time.Hour), store.Verdict{Kind: store.Replayed, Event: event.Event, AcceptedAt: event.AcceptedAt}},
		{other, store.Verdict{Kind: store.Mismatched}},
		{f.once(2, time.Hour), store.Verdict{Kind: store.NotRepeated}},
	} {
		same(f.world, "repeat", f.repeat(c.once), c.want)
	}
	f.must(tx.Commit())
}

func transactionOfAnotherStoreIsRefused(f *foreign) {
	tx := f.begin()
	f.is("another instance", tx.Announce(f.ctx, f.made.Add(time.Microsecond), store.Announcement{Type: "no"}), store.ErrTxRefused)
	f.must(tx.Announce(f.ctx, f.made, store.Announcement{Type: "yes"}))
	f.must(tx.Commit())
	same(f.world, "announced", f.announced(), []string{"yes"})
}

func longTransactionHoldsUpNothing(f *foreign) {
	tenant := f.tenant()
	ep := f.endpoint(tenant)
	long := f.announce("early", "early too")
	f.commit("late")
	rows := f.outbox()
	same(f.world, "rows", len(rows), 1)
	accept := f.accept(tenant, ep)
	accept.From = rows[0].Key
	same(f.world, "verdict", f.verdict(accept).Kind, store.Accepted)
	f.must(f.InsertEndpoint(f.ctx, f.newEndpoint(tenant, ""), nil, store.Announcement{Type: "own"}))
	same(f.world, "announced", f.announced(), []string{"own"})
	f.must(long.Commit())
	same(f.world, "in the end", f.announced(), []string{"early", "early too", "own"})
	if key := f.outbox()[0].Key; key >= rows[0].Key {
		f.Errorf("the early one has key %d, the late one had %d", key, rows[0].Key)
	}
}

// A page is read, then the transaction of a row before it is committed, and only then is
// another row announced.
func walkToTheLastKeyKeepsTheOrder(f *foreign) {
	long := f.announce("a")
	f.commit("b")
	last := f.last()
	page := f.outbox()
	f.must(long.Commit())
	f.commit("c")
	rest := mustGet[[]store.Announced](f.world)(f.Outbox(f.ctx, page[0].Key, 9))
	same(f.world, "rows", len(rest), 1)
	if rest[0].Key <= last {
		f.Errorf("%s is within the walk, with key %d up to %d, and a, which was committed before, is not", rest[0].Type, rest[0].Key, last)
	}
}
