package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// receiveCommand runs a receiver to look at webhooks with.
type receiveCommand struct {
	Listen  address      `placeholder:"HOST:PORT" default:"127.0.0.1:9000" help:"Address to receive on. Port 0 takes a free one."`
	Secret  []string     `placeholder:"WHSEC" sep:"none" help:"The endpoint's signing secret, as whsec_…; wrongly signed requests are answered 401. Repeat it during a rotation. Without it nothing is checked."`
	Status  answerStatus `placeholder:"CODE" default:"200" help:"Answer with this status."`
	Delay   span         `placeholder:"TIME" default:"0s" help:"Wait before answering."`
	MaxBody size         `placeholder:"SIZE" default:"2MiB" help:"Refuse larger bodies with 413."`
}

// receiveGrace is how long requests in flight may take once the receiver ends. It has
// nothing to write down, so it is short.
const receiveGrace = 2 * time.Second

func (c *receiveCommand) run(ctx context.Context, console console) error {
	verifier, err := newVerifier(c.Secret)
	if err != nil {
		return &usageError{fmt.Errorf("--secret: %w", err)}
	}
	listener, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	printer := console.printer()
	handler := &receiver{
		verifier: verifier,
		maxBody:  int64(c.MaxBody),
		answer:   func(reception) int { return int(c.Status) },
		delay:    time.Duration(c.Delay),
		seen:     printer.print,
	}
	checks := "signatures are checked"
	if verifier == nil {
		checks = "signatures are not checked: give --secret"
	}
	_, _ = fmt.Fprintf(console.err, "Receiving on %s, %s. Ctrl-C ends it.\n", baseURL(listener), checks)

	server := newHTTPServer(handler, slog.New(slog.DiscardHandler))
	server.WriteTimeout += time.Duration(c.Delay)
	server.BaseContext = func(net.Listener) context.Context { return ctx } // ends the delays
	return serveHTTP(ctx, server, listener, receiveGrace)
}

// newVerifier returns nil for no secrets.
func newVerifier(texts []string) (*signature.Verifier, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	secrets := make([]webhook.Secret, len(texts))
	for i, text := range texts {
		secrets[i] = webhook.Secret(text)
	}
	return signature.NewVerifier(secrets...)
}

// answerStatus is a status that can end an answer: 1xx can't.
type answerStatus int

func (s *answerStatus) UnmarshalText(text []byte) error {
	code, err := strconv.Atoi(string(text))
	if err != nil || code < 200 || code > 599 {
		return fmt.Errorf("%q is not a status from 200 to 599", text)
	}
	*s = answerStatus(code)
	return nil
}
