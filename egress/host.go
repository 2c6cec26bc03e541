package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// A target is what a dial was asked for.
type target struct {
	host string     // as asked for
	name string     // lower case, ASCII, no dot at the end; "" where ip is valid
	root bool       // the name had a dot at its end: no search domains
	ip   netip.Addr // of a literal
	port uint16
}

// lookup is the name as a resolver should get it.
func (t *target) lookup() string {
	if t.root {
		return t.name + "."
	}
	return t.name
}

func parseTarget(address string) (target, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return target{}, fmt.Errorf("egress: %q is no address: %w", address, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return target{}, fmt.Errorf("egress: %q has no port of 1 to 65535 in figures", address)
	}
	t, blocked := parseHost(host)
	t.port = uint16(number)
	if blocked != nil {
		blocked.Port = t.port
		return t, blocked
	}
	return t, nil
}

// parseHost reads a host as net/http and net read it, and refuses what they or others
// would read in more than one way.
func parseHost(host string) (target, *BlockedError) {
	t := target{host: host}
	refuse := func(ip netip.Addr, remedy string) (target, *BlockedError) {
		return t, &BlockedError{Host: host, IP: ip, Rule: RuleSpelling, remedy: remedy}
	}
	ascii, err := toASCII(host)
	if err != nil {
		return refuse(netip.Addr{}, "it is no internationalised domain name")
	}
	if ip, err := netip.ParseAddr(ascii); err == nil {
		if zone := ip.Zone(); zone != "" && (!ip.IsLinkLocalUnicast() || checkLabel(strings.ToLower(zone)) != nil) {
			return t, &BlockedError{Host: host, IP: ip.WithZone(""), Rule: RuleZone, remedy: "leave the zone out"}
		}
		t.ip = ip.Unmap() // as it is dialled
		return t, nil
	}
	t.name, t.root = strings.CutSuffix(strings.ToLower(ascii), ".")
	if ip, numeric := looseIPv4(t.name); numeric {
		if ip.IsValid() {
			return refuse(ip, "write the address as "+ip.String())
		}
		return refuse(ip, "its last label is a number and it is no address")
	}
	if err := checkName(t.name); err != nil {
		return refuse(netip.Addr{}, err.Error())
	}
	return t, nil
}

// toASCII does what net/http does to the host of a URL.
func toASCII(host string) (string, error) {
	for i := range len(host) {
		if host[i] >= 0x80 {
			return idna.Lookup.ToASCII(host)
		}
	}
	return host, nil
}

func checkName(name string) error {
	if name == "" || len(name) > 253 {
		return errors.New("a name has 1 to 253 characters")
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

func checkLabel(label string) error {
	if label == "" || len(label) > 63 {
		return errors.New("each part of a name has 1 to 63 characters")
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return errors.New("no part of a name begins or ends with a hyphen")
	}
	for _, c := range []byte(label) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return fmt.Errorf("a name has no %q", c)
		}
	}
	return nil
}

// looseIPv4 reads what inet_aton and the URL Standard take for an IPv4 address: one to
// four numbers, each decimal, octal (0…) or hexadecimal (0x…), of which the last fills
// the bytes that are left. The name is taken for a number when its last label is one,
// as the URL Standard has it; then ip is invalid where it is no address.
func looseIPv4(name string) (ip netip.Addr, numeric bool) {
	labels := strings.Split(strings.TrimRight(name, "."), ".")
	if !isNumber(labels[len(labels)-1]) {
		return netip.Addr{}, false
	}
	if len(labels) > 4 {
		return netip.Addr{}, true
	}
	var value uint64
	for i, label := range labels {
		part, err := looseNumber(label)
		limit, shift := uint64(0xff), 8*(3-i)
		if i == len(labels)-1 {
			limit, shift = uint64(0xffffffff)>>(8*i), 0
		}
		if err != nil || part > limit {
			return netip.Addr{}, true
		}
		value |= part << shift
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}

func isNumber(label string) bool {
	if label != "" && strings.Trim(label, "0123456789") == "" {
		return true
	}
	hex, found := strings.CutPrefix(label, "0x")
	return found && strings.Trim(hex, "0123456789abcdef") == ""
}

func looseNumber(label string) (uint64, error) {
	if hex, found := strings.CutPrefix(label, "0x"); found {
		if hex == "" {
			return 0, nil
		}
		return strconv.ParseUint(hex, 16, 64)
	}
	if len(label) > 1 && label[0] == '0' {
		return strconv.ParseUint(label, 8, 64)
	}
	return strconv.ParseUint(label, 10, 64)
}

// isLocalhost knows the names of this machine: RFC 6761, 6.3, and those that systems
// have in their hosts file.
func isLocalhost(name string) bool {
	switch name {
	case "localhost", "localhost.localdomain", "localhost4", "localhost4.localdomain4",
		"localhost6", "localhost6.localdomain6", "ip6-localhost", "ip6-loopback":
		return true
	}
	return strings.HasSuffix(name, ".localhost")
}

// A hostPattern is an entry of AllowHosts or DenyHosts.
type hostPattern struct {
	name  string
	below bool // the names below name, and not itself
	ip    netip.Addr
}

func hostPatterns(option string, list []string) ([]hostPattern, error) {
	out := make([]hostPattern, 0, len(list))
	for _, text := range list {
		rest, below := strings.CutPrefix(text, "*.")
		t, blocked := parseHost(rest)
		if blocked != nil || below && t.ip.IsValid() {
			return nil, fmt.Errorf("egress: %s has %q, which is no name, address or \"*.\" and a name", option, text)
		}
		out = append(out, hostPattern{t.name, below, t.ip.WithZone("")})
	}
	return out, nil
}

func (t *target) matches(p hostPattern) bool {
	if t.ip.IsValid() {
		return t.ip.WithZone("") == p.ip
	}
	if p.below {
		return len(t.name) > len(p.name) && strings.HasSuffix(t.name, p.name) && t.name[len(t.name)-len(p.name)-1] == '.'
	}
	return p.name != "" && t.name == p.name
}
