// Package neohook delivers webhooks: it stores each event before it says yes, signs it as
// Standard Webhooks wants, and sends it to the endpoints that asked for it until they
// take it or their schedule ends.
//
// An Engine over a store is all that a program embeds:
//
//	st, err := sqlite.Open(ctx, "neohook.db")
//	eng, err := neohook.New(ctx, st, neohook.Options{})
//	go eng.Run(ctx)
//
//	acme, err := eng.CreateTenant(ctx, webhook.Tenant{Name: "Acme", UID: "acme"})
//	ep, err := eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{URL: "https://acme.example/hook"})
//	ev, err := eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "invoice.paid", Payload: body})
//
// Who is told and of what is in package webhook; what an engine asks of a database in
// package store; how a receiver verifies in package signature.
package neohook
