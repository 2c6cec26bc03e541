// Package egress decides which hosts may be dialled, and dials them.
//
// Whoever sends webhooks sends requests to addresses that strangers have chosen, from a
// machine that can reach more than they can: itself, its private network, the metadata
// service of its cloud. A [Dialer] refuses those. Its DialContext goes into an
// http.Transport:
//
//	dialer, err := egress.New(egress.Options{})
//	…
//	defer dialer.Close()
//	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
//
// # What is judged
//
// The address that is actually dialled, after the look-up, for every connection, where
// the operating system is about to be asked for it. So neither a name that leads
// elsewhere the second time nor a redirect gets around the policy, and the protocol
// that is spoken afterwards does not matter. Of a name with several addresses, those
// refused are left out.
//
// Before the look-up, a dial is refused if its port is outside Ports, or its host is in
// DenyHosts, outside AllowHosts, a name of this machine, or written in a way that
// programs read differently (0x7f.1, 2130706433, 127.0.0.1 with a dot behind it).
// [Dialer.CheckURL] does this part alone, and tells whoever enters a URL at once.
//
// # Which addresses are open
//
// In this order:
//
//  1. Deny closes its ranges. Nothing overrides it.
//  2. 0.0.0.0 and :: are closed. Nothing overrides it.
//  3. An address in a NAT64 range is judged as the IPv4 address in it.
//  4. The metadata services of clouds are closed, unless Allow names the single address.
//  5. Allow opens its ranges.
//  6. What is not a host of the public internet is closed: loopback, private, link-local
//     and shared networks, multicast, broadcast, and everything else in the IANA
//     special-purpose registries: documentation, benchmarking, 6to4, Teredo, NAT64,
//     SRv6, and IPv6 outside 2000::/3.
//  7. The rest is open.
//
// An IPv4 address is judged the same in its v4-mapped form. Where an IPv6 address holds
// an IPv4 address that packets to it end up at (6to4, Teredo, NAT64, SIIT,
// ISATAP, IPv4-compatible), that one must be open as well: Allow of 64:ff9b::/96 opens no way to
// 10.0.0.1.
//
// There is no exemption by name. AllowHosts narrows what may be dialled and widens
// nothing: a host in it whose address is private is refused until Allow has the address.
// A name belongs to whoever runs its DNS, and the policy belongs to the operator.
//
// A refusal is a [*BlockedError]: it has the host, the address and the [Rule], and its
// message names the option that would let it through. That message is for the operator;
// to a stranger it would tell which address a name has in here.
//
// # Looking up and connecting
//
// Answers are kept for DNSCacheTTL, whatever the TTL of their records, and failures for
// 2 s. Dials of one host share a look-up. A host that is dialled in the last tenth of
// its answer's time is looked up again in the background, so busy hosts never wait; no
// goroutine runs between look-ups. The cache holds addresses, not judgements.
//
// Several addresses are tried as RFC 8305 has it: families alternate, in the resolver's
// order, each 250 ms after the last or at once when that has failed, and the first
// connection wins. One that did not win by being first is tried first until the next
// look-up. Both families are looked up together and waited for: the RFC's Resolution
// Delay, between an answer for IPv6 and one for IPv4, has no place here. At most
// 16 addresses of an answer are used.
//
// [WithTrace] tells of a dial whether its look-up was answered from the cache and how
// long the parts took, [Dialer.Stats] counts, and [Dialer.Moved] tells whether an idle
// connection leads to where its host no longer is.
//
// # Proxies
//
// The Proxy of an http.Transport takes the judgement away from here: the transport asks
// DialContext for the proxy and tells the proxy the name. So it must be nil, and the
// proxy be in Options.Proxy: the target is looked up and judged here as ever, and the
// proxy is told the address. The transport sees an ordinary connection. A proxy must
// therefore permit CONNECT to addresses and, for plain http, to port 80. Where it is the
// proxy that looks up, ProxyResolves leaves the judgement of names' addresses to it.
package egress
