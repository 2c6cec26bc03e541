package egress

import (
	"net/netip"
	"strconv"
	"strings"
)

// Rule names what refused a destination. The text is stable, for programs and logs.
type Rule string

// The rules that judge an address. Unless it says otherwise, an Allow prefix that
// contains the address overrides the rule.
const (
	// RuleDeny is a Deny prefix of the operator. It wins over Allow.
	RuleDeny Rule = "deny"
	// RuleUnspecified is 0.0.0.0 or ::, which systems take for themselves. Nothing
	// overrides it.
	RuleUnspecified Rule = "unspecified"
	// RuleMetadata is the metadata service of a cloud, which gives out credentials. Only
	// an Allow prefix of that single address (/32, /128) overrides it.
	RuleMetadata Rule = "metadata"
	// RuleLoopback is this machine: 127.0.0.0/8, ::1.
	RuleLoopback Rule = "loopback"
	// RulePrivate is a private network: RFC 1918, fc00::/7, fec0::/10.
	RulePrivate Rule = "private"
	// RuleLinkLocal is the local link: 169.254.0.0/16, fe80::/10.
	RuleLinkLocal Rule = "link-local"
	// RuleShared is 100.64.0.0/10, between a carrier and its customers (RFC 6598).
	RuleShared Rule = "shared"
	// RuleMulticast is 224.0.0.0/4, ff00::/8.
	RuleMulticast Rule = "multicast"
	// RuleBroadcast is 255.255.255.255.
	RuleBroadcast Rule = "broadcast"
	// RuleDocumentation is a range for examples (RFC 5737, 3849, 9637).
	RuleDocumentation Rule = "documentation"
	// RuleBenchmark is a range for measuring devices (RFC 2544, 5180).
	RuleBenchmark Rule = "benchmark"
	// RuleReserved is any other range that is not for hosts of the public internet: the
	// rest of the IANA special-purpose registries and IPv6 outside 2000::/3.
	RuleReserved Rule = "reserved"
	// RuleTunnel is an IPv6 address that reaches an IPv4 host through a tunnel or
	// translator: 6to4, Teredo, ISATAP, IPv4-compatible, NAT64. Where Allow overrides it
	// (for NAT64 see Options.NAT64), the IPv4 address inside is judged as well.
	RuleTunnel Rule = "tunnel"
)

// The rules that judge a host, port or URL before any address is known. Allow prefixes
// do not override them.
const (
	// RuleDenyHost is an entry of DenyHosts.
	RuleDenyHost Rule = "deny-host"
	// RuleAllowHosts is a host that AllowHosts does not name.
	RuleAllowHosts Rule = "allow-hosts"
	// RuleLocalhost is a name that means this machine, as long as Allow has no loopback
	// address in it.
	RuleLocalhost Rule = "localhost"
	// RuleSpelling is a host that is neither a plain name nor an address in its usual
	// form, such as 0x7f.1 or 127.0.0.1 with a dot behind it: other programs may read it
	// as another host.
	RuleSpelling Rule = "spelling"
	// RuleZone is an address with a zone that is not link-local.
	RuleZone Rule = "zone"
	// RulePort is a port outside Ports.
	RulePort Rule = "port"
	// RuleScheme is a URL that is not http or https, or not https where HTTPSOnly.
	RuleScheme Rule = "scheme"
	// RuleURL is a URL whose form hides where it leads.
	RuleURL Rule = "url"
)

// BlockedError says that the policy refused a destination. Trying again without a
// change of DNS, URL or options gives the same. errors.As finds it behind the
// *net.OpError of a dial and the *url.Error of an http.Client.
type BlockedError struct {
	// Host as it was asked for, without the port.
	Host string
	// IP is the address that was judged; the zero Addr where the host or port alone was
	// refused.
	IP netip.Addr
	// Port that was asked for; 0 where it is not known.
	Port uint16
	// Rule that refused.
	Rule Rule
	// Prefix is the range the rule speaks of; the zero Prefix for a rule that has none.
	Prefix netip.Prefix
	// remedy says what the operator would have to change.
	remedy string
	// inner is the IPv4 address inside IP that was refused, if it was that.
	inner netip.Addr
}

// Blocked returns true. It lets an adapter tell this error from others without importing
// this package.
func (e *BlockedError) Blocked() bool { return true }

// Error names the destination, the rule and the option that would allow it.
func (e *BlockedError) Error() string {
	var b strings.Builder
	b.WriteString("egress: ")
	b.WriteString(strconv.QuoteToGraphic(e.Host)) // the host is not ours: control characters stay out of logs
	told := e.IP.IsValid() && e.IP.String() != e.Host
	if told {
		b.WriteString(" is ")
		b.WriteString(e.IP.String())
	}
	if e.inner.IsValid() {
		b.WriteString(", which leads to ")
		b.WriteString(e.inner.String())
		b.WriteString(",")
	}
	if told {
		b.WriteString(" and")
	}
	if e.Port != 0 && e.Rule == RulePort {
		b.WriteString(" port ")
		b.WriteString(strconv.Itoa(int(e.Port)))
	}
	b.WriteString(" is blocked by rule ")
	b.WriteString(string(e.Rule))
	if e.Prefix.IsValid() {
		b.WriteString(" (")
		b.WriteString(e.Prefix.String())
		b.WriteString(")")
	}
	if e.remedy != "" {
		b.WriteString("; ")
		b.WriteString(e.remedy)
	}
	return b.String()
}
