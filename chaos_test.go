package neohook_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// The chaos test runs whole engines, one after another, over one store: tenants publish,
// receivers misbehave, the store fails, stalls and says of commits that it does not know,
// and the process crashes in the middle of anything. What is decided is drawn from the
// seed and from what it is decided for, so that the same seed is the same plan. The order
// in which goroutines run is not: a seed that fails does so again most of the time, not
// always. (The simulator of internal/lane is the one where the same seed is the same run.)

// When things happen, counted from the start.
const (
	publishing = 20 * time.Minute
	troubled   = 40 * time.Minute    // store and process fail until then
	sick       = 3 * time.Hour       // receivers misbehave until then
	hopeless   = 60 * 24 * time.Hour // what has not ended by then never will
)

// chaos is one run.
type chaos struct {
	t     *testing.T
	seed  uint64
	start time.Time
	opts  neohook.Options
	// stalls says that readings of the store may hang. Between the instant that an
	// attempt is begun and the one that its receiver sees, there can then be a time in
	// which other attempts overtake it: rates and changes of endpoints are not judged.
	stalls bool
	// several is how many nodes share the work; 0 is one, on a store for one.
	several int

	events    []*chaosEvent
	endpoints []*chaosEndpoint
	tenants   []*chaosTenant
	pauses    []*chaosPause
	resends   []*chaosAsk
	cancels   []*chaosAsk
	expunges  []*chaosEvent

	mu       sync.Mutex
	nodes    []*node // those that there are
	lastNode int
	trouble  bool // faults may strike
	crashes  int
	attempts []*chaosAttempt
}

type chaosTenant struct {
	uid  string
	rate int
	last time.Time // start of the latest attempt
}

type chaosEvent struct {
	tenant       *chaosTenant
	payload      string
	began, acked time.Time
	got          webhook.Event
	due          time.Time // of a deferred one
	expunges     bool      // its payload is expunged
	expunged     span
}

// routing is when an event is matched to endpoints, at the earliest and at the latest.
func (c *chaos) routing(event *chaosEvent) (from, to time.Time) {
	if event.due.IsZero() {
		return event.began, event.acked
	}
	to = event.due
	if healthy := c.start.Add(troubled); healthy.After(to) {
		to = healthy // until then it may come late
	}
	return event.due, to.Add(2 * time.Minute)
}

// draw decides something: below n.
func (c *chaos) draw(n int, on ...any) int {
	name := fnv.New64a()
	_, _ = fmt.Fprintln(name, on...)
	return rand.New(rand.NewPCG(c.seed, name.Sum64())).IntN(n) //nolint:gosec // not a secret
}

// one says yes once in so many times.
func (c *chaos) one(in int, on ...any) bool { return c.draw(in, on...) == 0 }

// note keeps what receivers are judged by.
func (c *chaos) note(what func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what()
}

func (c *chaos) passed() time.Duration { return time.Since(c.start) }

// A run that fails is tried again by CHAOS_SEED=n GOMAXPROCS=1 go test -count=20 -run TestChaos .
func TestChaosLeavesEveryEventDeliveredOrEndedWithAReason(t *testing.T) {
	first, count := uint64(1), uint64(200)
	if text := os.Getenv("CHAOS_RUNS"); text != "" {
		count = number(t, text)
	}
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		first, count = number(t, text), 1
	}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprintf("CHAOS_SEED=%d", seed), func(t *testing.T) {
			inFakeTime(t, func(t *testing.T) { runChaos(t, seed, 0) })
			if t.Failed() {
				t.Logf("again: CHAOS_SEED=%d GOMAXPROCS=1 go test -count=20 -run TestChaos .", seed)
			}
		})
	}
}

func number(t *testing.T, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// runChaos is one run of it, in fake time.
func runChaos(t *testing.T, seed uint64, several int) {
	c := &chaos{t: t, seed: seed, start: time.Now(), several: several}
	c.plan()
	over := make(chan struct{})
	var nodes sync.WaitGroup
	nodes.Go(func() { c.runNodes(over) })
	c.populate()

	c.mu.Lock()
	c.trouble = true
	c.mu.Unlock()
	var actors sync.WaitGroup
	for i, event := range c.events {
		actors.Go(func() { c.publish(i, event) })
	}
	for i, endpoint := range c.endpoints {
		actors.Go(func() { c.operate(i, endpoint) })
	}
	for i, pause := range c.pauses {
		actors.Go(func() { c.pause(i, pause) })
	}
	for i, resend := range c.resends {
		actors.Go(func() { c.resend(i, resend) })
	}
	for i, cancel := range c.cancels {
		actors.Go(func() { c.cancel(i, cancel) })
	}
	for i, event := range c.expunges {
		actors.Go(func() { c.expunge(i, event) })
	}
	time.Sleep(time.Until(c.start.Add(troubled)))
	c.mu.Lock()
	c.trouble = false
	c.mu.Unlock()
	actors.Wait()
	c.drain()
	c.judge()
	close(over)
	nodes.Wait()
	synctest.Wait()
}

func (c *chaos) plan() {
	c.stalls = c.one(2, "stalls")
	c.opts = neohook.Options{
		Schedule:            webhook.Schedule{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute}[:1+c.draw(4, "schedule")],
		Jitter:              []float64{-1, 0.2, 0.5}[c.draw(3, "jitter")],
		MaxInFlight:         4 + c.draw(40, "attempts"),
		EndpointConcurrency: 1 + c.draw(6, "concurrency"),
		MaxMemoryBytes:      int64(4<<10) << c.draw(6, "memory"),
		Grace:               time.Duration(1+c.draw(20, "grace")) * time.Second,
		DisableAfter:        []time.Duration{-1, 0, time.Hour}[c.draw(3, "disable")],
	}
	for i := range 1 + c.draw(3, "tenants") {
		tenant := &chaosTenant{uid: fmt.Sprint("tenant-", i)}
		if c.one(3, "rate of tenant", i) {
			tenant.rate = 1 + c.draw(20, "rate of tenant is", i)
		}
		c.tenants = append(c.tenants, tenant)
	}
	for i := range 1 + c.draw(6, "endpoints") {
		c.endpoints = append(c.endpoints, c.planEndpoint(i))
	}
	for i := range 20 + c.draw(80, "events") {
		c.events = append(c.events, &chaosEvent{
			tenant:  c.tenants[c.draw(len(c.tenants), "tenant of event", i)],
			payload: fmt.Sprintf(`{"n":%d,"text":"%0*d"}`, i, 1+c.draw(1500, "length", i), i),
		})
	}
	c.planOperators()
	c.planExpunges()
}

// node is one engine's life: a process.
type node struct {
	*chaos
	number int
	st     *memstore.Store
	eng    *neohook.Engine
	// dead is closed by a crash: nothing that the process does counts from then on.
	dead chan struct{}
	die  func()
	// lossy nodes may not have recorded all that their receivers answered.
	lossy bool

	calls map[string]int // guarded by chaos.mu
	stood time.Time      // no call of the store goes on before; guarded too
}

// runNodes keeps engines running until over.
func (c *chaos) runNodes(over <-chan struct{}) {
	disk := memstore.New()
	if c.several == 0 {
		c.runPlace(over, func(before *memstore.Store) (*memstore.Store, store.Store) {
			if before == nil {
				return disk, disk
			}
			st := before.Reopen()
			return st, st
		})
		return
	}
	var places sync.WaitGroup
	for range c.several {
		places.Go(func() {
			c.runPlace(over, func(before *memstore.Store) (*memstore.Store, store.Store) {
				if before != nil {
					_ = before.Close()
				}
				handle := disk.Node()
				return handle.Store, handle
			})
		})
	}
	places.Wait()
}

// runPlace keeps an engine running until over, one after another, in fake time.
func (c *chaos) runPlace(over <-chan struct{}, open func(before *memstore.Store) (*memstore.Store, store.Store)) {
	var ending sync.WaitGroup
	defer ending.Wait()
	st, as := open(nil)
	for {
		n := c.boot(st, as)
		if n == nil {
			st, as = open(st)
			time.Sleep(time.Second)
			continue
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
		ended := make(chan error, 1)
		ending.Go(func() { ended <- n.eng.Run(ctx) })
		var retire <-chan time.Time
		if life := time.Duration(1+c.draw(30, "life", n.number)) * time.Minute; c.passed()+life < troubled {
			retire = time.After(life)
		}
		select {
		case <-n.dead: // the next process is there before the ghost of this one is gone
		case err := <-ended:
			ended <- err
			n.abandon() // it could not begin
		case <-retire:
			if c.one(2, "retire", n.number) {
				n.die()
				break
			}
			cancel()
			if err := <-ended; err != nil {
				c.mu.Lock()
				if !c.trouble {
					c.t.Errorf("Run of node %d: %v", n.number, err)
				}
				n.lossy = true
				c.mu.Unlock()
			}
			n.abandon()
		case <-over:
			cancel()
			if err := <-ended; err != nil {
				c.t.Errorf("Run of the last node: %v", err)
			}
			return
		}
		cancel()
		st, as = open(st)
	}
}

// boot opens the store and makes an engine; nil if that fails.
func (c *chaos) boot(st *memstore.Store, as store.Store) *node {
	c.mu.Lock()
	c.lastNode++
	n := &node{chaos: c, number: c.lastNode, st: st, dead: make(chan struct{}), calls: make(map[string]int)}
	c.mu.Unlock()
	n.die = sync.OnceFunc(func() {
		n.abandon()
		c.mu.Lock()
		n.lossy = true
		c.mu.Unlock()
		close(n.dead)
		_ = st.Close()
	})
	st.Faults = n.fault
	opts := c.opts
	opts.Adapter = &chaosReceivers{node: n}
	opts.Keyset, _ = aKeyset()
	eng, err := neohook.New(c.t.Context(), as, opts)
	if err != nil {
		n.die()
		return nil
	}
	n.eng = eng
	c.mu.Lock()
	c.nodes = append(c.nodes, n)
	c.mu.Unlock()
	return n
}

// abandon makes the node not the present one.
func (n *node) abandon() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes = slices.DeleteFunc(n.nodes, func(other *node) bool { return other == n })
}

var errDisk = errors.New("disk error")

// fault decides what goes wrong with a call of the store.
func (n *node) fault(ctx context.Context, operation string, moment memstore.Moment) error {
	mostCrashes := 6 + 3*n.several
	n.mu.Lock()
	n.calls[operation]++
	on := []any{"fault", n.number, operation, moment, n.calls[operation]}
	trouble, crash := n.trouble, n.crashes < mostCrashes && n.one(150, "crash", on)
	if trouble && crash {
		n.crashes++
	}
	if n.several > 0 && n.stalls && trouble && n.one(2000, "stands still", on) {
		n.stood = time.Now().Add(time.Duration(n.draw(40_000, "stands still for", on)) * time.Millisecond)
	}
	stands := time.Until(n.stood)
	n.mu.Unlock()
	if stands > 0 {
		select {
		case <-time.After(stands):
		case <-ctx.Done():
			return ctx.Err()
		case <-n.dead:
		}
	}
	if !trouble {
		return nil
	}
	if crash {
		n.die()
		return memstore.Crash
	}
	commit := operation == "Commit" || operation == "InsertSends" || operation == "Cancel" || operation == "ExpungePayload"
	switch kind := n.draw(100, "kind", on); {
	case kind < 6 && commit && (moment == memstore.After || n.one(3, "unknown", on)):
		return store.ErrCommitUnknown
	case kind < 6 && moment == memstore.Before:
		return errDisk
	case kind < 9 && (commit || n.stalls):
		select {
		case <-time.After(time.Duration(n.draw(15_000, "stall", on)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

// current waits for a node, in fake time.
func (c *chaos) current() *node {
	for {
		var n *node
		c.mu.Lock()
		if len(c.nodes) > 0 {
			n = c.nodes[rand.IntN(len(c.nodes))] //nolint:gosec // whichever
		}
		c.mu.Unlock()
		if n != nil {
			return n
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// insist does something on whichever node there is until it succeeds, in fake time.
func (c *chaos) insist(what string, do func(eng *neohook.Engine) error) {
	for try := 0; ; try++ {
		n := c.current()
		err := do(n.eng)
		var invalid *webhook.InvalidError
		switch {
		case err == nil:
			return
		case errors.As(err, &invalid), errors.Is(err, neohook.ErrNotFound), errors.Is(err, neohook.ErrConflict), errors.Is(err, neohook.ErrKeyReused):
			c.t.Errorf("%s: %v", what, err)
			return
		case c.passed() > troubled+time.Minute:
			c.t.Errorf("%s: %v, and nothing is wrong any more", what, err)
			return
		}
		time.Sleep(time.Duration(50+c.draw(3000, what, try)) * time.Millisecond)
	}
}

func (c *chaos) populate() {
	for _, tenant := range c.tenants {
		c.insist("create "+tenant.uid, func(eng *neohook.Engine) error {
			_, err := eng.CreateTenant(c.t.Context(), webhook.Tenant{Name: tenant.uid, UID: tenant.uid, RateLimit: tenant.rate})
			return err
		})
	}
	for i, endpoint := range c.endpoints {
		if !endpoint.late {
			c.createEndpoint(i, endpoint)
		}
	}
}

// publish publishes an event at its moment of fake time, again until it is accepted.
func (c *chaos) publish(i int, event *chaosEvent) {
	// In bursts, so that batches form.
	time.Sleep(time.Duration(c.draw(10, "burst", i)) * publishing / 10)
	time.Sleep(time.Duration(c.draw(3, "in burst", i)) * time.Millisecond)
	began := time.Now()
	var accepted webhook.Event
	once := neohook.Once{Key: fmt.Sprint("event-", i), Request: []byte(event.payload), KeepFor: 2 * hopeless}
	again := 0
	c.insist(fmt.Sprint("publish ", i), func(eng *neohook.Engine) error {
		ctx := c.t.Context()
		if again++; c.one(4, "impatient", i, again) && c.passed() < troubled {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(c.draw(50, "patience", i, again))*time.Millisecond)
			defer cancel()
		}
		wish := webhook.Event{Tenant: webhook.TenantID(event.tenant.uid), Type: "a", Payload: []byte(event.payload)}
		if c.one(5, "deferred", i) {
			wish.DeliverAt = time.Now().Add(neohook.MinDeferral + time.Duration(c.draw(20*60_000, "due", i))*time.Millisecond)
		}
		got, err := eng.Once(once).Publish(ctx, wish)
		accepted = got
		return err
	})
	// Of several tries, the one that was stored says when it is due.
	var stored webhook.Event
	c.insist(fmt.Sprint("read ", i), func(eng *neohook.Engine) (err error) {
		stored, err = eng.Event(c.t.Context(), webhook.TenantID(event.tenant.uid), accepted.ID)
		return err
	})
	c.note(func() { event.began, event.acked, event.got, event.due = began, time.Now(), accepted, stored.DeliverAt })
	if c.one(4, "twice", i) { // a publisher that never saw its answer
		first := accepted.ID
		c.insist(fmt.Sprint("publish again ", i), func(eng *neohook.Engine) error {
			got, err := eng.Once(once).Publish(c.t.Context(), webhook.Event{
				Tenant: webhook.TenantID(event.tenant.uid), Type: "a", Payload: []byte(event.payload),
			})
			if err == nil && got.ID != first {
				c.t.Errorf("event %d was accepted twice, as %s and %s", i, first, got.ID)
			}
			return err
		})
	}
}
