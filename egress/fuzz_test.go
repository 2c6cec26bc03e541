package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"testing"
)

var errStop = errors.New("far enough")

// wouldDial returns the addresses that net.Dialer would dial for a text. It connects to
// nothing and asks no server.
func wouldDial(address string) (found []netip.AddrPort) {
	dialer := net.Dialer{
		FallbackDelay: -1,
		Control: func(_, address string, _ syscall.RawConn) error {
			host, port, _ := net.SplitHostPort(address)
			host, _, _ = strings.Cut(host, "%") // net writes a zone behind IPv4, too
			found = append(found, netip.MustParseAddrPort(net.JoinHostPort(host, port)))
			return errStop
		},
		Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errStop
		}},
	}
	if conn, err := dialer.DialContext(context.Background(), "tcp", address); err == nil {
		_ = conn.Close()
	}
	return found
}

// FuzzAddress holds that whatever net.Dialer would dial for a text is judged: the text
// is refused, or read as the same address, or is a name whose addresses come from a
// look-up.
func FuzzAddress(f *testing.F) {
	for _, target := range readForbidden(f) {
		for _, host := range target.hosts() {
			f.Add(net.JoinHostPort(host, "80"))
		}
	}
	for _, text := range []string{"8.8.8.8:80", "[2606:4700::1]:443", "a.example:0080", "a:http", ":80", "", "[fe80::1%eth0]:80"} {
		f.Add(text)
	}
	closed, _ := newPolicy(Options{Ports: defaultPorts})
	open, _ := newPolicy(Options{Ports: []PortRange{{1, 65535}}, Allow: prefixList("0.0.0.0/0", "::/0")})
	f.Fuzz(func(t *testing.T, address string) {
		for _, p := range []*policy{closed, open} {
			target, err := parseTarget(address)
			if err != nil || p.host(target) != nil {
				continue // refused
			}
			if !target.ip.IsValid() {
				if _, err := netip.ParseAddr(target.name); err == nil {
					t.Fatalf("%q: the address %s is taken for a name", address, target.name)
				}
				if ip, numeric := looseIPv4(target.name); numeric {
					t.Fatalf("%q: %s, which some read as %v, is taken for a name", address, target.name, ip)
				}
				if !p.loopback && strings.Contains("."+target.name+".", ".localhost.") && strings.HasSuffix(target.name, "localhost") {
					t.Fatalf("%q: %s is open", address, target.name)
				}
				continue
			}
			to := netip.AddrPortFrom(target.ip, target.port)
			if p.judge(target.ip) != nil {
				t.Fatalf("%q: %v is open and its address is not", address, to)
			}
			for _, would := range wouldDial(to.String()) {
				if would.Addr() != to.Addr().WithZone("") || would.Port() != to.Port() {
					t.Fatalf("%q: %v was judged, net.Dialer dials %v", address, to, would)
				}
			}
		}
		// The other way round: what net.Dialer takes for an address is taken for it here.
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return
		}
		if _, err := netip.ParseAddr(host); err != nil {
			return // it would look that up
		}
		for _, would := range wouldDial(address) {
			target, err := parseTarget(address)
			if err != nil {
				continue
			}
			if target.ip.IsUnspecified() && would.Addr().IsUnspecified() {
				continue // net makes 0.0.0.0 of ::
			}
			if target.ip.WithZone("") != would.Addr() || target.port != would.Port() {
				t.Fatalf("%q: read as %v port %d, net.Dialer dials %v", address, target.ip, target.port, would)
			}
		}
	})
}

// FuzzURL holds CheckURL and DialContext to one another over a real http.Transport: a
// URL that CheckURL passes is dialled with a host and port that the policy passes, and a
// host that CheckURL refuses is refused when it is dialled.
func FuzzURL(f *testing.F) {
	for _, target := range readForbidden(f) {
		for _, u := range target.urls(8080) {
			f.Add(u.String(), u.Host)
		}
	}
	for _, text := range []string{"https://a.example:8443/x", "http://8.8.8.8", "https://bücher.example", "http://[2606:4700::1]:1"} {
		f.Add(text, "")
	}
	d, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, host string) {
		u, err := url.Parse(text)
		if err != nil {
			u = &url.URL{Scheme: "http", Host: host}
		}
		address := wouldAsk(u)
		checked := d.CheckURL(u)
		if address == "" {
			return // net/http itself refused
		}
		target, err := parseTarget(address)
		if err == nil {
			if blocked := d.policy.host(target); blocked != nil {
				err = blocked
			}
		}
		if checked == nil && err != nil {
			t.Errorf("CheckURL passes %q, dialling %q gives %v", u, address, err)
		}
		switch rule := blockedBy(checked); rule {
		case "", RuleScheme, RuleURL: // those are of the URL alone
		default:
			if err == nil {
				t.Errorf("CheckURL of %q gives %v, dialling %q passes", u, checked, address)
			}
		}
	})
}

// wouldAsk returns what an http.Transport asks its dialer for, or "".
func wouldAsk(u *url.URL) (address string) {
	asked := make(chan string, 1)
	transport := &http.Transport{DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
		asked <- address
		return nil, errStop
	}}
	resp, err := transport.RoundTrip(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
	if err == nil {
		_ = resp.Body.Close()
	}
	select {
	case address = <-asked:
	default:
	}
	return address
}

// FuzzForms holds that an IPv4 address is judged the same in every form that leads to it.
func FuzzForms(f *testing.F) {
	f.Add(uint32(0x7f000001), uint8(0))
	f.Add(uint32(0x0a000001), uint8(77))
	f.Add(uint32(0xa9fea9fe), uint8(255))
	f.Add(uint32(0x08080808), uint8(100))
	everything := prefixList("0.0.0.0/0", "::/0", "64:ff9b:1::/48")
	closed, _ := newPolicy(Options{})
	f.Fuzz(func(t *testing.T, value uint32, shape uint8) {
		b := [4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}
		ip := netip.AddrFrom4(b)
		if ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
			if closed.judge(ip) == nil {
				t.Errorf("%v is open", ip)
			}
		}
		mapped := netip.AddrFrom16(ip.As16())
		if (closed.judge(ip) == nil) != (closed.judge(mapped) == nil) {
			t.Errorf("%v and %v are judged differently", ip, mapped)
		}
		// With everything allowed but this address, no form of it is open.
		p, err := newPolicy(Options{Allow: everything, Deny: []netip.Prefix{netip.PrefixFrom(ip, 32)}})
		if err != nil {
			t.Fatal(err)
		}
		hi, lo := value>>16, value&0xffff
		for _, form := range []string{
			ip.String(), mapped.String(),
			fmt.Sprintf("::%x:%x", hi, lo),
			fmt.Sprintf("::ffff:0:%x:%x", hi, lo),
			fmt.Sprintf("64:ff9b::%x:%x", hi, lo),
			fmt.Sprintf("64:ff9b:1:%x:%x:%x::", hi, lo>>8, lo&0xff<<8),
			fmt.Sprintf("2002:%x:%x::1", hi, lo),
			fmt.Sprintf("2001:0:1:2:3:4:%x:%x", ^hi&0xffff, ^lo&0xffff),
			fmt.Sprintf("2606:4700::200:5efe:%x:%x", hi, lo),
		} {
			if p.judge(netip.MustParseAddr(form)) == nil && !netip.MustParseAddr(form).IsLoopback() {
				t.Errorf("%v is denied and %s is open", ip, form)
			}
		}
		// No spelling of it is taken for a name, and each that is read is read as it.
		spelled := spell(b, shape)
		target, blocked := parseHost(spelled)
		switch {
		case blocked == nil && target.ip != ip:
			t.Errorf("%s is read as %v %q, want %v", spelled, target.ip, target.name, ip)
		case blocked != nil && blocked.IP != ip:
			t.Errorf("%s is refused as %v, want %v", spelled, blocked.IP, ip)
		}
	})
}

// spell writes an IPv4 address as inet_aton reads it: shape tells how many parts there
// are, in which base each is, and whether there is a dot at the end.
func spell(b [4]byte, shape uint8) string {
	parts := int(shape%4) + 1
	shape /= 4
	var labels []string
	for i := range parts {
		value := uint32(b[i])
		if i == parts-1 {
			for _, more := range b[i+1:] {
				value = value<<8 | uint32(more)
			}
		}
		format := []string{"%d", "0%o", "0x%x", "0X%08X"}[(int(shape)+i*int(shape%3))%4]
		labels = append(labels, fmt.Sprintf(format, value))
	}
	text := strings.Join(labels, ".")
	if shape%5 == 4 {
		text += "."
	}
	return text
}
