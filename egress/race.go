package egress

import (
	"context"
	"net"
	"net/netip"
	"time"
)

const (
	// attemptDelay is the Connection Attempt Delay that RFC 8305, section 5, recommends.
	attemptDelay = 250 * time.Millisecond
	// maxAddresses bounds what one answer can make us try.
	maxAddresses = 16
)

type connection struct {
	conn net.Conn
	to   netip.Addr
	err  error
	turn int
}

// race connects to the addresses in turn: the next one starts when the last has failed
// or has taken attemptDelay, and the first to succeed ends the others (RFC 8305,
// section 5). Everything it started has ended when it returns. When all fail, the error
// is that of the earliest address.
func race(ctx context.Context, addrs []netip.Addr, connect func(context.Context, netip.Addr) (net.Conn, error)) (net.Conn, netip.Addr, error) {
	if len(addrs) == 1 {
		conn, err := connect(ctx, addrs[0])
		return conn, addrs[0], err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan connection)
	delay := time.NewTimer(0)
	defer delay.Stop()
	<-delay.C
	started, running := 0, 0
	start := func() {
		turn := started
		started, running = started+1, running+1
		go func() {
			conn, err := connect(ctx, addrs[turn])
			results <- connection{conn, addrs[turn], err, turn}
		}()
		delay.Reset(attemptDelay)
	}
	start()
	failed := connection{turn: len(addrs)}
	for running > 0 {
		select {
		case r := <-results:
			running--
			if r.err == nil {
				cancel()
				drop(results, running)
				return r.conn, r.to, nil
			}
			if r.turn < failed.turn {
				failed = r
			}
			if started < len(addrs) && ctx.Err() == nil {
				start()
			}
		case <-delay.C:
			if started < len(addrs) {
				start()
			}
		}
	}
	return nil, failed.to, failed.err
}

// drop waits for the attempts that lost and closes what they have still opened.
func drop(results <-chan connection, running int) {
	for range running {
		if r := <-results; r.err == nil {
			_ = r.conn.Close()
		}
	}
}
