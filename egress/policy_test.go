package egress

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"code.dny.dev/ssrf"
)

func policyOf(t *testing.T, o Options) *policy {
	t.Helper()
	o, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPolicy(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// judged is the rule that refuses an address, or "".
func judged(p *policy, ip string) Rule {
	if v := p.judge(netip.MustParseAddr(ip)); v != nil {
		return v.rule
	}
	return ""
}

func TestPublicAddressesAloneAreOpen(t *testing.T) {
	tests := map[Rule][]string{
		"": {
			"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "93.184.216.34", "100.63.255.255", "100.128.0.0",
			"126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
			"192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.114.0", "223.255.255.255",
			"168.63.129.15", "2000::1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "2001:4860:4860::8888",
			"2001:200::1", "3ffd::1", "::ffff:8.8.8.8", "2606:4700::5efe:808:808",
		},
		RuleUnspecified: {"0.0.0.0", "::", "::ffff:0.0.0.0"},
		RuleLoopback:    {"127.0.0.1", "127.0.0.0", "127.255.255.255", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "2606:4700::5efe:7f00:1"},
		RulePrivate: {
			"10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "::ffff:192.168.1.1",
			"fc00::1", "fd12:3456::1", "fec0::1", "2606:4700::5efe:a00:1", "2606:4700::200:5efe:c0a8:101",
		},
		RuleLinkLocal:     {"169.254.0.1", "169.254.169.253", "fe80::1", "febf::1", "fe80::1%eth0"},
		RuleShared:        {"100.64.0.1", "100.127.255.255"},
		RuleMulticast:     {"224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"},
		RuleBroadcast:     {"255.255.255.255", "::ffff:255.255.255.255"},
		RuleDocumentation: {"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "3fff:fff::1"},
		RuleBenchmark:     {"198.18.0.1", "198.19.255.255", "2001:2::1"},
		RuleMetadata: {
			"169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
			"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "::ffff:169.254.169.254", "fe80::a9fe:a9fe",
		},
		RuleTunnel: {
			"64:ff9b::8.8.8.8", "64:ff9b::127.0.0.1", "64:ff9b:1::1", "64:ff9b:1:ffff::10.0.0.1",
			"2002:808:808::1", "2002:7f00:1::1", "2001::1", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "192.88.99.1",
		},
		RuleReserved: {
			"0.0.0.1", "0.255.255.255", "192.0.0.1", "192.0.0.8", "192.0.0.170", "192.31.196.1", "192.52.193.1", "192.175.48.1",
			"240.0.0.1", "254.255.255.255", "::2", "::127.0.0.1", "::8.8.8.8", "100::1", "100:0:0:1::1", "1::1", "4000::1", "5f00::1",
			"2001:1::1", "2001:3::1", "2001:4:112::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:1ff::1", "2620:4f:8000::1",
			"3ffe::1", "64:ff9a::1", "64:ff9b:2::1", "8000::1", "e000::1", "fe00::1",
		},
		RuleZone: {"2606:4700::1%eth0", "::1%lo"},
	}
	p := policyOf(t, Options{})
	for want, ips := range tests {
		for _, ip := range ips {
			if got := judged(p, ip); got != want {
				t.Errorf("%s: rule %q, want %q", ip, got, want)
			}
		}
	}
	if v := p.judge(netip.Addr{}); v == nil {
		t.Error("the zero Addr is open")
	}
}

// Both ends of each range that the registries have are refused, so that a newer ssrf
// that knows more makes us refuse more.
func TestRegistriesAreCovered(t *testing.T) {
	p := policyOf(t, Options{})
	for _, prefix := range slices.Concat(ssrf.IPv4DeniedPrefixes, ssrf.IPv6DeniedPrefixes, prefixList("64:ff9b::/96")) {
		for _, ip := range []netip.Addr{prefix.Addr(), last(prefix)} {
			if p.judge(ip) == nil {
				t.Errorf("%v of %v is open", ip, prefix)
			}
		}
	}
}

func last(prefix netip.Prefix) netip.Addr {
	b := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

func TestAllowAndDeny(t *testing.T) {
	everything := []string{"0.0.0.0/0", "::/0"}
	tests := map[string]struct {
		allow, deny, nat64 []string
		open               []string
		closed             map[string]Rule
	}{
		"allow opens its range alone": {
			allow: []string{"10.1.0.0/16"},
			open:  []string{"10.1.2.3", "::ffff:10.1.2.3", "8.8.8.8"},
			closed: map[string]Rule{
				"10.2.0.1": RulePrivate, "127.0.0.1": RuleLoopback, "::10.1.2.3": RuleReserved, "64:ff9b::10.1.2.3": RuleTunnel,
			},
		},
		"a v4-mapped range is an IPv4 range": {
			allow: []string{"::ffff:10.0.0.0/104"},
			open:  []string{"10.1.2.3", "::ffff:10.1.2.3"},
		},
		"a range that is not masked counts as masked": {
			allow: []string{"10.1.2.3/8"}, open: []string{"10.200.0.1"},
		},
		"deny wins over allow": {
			allow: []string{"10.0.0.0/8"}, deny: []string{"10.9.0.0/16"},
			open:   []string{"10.8.0.1"},
			closed: map[string]Rule{"10.9.0.1": RuleDeny, "::ffff:10.9.0.1": RuleDeny},
		},
		"deny wins over the narrower allow": {
			allow: []string{"10.9.9.9/32"}, deny: []string{"10.0.0.0/8"},
			closed: map[string]Rule{"10.9.9.9": RuleDeny},
		},
		"deny closes what is public": {
			deny:   []string{"8.8.8.0/24", "2606:4700::/32"},
			open:   []string{"8.8.4.4"},
			closed: map[string]Rule{"8.8.8.8": RuleDeny, "::ffff:8.8.8.8": RuleDeny, "2606:4700::1": RuleDeny},
		},
		"allowing everything leaves three closed": {
			allow: everything,
			open:  []string{"127.0.0.1", "::1", "10.0.0.1", "169.254.0.1", "fe80::1", "fe80::1%eth0", "224.0.0.1", "2002:a00:1::1", "64:ff9b::10.0.0.1", "::10.0.0.1"},
			closed: map[string]Rule{
				"0.0.0.0": RuleUnspecified, "::": RuleUnspecified,
				"169.254.169.254": RuleMetadata, "fd00:ec2::254": RuleMetadata, "168.63.129.16": RuleMetadata,
				"64:ff9b::169.254.169.254": RuleMetadata, "2002:a9fe:a9fe::1": RuleMetadata, "::169.254.169.254": RuleMetadata,
				"64:ff9b:1::10.0.0.1": RuleTunnel,
			},
		},
		"a metadata service is opened by its own address": {
			allow:  []string{"169.254.169.254/32"},
			open:   []string{"169.254.169.254", "::ffff:169.254.169.254"},
			closed: map[string]Rule{"169.254.170.2": RuleMetadata, "169.254.1.1": RuleLinkLocal},
		},
		"the address inside a tunnel is judged too": {
			allow: []string{"2002::/16", "2001::/32", "64:ff9b::/96", "::/96"},
			open:  []string{"2002:808:808::1", "64:ff9b::8.8.8.8", "2001:0:1:2:3:4:f7f7:f7f7", "::8.8.8.8", "::1"},
			closed: map[string]Rule{
				"2002:7f00:1::1": RuleLoopback, "64:ff9b::10.0.0.1": RulePrivate, "2001:0:1:2:3:4:80ff:fffe": RuleLoopback,
				"::10.0.0.1": RulePrivate, "2002::1": RuleUnspecified, "64:ff9b::": RuleUnspecified,
			},
		},
		"deny reaches into tunnels": {
			allow: everything, deny: []string{"127.0.0.0/8"},
			open: []string{"10.0.0.1", "::1"},
			closed: map[string]Rule{
				"127.0.0.1": RuleDeny, "2002:7f00:1::1": RuleDeny, "64:ff9b::127.0.0.1": RuleDeny, "::127.0.0.1": RuleDeny,
				"2606:4700::5efe:7f00:1": RuleDeny, "0.0.0.0": RuleUnspecified,
			},
		},
		"a translator's addresses are judged as IPv4": {
			nat64: []string{"64:ff9b::/96", "64:ff9b:1::/48", "2606:4700:64::/96", "2a00:1234::/32"},
			open: []string{
				"64:ff9b::8.8.8.8", "64:ff9b:1:808:8:800::", "2606:4700:64::8.8.8.8", "2a00:1234:808:808::", "2a00:1235::1",
			},
			closed: map[string]Rule{
				"64:ff9b::127.0.0.1": RuleLoopback, "64:ff9b:1:7f00:0:100::": RuleLoopback, "64:ff9b:1:a00::": RulePrivate,
				"2606:4700:64::10.0.0.1": RulePrivate, "2606:4700:64::a9fe:a9fe": RuleMetadata, "2a00:1234:a00:1::": RulePrivate,
				"2a00:1234:808:808::1": RuleTunnel, "64:ff9b:1:808:8:800:7f00:1": RuleTunnel, "2a00:1234:808:808:100::": RuleTunnel,
			},
		},
		"allow inside the translators' ranges names a translator": {
			allow:  []string{"64:ff9b:1:2::/96", "10.0.0.0/8"},
			open:   []string{"64:ff9b:1:2::8.8.8.8", "64:ff9b:1:2::10.0.0.1"},
			closed: map[string]Rule{"64:ff9b:1:2::127.0.0.1": RuleLoopback, "64:ff9b:1:3::8.8.8.8": RuleTunnel},
		},
		"deny of a translator's prefix": {
			nat64: []string{"64:ff9b::/96"}, deny: []string{"64:ff9b::/96"},
			closed: map[string]Rule{"64:ff9b::8.8.8.8": RuleDeny},
		},
		"one address of a translator": {
			allow:  []string{"64:ff9b::808:808/128"},
			open:   []string{"64:ff9b::8.8.8.8"},
			closed: map[string]Rule{"64:ff9b::8.8.4.4": RuleTunnel},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := policyOf(t, Options{Allow: prefixList(test.allow...), Deny: prefixList(test.deny...), NAT64: prefixList(test.nat64...)})
			for _, ip := range test.open {
				if got := judged(p, ip); got != "" {
					t.Errorf("%s: rule %q, want it open", ip, got)
				}
			}
			for ip, want := range test.closed {
				if got := judged(p, ip); got != want {
					t.Errorf("%s: rule %q, want %q", ip, got, want)
				}
			}
		})
	}
}

// The example of RFC 6052, 2.4, for each length of prefix.
func TestTranslatedReadsEachLength(t *testing.T) {
	tests := map[string]string{
		"2001:db8::/32":         "2001:db8:c000:221::",
		"2001:db8:100::/40":     "2001:db8:1c0:2:21::",
		"2001:db8:122::/48":     "2001:db8:122:c000:2:2100::",
		"2001:db8:122:300::/56": "2001:db8:122:3c0:0:221::",
		"2001:db8:122:344::/64": "2001:db8:122:344:c0:2:2100::",
		"2001:db8:122:344::/96": "2001:db8:122:344::192.0.2.33",
		"64:ff9b::/96":          "64:ff9b::192.0.2.33",
	}
	for prefix, ip := range tests {
		got := translated(netip.MustParsePrefix(prefix), netip.MustParseAddr(ip))
		if !got.ok || got.ip != netip.MustParseAddr("192.0.2.33") {
			t.Errorf("%s in %s: %+v, want 192.0.2.33", ip, prefix, got)
		}
	}
}

func TestWrongOptionsAreNamed(t *testing.T) {
	tests := map[string]struct {
		options Options
		says    string
	}{
		"invalid prefix":          {Options{Allow: make([]netip.Prefix, 1)}, "Allow"},
		"invalid denied prefix":   {Options{Deny: make([]netip.Prefix, 1)}, "Deny"},
		"half-mapped prefix":      {Options{Deny: prefixList("::ffff:0:0/90")}, "Deny has ::ffff:0.0.0.0/90"},
		"translator length":       {Options{NAT64: prefixList("2001:db8::/33")}, "NAT64 has 2001:db8::/33"},
		"translator family":       {Options{NAT64: prefixList("10.0.0.0/32")}, "NAT64 has 10.0.0.0/32"},
		"a bad host":              {Options{AllowHosts: []string{"a b"}}, `AllowHosts has "a b"`},
		"an empty host":           {Options{DenyHosts: []string{""}}, "DenyHosts"},
		"an empty suffix":         {Options{DenyHosts: []string{"*."}}, "DenyHosts"},
		"a star alone":            {Options{DenyHosts: []string{"*"}}, "DenyHosts"},
		"a suffix of an address":  {Options{DenyHosts: []string{"*.1.2.3.4"}}, "DenyHosts"},
		"a host with a port":      {Options{DenyHosts: []string{"a.example:80"}}, "DenyHosts"},
		"port zero":               {Options{Ports: []PortRange{{0, 80}}}, "Ports has 0-80"},
		"ports backwards":         {Options{Ports: []PortRange{{90, 80}}}, "Ports has 90-80"},
		"negative cache":          {Options{DNSCacheHosts: -1}, "DNSCacheHosts"},
		"bypass without a proxy":  {Options{ProxyBypass: []string{"a.example"}}, "ProxyBypass"},
		"resolving without proxy": {Options{ProxyResolves: true}, "ProxyResolves"},
	}
	for name, test := range tests {
		if _, err := New(test.options); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: err = %v, want one that names %s", name, err, test.says)
		}
	}
}

func TestBlockedErrorSaysWhatWouldAllow(t *testing.T) {
	tests := map[string]struct {
		options Options
		address string
		says    string
	}{
		"loopback":     {Options{}, "127.0.0.1:80", `egress: "127.0.0.1" is blocked by rule loopback (127.0.0.0/8); to let it through, add 127.0.0.1/32 to the egress allow list (Allow)`},
		"private six":  {Options{}, "[fd00::1]:80", `"fd00::1" is blocked by rule private (fc00::/7); to let it through, add fd00::1/128`},
		"mapped":       {Options{}, "[::ffff:10.0.0.1]:80", `"::ffff:10.0.0.1" is 10.0.0.1 and is blocked by rule private (10.0.0.0/8); to let it through, add 10.0.0.1/32`},
		"deny":         {Options{Deny: prefixList("8.8.0.0/16")}, "8.8.8.8:80", "rule deny (8.8.0.0/16); it is in the egress deny list (Deny)"},
		"port":         {Options{}, "8.8.8.8:22", `"8.8.8.8" port 22 is blocked by rule port; the egress ports (Ports) would have to include it`},
		"localhost":    {Options{}, "LocalHost.:80", `"LocalHost." is blocked by rule localhost; to let it through, add 127.0.0.1/32 or ::1/128`},
		"spelling":     {Options{}, "0x7f.1:80", `"0x7f.1" is 127.0.0.1 and is blocked by rule spelling; write the address as 127.0.0.1`},
		"hosts":        {Options{AllowHosts: []string{"*.example.com"}}, "example.com:443", "rule allow-hosts; the hosts allowed to egress (AllowHosts) would have to name it"},
		"denied host":  {Options{DenyHosts: []string{"*.example.com"}}, "a.example.com:443", "rule deny-host; it is in the hosts denied to egress (DenyHosts)"},
		"translator":   {Options{}, "[64:ff9b::8.8.8.8]:80", "rule tunnel (64:ff9b::/96); if this network has a NAT64 translator, name its prefix in the egress options (NAT64)"},
		"inside":       {Options{NAT64: prefixList("64:ff9b::/96")}, "[64:ff9b::7f00:1]:80", `"64:ff9b::7f00:1", which leads to 127.0.0.1, is blocked by rule loopback (127.0.0.0/8); to let it through, add 127.0.0.1/32`},
		"control code": {Options{}, "a\nb:80", `"a\nb" is blocked by rule spelling; a name has no '\n'`},
	}
	for name, test := range tests {
		d := newDialer(t, test.options)
		_, err := dial(d, "tcp", test.address)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: err = %v\nwant %s", name, err, test.says)
		}
		if blockedBy(err) == "" {
			t.Errorf("%s: %T is no *BlockedError", name, err)
		}
	}
}
