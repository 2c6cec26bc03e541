package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

func blockedBy(err error) Rule {
	var blocked *BlockedError
	if errors.As(err, &blocked) {
		return blocked.Rule
	}
	return ""
}

func TestNameIsLookedUpOnceAndDialled(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.1")
	z.set("a.test.", "127.0.0.1")
	d := newDialer(t, Options{Allow: prefixList("127.0.0.1/32"), Resolver: z.resolver()})

	first, err := dial(d, "tcp", c.at("a.test"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := dial(d, "tcp", c.at("A.Test"))
	if err != nil {
		t.Fatal(err)
	}
	want := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), c.port)
	if first.Cached || !second.Cached || first.Target != want || second.Target != want || first.Lookup <= 0 || first.Connect <= 0 {
		t.Errorf("told %+v then %+v, want %v, the second from the cache", first, second, want)
	}
	if got := z.asked("a.test.", "A"); got != 1 {
		t.Errorf("the server was asked %d times, want once", got)
	}
	if got, want := d.Stats(), (Stats{Hits: 1, Misses: 1, Hosts: 1}); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

func TestAnswerThatChangesIsJudgedAgain(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.1", "127.0.0.2")
	z.on("rebind.test.", func(q question) reply {
		if q.count == 0 {
			return addresses(q.name, "127.0.0.2")
		}
		return addresses(q.name, "127.0.0.1")
	})
	// 127.0.0.2 stands for a public address.
	d := newDialer(t, Options{Allow: prefixList("127.0.0.2/32"), Resolver: z.resolver(), DNSCacheTTL: -1})
	if _, err := dial(d, "tcp", c.at("rebind.test")); err != nil {
		t.Fatalf("first answer: %v", err)
	}
	_, err := dial(d, "tcp", c.at("rebind.test"))
	if blockedBy(err) != RuleLoopback {
		t.Fatalf("second answer: %v, want it blocked as loopback", err)
	}
}

func TestForbiddenAddressIsLeftOutOfAnAnswer(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.1", "127.0.0.2")
	z.set("mixed.test.", "127.0.0.1", "10.0.0.1", "127.0.0.2", "169.254.169.254")
	d := newDialer(t, Options{Allow: prefixList("127.0.0.2/32"), Resolver: z.resolver()})
	told, err := dial(d, "tcp", c.at("mixed.test"))
	if err != nil {
		t.Fatal(err)
	}
	if got := told.Target.Addr(); got != netip.MustParseAddr("127.0.0.2") {
		t.Errorf("dialled %v, want 127.0.0.2", got)
	}
}

func TestCNAMEChainIsJudgedAtItsEnd(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.1")
	z.on("alias.test.", func(question) reply {
		return reply{records: []string{
			"alias.test. 60 IN CNAME b.test.", "b.test. 60 IN CNAME c.test.", "c.test. 60 IN A 127.0.0.1",
		}}
	})
	closed := newDialer(t, Options{Resolver: z.resolver()})
	if _, err := dial(closed, "tcp", c.at("alias.test")); blockedBy(err) != RuleLoopback {
		t.Errorf("err = %v, want it blocked as loopback", err)
	}
	open := newDialer(t, Options{Resolver: z.resolver(), Allow: prefixList("127.0.0.0/8")})
	if _, err := dial(open, "tcp", c.at("alias.test")); err != nil {
		t.Error(err)
	}
}

func TestTruncatedAnswerIsReadOverTCP(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.1")
	z.on("big.test.", func(q question) reply {
		if !q.tcp {
			return reply{truncated: true}
		}
		return addresses(q.name, "127.0.0.1")
	})
	d := newDialer(t, Options{Allow: prefixList("127.0.0.1/32"), Resolver: z.resolver()})
	if _, err := dial(d, "tcp", c.at("big.test")); err != nil {
		t.Fatal(err)
	}
}

func TestBothFamiliesAreTried(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.1", "::1")
	if !c.v6 {
		t.Skip("this machine has no ::1")
	}
	z.set("both.test.", "127.0.0.1", "::1")
	z.set("six.test.", "::1")
	d := newDialer(t, Options{Allow: prefixList("127.0.0.1/32", "::1/128"), Resolver: z.resolver()})
	for network, want := range map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1"} {
		told, err := dial(d, network, c.at("both.test"))
		if err != nil || told.Target.Addr() != netip.MustParseAddr(want) {
			t.Errorf("%s dialled %v, %v; want %s", network, told.Target, err, want)
		}
	}
	if _, err := dial(d, "tcp", c.at("both.test")); err != nil {
		t.Error(err)
	}
	if _, err := dial(d, "tcp4", c.at("six.test")); err == nil {
		t.Error("tcp4 reached a host that has IPv6 only")
	}
}

func TestAddressThatConnectedIsTriedFirstNextTime(t *testing.T) {
	z := newZone(t)
	c := newCanary(t, "127.0.0.2") // and nobody on 127.0.0.1
	z.set("half.test.", "127.0.0.1", "127.0.0.2")
	d := newDialer(t, Options{Allow: prefixList("127.0.0.0/8"), Resolver: z.resolver()})
	told, err := dial(d, "tcp", c.at("half.test"))
	if err != nil || told.Target.Addr() != netip.MustParseAddr("127.0.0.2") {
		t.Fatalf("dialled %v, %v; want 127.0.0.2", told.Target, err)
	}
	addrs, cached, err := d.cache.resolve(t.Context(), "half.test")
	if err != nil || !cached || addrs[0] != netip.MustParseAddr("127.0.0.2") || len(addrs) != 2 {
		t.Errorf("the cache has %v, %v, %v; want 127.0.0.2 first of two", addrs, cached, err)
	}
}

func TestFailuresToLookUpAreDNSErrors(t *testing.T) {
	z := newZone(t)
	z.on("broken.test.", func(question) reply { return reply{code: dns.RcodeServerFailure} })
	z.set("empty.test.")
	d := newDialer(t, Options{Resolver: z.resolver()})
	for host, notFound := range map[string]bool{"absent.test": true, "empty.test": true, "broken.test": false} {
		told, err := dial(d, "tcp", host+":443")
		var failed *net.DNSError
		var op *net.OpError
		if !errors.As(err, &op) || !errors.As(err, &failed) || failed.IsNotFound != notFound {
			t.Errorf("%s: err = %v, want a *net.DNSError with IsNotFound %v in a *net.OpError", host, err, notFound)
		}
		if told.Err != err { //nolint:errorlint // the very error
			t.Errorf("%s: the trace was told %v", host, told.Err)
		}
		again, _ := dial(d, "tcp", host+":443")
		if !again.Cached {
			t.Errorf("%s: the failure was not kept", host)
		}
	}
}

func TestSlowLookUpEndsWithItsCallerAndServesTheNext(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.1")
	asked, release := make(chan struct{}), make(chan struct{})
	z.on("slow.test.", func(q question) reply {
		if q.kind == dns.TypeA {
			close(asked)
			<-release
		}
		return addresses(q.name, "127.0.0.1")
	})
	d := newDialer(t, Options{Allow: prefixList("127.0.0.1/32"), Resolver: z.resolver()})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := d.DialContext(ctx, "tcp", c.at("slow.test"))
		gone <- err
	}()
	<-asked
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled", err)
	}
	close(release)
	if _, err := dial(d, "tcp", c.at("slow.test")); err != nil {
		t.Fatal(err)
	}
	if got := z.asked("slow.test.", "A"); got != 1 {
		t.Errorf("the server was asked %d times, want once: the second dial joins the first one's look-up", got)
	}
}

func TestCloseEndsALookUp(t *testing.T) {
	z := newZone(t)
	asked := make(chan struct{}, 2)
	z.on("silent.test.", func(question) reply { asked <- struct{}{}; return reply{drop: true} })
	d := newDialer(t, Options{Resolver: z.resolver()})
	failed := make(chan error)
	go func() {
		_, err := d.DialContext(context.Background(), "tcp", "silent.test:443")
		failed <- err
	}()
	<-asked
	_ = d.Close()
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("err = %v, want net.ErrClosed", err)
	}
}

func TestMovedTellsWhenAHostHasLeftAnAddress(t *testing.T) {
	z := newZone(t)
	z.set("host.test.", "192.0.2.1", "192.0.2.2")
	d := newDialer(t, Options{Resolver: z.resolver(), DNSCacheTTL: -1})
	old := netip.MustParseAddr("192.0.2.1")
	if d.Moved(t.Context(), "host.test", old) {
		t.Error("moved before it did")
	}
	z.set("host.test.", "192.0.2.2", "192.0.2.3")
	if !d.Moved(t.Context(), "host.test", old) {
		t.Error("not moved after it did")
	}
	if d.Moved(t.Context(), "host.test", netip.MustParseAddr("::ffff:192.0.2.3")) {
		t.Error("a v4-mapped address was not taken for the IPv4 address")
	}
	if d.Moved(t.Context(), "absent.test", old) || d.Moved(t.Context(), "192.0.2.9", old) {
		t.Error("a host without an answer or a literal has moved")
	}
	if got := d.Stats(); got.Hits != 0 || got.Misses != 0 {
		t.Errorf("Stats = %+v: Moved is no dial", got)
	}
}

func TestAnswerIsBounded(t *testing.T) {
	z := newZone(t)
	var many []string
	for i := range 100 {
		many = append(many, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String())
	}
	z.set("many.test.", many...)
	d := newDialer(t, Options{Resolver: z.resolver()})
	addrs, _, err := d.cache.resolve(t.Context(), "many.test")
	if err != nil || len(addrs) != maxAddresses {
		t.Errorf("%d addresses, %v; want %d", len(addrs), err, maxAddresses)
	}
}

func TestInterleaveAlternatesFamilies(t *testing.T) {
	addrs := func(texts ...string) (list []netip.Addr) {
		for _, text := range texts {
			list = append(list, netip.MustParseAddr(text))
		}
		return list
	}
	tests := map[string]struct{ in, want []netip.Addr }{
		"six first":  {addrs("2::1", "2::2", "2::3", "1.1.1.1", "1.1.1.2"), addrs("2::1", "1.1.1.1", "2::2", "1.1.1.2", "2::3")},
		"four first": {addrs("1.1.1.1", "1.1.1.2", "2::1"), addrs("1.1.1.1", "2::1", "1.1.1.2")},
		"one family": {addrs("1.1.1.1", "1.1.1.2"), addrs("1.1.1.1", "1.1.1.2")},
		"one":        {addrs("2::1"), addrs("2::1")},
	}
	for name, test := range tests {
		if got := interleave(test.in); !slices.Equal(got, test.want) {
			t.Errorf("%s: interleave(%v) = %v, want %v", name, test.in, got, test.want)
		}
	}
}
