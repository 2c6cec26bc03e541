package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// printer writes what a receiver got: for people in a terminal, as lines of JSON
// elsewhere. It is safe for concurrent use.
type printer struct {
	pretty bool
	colour bool

	mu  sync.Mutex // guards out
	out io.Writer
}

// maxPrinted is how much of a body people are shown.
const maxPrinted = 4 << 10

func (p *printer) print(got reception) {
	var text []byte
	if p.pretty {
		text = p.forPeople(got)
	} else {
		text, _ = json.Marshal(got) // plain strings and numbers: it can't fail
		text = append(text, '\n')
	}
	p.write(text)
}

func (p *printer) printf(format string, args ...any) { p.write(fmt.Appendf(nil, format, args...)) }

func (p *printer) write(text []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.out.Write(text) // a reader that went away stops no receiver
}

// forPeople is a line with what matters and the body below it. Nothing of a stranger's
// text reaches the terminal as a control sequence.
func (p *printer) forPeople(got reception) []byte {
	var out bytes.Buffer
	id := got.ID
	if id == "" {
		id = "(no webhook-id)"
	}
	fmt.Fprintf(&out, "%s  %s %s  %s  signature %s  answered %s\n",
		p.dim(got.At.Format("15:04:05.000")), got.Method, harmless(got.Path), harmless(id),
		p.verdict(got.Signature), p.status(got.Status))
	if got.Problem != "" {
		fmt.Fprintf(&out, "  %s\n", harmless(got.Problem))
	}
	out.WriteString(indented(got))
	return out.Bytes()
}

func (p *printer) verdict(signature string) string {
	switch signature {
	case "valid":
		return p.paint("32", signature)
	case "invalid":
		return p.paint("31", signature)
	}
	return p.paint("33", signature)
}

func (p *printer) status(code int) string {
	colour := "31"
	if code >= 200 && code < 300 {
		colour = "32"
	}
	return p.paint(colour, strconv.Itoa(code))
}

func (p *printer) dim(text string) string { return p.paint("2", text) }

func (p *printer) paint(colour, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// indented is the body for people: JSON with a field a line, other text as it is.
func indented(got reception) string {
	if len(got.BodyBinary) > 0 {
		return fmt.Sprintf("  %d bytes that are not text\n", len(got.BodyBinary))
	}
	if got.Body == "" {
		return ""
	}
	text := got.Body
	var laid bytes.Buffer
	if json.Indent(&laid, []byte(text), "", "  ") == nil {
		text = laid.String()
	}
	rest := ""
	if len(text) > maxPrinted {
		rest = fmt.Sprintf("  … and %d bytes more\n", len(text)-maxPrinted)
		text = strings.ToValidUTF8(text[:maxPrinted], "")
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("  " + harmless(strings.TrimRight(line, "\r\n")) + "\n")
	}
	return out.String() + rest
}

// harmless replaces what a terminal would act on instead of showing.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
