package httpadapter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A random crowd over a pool: whatever comes, the limits hold at each moment, everybody
// is served or gives up at its deadline, and nothing is left. A request that nobody
// wakes is a deadlock, which the bubble reports.
func TestPoolServesARandomCrowd(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { crowd(t, rand.New(&lockedSource{PCG: rand.NewPCG(seed, 0)})) })
		})
	}
}

// crowd is one such crowd, in fake time.
func crowd(t *testing.T, random *rand.Rand) {
	size, perHost := 1+random.IntN(6), 1+random.IntN(4)
	p := newPool(size, perHost, time.Duration(1+random.IntN(50))*time.Millisecond)
	p.every = 20 * time.Millisecond
	p.moved = func(context.Context, string, netip.Addr) bool { return random.IntN(50) == 0 }
	var mu sync.Mutex
	open, perAddr := 0, map[string]int{}
	opened := func(addr string, by int) {
		mu.Lock()
		defer mu.Unlock()
		open += by
		perAddr[addr] += by
		if open > size || perAddr[addr] > perHost {
			t.Errorf("%d connections open, %d to %s; the limits are %d and %d", open, perAddr[addr], addr, size, perHost)
		}
	}
	p.dial = func(ctx context.Context, _ *exchange, r *route) (*conn, error) {
		select {
		case <-time.After(time.Duration(random.IntN(10)) * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if random.IntN(10) == 0 {
			return nil, errors.New("refused")
		}
		opened(r.addr, 1)
		near, far := net.Pipe()
		c := &conn{route: *r, one: &http1{}}
		c.one.top = &hooked{Conn: near, closed: func() { opened(r.addr, -1); _ = far.Close() }}
		c.one.bottom = c.one.top
		return c, nil
	}
	var wg sync.WaitGroup
	served := 0
	for range 200 {
		r := &route{addr: fmt.Sprintf("10.0.0.%d:80", random.IntN(5)), secure: random.IntN(4) == 0}
		begin, hold := time.Duration(random.IntN(100))*time.Millisecond, time.Duration(random.IntN(20))*time.Millisecond
		patience, usable := time.Duration(1+random.IntN(300))*time.Millisecond, random.IntN(5) > 0
		wg.Go(func() {
			time.Sleep(begin)
			x := &exchange{deadline: time.Now().Add(patience), connectTimeout: patience}
			c, err := p.get(t.Context(), x, r)
			if err != nil {
				if time.Now().After(x.deadline) {
					t.Errorf("told %v only after the deadline", err)
				}
				return
			}
			time.Sleep(hold)
			p.put(c, usable)
			mu.Lock()
			defer mu.Unlock()
			served++
		})
	}
	wg.Wait()
	if n, _, waiting := p.counts(); waiting != 0 || n != open {
		t.Errorf("%d open and %d waiting by the pool's count, %d are open", n, waiting, open)
	}
	p.close()
	if open != 0 || len(p.groups) != 0 || len(p.sites) != 0 || p.idle.len != 0 || p.open != 0 {
		t.Errorf("left: %d open, %d groups, %d sites, %d at rest, %d counted", open, len(p.groups), len(p.sites), p.idle.len, p.open)
	}
	if served == 0 {
		t.Error("nobody was served")
	}
}

type lockedSource struct {
	sync.Mutex
	*rand.PCG
}

func (s *lockedSource) Uint64() uint64 {
	s.Lock()
	defer s.Unlock()
	return s.PCG.Uint64()
}

// hooked tells of its first Close.
type hooked struct {
	net.Conn
	once   sync.Once
	closed func()
}

func (h *hooked) Close() error {
	h.once.Do(h.closed)
	return h.Conn.Close()
}
