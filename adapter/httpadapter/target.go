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
	// basic is the Authorization that the URL's user and password ask for; "" is none.
	basic string
}

// parseTarget reads an absolute http or https URL. Errors do not repeat a password.
func parseTarget(text string) (target, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		var fault *url.Error // repeats the whole text
		if errors.As(err, &fault) {
			err = fault.Err
		}
		return target{}, fmt.Errorf("the URL can't be read: %w", err)
	}
	t := target{url: parsed, secure: parsed.Scheme == "https"}
	port := parsed.Port()
	switch {
	case parsed.Scheme != "http" && !t.secure:
		return target{}, fmt.Errorf("the URL's scheme is %q; it must be http or https", parsed.Scheme)
	case parsed.Opaque != "" || parsed.Hostname() == "":
		return target{}, errors.New("the URL has no host")
	case port == "" && t.secure:
		port = "443"
	case port == "":
		port = "80"
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return target{}, fmt.Errorf("the URL's port %q is not in 1 to 65535", port)
	}
	if t.host, err = asciiHost(parsed.Hostname()); err != nil {
		return target{}, fmt.Errorf("the URL's host can't be looked up: %w", err)
	}
	t.addr = net.JoinHostPort(t.host, port)
	t.shown = text
	if user := parsed.User; user != nil {
		password, _ := user.Password()
		t.basic = "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
		t.shown = parsed.Redacted()
	}
	return t, nil
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
