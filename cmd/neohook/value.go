package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/neohook/neohook/webhook"
)

// The kinds of value that a setting can have, where Go's own would take what makes no
// sense or refuse it without saying what would be right.

// folderName names a folder. No name would be the working directory, which nobody means
// who writes --data "$DIR" where DIR is not set.
type folderName string

func (f *folderName) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("names no folder; write . for the working directory")
	}
	*f = folderName(text)
	return nil
}

// address is a host and a numeric port to listen on; an empty host is every interface.
type address string

func (a *address) UnmarshalText(text []byte) error {
	_, port, err := net.SplitHostPort(string(text))
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT, as 127.0.0.1:8071", text)
	}
	*a = address(text)
	return nil
}

// cidr is a block of addresses.
type cidr netip.Prefix

func (c *cidr) UnmarshalText(text []byte) error {
	prefix, err := netip.ParsePrefix(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a block of addresses, as 127.0.0.0/8 or ::1/128", text)
	}
	*c = cidr(prefix.Masked())
	return nil
}

func (c cidr) String() string { return netip.Prefix(c).String() }

// MarshalText returns the block as it is written.
func (c cidr) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// jwtAlgorithm is one of JSON Web Algorithms (RFC 7518, 3.1).
type jwtAlgorithm string

func (a *jwtAlgorithm) UnmarshalText(text []byte) error {
	switch name := string(text); name {
	case "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "EdDSA":
		*a = jwtAlgorithm(name)
		return nil
	}
	return fmt.Errorf("%q is not one of HS256, HS384, HS512, RS256, RS384, RS512, EdDSA", text)
}

// publicURL is the address of a server, without a path or with one.
type publicURL string

func (u *publicURL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" ||
		parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
		return fmt.Errorf("%q is not the address of a server, as https://hooks.example", text)
	}
	*u = publicURL(text)
	return nil
}

// span is a time that something may take, 0 or more.
type span time.Duration

func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time, as 500ms, 30s or 2m", text)
	}
	*s = span(d)
	return nil
}

func (s span) String() string { return short(time.Duration(s)) }

// short is a time as people write it: 2h, where Go says 2h0m0s.
func short(d time.Duration) string {
	text := d.String()
	for _, rest := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, rest) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// MarshalText returns the time with its units.
func (s span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// keep is how long something is kept, within the bounds of a webhook.Retention; 0 is a
// default.
type keep time.Duration

func (k *keep) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d != 0 && (d < webhook.MinRetention || d > webhook.MaxRetention) {
		return fmt.Errorf("%q is not a time from %v to %v, as 720h", text, span(webhook.MinRetention), span(webhook.MaxRetention))
	}
	*k = keep(d)
	return nil
}

func (k keep) String() string { return short(time.Duration(k)) }

// MarshalText returns the time with its units.
func (k keep) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// schedule is waits between attempts.
type schedule webhook.Schedule

func (s *schedule) UnmarshalText(text []byte) error {
	waits := schedule{} // not nil: nil would ask the engine for its default
	if string(text) != "none" {
		for _, part := range strings.Split(string(text), ",") {
			wait, err := time.ParseDuration(strings.TrimSpace(part))
			if err != nil || wait < 0 {
				return fmt.Errorf("%q is not a wait, as 5s or 2h; write them as 5s,5m,2h, or none", part)
			}
			waits = append(waits, wait)
		}
	}
	*s = waits
	return nil
}

func (s schedule) String() string {
	if len(s) == 0 {
		return "none"
	}
	parts := make([]string, len(s))
	for i, wait := range s {
		parts[i] = short(wait)
	}
	return strings.Join(parts, ",")
}

// MarshalText returns the waits as they are written.
func (s schedule) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// size is a number of bytes, 1 or more.
type size int64

// units of size, largest first.
var units = []struct {
	suffix string
	bytes  size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

func (s *size) UnmarshalText(text []byte) error {
	for _, unit := range units {
		digits, found := strings.CutSuffix(string(text), unit.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 1 || n > int64(1<<50/unit.bytes) {
			break
		}
		*s = size(n) * unit.bytes
		return nil
	}
	return fmt.Errorf("%q is not a size, as 65536, 512KiB or 1MiB", text)
}

func (s size) String() string {
	for _, unit := range units {
		if s >= unit.bytes && s%unit.bytes == 0 {
			return strconv.FormatInt(int64(s/unit.bytes), 10) + unit.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText returns the size in its largest whole unit.
func (s size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// count is a number of things, 1 or more.
type count int

func (c *count) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is not a whole number of 1 or more", text)
	}
	*c = count(n)
	return nil
}

// limit is a count, or none, which is negative as in the engine's Options.
type limit int

const noLimit limit = -1

func (l *limit) UnmarshalText(text []byte) error {
	if string(text) == "none" {
		*l = noLimit
		return nil
	}
	var n count
	if err := n.UnmarshalText(text); err != nil {
		return fmt.Errorf("%w, or none", err)
	}
	*l = limit(n)
	return nil
}

func (l limit) String() string {
	if l == noLimit {
		return "none"
	}
	return strconv.Itoa(int(l))
}

// MarshalText returns the number, or none.
func (l limit) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// logLevel is the least severe level that is logged.
type logLevel slog.Level

func (l *logLevel) UnmarshalText(text []byte) error {
	switch string(text) {
	case "debug", "info", "warn", "error":
		return (*slog.Level)(l).UnmarshalText(text)
	}
	return fmt.Errorf("%q is not one of debug, info, warn, error", text)
}

func (l logLevel) String() string { return strings.ToLower(slog.Level(l).String()) }

// MarshalText returns the level's name.
func (l logLevel) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// logFormat is how messages are written.
type logFormat string

func (f *logFormat) UnmarshalText(text []byte) error {
	switch format := logFormat(text); format {
	case "text", "json":
		*f = format
		return nil
	}
	return fmt.Errorf("%q is not one of text, json", text)
}
