package main

import (
	"net"
	"strings"
	"testing"
)

func TestServerThatOnlyDeliversGivesNothingToPaste(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	for role, pastes := range map[roleName]bool{doAll: true, apiOnly: true, deliverOnly: false} {
		c := &serveCommand{}
		c.Role = role
		text := c.banner(&server{folder: "data", token: "token", listener: listener})
		if strings.Contains(text, "/app/acme/msg") != pastes || !strings.Contains(text, baseURL(listener)) {
			t.Errorf("role %s: %s", role, text)
		}
	}
}
