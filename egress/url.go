package egress

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// CheckURL judges a URL as far as that goes without a look-up: scheme, port, spelling of
// the host, names of this machine, host lists and, where the host is an address, the
// address. It returns a *BlockedError or nil. It tells whoever enters a URL at once; it
// does not replace the judgement of DialContext, which comes to the same for the same
// host and port.
//
// A user and password in the URL are no matter here. The host is what net/http takes
// for it, and is refused if it is written so that others could take it for another one.
func (d *Dialer) CheckURL(u *url.URL) error {
	if blocked := d.policy.url(u); blocked != nil {
		return blocked
	}
	return nil
}

func (p *policy) url(u *url.URL) *BlockedError {
	if u == nil {
		return &BlockedError{Rule: RuleURL, remedy: "there is no URL"}
	}
	host := u.Hostname()
	refuse := func(rule Rule, remedy string) *BlockedError {
		return &BlockedError{Host: host, Rule: rule, remedy: remedy}
	}
	port, known := map[string]uint16{"http": 80, "https": 443}[u.Scheme]
	switch {
	case !known:
		return refuse(RuleScheme, "a URL begins with https:// or http://")
	case p.httpsOnly && u.Scheme != "https":
		return refuse(RuleScheme, "only https is allowed (HTTPSOnly)")
	case u.Opaque != "" || u.Host == "":
		return refuse(RuleURL, "a URL has // and a host behind its scheme")
	}
	if !plainHost(u) {
		return refuse(RuleURL, "write the host as a name or address, an IPv6 address in brackets, and the port behind a colon")
	}
	t, blocked := parseHost(host)
	if blocked != nil {
		return blocked
	}
	t.port = port
	if text := u.Port(); text != "" {
		number, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return refuse(RulePort, "a port is 1 to 65535")
		}
		t.port = uint16(number)
	}
	return p.host(t)
}

// plainHost says whether the parts that net/http takes a URL's host apart into are all
// there is to it. A URL that was put together by hand can have anything in Host.
func plainHost(u *url.URL) bool {
	host := u.Hostname()
	v6 := strings.Contains(host, ":")
	if v6 {
		if _, err := netip.ParseAddr(host); err != nil {
			return false
		}
		host = "[" + host + "]"
	}
	return u.Host == host || u.Host == host+":"+u.Port()
}
