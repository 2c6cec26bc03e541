package egress

import (
	"net/netip"

	"code.dny.dev/ssrf"
)

// A span is a range of addresses and the rule that refuses it.
type span struct {
	prefix netip.Prefix
	rule   Rule
}

func spans(rule Rule, prefixes ...string) []span {
	list := make([]span, len(prefixes))
	for i, prefix := range prefixes {
		list[i] = span{netip.MustParsePrefix(prefix), rule}
	}
	return list
}

// metadata lists the services that tell a cloud machine about itself, credentials
// included. Most lie in ranges that are refused anyway; they are named so that a wide
// Allow does not open them.
var metadata = spans(RuleMetadata,
	"169.254.169.254/32",     // AWS, Google, Azure, OpenStack, Oracle and most others
	"169.254.170.2/32",       // AWS ECS task credentials
	"169.254.170.23/32",      // AWS EKS pod identity
	"169.254.0.23/32",        // Tencent
	"169.254.42.42/32",       // Scaleway
	"100.100.100.200/32",     // Alibaba
	"168.63.129.16/32",       // Azure wire server; a public address, reachable only inside
	"192.0.0.192/32",         // Oracle, classic
	"fd00:ec2::254/128",      // AWS
	"fd00:ec2::23/128",       // AWS EKS pod identity
	"fd20:ce::254/128",       // Google
	"fd00:42::42/128",        // Scaleway
	"fd00:c1::a9fe:a9fe/128", // Oracle
	"fe80::a9fe:a9fe/128",    // OpenStack
)

// special lists what is not a host of the public internet: the IANA special-purpose
// registries (RFC 6890) under names of their own. What ssrf knows beyond it is refused
// as RuleReserved.
var special = concat(
	spans(RuleLoopback, "127.0.0.0/8", "::1/128"),
	spans(RulePrivate, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
	spans(RuleLinkLocal, "169.254.0.0/16", "fe80::/10"),
	spans(RuleShared, "100.64.0.0/10"),
	spans(RuleMulticast, "224.0.0.0/4", "ff00::/8"),
	spans(RuleBroadcast, "255.255.255.255/32"),
	spans(RuleDocumentation, "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
	spans(RuleBenchmark, "198.18.0.0/15", "2001:2::/48"),
	spans(RuleTunnel,
		"2002::/16",      // 6to4 (RFC 3056)
		"2001::/32",      // Teredo (RFC 4380)
		"64:ff9b::/96",   // NAT64 (RFC 6052)
		"64:ff9b:1::/48", // NAT64, local use (RFC 8215)
		"192.88.99.0/24", // 6to4 relays (RFC 7526)
	),
	spans(RuleReserved,
		"0.0.0.0/8", "192.0.0.0/24", "240.0.0.0/4",
		"100::/64",  // discard (RFC 6666)
		"5f00::/16", // SRv6 segments (RFC 9602)
		"2001::/23", // IETF protocol assignments (RFC 2928)
		"3ffe::/16", // 6bone, given back (RFC 3701)
	),
)

func concat(lists ...[]span) []span {
	var all []span
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// find returns the first span that contains ip, which has no zone and is not v4-mapped.
func find(list []span, ip netip.Addr) (span, bool) {
	for _, s := range list {
		if s.prefix.Contains(ip) {
			return s, true
		}
	}
	return span{}, false
}

// registries follows the IANA special-purpose registries as its maintainers update it.
var registries = ssrf.New(ssrf.WithAnyNetwork(), ssrf.WithAnyPort())

// notPublic returns the built-in rule that refuses ip.
func notPublic(ip netip.Addr) (span, bool) {
	if s, found := find(special, ip); found {
		return s, true
	}
	if registries.SafeAddr(ip) != nil {
		return span{rule: RuleReserved}, true
	}
	return span{}, false
}
