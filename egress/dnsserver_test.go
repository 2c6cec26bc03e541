package egress

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A zone is a DNS server on loopback, over UDP and TCP. What it answers is told by name,
// with the dot at the end; a name it does not know does not exist.
type zone struct {
	address string

	mu       sync.Mutex
	fallback func(q question) reply // for a name it does not know; nil: it does not exist
	names    map[string]func(q question) reply
	queries  map[string]int // by name and type, such as "a.test. A"
}

type question struct {
	name  string
	kind  uint16 // dns.TypeA, dns.TypeAAAA
	count int    // how often it was asked for this name and type before
	tcp   bool
}

type reply struct {
	records   []string // as in a zone file
	code      int
	truncated bool
	drop      bool
}

func newZone(t *testing.T) *zone {
	t.Helper()
	packets, streams := listenBoth(t)
	z := &zone{address: packets.LocalAddr().String(), names: map[string]func(question) reply{}, queries: map[string]int{}}
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: z}, {Listener: streams, Handler: z}} {
		up, down := make(chan struct{}), make(chan struct{})
		server.NotifyStartedFunc = func() { close(up) }
		go func() {
			defer close(down)
			_ = server.ActivateAndServe()
		}()
		<-up
		t.Cleanup(func() {
			_ = server.Shutdown()
			<-down
		})
	}
	return z
}

// listenBoth takes a port that is free for UDP and TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var err error
	for range 50 {
		var packets net.PacketConn
		if packets, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			break
		}
		var streams net.Listener
		if streams, err = net.Listen("tcp4", packets.LocalAddr().String()); err == nil {
			return packets, streams
		}
		_ = packets.Close()
	}
	t.Fatal(err)
	return nil, nil
}

func (z *zone) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	q := question{name: strings.ToLower(r.Question[0].Name), kind: r.Question[0].Qtype}
	_, q.tcp = w.RemoteAddr().(*net.TCPAddr)
	z.mu.Lock()
	key := q.name + " " + dns.TypeToString[q.kind]
	q.count = z.queries[key]
	z.queries[key]++
	answer := z.names[q.name]
	if answer == nil {
		answer = z.fallback
	}
	z.mu.Unlock()
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable = true
	if answer == nil {
		m.Rcode = dns.RcodeNameError
		_ = w.WriteMsg(m)
		return
	}
	a := answer(q)
	if a.drop {
		return
	}
	m.Rcode, m.Truncated = a.code, a.truncated
	for _, record := range a.records {
		rr, err := dns.NewRR(record)
		if err != nil {
			panic(err)
		}
		if rr.Header().Rrtype == q.kind || rr.Header().Rrtype == dns.TypeCNAME {
			m.Answer = append(m.Answer, rr)
		}
	}
	_ = w.WriteMsg(m)
}

// set gives a name its addresses.
func (z *zone) set(name string, ips ...string) {
	z.on(name, func(question) reply { return addresses(name, ips...) })
}

func (z *zone) on(name string, answer func(question) reply) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names[name] = answer
}

// otherwise answers for the names that it does not know.
func (z *zone) otherwise(answer func(q question) reply) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.fallback = answer
}

func (z *zone) asked(name, kind string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.queries[name+" "+kind]
}

func addresses(name string, ips ...string) reply {
	var r reply
	for _, ip := range ips {
		kind := "A"
		if netip.MustParseAddr(ip).Is6() {
			kind = "AAAA"
		}
		r.records = append(r.records, name+" 60 IN "+kind+" "+ip)
	}
	return r
}

// resolver asks the zone by Go's own resolver.
func (z *zone) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, network, z.address)
		if err == nil {
			// net.Resolver waits for the packet even when its context has ended.
			context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		}
		return conn, err
	}}
}
