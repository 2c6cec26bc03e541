package bucket

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
)

// world is a cluster of machines on one model store, in one thread and in a time of its
// own, replayed by its seed: whose clocks run unevenly and jump, which stop and go on, lose
// the database, and die.
type world struct {
	seed  uint64
	rng   *rand.Rand
	now   time.Duration // real time, which nobody knows
	queue events
	order int

	disk     *memstore.Store
	machines []*machine
	away     time.Duration // until when nobody reaches the database
	slow     time.Duration // until when it is slow

	calm bool

	acts   int // other than beats
	buried int
	faults []string
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// machine is a node with its engine, which begins attempts for all that it may, all the
// time, each of which takes for ever unless it is cut off.
type machine struct {
	*world
	name   string
	handle *memstore.Node
	seat   *Seat
	member store.Member

	clock    clock
	rate     float64 // of its clocks
	born     time.Duration
	asleep   time.Duration // by which its monotonic clock is behind
	set      time.Duration // by which its wall clock was set
	stopped  time.Duration // until when it is
	ran      time.Duration // since when it runs
	cut      time.Duration // until when it does not reach the database
	dead     bool
	resigned bool

	acting, beating bool
	turn            int // of the beat that comes next
	calls           int // of what takes effect in its order, or never
	lanes, flying   [store.BucketCount]bool
}

func newWorld(seed uint64) *world {
	return &world{seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), disk: memstore.New()}
}

func (w *world) at(at time.Duration, do func()) {
	w.order++
	heap.Push(&w.queue, event{at, w.order, do})
}

// between is a random time.
func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64(to-from)))
}

// chance says yes once in so many times.
func (w *world) chance(in int) bool { return w.rng.IntN(in) == 0 }

// start begins a machine.
func (w *world) start(member store.Member) *machine {
	m := &machine{
		world: w, name: fmt.Sprint("m", len(w.machines)), handle: w.disk.Node(), seat: NewSeat(member), member: member,
		rate: 0.99 + w.rng.Float64()/50, born: w.now, ran: w.now, set: w.between(-1000*time.Hour, 1000*time.Hour),
	}
	w.machines = append(w.machines, m)
	m.soon(0, m.act)
	m.soon(time.Second, m.guard)
	return m
}

// local is how much real time some of the machine's takes.
func (m *machine) local(of time.Duration) time.Duration { return time.Duration(float64(of) / m.rate) }

func (m *machine) instant() Instant {
	ran := time.Duration(float64(m.now-m.born) * m.rate)
	return m.clock.read(ran-m.asleep, ran+m.set)
}

// soon does something on the machine, once it runs.
func (m *machine) soon(in time.Duration, do func()) {
	m.world.at(m.now+m.local(in), func() { m.run(do) })
}

func (m *machine) run(do func()) {
	switch {
	case m.dead:
	case m.now < m.stopped:
		m.world.at(m.stopped+m.between(0, 10*time.Millisecond), func() { m.run(do) })
	default:
		do()
	}
}

func (m *machine) runs() bool { return !m.dead && m.now >= m.stopped }

var errAway = errors.New("database does not answer")

// call asks the database for something, which is done there at some time, or never, and
// tells the machine of that, or that it does not know.
func (m *machine) call(patience time.Duration, do func() error, then func(error)) {
	told := false
	tell := func(err error) {
		if !told {
			told = true
			then(err)
		}
	}
	m.soon(patience, func() { tell(errAway) })
	most := 20 * time.Millisecond
	if m.now < m.slow {
		most = 4 * time.Second
	}
	reaches := func() bool { return m.now >= m.away && m.now >= m.cut }
	there := m.between(0, most)
	switch {
	case reaches():
	case m.chance(2):
		m.soon(there, func() { tell(errAway) }) // refused
		return
	case m.chance(2):
		return // lost
	default:
		there = m.between(0, 15*time.Second) // under way for long
	}
	m.world.at(m.now+there, func() {
		if m.dead && m.chance(2) {
			return
		}
		err := do()
		if !m.calm && m.chance(100) || !reaches() {
			return // the answer is lost
		}
		m.soon(m.between(0, most), func() { tell(err) })
	})
}

// beatIn lets the next beat come after a while, and not as it was meant before.
func (m *machine) beatIn(in time.Duration) {
	m.turn++
	turn := m.turn
	m.soon(in, func() {
		if turn == m.turn && !m.beating {
			m.beat()
		}
	})
}

// beat is one turn of the loop that beats.
func (m *machine) beat() {
	b, is := m.seat.Beat(m.instant())
	if !is {
		return
	}
	m.beating = true
	began := m.now
	var view store.View
	m.call(answer, func() (err error) {
		view, err = m.handle.Beat(context.Background())
		return err
	}, func(err error) {
		m.beating = false
		m.seat.Beaten(b, view, err, m.instant())
		switch {
		case m.seat.Hurries():
			m.beatIn(0)
		case err != nil:
			m.beatIn(retry)
		default:
			m.beatIn(interval - (m.now - began))
		}
		m.act()
		m.judge()
	})
}

// act does what is next, until nothing is.
func (m *machine) act() {
	if m.acting {
		return
	}
	a := m.seat.Next()
	if a.Kind == Nothing {
		return
	}
	m.acting = true
	m.acts++
	m.carry(a, func(r Result) {
		m.acting = false
		m.seat.Done(a, r)
		if r.Err != nil {
			m.soon(retry, m.act)
		} else {
			m.act()
		}
		if m.seat.Hurries() {
			m.beatIn(0)
		}
		m.judge()
	})
}

// carry carries an action out.
func (m *machine) carry(a Action, done func(Result)) {
	ctx, patience := context.Background(), 5*time.Second
	m.calls++
	call, nothing := m.calls, func() error { return errAway }
	inOrder := func(do, late func() error) func() error {
		return func() error {
			if m.calls != call {
				return late()
			}
			return do()
		}
	}
	var r Result
	tell := func(err error) {
		if r.Err = err; err != nil {
			r.Node, r.Claims = 0, nil
		}
		done(r)
	}
	switch a.Kind {
	case Join:
		m.call(patience, inOrder(func() (err error) {
			r.Node, err = m.handle.Join(ctx, a.Member)
			return err
		}, func() error {
			_, err := m.disk.Node().Join(ctx, a.Member) // that nobody will ever beat for
			return err
		}), tell)
	case Bury:
		m.call(patience, func() error {
			err := m.handle.Bury(ctx, a.Node, a.Beat)
			if err == nil {
				m.world.buried++
			}
			return err
		}, tell)
	case Claim:
		m.call(patience, inOrder(func() (err error) {
			r.Claims, err = m.handle.Claim(ctx, a.Buckets)
			return err
		}, nothing), tell)
	case Release:
		m.call(patience, inOrder(func() error { return m.handle.Release(ctx, a.Buckets) }, nothing), tell)
	case Gain:
		for _, bucket := range a.Buckets {
			m.lanes[bucket] = true
		}
		m.judge()
		var err error
		if m.chance(10) {
			err = errAway
		}
		m.soon(m.between(0, time.Second), func() { tell(err) })
	case Lose:
		for _, bucket := range a.Buckets {
			m.lanes[bucket] = false
		}
		m.soon(m.between(0, drain), func() {
			for _, bucket := range a.Buckets {
				m.flying[bucket] = false
			}
			tell(nil)
		})
	case Drop:
		m.lanes = [store.BucketCount]bool{}
		m.soon(m.between(0, 100*time.Millisecond), func() {
			m.flying = [store.BucketCount]bool{}
			tell(nil)
		})
	}
}

// guard cuts off what is in flight while the lease does not hold.
func (m *machine) guard() {
	if !m.seat.Lease.Holds(m.instant()) {
		m.flying = [store.BucketCount]bool{}
	}
	m.soon(glance, m.guard)
}

// sends says that the machine begins attempts.
func (m *machine) sends() bool { return m.runs() && m.seat.Lease.Holds(m.instant()) }

// judge panics where two machines begin attempts for a bucket at the same time, or one has
// some in flight that it ought to have cut off. One that goes on after it was stopped may
// have what it had, for a moment.
func (w *world) judge() {
	const moment = 1500 * time.Millisecond
	var sender, flier [store.BucketCount]*machine
	for _, m := range w.machines {
		if !m.runs() {
			continue
		}
		sends, cuts := m.sends(), w.now-m.ran > moment
		for bucket := range store.BucketCount {
			if sends && m.lanes[bucket] {
				if other := sender[bucket]; other != nil {
					panic(fmt.Sprintf("bucket %d is sent for by %s and %s", bucket, other.name, m.name))
				}
				sender[bucket], m.flying[bucket] = m, true
			}
			if cuts && m.flying[bucket] {
				flier[bucket] = m
			}
		}
	}
	for bucket, m := range sender {
		if other := flier[bucket]; m != nil && other != nil && other != m {
			panic(fmt.Sprintf("bucket %d is sent for by %s, and still by %s", bucket, m.name, other.name))
		}
	}
}

// longest is a fault.
const longest = 30 * time.Second

// fault lets something happen.
func (w *world) fault(kinds []string) {
	m := w.machines[w.rng.IntN(len(w.machines))]
	kind, long := kinds[w.rng.IntN(len(kinds))], w.between(100*time.Millisecond, longest)
	if m.dead || w.now < m.stopped {
		return
	}
	switch kind {
	case "stop", "sleep":
		m.stopped = w.now + long
		m.ran = m.stopped
		if kind == "sleep" {
			m.asleep += time.Duration(float64(long) * m.rate)
		}
	case "kill":
		m.dead = true
		w.at(w.now+long, func() { w.start(m.member) })
	case "die":
		if alive := slices.DeleteFunc(slices.Clone(w.machines), func(m *machine) bool { return m.dead || m.resigned || !m.member.Delivers }); len(alive) > 1 {
			m.dead = true
		}
	case "cut":
		m.cut = w.now + long
	case "away":
		w.away = w.now + long
	case "slow":
		w.slow = w.now + long
	case "set":
		far := []time.Duration{time.Hour, 8 * time.Second}[w.rng.IntN(2)]
		m.set += w.between(-far, far)
		m.instant() // it does not stop within the same second
	case "join":
		w.start(store.Member{Delivers: !w.chance(4)})
	case "resign":
		if w.chance(4) {
			m.resigned = true
			m.seat.Resign()
		}
	}
	w.faults = append(w.faults, fmt.Sprintf("%v %s of %s for %v", w.now, kind, m.name, long))
}

var everyFault = []string{"stop", "stop", "sleep", "kill", "die", "cut", "cut", "away", "slow", "set", "join", "resign"}

func (w *world) until(end time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= end {
		next := heap.Pop(&w.queue).(event)
		w.now = max(w.now, next.at)
		next.do()
	}
	w.now = end
}

// play runs a cluster with faults of some kinds, and then without.
func (w *world) play(kinds []string, count int) {
	for range 1 + w.rng.IntN(4) {
		w.start(store.Member{Delivers: true})
	}
	for range count {
		w.at(w.between(0, 2*time.Minute), func() { w.fault(kinds) })
	}
	w.until(2 * time.Minute)
	w.quiet()
}

// settled is how long it takes at most until every bucket is owned again, once nothing is
// in the way any more: patience, two beats to tell that from, one more for those who are
// told to release, who may take the time to drain, and what was under way for long.
const settled = 45 * time.Second

// quiet wants the cluster to come to rest.
func (w *world) quiet() {
	w.until(w.now + longest) // what has begun
	w.calm = true
	alive := slices.ContainsFunc(w.machines, func(m *machine) bool { return !m.dead && m.member.Delivers && !m.resigned })
	if !alive {
		w.start(store.Member{Delivers: true})
	}
	w.until(w.now + settled)
	before, acts := w.owners(), w.acts
	w.until(w.now + time.Minute)
	if acts != w.acts || before != w.owners() {
		panic("a quiet cluster moves something")
	}
}

// owners wants every bucket to be sent for, by shares that differ by one at most.
func (w *world) owners() [store.BucketCount]*machine {
	w.judge()
	var owners [store.BucketCount]*machine
	least, most := store.BucketCount, 0
	for _, m := range w.machines {
		owned := 0
		for bucket := range store.BucketCount {
			if m.sends() && m.lanes[bucket] {
				owners[bucket] = m
				owned++
			}
		}
		switch {
		case m.dead:
		case m.member.Delivers && !m.resigned:
			least, most = min(least, owned), max(most, owned)
		case !m.member.Delivers && owned > 0:
			panic(m.name + " does not deliver, and owns something")
		}
	}
	if bucket := slices.Index(owners[:], nil); bucket >= 0 {
		panic(fmt.Sprintf("bucket %d is sent for by nobody", bucket))
	}
	if most-least > 1 {
		panic(fmt.Sprintf("shares are between %d and %d", least, most))
	}
	return owners
}

// TestSimulation replays BUCKET_RUNS seeds, or the one of BUCKET_SEED.
func TestSimulation(t *testing.T) {
	runs := 300
	if set := os.Getenv("BUCKET_RUNS"); set != "" {
		runs, _ = strconv.Atoi(set)
	}
	first, last := uint64(1), uint64(runs)
	if set := os.Getenv("BUCKET_SEED"); set != "" {
		first, _ = strconv.ParseUint(set, 10, 64)
		last = first
	}
	buried := 0
	for seed := first; seed <= last; seed++ {
		w := newWorld(seed)
		w.replay(t, func() { w.play(everyFault, w.rng.IntN(30)) })
		buried += w.buried
	}
	t.Logf("%d seeds, %d burials", last-first+1, buried)
}

// replay plays, and says what was wrong.
func (w *world) replay(t *testing.T, play func()) {
	t.Helper()
	defer func() {
		if wrong := recover(); wrong != nil {
			for _, fault := range w.faults {
				t.Log(fault)
			}
			t.Fatalf("BUCKET_SEED=%d, at %v: %v", w.seed, w.now, wrong)
		}
	}()
	play()
}

func TestDatabaseThatWasAwayBuriesNobody(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(seed)
		w.replay(t, func() {
			w.play([]string{"away"}, 5)
			if w.buried > 0 {
				panic(fmt.Sprintf("%d nodes were buried", w.buried))
			}
		})
	}
}
