package dynamic

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/webhook"
)

// Options of an Adapter. The zero value is the default.
type Options struct {
	// Base is what Settings starts from.
	Base httpadapter.Options
	// Open opens an adapter with the settings; nil is httpadapter.New. It is closed when
	// it is replaced, if it is an io.Closer.
	Open func(httpadapter.Options) (webhook.Adapter, error)
}

// Adapter is an adapter that is exchanged for another when the load changes. It is safe
// for concurrent use.
type Adapter struct {
	opts Options

	// adjusting is held while an adapter is opened, and taken before mu.
	adjusting sync.Mutex

	mu      sync.Mutex
	current *generation
	live    map[*generation]struct{} // those that are in use or not closed, the current too
	closed  bool
	ended   chan struct{} // closed when closed and live is empty
	errs    error         // of closing
}

// generation is an adapter and how it is used. Its fields but the first two are under the
// Adapter's mu.
type generation struct {
	webhook.Adapter
	once    sync.Once // closes it
	numbers numbers
	users   int
	retired bool
	closed  bool
}

// New opens an adapter for the load that is assumed where none is known.
func New(o Options) (*Adapter, error) {
	if o.Open == nil {
		o.Open = func(opts httpadapter.Options) (webhook.Adapter, error) { return httpadapter.New(opts) }
	}
	a := &Adapter{opts: o, live: make(map[*generation]struct{}), ended: make(chan struct{})}
	if _, err := a.Adjust(Load{}); err != nil {
		return nil, err
	}
	return a, nil
}

// ErrClosed is returned by the Adjust of an adapter that was closed.
var ErrClosed = errors.New("dynamic: the adapter was closed")

// Adjust opens an adapter for the load, if it asks for other settings than the present
// ones, and says whether it did. Requests that begin from now on go through it. If it
// can't be opened, the present one stays.
func (a *Adapter) Adjust(load Load) (changed bool, err error) {
	a.adjusting.Lock()
	defer a.adjusting.Unlock()
	settings := Settings(load, a.opts.Base)
	a.mu.Lock()
	closed, same := a.closed, a.current != nil && a.current.numbers == numbersOf(&settings)
	a.mu.Unlock()
	if closed {
		return false, ErrClosed
	}
	if same {
		return false, nil
	}
	opened, err := a.opts.Open(settings)
	if err != nil {
		return false, err
	}
	a.exchange(&generation{Adapter: opened, numbers: numbersOf(&settings)})
	return true, nil
}

// exchange puts the next in the present one's place.
func (a *Adapter) exchange(next *generation) {
	a.mu.Lock()
	a.live[next] = struct{}{}
	old := a.current
	a.current = next
	a.mu.Unlock()
	if old != nil {
		a.retire(old)
	}
}

// Deliver delivers with the present adapter.
func (a *Adapter) Deliver(ctx context.Context, delivery *webhook.Delivery, endpoint *webhook.Endpoint) webhook.Result {
	g := a.enter()
	if g == nil {
		return refused(delivery, endpoint)
	}
	defer a.leave(g)
	return g.Deliver(ctx, delivery, endpoint)
}

// Verify verifies with the present adapter.
func (a *Adapter) Verify(ctx context.Context, endpoint *webhook.Endpoint, payload []byte) webhook.Result {
	g := a.enter()
	if g == nil {
		return refused(nil, endpoint)
	}
	defer a.leave(g)
	return g.Verify(ctx, endpoint, payload)
}

// Health is that of the present adapter.
func (a *Adapter) Health(ctx context.Context) webhook.Health {
	g := a.enter()
	if g == nil {
		return webhook.Health{Status: webhook.Unhealthy, Reasons: []string{closedMessage}}
	}
	defer a.leave(g)
	return g.Health(ctx)
}

// Unwrap returns the present adapter. Its statistics are its own: they begin anew with
// each exchange.
func (a *Adapter) Unwrap() webhook.Adapter {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current.Adapter
}

// Close closes the adapter. What is in flight ends as it does when the present adapter is
// closed, and has when Close returns. The errors are those of closing, now and before.
func (a *Adapter) Close() error {
	a.refuseNew()
	a.mu.Lock()
	live := slices.Collect(maps.Keys(a.live))
	a.mu.Unlock()
	for _, g := range live {
		a.close(g)
	}
	<-a.ended
	return a.errs
}

// Shutdown lets what is in flight end, as long as ctx does, and closes. It returns the
// context's error, too, if something had to be cut short.
func (a *Adapter) Shutdown(ctx context.Context) error {
	a.refuseNew()
	var cut error
	select {
	case <-a.ended:
	case <-ctx.Done():
		cut = ctx.Err()
	}
	return errors.Join(cut, a.Close())
}

// refuseNew makes enter fail. It waits for an adapter that is being opened.
func (a *Adapter) refuseNew() {
	a.adjusting.Lock()
	defer a.adjusting.Unlock()
	a.mu.Lock()
	first := !a.closed
	a.closed = true
	a.mu.Unlock()
	if first {
		a.retire(a.current) // which changes no more
	}
}

func (a *Adapter) enter() *generation {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	a.current.users++
	return a.current
}

func (a *Adapter) leave(g *generation) {
	a.mu.Lock()
	g.users--
	unused := g.retired && g.users == 0
	a.settle(g)
	a.mu.Unlock()
	if unused {
		a.close(g)
	}
}

// retire closes a generation once nobody uses it.
func (a *Adapter) retire(g *generation) {
	a.mu.Lock()
	g.retired = true
	unused := g.users == 0
	a.mu.Unlock()
	if unused {
		a.close(g)
	}
}

// close closes a generation, in use or not. It is not called under mu: what is in flight
// must be able to leave.
func (a *Adapter) close(g *generation) {
	g.once.Do(func() {
		var err error
		if closer, ok := g.Adapter.(io.Closer); ok {
			err = closer.Close()
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.errs = errors.Join(a.errs, err)
		g.closed = true
		a.settle(g)
	})
}

// settle forgets a generation that is closed and that nobody uses. It is called under mu.
func (a *Adapter) settle(g *generation) {
	if _, found := a.live[g]; !found || !g.closed || g.users > 0 {
		return
	}
	delete(a.live, g)
	if a.closed && len(a.live) == 0 {
		close(a.ended)
	}
}

const closedMessage = "the adapter was closed"

func refused(delivery *webhook.Delivery, endpoint *webhook.Endpoint) webhook.Result {
	return webhook.NotMade(delivery, endpoint, &webhook.Fault{
		Kind: webhook.FaultClient, Code: webhook.FaultClosed, Phase: webhook.PhasePrepare, Message: closedMessage,
	})
}
