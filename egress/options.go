package egress

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// Options of a Dialer. The zero value reaches public addresses on the ports 80, 443 and
// above 1023, and nothing else.
type Options struct {
	// Allow opens ranges that the built-in rules refuse, such as 10.0.0.0/8. It adds to
	// the public addresses and does not narrow them. An IPv4 range covers the same
	// addresses in their v4-mapped form. Three things need more than a wide range: see
	// RuleUnspecified, RuleMetadata and NAT64.
	Allow []netip.Prefix
	// Deny closes ranges, public ones too. It wins over Allow, and is held against the
	// IPv4 address inside a tunnel's address as well.
	Deny []netip.Prefix
	// NAT64 names the translators of the network this runs in: prefixes of 32, 40, 48, 56,
	// 64 or 96 bits (RFC 6052), such as 64:ff9b::/96. An address in them is judged as the
	// IPv4 address that it holds. An Allow prefix inside 64:ff9b::/96 or 64:ff9b:1::/48
	// of such a length is read as one of these. A translator with a prefix of the
	// network's own should be named here in any case: nobody can tell its addresses from
	// public ones.
	NAT64 []netip.Prefix

	// AllowHosts, where it is not empty, narrows to the hosts it names; DenyHosts closes
	// hosts and wins. An entry is a name, an address, or "*." and a name for all names
	// below it but not itself. Case and a dot at the end do not matter. An address is
	// held against hosts that are addresses; for what names lead to there are Allow and
	// Deny. Neither list exempts from judging the address: a host in AllowHosts that
	// leads to a private address also needs Allow.
	AllowHosts []string
	DenyHosts  []string

	// Ports that may be dialled; empty is 80, 443 and 1024 to 65535.
	Ports []PortRange
	// HTTPSOnly makes CheckURL refuse http. DialContext cannot tell.
	HTTPSOnly bool

	// Proxy is asked for every connection that ProxyBypass does not name: http or https
	// (by CONNECT, whatever the URL's scheme) or socks5, a host and port, and a user and
	// password if the proxy wants them. Its own address is not judged. The target is
	// looked up and judged here as without a proxy, and the proxy is told the address
	// that was judged, so a name that it would look up differently gains nothing; TLS and
	// the Host field keep the name.
	Proxy *url.URL
	// ProxyTLS is for the connection to an https proxy; nil is TLS 1.2 with the system's
	// roots.
	ProxyTLS *tls.Config
	// ProxyBypass names what is dialled directly: hosts as in AllowHosts, and ranges of
	// addresses, such as 10.0.0.0/8, that are held against the address to be dialled.
	ProxyBypass []string
	// ProxyResolves hands names to the proxy without a look-up here, for networks where
	// only the proxy can look up and for proxies that judge by name. The operator then
	// trusts the proxy with the judgement of addresses: here only names, ports and
	// addresses in URLs are judged. Ranges in ProxyBypass then apply to such alone.
	ProxyResolves bool

	// Timeout of one DialContext: look-up, connection and, where there is one, the
	// proxy's part. 0 is 10 s; negative is none but the context's.
	Timeout time.Duration

	// Resolver looks names up; nil is net.DefaultResolver.
	Resolver Resolver
	// DNSCacheTTL is how long an answer is used; 0 is 300 s; negative looks up for every
	// connection. Failures are kept for 2 s, or DNSCacheTTL where that is shorter.
	DNSCacheTTL time.Duration
	// DNSCacheHosts bounds the hosts in the cache; 0 is 10,000.
	DNSCacheHosts int
}

// Resolver looks a name up. *net.Resolver is one. It is safe for concurrent use and
// returns when its context ends. Network is "ip".
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// PortRange is the ports From to To, both included.
type PortRange struct{ From, To uint16 }

var defaultPorts = []PortRange{{80, 80}, {443, 443}, {1024, 65535}}

const (
	defaultTimeout  = 10 * time.Second
	defaultTTL      = 300 * time.Second
	defaultHosts    = 10_000
	failureTTL      = 2 * time.Second
	lookupTimeout   = 10 * time.Second // of a look-up that several dials wait for
	refreshFraction = 10               // the last tenth of the TTL is when a host in use is looked up anew
)

func (o Options) withDefaults() (Options, error) {
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.DNSCacheTTL = cmp.Or(o.DNSCacheTTL, defaultTTL)
	o.DNSCacheHosts = cmp.Or(o.DNSCacheHosts, defaultHosts)
	if o.DNSCacheHosts < 0 {
		return o, fmt.Errorf("egress: DNSCacheHosts %d is negative; a negative DNSCacheTTL turns the cache off", o.DNSCacheHosts)
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if len(o.Ports) == 0 {
		o.Ports = defaultPorts
	}
	o.Ports = slices.Clone(o.Ports)
	for _, r := range o.Ports {
		if r.From == 0 || r.From > r.To {
			return o, fmt.Errorf("egress: Ports has %d-%d, which is no range of 1-65535", r.From, r.To)
		}
	}
	return o, nil
}
