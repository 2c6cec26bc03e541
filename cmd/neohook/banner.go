package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// banner is what serve prints once it is ready: where it is, and a script to paste that
// makes a tenant, an endpoint and a first event.
func (c *serveCommand) banner(srv *server) string {
	token := filepath.Join(srv.folder, tokenFile)
	var out strings.Builder
	fmt.Fprintf(&out, "\nNeohook %s is listening on %s\n", programVersion(), baseURL(srv.listener))
	if c.Role == deliverOnly {
		out.WriteString("This server only delivers, and serves /api/v1/health and /metrics: events are for one whose role is all or api\n\n")
		return out.String()
	}
	switch {
	case srv.token == "" && c.Database != "":
		out.WriteString("This folder has no API token that the database knows: the server that made the database has it in its own\n")
	case srv.token == "":
		fmt.Fprintf(&out, "The API token is lost: stop the server and run neohook token --new --data %s\n", quote(string(c.Data)))
	default:
		fmt.Fprintf(&out, "The API token is in %s\n", token)
	}
	fmt.Fprintf(&out, "\nA receiver, in a second terminal:\n\n    %s receive\n", self())
	if !c.allows(netip.AddrFrom4([4]byte{127, 0, 0, 1})) {
		out.WriteString("\nThis server sends to public addresses only, so the receiver gets nothing\n" +
			"until the server is started with --egress-allow 127.0.0.0/8\n")
	}
	out.WriteString("\nA first event, to paste into a third:\n\n")
	for line := range strings.Lines(firstEvent(baseURL(srv.listener), token)) {
		out.WriteString("    " + line)
	}
	return out.String() + "\n"
}

func (c *serveCommand) allows(address netip.Addr) bool {
	return slices.ContainsFunc(c.EgressAllow, func(block cidr) bool {
		return netip.Prefix(block).Contains(address)
	})
}

// self is how whoever started this program can start it again, from the same folder.
func self() string {
	name := os.Args[0]
	if !strings.Contains(name, "go-build") {
		return quote(name)
	}
	// Built by go run, under a name that is gone when the program is.
	if _, err := os.Stat("cmd/neohook/main.go"); err == nil {
		return "go run ./cmd/neohook"
	}
	return "neohook"
}

// firstEvent is a script for any shell. Pasted twice, it makes a second event of the
// same tenant and endpoint.
func firstEvent(server, tokenFile string) string {
	return fmt.Sprintf(`TOKEN=$(cat %s)
api() { curl -sS -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' %s/api/v1"$@"; echo; }
api '/app?get_if_exists=true' -d '{"uid": "acme", "name": "Acme"}'
api /app/acme/endpoint/first -X PUT -d '{"uid": "first", "url": "http://127.0.0.1:9000/"}'
api /app/acme/msg -d '{"eventType": "invoice.paid", "payload": {"invoice": 42, "amount": "19.90"}}'
`, quote(tokenFile), server)
}

// quote makes one word of text for any shell.
func quote(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./"
	if strings.Trim(text, plain) == "" && text != "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
