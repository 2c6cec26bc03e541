package egress

import (
	"fmt"
	"net/netip"
	"slices"
)

// policy judges addresses, ports and names. It does not change once made.
type policy struct {
	allow, deny, nat64    []netip.Prefix
	allowHosts, denyHosts []hostPattern
	ports                 []PortRange
	httpsOnly             bool
	loopback              bool // Allow has a loopback address in it
}

func newPolicy(o Options) (*policy, error) {
	p := &policy{ports: o.Ports, httpsOnly: o.HTTPSOnly}
	var err error
	if p.allow, err = prefixes("Allow", o.Allow); err != nil {
		return nil, err
	}
	if p.deny, err = prefixes("Deny", o.Deny); err != nil {
		return nil, err
	}
	if p.nat64, err = prefixes("NAT64", o.NAT64); err != nil {
		return nil, err
	}
	for _, prefix := range p.nat64 {
		if !translatorLength(prefix) {
			return nil, fmt.Errorf("egress: NAT64 has %v; a translator's prefix is IPv6, of 32, 40, 48, 56, 64 or 96 bits", prefix)
		}
	}
	for _, prefix := range p.allow {
		if inside(prefix, nat64) || inside(prefix, nat64Local) {
			if translatorLength(prefix) {
				p.nat64 = append(p.nat64, prefix)
			}
		}
		p.loopback = p.loopback || prefix.Overlaps(loopback4) || prefix.Contains(netip.IPv6Loopback())
	}
	if p.allowHosts, err = hostPatterns("AllowHosts", o.AllowHosts); err != nil {
		return nil, err
	}
	if p.denyHosts, err = hostPatterns("DenyHosts", o.DenyHosts); err != nil {
		return nil, err
	}
	return p, nil
}

var loopback4 = netip.MustParsePrefix("127.0.0.0/8")

// prefixes checks a list and puts it into the form that addresses are compared in:
// masked, and v4-mapped ranges as IPv4.
func prefixes(option string, list []netip.Prefix) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, prefix := range list {
		if !prefix.IsValid() {
			return nil, fmt.Errorf("egress: %s has a prefix that is not valid", option)
		}
		if prefix.Addr().Is4In6() {
			if prefix.Bits() < 96 {
				return nil, fmt.Errorf("egress: %s has %v; write a range of v4-mapped addresses as IPv4", option, prefix)
			}
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}

func translatorLength(prefix netip.Prefix) bool {
	return prefix.Addr().Is6() && slices.Contains([]int{32, 40, 48, 56, 64, 96}, prefix.Bits())
}

func inside(prefix, outer netip.Prefix) bool {
	return prefix.Bits() >= outer.Bits() && outer.Contains(prefix.Addr())
}

func contains(list []netip.Prefix, ip netip.Addr) (netip.Prefix, bool) {
	for _, prefix := range list {
		if prefix.Contains(ip) {
			return prefix, true
		}
	}
	return netip.Prefix{}, false
}

// A verdict is why an address was refused; a nil one lets it through.
type verdict struct {
	rule   Rule
	prefix netip.Prefix
	inner  netip.Addr // the IPv4 address inside that was refused, if it was that
}

// judge decides about an address as the operating system would dial it.
func (p *policy) judge(ip netip.Addr) *verdict {
	if ip.Zone() != "" && !ip.IsLinkLocalUnicast() {
		return &verdict{rule: RuleZone}
	}
	// A v4-mapped address is dialled as IPv4. Prefix.Contains is false for any zone.
	ip = ip.Unmap().WithZone("")
	if prefix, found := contains(p.deny, ip); found {
		return &verdict{rule: RuleDeny, prefix: prefix}
	}
	if !ip.IsValid() || ip.IsUnspecified() {
		return &verdict{rule: RuleUnspecified}
	}
	if prefix, found := contains(p.nat64, ip); found {
		in := translated(prefix, ip)
		if !in.ok {
			return &verdict{rule: RuleTunnel, prefix: prefix}
		}
		return p.judgeInner(in.ip)
	}
	if s, found := find(metadata, ip); found && !slices.Contains(p.allow, s.prefix) {
		return &verdict{rule: s.rule, prefix: s.prefix}
	}
	if s, found := notPublic(ip); found {
		// Where the IPv4 address is in nat64Local's depends on the translator.
		if _, allowed := contains(p.allow, ip); !allowed || s.prefix == nat64Local {
			return &verdict{rule: s.rule, prefix: s.prefix}
		}
	}
	if in, found := embedded(ip); found {
		return p.judgeInner(in)
	}
	return nil
}

func (p *policy) judgeInner(ip netip.Addr) *verdict {
	v := p.judge(ip)
	if v != nil {
		v.inner = ip
	}
	return v
}

// address judges an address and port that a host led to.
func (p *policy) address(host string, to netip.AddrPort) *BlockedError {
	v := p.judge(to.Addr())
	if v == nil {
		return nil
	}
	return &BlockedError{Host: host, IP: to.Addr(), Port: to.Port(), Rule: v.rule, Prefix: v.prefix, inner: v.inner, remedy: v.remedy(to.Addr())}
}

func (v *verdict) remedy(ip netip.Addr) string {
	switch v.rule {
	case RuleDeny:
		return "it is in the egress deny list (Deny)"
	case RuleUnspecified:
		return "nothing allows it"
	case RuleZone:
		return "leave the zone out"
	case RuleTunnel:
		if nat64.Contains(ip) || nat64Local.Contains(ip) {
			return "if this network has a NAT64 translator, name its prefix in the egress options (NAT64)"
		}
	}
	if v.inner.IsValid() {
		ip = v.inner
	}
	ip = ip.Unmap().WithZone("")
	return fmt.Sprintf("to let it through, add %s to the egress allow list (Allow)", netip.PrefixFrom(ip, ip.BitLen()))
}

// host judges what can be judged before a look-up.
func (p *policy) host(t target) *BlockedError {
	refuse := func(rule Rule, remedy string) *BlockedError {
		return &BlockedError{Host: t.host, IP: t.ip, Port: t.port, Rule: rule, remedy: remedy}
	}
	if !slices.ContainsFunc(p.ports, func(r PortRange) bool { return r.From <= t.port && t.port <= r.To }) {
		return refuse(RulePort, "the egress ports (Ports) would have to include it")
	}
	if slices.ContainsFunc(p.denyHosts, t.matches) {
		return refuse(RuleDenyHost, "it is in the hosts denied to egress (DenyHosts)")
	}
	if len(p.allowHosts) > 0 && !slices.ContainsFunc(p.allowHosts, t.matches) {
		return refuse(RuleAllowHosts, "the hosts allowed to egress (AllowHosts) would have to name it")
	}
	if t.ip.IsValid() {
		return p.address(t.host, netip.AddrPortFrom(t.ip, t.port))
	}
	if !p.loopback && isLocalhost(t.name) {
		return refuse(RuleLocalhost, "to let it through, add 127.0.0.1/32 or ::1/128 to the egress allow list (Allow)")
	}
	return nil
}
