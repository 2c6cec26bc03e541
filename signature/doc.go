// Package signature signs and verifies webhooks as Standard Webhooks says
// (https://github.com/standard-webhooks/standard-webhooks): what is signed is
// "id.timestamp.body", with HMAC-SHA256 (version v1) or Ed25519 (version v1a).
//
// Senders use Parse and Sign, receivers a Verifier. A receiver's whole work is
//
//	verifier, err := signature.NewVerifier(secret)
//	http.Handle("/hook", verifier.Handler(hook))
//
// where hook finds the raw body in its request. The same webhook may arrive more than
// once, always under the same id: a receiver that must not act twice keeps the ids it
// has seen.
package signature
