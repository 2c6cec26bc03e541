package httpadapter

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// target is where a request goes.
type target struct {
	url *url.URL
	// shown is the URL without its password.
	shown string
	// host is in ASCII and lower case; addr is it and the port.
	host, addr string
	secure     bool
	// hostField and requestURI are what an HTTP/1.1 request says.
	hostField, requestURI string
	// basic is the Authorization that the URL's user and password ask for; "" is none.
	basic string
}

// parseTarget reads an absolute http or https URL. Errors do not repeat a password.
func parseTarget(text string) (*target, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		var fault *url.Error // repeats the whole text
		if errors.As(err, &fault) {
			err = fault.Err
		}
		return nil, fmt.Errorf("the URL can't be read: %w", err)
	}
	t := &target{url: parsed, secure: parsed.Scheme == "https", shown: text}
	port := parsed.Port()
	switch {
	case parsed.Scheme != "http" && !t.secure:
		return nil, fmt.Errorf("the URL's scheme is %q; it must be http or https", parsed.Scheme)
	case parsed.Opaque != "" || parsed.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case port == "" && t.secure:
		port = "443"
	case port == "":
		port = "80"
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return nil, fmt.Errorf("the URL's port %q is not in 1 to 65535", port)
	}
	if t.host, err = asciiHost(parsed.Hostname()); err != nil {
		return nil, fmt.Errorf("the URL's host can't be looked up: %w", err)
	}
	if user := parsed.User; user != nil {
		password, _ := user.Password()
		t.basic = "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
		t.shown = parsed.Redacted()
	}
	if err := normalize(parsed); err != nil {
		return nil, fmt.Errorf("the URL's path can't be read: %w", err)
	}
	t.requestURI = parsed.RequestURI()
	t.addr = net.JoinHostPort(t.host, port)
	t.hostField = hostField(t.host, parsed.Port())
	return t, nil
}

// hostField is the host as receivers are told it, with the port if the URL names one.
func hostField(host, port string) string {
	if address, _, zoned := strings.Cut(host, "%"); zoned { // a zone means something here, not there
		host = address
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	return host
}

// normalize escapes what may not stand in a request line, and leaves everything else of
// the path and query as it was written. (RequestURI by itself takes a path in which one
// character needs an escape apart, and "%2F" in it becomes "/".)
func normalize(u *url.URL) error {
	path := u.RawPath
	if path == "" {
		path = u.EscapedPath()
	}
	u.RawPath = escape(path)
	u.RawQuery = escape(u.RawQuery)
	var err error
	u.Path, err = url.PathUnescape(u.RawPath)
	return err
}

func escape(text string) string {
	const legal = "!#$%&'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~"
	if strings.Trim(text, legal) == "" {
		return text
	}
	var out strings.Builder
	for i := range len(text) {
		if strings.IndexByte(legal, text[i]) >= 0 {
			out.WriteByte(text[i])
		} else {
			fmt.Fprintf(&out, "%%%02X", text[i])
		}
	}
	return out.String()
}

func asciiHost(host string) (string, error) {
	ascii := true
	for i := range len(host) {
		char := host[i]
		ascii = ascii && char < 0x80
		if char <= ' ' || char == 0x7f {
			return "", errors.New("it has a space or control character in it")
		}
	}
	if ascii {
		return strings.ToLower(host), nil
	}
	return idna.Lookup.ToASCII(host)
}
