package httpapi

import (
	"net/http"
	"strings"
)

// ignoredHeader names what was sent and nobody knows.
const ignoredHeader = "Neohook-Ignored"

// maxIgnored bounds the names in the header; "..." stands for more.
const maxIgnored = 16

// nameIgnored tells the client what was left alone.
func nameIgnored(header http.Header, names []string) {
	if len(names) == 0 {
		return
	}
	var text strings.Builder
	for i, name := range names {
		if i > 0 {
			text.WriteString(", ")
		}
		if i == maxIgnored {
			text.WriteString("...")
			break
		}
		text.WriteString(strings.Map(headerChar, clip(name)))
	}
	header.Set(ignoredHeader, text.String())
}

// headerChar lets a stranger's name into a header field as part of a list.
func headerChar(r rune) rune {
	if r <= ' ' || r > '~' || r == ',' {
		return '?'
	}
	return r
}
