package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A line is how a fake address behaves: it connects or fails after a while.
type line struct {
	after time.Duration
	err   error
}

// A counted connection counts its Close.
type counted struct {
	net.Conn
	closed *int
}

func (c counted) Close() error { *c.closed++; return nil }

func TestRace(t *testing.T) {
	refused := errors.New("refused")
	never := line{time.Hour, nil}
	tests := map[string]struct {
		lines  []line
		winner int // -1: none
		err    error
		took   time.Duration
		starts []time.Duration
	}{
		"the first connects": {
			[]line{{100 * time.Millisecond, nil}, {0, nil}}, 0, nil, 100 * time.Millisecond, []time.Duration{0},
		},
		"a slow first is overtaken after the delay": {
			[]line{never, {50 * time.Millisecond, nil}}, 1, nil, 300 * time.Millisecond, []time.Duration{0, 250 * time.Millisecond},
		},
		"a failure starts the next at once": {
			[]line{{10 * time.Millisecond, refused}, {10 * time.Millisecond, refused}, {10 * time.Millisecond, nil}},
			2, nil, 30 * time.Millisecond, []time.Duration{0, 10 * time.Millisecond, 20 * time.Millisecond},
		},
		"a failure puts the next delay off": {
			[]line{{200 * time.Millisecond, refused}, never, {0, nil}},
			2, nil, 450 * time.Millisecond, []time.Duration{0, 200 * time.Millisecond, 450 * time.Millisecond},
		},
		"the slow first may still win": {
			[]line{{300 * time.Millisecond, nil}, never}, 0, nil, 300 * time.Millisecond, []time.Duration{0, 250 * time.Millisecond},
		},
		"all fail": {
			[]line{{10 * time.Millisecond, refused}, {0, errors.New("later")}}, -1, refused, 10 * time.Millisecond,
			[]time.Duration{0, 10 * time.Millisecond},
		},
		"the context ends": {
			[]line{never, never}, -1, context.DeadlineExceeded, 5 * time.Second, []time.Duration{0, 250 * time.Millisecond},
		},
		"one address": {[]line{{0, refused}}, -1, refused, 0, []time.Duration{0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				var addrs []netip.Addr
				for i := range test.lines {
					addrs = append(addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
				}
				begun := time.Now()
				var starts []time.Duration
				var mu sync.Mutex
				closed := 0
				conn, to, err := race(ctx, addrs, func(ctx context.Context, ip netip.Addr) (net.Conn, error) {
					mu.Lock()
					starts = append(starts, time.Since(begun))
					mu.Unlock()
					l := test.lines[ip.As4()[3]]
					select {
					case <-time.After(l.after):
						if l.err != nil {
							return nil, l.err
						}
						return counted{closed: &closed}, nil
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				})
				if took := time.Since(begun); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if !slices.Equal(starts, test.starts) {
					t.Errorf("started at %v, want %v", starts, test.starts)
				}
				if !errors.Is(err, test.err) || (conn != nil) != (test.winner >= 0) {
					t.Errorf("conn %v, err %v; want err %v", conn, err, test.err)
				}
				if test.winner >= 0 && to != addrs[test.winner] {
					t.Errorf("to %v, want %v", to, addrs[test.winner])
				}
				if closed != 0 {
					t.Errorf("%d connections were closed", closed)
				}
			})
		})
	}
}

func TestRaceClosesAConnectionThatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
		closed := 0
		_, to, err := race(t.Context(), addrs, func(ctx context.Context, ip netip.Addr) (net.Conn, error) {
			if ip == addrs[0] {
				<-ctx.Done() // and connects all the same
			}
			return counted{closed: &closed}, nil
		})
		if err != nil || to != addrs[1] || closed != 1 {
			t.Errorf("to %v, %v, %d closed; want the second and the first closed", to, err, closed)
		}
	})
}
