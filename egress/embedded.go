package egress

import "net/netip"

var (
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	v4Compat   = netip.MustParsePrefix("::/96")
	siit       = netip.MustParsePrefix("::ffff:0:0:0/96")
)

// embedded returns the IPv4 address that packets for ip end up at by a tunnel or
// translator whose form of address is well known.
func embedded(ip netip.Addr) (netip.Addr, bool) {
	if ip.Is4() {
		return netip.Addr{}, false
	}
	b := ip.As16()
	switch {
	case sixToFour.Contains(ip): // RFC 3056, 2
		return v4(b[2:6]), true
	case teredo.Contains(ip): // RFC 4380, 4: the client's address, inverted
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), true
	case nat64.Contains(ip), siit.Contains(ip): // RFC 6052, 2.1; RFC 2765, 2.1
		return v4(b[12:]), true
	case ip.IsLoopback() || ip.IsUnspecified():
		return netip.Addr{}, false
	case v4Compat.Contains(ip): // RFC 4291, 2.5.5.1
		return v4(b[12:]), true
	case b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214, 6.1
		return v4(b[12:]), true
	}
	return netip.Addr{}, false
}

// A translation is an IPv4 address read from a translator's IPv6 address.
type translation struct {
	ip netip.Addr
	ok bool // the bits that must be zero are
}

// translated reads the IPv4 address in ip, which lies in prefix, a translator's, by the
// table of RFC 6052, 2.2.
func translated(prefix netip.Prefix, ip netip.Addr) translation {
	b := ip.As16()
	if prefix.Bits() == 96 {
		return translation{v4(b[12:]), true}
	}
	var four [4]byte
	at := prefix.Bits() / 8
	for i := range four {
		if at == 8 { // the octet that is kept zero
			at++
		}
		four[i] = b[at]
		at++
	}
	t := translation{netip.AddrFrom4(four), b[8] == 0}
	for _, rest := range b[max(at, 9):] {
		t.ok = t.ok && rest == 0
	}
	return t
}

func v4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }
