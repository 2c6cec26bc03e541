package egress

import (
	"net/url"
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	tests := map[string]struct {
		options Options
		url     string
		rule    Rule
	}{
		"a name":                     {Options{}, "https://hooks.example.com/in?x=1#y", ""},
		"a name with a port":         {Options{}, "http://hooks.example.com:8080/", ""},
		"a name with a dot":          {Options{}, "https://hooks.example.com./", ""},
		"an underscore":              {Options{}, "https://my_hooks.example.com/", ""},
		"a single label":             {Options{}, "http://receiver/", ""},
		"an international name":      {Options{}, "https://bücher.example/", ""},
		"an encoded one":             {Options{}, "https://b%C3%BCcher.example/", ""},
		"an A-label":                 {Options{}, "https://xn--bcher-kva.example/", ""},
		"digits in a name":           {Options{}, "https://1.2.3.4.example/", ""},
		"user and password":          {Options{}, "https://user:p%40ss@hooks.example.com/", ""},
		"a public address":           {Options{}, "https://8.8.8.8/", ""},
		"a public IPv6 address":      {Options{}, "https://[2606:4700:4700::1111]:8443/", ""},
		"a port that is empty":       {Options{}, "https://hooks.example.com:/", ""},
		"loopback":                   {Options{}, "http://127.0.0.1/", RuleLoopback},
		"loopback that is allowed":   {Options{Allow: prefixList("127.0.0.0/8")}, "http://127.0.0.1:9000/", ""},
		"localhost":                  {Options{}, "http://localhost:9000/", RuleLocalhost},
		"localhost that is allowed":  {Options{Allow: prefixList("::1/128")}, "http://localhost:9000/", ""},
		"localhost by a wide allow":  {Options{Allow: prefixList("0.0.0.0/0")}, "http://localhost:9000/", ""},
		"a user that looks a host":   {Options{}, "http://example.com@10.0.0.1/", RulePrivate},
		"a number":                   {Options{}, "http://134744072/", RuleSpelling},
		"a zone":                     {Options{Allow: prefixList("::/0")}, "http://[2606:4700::1%25eth0]/", RuleZone},
		"a link-local zone":          {Options{Allow: prefixList("fe80::/10")}, "http://[fe80::1%25eth0]/", ""},
		"a zone that is no name":     {Options{Allow: prefixList("fe80::/10")}, "http://[fe80::1%25a%20b]/", RuleZone},
		"a hyphen at an end":         {Options{}, "http://a-.example/", RuleSpelling},
		"an invalid A-label mix":     {Options{}, "http://ü.xn--a/", RuleSpelling},
		"a long label":               {Options{}, "http://" + strings.Repeat("a", 64) + ".example/", RuleSpelling},
		"a long name":                {Options{}, "http://" + strings.Repeat("a.", 127) + "example/", RuleSpelling},
		"ssh":                        {Options{}, "https://hooks.example.com:22/", RulePort},
		"port zero":                  {Options{}, "https://hooks.example.com:0/", RulePort},
		"port 65536":                 {Options{}, "https://hooks.example.com:65536/", RulePort},
		"port 1023":                  {Options{}, "https://hooks.example.com:1023/", RulePort},
		"port 1024":                  {Options{}, "https://hooks.example.com:1024/", ""},
		"a port of the options":      {Options{Ports: []PortRange{{22, 22}}}, "https://hooks.example.com:22/", ""},
		"443 outside the options":    {Options{Ports: []PortRange{{22, 22}}}, "https://hooks.example.com/", RulePort},
		"http where only https":      {Options{HTTPSOnly: true}, "http://hooks.example.com/", RuleScheme},
		"https where only https":     {Options{HTTPSOnly: true}, "https://hooks.example.com/", ""},
		"ftp":                        {Options{}, "ftp://hooks.example.com/", RuleScheme},
		"no scheme":                  {Options{}, "//hooks.example.com/", RuleScheme},
		"no host":                    {Options{}, "https:///path", RuleURL},
		"opaque":                     {Options{}, "https:hooks.example.com", RuleURL},
		"not among the hosts":        {Options{AllowHosts: []string{"a.example"}}, "https://b.example/", RuleAllowHosts},
		"among the hosts":            {Options{AllowHosts: []string{"a.example"}}, "https://A.example./", ""},
		"below a suffix":             {Options{AllowHosts: []string{"*.a.example"}}, "https://x.y.a.example/", ""},
		"a suffix itself":            {Options{AllowHosts: []string{"*.a.example"}}, "https://a.example/", RuleAllowHosts},
		"a suffix without the dot":   {Options{AllowHosts: []string{"*.a.example"}}, "https://xa.example/", RuleAllowHosts},
		"an address among the hosts": {Options{AllowHosts: []string{"8.8.8.8"}}, "https://[::ffff:8.8.8.8]/", ""},
		"an address outside":         {Options{AllowHosts: []string{"8.8.8.8"}}, "https://8.8.4.4/", RuleAllowHosts},
		"a host exempts nothing":     {Options{AllowHosts: []string{"10.0.0.1"}}, "https://10.0.0.1/", RulePrivate},
		"a denied host":              {Options{DenyHosts: []string{"*.a.example"}, AllowHosts: []string{"x.a.example"}}, "https://x.a.example/", RuleDenyHost},
		"a denied address":           {Options{DenyHosts: []string{"8.8.8.8"}}, "https://8.8.8.8/", RuleDenyHost},
		"a denied IDN":               {Options{DenyHosts: []string{"BÜCHER.example"}}, "https://xn--bcher-kva.example/", RuleDenyHost},
	}
	for name, test := range tests {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		err = newDialer(t, test.options).CheckURL(u)
		if got := blockedBy(err); got != test.rule || (err == nil) != (test.rule == "") {
			t.Errorf("%s: CheckURL(%s) = %v, want rule %q", name, test.url, err, test.rule)
		}
	}
}

func TestCheckURLOfHandmadeURLs(t *testing.T) {
	d := newDialer(t, Options{})
	for name, u := range map[string]*url.URL{
		"nil":                nil,
		"empty":              {},
		"no host":            {Scheme: "http"},
		"a user in the host": {Scheme: "http", Host: "a@b.example"},
		"a path in the host": {Scheme: "http", Host: "b.example/x"},
		"a bare IPv6":        {Scheme: "http", Host: "2606:4700::1"},
		"half a bracket":     {Scheme: "http", Host: "[2606:4700::1"},
		"a bracketed name":   {Scheme: "http", Host: "[b.example]"},
		"a bracketed IPv4":   {Scheme: "http", Host: "[8.8.8.8]"},
		"two ports":          {Scheme: "http", Host: "b.example:80:80"},
		"a port with a sign": {Scheme: "http", Host: "b.example:+80"},
		"a line break":       {Scheme: "http", Host: "b.example\r\nX: y"},
		"an upper scheme":    {Scheme: "HTTP", Host: "b.example"},
	} {
		if err := d.CheckURL(u); blockedBy(err) == "" {
			t.Errorf("%s: CheckURL(%v) = %v, want a *BlockedError", name, u, err)
		}
	}
}

func TestDialerHoldsHostsAndPortsToThePolicy(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.3")
	z.set("a.test.", "127.0.0.3")
	allow := prefixList("127.0.0.3/32")
	tests := map[string]struct {
		options Options
		address string
		rule    Rule
	}{
		"allowed host":       {Options{AllowHosts: []string{"a.test"}}, c.at("a.test"), ""},
		"denied host":        {Options{DenyHosts: []string{"a.test"}}, c.at("A.TEST."), RuleDenyHost},
		"other host":         {Options{AllowHosts: []string{"b.test"}}, c.at("a.test"), RuleAllowHosts},
		"other port":         {Options{Ports: []PortRange{{80, 80}}}, c.at("a.test"), RulePort},
		"no port":            {Options{}, "a.test:0", RulePort},
		"host but not range": {Options{AllowHosts: []string{"a.test"}, Allow: prefixList("127.0.0.9/32")}, c.at("a.test"), RuleLoopback},
	}
	for name, test := range tests {
		test.options.Resolver = z.resolver()
		if test.options.Allow == nil {
			test.options.Allow = allow
		}
		_, err := dial(newDialer(t, test.options), "tcp", test.address)
		if got := blockedBy(err); got != test.rule || (err == nil) != (test.rule == "") {
			t.Errorf("%s: err = %v, want rule %q", name, err, test.rule)
		}
	}
}
