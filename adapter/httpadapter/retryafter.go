package httpadapter

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// RetryAfter reads the Retry-After field (RFC 9110, 10.2.3) of an answer that came at
// the instant now, as seconds (a fraction is rounded up) or as an HTTP date. It returns 0
// for an absent or malformed value and for a date that has passed.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.Trim(header.Get("Retry-After"), " \t")
	if value == "" {
		return 0
	}
	if seconds, ok := parseSeconds(value); ok {
		return seconds
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}

// parseSeconds reads digits, with a fraction perhaps. What a Duration can't hold is the
// longest one that is whole seconds.
func parseSeconds(value string) (time.Duration, bool) {
	whole, fraction, _ := strings.Cut(value, ".")
	if whole == "" || !onlyDigits(whole) || !onlyDigits(fraction) || strings.HasSuffix(value, ".") {
		return 0, false
	}
	const most = math.MaxInt64 / int64(time.Second)
	var seconds int64
	for _, digit := range []byte(whole) {
		seconds = seconds*10 + int64(digit-'0')
		if seconds >= most {
			return time.Duration(most) * time.Second, true
		}
	}
	if strings.Trim(fraction, "0") != "" {
		seconds++
	}
	return time.Duration(seconds) * time.Second, true
}

func onlyDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}
